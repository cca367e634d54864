#!/usr/bin/env python3
"""All of `tests/bench/run scale`, for a moment: test_scale.py BUILD. Nothing is lost, everything is measured, and what it writes can be read. How fast the
machine is does not matter: only losses and what cannot be measured make the benchmark's own exit code here."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.realpath(__file__))
SUBSCRIPTIONS, RATES, DOCUMENTS = [50, 200], [40, 80], [500, 1000]


def words(numbers):
    return ",".join(map(str, numbers))


class Scale(unittest.TestCase):
    build = ""

    def test_quick(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([os.path.join(HERE, "run"), "scale", "--quick", "--no-build", "--build", self.build, "--out", folder, "--seconds", "1",
                                   "--warmup", "0", "--subscriptions", words(SUBSCRIPTIONS), "--rates", words(RATES), "--documents", words(DOCUMENTS),
                                   "--contact-rate", "20"], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertEqual(sorted(os.listdir(folder)), ["scale.json", "scale.md", "scale.svg"], "nothing else is left behind")
            with open(os.path.join(folder, "scale.json"), encoding="utf-8") as file:
                self.check_figures(json.load(file))
            with open(os.path.join(folder, "scale.md"), encoding="utf-8") as file:
                self.check_text(file.read())
            xml.etree.ElementTree.parse(os.path.join(folder, "scale.svg"))

    def check_figures(self, document):
        self.assertEqual([(run["subscriptions"], run["program"]) for run in document["runs"]],
                         [(count, program) for count in SUBSCRIPTIONS for program in ("cashewd", "echo")])
        for run in document["runs"]:
            with self.subTest(f"{run['program']}, {run['subscriptions']}"):
                self.assertEqual(run["connections"], run["subscriptions"] // document["each"])
                self.assertEqual([step["rate"] for step in run["steps"]], RATES)
                for step in run["steps"]:
                    self.assertEqual((step["due"], step["lost"]), (step["rate"], 0))
                    self.assertTrue(0 < step["p50_ms"] <= step["p99_ms"] <= step["max_ms"])
                    for part in ("broker", "host"):
                        self.assertGreater(step["cpu_s"][part], 0)
                        self.assertGreater(step["memory"][part], 1_000_000)
        self.assertEqual([result["documents"] for result in document["contacts"]], DOCUMENTS)
        for result in document["contacts"]:
            for command in ("request_contact", "get_contact_list"):
                self.assertEqual(result["commands"][command]["lost"], 0)
                self.assertGreater(result["commands"][command]["commands"], 0)

    def check_text(self, text):
        for title in ("## 50 subscriptions", "## 200 subscriptions", "## Summary", "## Contact documents", "## Targets"):
            self.assertIn(title, text)
        self.assertNotIn("not measured", text)


if __name__ == "__main__":
    Scale.build = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if not os.path.isdir(Scale.build):
        sys.exit("usage: test_scale.py BUILD")
    unittest.main()
