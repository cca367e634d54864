#!/usr/bin/env python3
"""What recovery_report.py asks of results that are written down here, how it says so, and the exit code."""

import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from recovery_faults import FAULTS  # noqa: E402
from recovery_picture import picture  # noqa: E402
from recovery_report import Check, checks_of, outcome, table, verdict  # noqa: E402

FAULT = {fault.name: fault for fault in FAULTS}
CAPACITY, RATE = 2000.0, 1400.0  # so T s of an outage may take T x 0.7 / 0.3 + 2 s
GOOD = {"back_s": 0, "fault_s": 0.0, "before_p99_ms": 10.0, "during_p99_ms": 10.0, "bad_during": 0.0, "others_max_ms": 50.0, "losses": [],
        "repeated": 0, "hurt_user_back_s": 0, "others_back_s": 0, "drain_per_s": None, "during_per_s": 1400, "lost": 0, "missing": 0,
        "doubled": 0, "out_of_order": 0, "skipped": 0, "example": "", "held": 8, "fault_end_s": 0.0,
        "series": [(-2.0, 1400, 10.0), (-1.0, 1400, 10.0), (0.0, 1400, 10.0), (1.0, 1400, None)]}


def document_of(name, *rounds):
    return {"capacity": CAPACITY, "rate": RATE, "database": "mongod", "faults": {name: [{**GOOD, **result} for result in rounds]}}


def missed(name, *rounds):
    return [check.target for check in checks_of([FAULT[name]], document_of(name, *rounds)) if not check.held]


BACK_2 = "back <= 2.0 s after its end"
BACK_OUTAGE = "back <= 25.3 s after its end"  # 10 x 0.7 / 0.3 + 2
HANG_USER, HANG_OTHERS = "that user is back <= 7 s after it was sent", "the others are never more than 1,500 ms behind"
DRAIN, MEANWHILE = ">= 0.9 of capacity while it drains", ">= 0.9 of capacity answered meanwhile"
DROPPED = "no lane dropped and no link lost but by the fault"


class Targets(unittest.TestCase):
    #      fault, what differs from a good result, the targets that are missed
    CASES = (
        *((name, {"back_s": 2}, []) for name in ("kill_host", "crash", "sighup")),
        *((name, {"back_s": 3}, [BACK_2]) for name in ("kill_host", "crash", "sighup")),
        ("kill_host", {"back_s": None}, [BACK_2]),
        ("hang", {"back_s": 30, "hurt_user_back_s": 7, "others_max_ms": 1500.0}, []),
        ("hang", {"hurt_user_back_s": 8}, [HANG_USER]),
        ("hang", {"hurt_user_back_s": None}, [HANG_USER]),
        ("hang", {"others_max_ms": 1501.0}, [HANG_OTHERS]),
        *((name, {"fault_s": 10.0, "back_s": 25, "drain_per_s": 1800}, [])
          for name in ("stop_database", "kill_database", "stop_broker", "kill_broker")),
        *((name, {"fault_s": 10.0, "back_s": 26}, [BACK_OUTAGE]) for name in ("stop_database", "kill_database", "stop_broker", "kill_broker")),
        ("stop_database", {"fault_s": 10.0, "back_s": 25, "drain_per_s": 1799}, [DRAIN]),
        ("stop_broker", {"fault_s": 10.0, "back_s": None, "drain_per_s": 1400}, [BACK_OUTAGE, DRAIN]),
        ("cut_links", {"back_s": 30, "drain_per_s": 1800}, []),
        ("cut_links", {"drain_per_s": 1000}, [DRAIN]),
        ("overload", {"back_s": 80, "during_per_s": 1800}, []),
        ("overload", {"back_s": 81, "during_per_s": 1799}, ["back <= 80.0 s after its end", MEANWHILE]),
        ("flood", {"during_p99_ms": 20.0, "drain_per_s": 1000}, []),
        ("flood", {"during_p99_ms": 20.1}, ["the others' p99 <= 2 x before"]),
        ("loggly", {"back_s": 1, "bad_during": 0.2}, ["back <= 0.0 s after its end", "as before in 9 of 10 seconds meanwhile"]),
        ("sighup", {"lost": 1}, ["nothing lost"]),
        ("sighup", {"missing": 1}, ["nothing lost"]),
        ("sighup", {"out_of_order": 1}, ["nothing out of order"]),
        ("sighup", {"skipped": 1}, ["no step skips ahead"]),
        ("kill_host", {"skipped": 1}, []),
        ("overload", {"losses": [(20.0, "lane_dropped")]}, [MEANWHILE, DROPPED]),
        ("none", {"back_s": 1}, ["back <= 0.0 s after its end"]),
    )

    def test_targets(self):
        for name, differs, expected in self.CASES:
            with self.subTest(f"{name}: {differs}"):
                self.assertEqual(missed(name, differs), expected)

    def test_every_fault_has_a_good_result(self):
        for fault in FAULTS:
            with self.subTest(fault.name):
                self.assertEqual(missed(fault.name, {"during_per_s": 2000}), [])

    def test_median_of_times_but_every_loss(self):
        self.assertEqual(missed("kill_host", {"back_s": 9}, {"back_s": 1}, {"back_s": 1}), [])
        self.assertEqual(missed("kill_host", {"back_s": None}, {"back_s": None}, {"back_s": 1}), [BACK_2])
        self.assertEqual(missed("kill_host", {"lost": 1}, {}, {}), ["nothing lost"])

    def test_no_limit_above_capacity(self):
        document = {**document_of("stop_broker", {"fault_s": 10.0}), "rate": CAPACITY}
        self.assertEqual([check.target for check in checks_of([FAULT["stop_broker"]], document) if not check.held], ["back after its end"])

    def test_not_measured(self):
        document = {**document_of("sighup"), "faults": {"sighup": [{"failed": "no host"}, dict(GOOD)]}}
        self.assertEqual([check.target for check in checks_of([FAULT["sighup"]], document) if not check.held], ["measured"])
        for noisy, code in ((False, 1), (True, 3)):
            document["faults"]["sighup"][0]["noisy"] = noisy
            self.assertEqual(outcome(checks_of([FAULT["sighup"]], document))[0], code)


class Lines(unittest.TestCase):
    def line(self, name, differs):
        document = document_of(name, differs)
        return verdict(FAULT[name], document["faults"][name][0], checks_of([FAULT[name]], document)).split(" | ")[1]

    def test_line_says_target_and_whether_it_was_met(self):
        kept = "; nothing lost, disordered or dropped: met"
        self.assertEqual(self.line("kill_host", {"back_s": 1}), BACK_2 + ": met" + kept)
        self.assertEqual(self.line("kill_host", {"back_s": 5}), BACK_2 + ": MISSED, 5 s" + kept)
        self.assertEqual(self.line("kill_host", {"lost": 2}), BACK_2 + ": met; nothing lost: MISSED, 2 without an event, 0 not done")

    def test_table_and_picture_say_so_too(self):
        for name in ("none", "kill_host", "stop_broker"):
            document = document_of(name, {"back_s": 40, "fault_end_s": 1.0})
            checks = checks_of([FAULT[name]], document)
            drawn = picture([FAULT[name]], document, checks)
            with self.subTest(name):
                self.assertIn(": MISSED, 40 s", table([FAULT[name]], document, checks))
                self.assertIn(": MISSED, 40 s", drawn)
                self.assertEqual(drawn.count("<line"), 0 if name == "none" else 2)


class Outcome(unittest.TestCase):
    @staticmethod
    def check(fault, held, kind="time"):
        return Check(fault, "", "", "", held, kind)

    def test_exit_code(self):
        good, slow = self.check("none", True), self.check("none", False)
        for name, checks, code, noisy in (
            ("all met", [good, self.check("sighup", True)], 0, False),
            ("a target missed", [good, self.check("sighup", False)], 1, False),
            ("the run without a fault is not as before", [slow, self.check("sighup", False)], 3, True),
            ("it lost its link", [good, self.check("none", False, "links")], 3, True),
            ("it lost a command", [good, self.check("none", False, "promise")], 1, True),
            ("another lost a command", [slow, self.check("sighup", False, "promise")], 1, True),
            ("it was not measured", [self.check("none", False, "unmeasured")], 1, False),
            ("the seconds before a fault could not be compared with", [good, self.check("sighup", False, "noise")], 3, True),
        ):
            with self.subTest(name):
                found, sentence = outcome(checks)
                self.assertEqual((found, "machine too noisy" in sentence), (code, noisy))


if __name__ == "__main__":
    unittest.main()
