#!/usr/bin/env python3
"""What beside.py says of figures that are written down here: the limits, which of them a row is judged by, the exit code."""

import os
import sys
import tempfile
import unittest
import unittest.mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import beside  # noqa: E402
from rows import ROWS, Verdict  # noqa: E402


class Limits(unittest.TestCase):
    #      limit, of this build's turns, of the reference's, whether it holds
    CASES = (
        ("saturated CPU", [1.27], [1.26], True),
        ("saturated CPU", [1.15], [1.00], True),
        ("saturated CPU", [1.16], [1.00], False),
        ("saturated CPU, TLS with workers", [1.24], [0.98], True),
        ("saturated CPU, TLS with workers", [1.28], [0.98], False),
        ("commands/s", [32700], [26400], True),
        ("commands/s", [97], [100], True),
        ("commands/s", [25500], [26400], False),
        ("scheduled CPU, light", [3.40], [4.31], True),
        ("scheduled CPU, light", [4.75], [4.31], False),
        ("scheduled CPU, workers", [4.63], [3.92], True),
        ("scheduled CPU, workers", [5.89], [3.92], False),
        ("p99", [3.5], [2.0], True),  # exactly 1.25 x 2 ms + 1 ms
        ("p99", [3.51], [2.0], False),
        ("RSS", [16.0e6], [12.0e6], True),
        ("RSS", [16.1e6], [12.0e6], False),
        ("window", [39000], [3900], True),
        ("window", [38900], [3900], False),
        ("naps", [17.0], [10.0], True),  # exactly 1.2 x 10 ms + 5 ms
        ("naps", [17.1], [10.0], False),
        ("naps, window", [200.0], [], True),
        ("naps, window", [200.1], [], False),
        # The median of the turns' ratios, not the ratio of the medians: the machine was slow in the second and third turn for both.
        ("saturated CPU", [1.1, 2.2, 3.3], [1.0, 2.0, 3.0], True),
        ("saturated CPU", [1.2, 2.0, 3.6], [1.0, 2.0, 3.0], False),
        ("commands/s", [99, 50, 98], [100, 100, 100], True),  # one bad turn does not count
        ("p99", [2.0, 90.0, 2.1], [2.0, 2.0, 2.0], True),
        ("p99", [90.0, 90.0, 2.1], [2.0, 2.0, 2.0], False),
        # A turn that was not measured is left out; where none is left there is no verdict.
        ("saturated CPU", [None, 1.3], [1.0, 1.0], False),
        ("p99", [None, 2.0], [2.0, None], True),
        ("saturated CPU", [None], [1.0], None),
        ("commands/s", [0], [100], False),
        ("commands/s", [], [], None),
        ("p99", [], [2.0], None),
        ("p99", [2.0], [], None),
        ("RSS", [1e6], [], None),
        ("naps, window", [], [], None),
    )

    def test_every_limit(self):
        for name, ours, theirs, holds in self.CASES:
            with self.subTest(f"{name}: {ours} by {theirs}"):
                self.assertIs(beside.judge(name, "cashewd", ours, theirs).reached, holds)
        self.assertEqual({name for name, _, _, _ in self.CASES}, set(beside.LIMITS))

    def test_line_says_figure_and_limit(self):
        self.assertEqual(beside.judge("saturated CPU", "get_apples, cashewd", [1.2], [1.0]).text,
                         "get_apples, cashewd: saturated CPU per command: 1.200 x (1 turn), limit <= 1.15 x the other's")
        self.assertEqual(beside.judge("p99", "sleep5, cashewd", [2.0, 3.0, 4.0], [1.0, 2.0, 3.0], "at 2,000/s").text,
                         "sleep5, cashewd: p99, at 2,000/s: 3.00 ms by 2.00, at most 3.50 (median of 3), limit <= 1.25 x the other's + 1 ms")
        self.assertEqual(beside.judge("RSS", "c", [9e6], [8e6]).text,
                         "c: RSS: 9.00 MB by 8.00, at most 12.00 (median of 1), limit <= the other's + 4 MB")
        self.assertEqual(beside.judge("naps, window", "n", [150.0]).text, "n: the others' p99: 150.00 ms (median of 1), limit <= 200 ms")
        self.assertEqual(beside.judge("window", "w", []).text, "w: commands/s: not measured, limit >= 10 x the other's")

    def test_interval_of_24_turns(self):
        # Of 24 values, from the 8th to the 17th.
        self.assertEqual(beside.median_interval([float(value) for value in range(1, 25)]), (8.0, 17.0))
        self.assertIn("24 turns", beside.judge("saturated CPU", "c", [1.1] * 24, [1.0] * 24).text)


class Rows(unittest.TestCase):
    WORKERS = {"saturated CPU", "commands/s", "scheduled CPU, workers", "p99", "RSS"}
    LIGHT = {"saturated CPU", "commands/s", "scheduled CPU, light", "p99", "RSS"}
    TLS_WORKERS = {"saturated CPU, TLS with workers", "commands/s", "scheduled CPU, workers", "p99", "RSS"}
    #      row, case, its limits
    CASES = (
        ("get_apples", "cashewd, light", LIGHT),
        ("get_apples", "cashewd TLS, light", LIGHT),
        ("get_apples", "cashewd, workers", WORKERS),
        ("get_apples", "cashewd TLS, workers", TLS_WORKERS),
        ("sleep5", "cashewd", WORKERS),
        ("request_contact", "cashewd", WORKERS),
        ("get_contact_list", "cashewd", WORKERS),
    )

    def setUp(self):
        self.rows = {row.name: beside.row_of(row, "/other") for row in ROWS}

    def test_limits_of_each_row(self):
        for name, case, limits in self.CASES:
            with self.subTest(f"{name}, {case}"):
                self.assertEqual({one.limit for one in self.rows[name].targets if one.case == case}, limits)
        self.assertEqual({(name, case) for name, case, _ in self.CASES},
                         {(row.name, one.case) for row in self.rows.values() for one in row.targets})

    def test_who_takes_turns(self):
        groups = [[case.name for case in group] for group in self.rows["get_apples"].groups]
        self.assertEqual(groups, [["cashewd, light, beside", "echo", "cashewd, light"],
                                  ["cashewd TLS, light, beside", "echo TLS", "cashewd TLS, light"],
                                  ["cashewd TLS, workers, beside", "cashewd TLS, workers"],
                                  ["cashewd, workers, beside", "cashewd, workers"]])
        for row in self.rows.values():
            for group in row.groups:
                self.assertEqual([case.build for case in group if case.kind == "cashewd"], ["/other", ""])

    def test_row_is_judged_by_its_phases(self):
        row = self.rows["sleep5"]
        ours = {"saturated": {"cpu": 1.1, "per_second": 98, "rss": 1e9}, "rate": {"cpu": 1.4, "p99_ms": 3.0, "rss": 10e6}}
        theirs = {"saturated": {"cpu": 1.0, "per_second": 100, "rss": 1e6}, "rate": {"cpu": 1.0, "p99_ms": 2.0, "rss": 9e6}}
        results = {"cashewd": [ours] * 3, "cashewd, beside": [theirs] * 3}
        self.assertEqual([verdict.reached for verdict in beside.judge_row(row, results)], [True] * 5)
        slow = {**ours, "rate": {"cpu": 1.6, "p99_ms": 4.0, "rss": 14e6}}
        self.assertEqual([verdict.reached for verdict in beside.judge_row(row, {**results, "cashewd": [slow] * 3})],
                         [True, True, False, False, False])
        self.assertEqual([verdict.reached for verdict in beside.judge_row(row, {**results, "cashewd": []})], [None] * 5)


class Code(unittest.TestCase):
    OK, OVER, NONE = Verdict("", True), Verdict("", False), Verdict("", None)
    #      verdicts, failures, exit code
    CASES = (
        ([OK, OK], [], 0),
        ([OK, OVER], [], 1),
        ([OK, NONE], [], 1),
        ([OK], ["sleep5: the host ended"], 1),
    )

    def test_exit_code(self):
        for verdicts, failures, expected in self.CASES:
            with self.subTest(expected=expected):
                self.assertEqual(beside.exit_code(verdicts, failures), expected)

    def test_revision_without_git(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(beside.revision_at(folder), "")
            with unittest.mock.patch.dict(os.environ, PATH=folder):
                self.assertEqual(beside.revision_at(folder), "")

    def test_window_of_a_known_revision(self):
        self.assertEqual(beside.window_reference("2e25b62f00", [3000.0, 3100.0]), [3900, 3900])
        self.assertEqual(beside.window_reference("2e25b62f00", []), [])
        self.assertEqual(beside.window_reference("abcdef0", [3000.0, 3100.0]), [3000.0, 3100.0])
        self.assertEqual(beside.window_reference("", [3000.0]), [3000.0])


if __name__ == "__main__":
    unittest.main()
