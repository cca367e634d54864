#!/usr/bin/env python3
"""What scale_report.py and scale_picture.py make of figures that are written down here."""

import os
import sys
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from scale_picture import picture  # noqa: E402
from scale_report import (ECHO, HOST, ceiling, common_rate, contact_table, cost, first_above, highest, is_carried, judge,  # noqa: E402
                          limit_of, machine_lines, others, step_table, summary_table)

MB = 1_000_000


def step(rate, **differs):
    """Ten seconds at that rate, of which broker, host and load have taken 0.6, 0.2 and 0.3 at 10,000/s."""
    part = rate / 10_000
    return {"rate": rate, "seconds": 10.0, "due": rate * 10, "answered": rate * 10, "per_second": float(rate), "p50_ms": 0.2, "p99_ms": 5.0,
            "max_ms": 9.0, "lost": 0, "extra": 0, "late": 0, "waiting": 0, "load_cpu_s": 3 * part, "machine_s": 11 * part + 0.1,
            "cpu_s": {"broker": 6 * part, "host": 2 * part}, "memory": {"broker": 180 * MB, "host": 30 * MB, "load": 300 * MB}, **differs}


def run(kind, subscriptions, *steps):
    memory = {"broker": 170 * MB, "host": 29 * MB, "load": 290 * MB}
    return {"program": kind, "subscriptions": subscriptions, "connections": subscriptions // 5, "connect_s": 1.0,
            "memory": {"empty": {"broker": 10 * MB, "host": 29 * MB}, "connected": memory}, "steps": list(steps)}


def contacts(documents, **differs):
    figures = {"commands": 3000, "per_second": 300.0, "seconds": 10.0, "p50_ms": 0.9, "p99_ms": 3.0, "max_ms": 9.0, "load_cpu_s": 0.5,
               "machine_s": 3.0, "cpu_s": {"broker": 0.5, "host": 0.6, "database": 1.2}, **differs}
    return {"documents": documents, "load_s": 3.0, "memory": {"database": 50 * MB},
            "commands": {"request_contact": dict(figures), "get_contact_list": dict(figures)}}


def document(runs=(), results=(), quick=False):
    return {"machine": {"processors": 2, "processor": "some", "database": "mongod", "when": "now"}, "quick": quick, "runs": list(runs),
            "contacts": list(results)}


SLOW = {"p99_ms": 63.0, "cpu_s": {"broker": 9.6, "host": 4.0}, "machine_s": 19.9}


class Steps(unittest.TestCase):
    def test_carried(self):
        for name, differs, expected in (("good", {}, True), ("p99", {"p99_ms": 20.0}, False), ("just below", {"p99_ms": 19.9}, True),
                                        ("lost", {"lost": 1}, False), ("fell behind", {"per_second": 970.0}, False)):
            with self.subTest(name):
                self.assertEqual(is_carried(step(1000, **differs)), expected)

    def test_limit(self):
        one = step(10_000)
        self.assertEqual(limit_of(one, 2), "")
        self.assertEqual(limit_of({**one, "cpu_s": {"broker": 9.6, "host": 3.0}}, 2), "broker (96% of a processor)")
        self.assertEqual(limit_of({**one, "load_cpu_s": 9.9}, 2), "load (99% of a processor)")
        self.assertEqual(limit_of({**one, "p99_ms": 21.0}, 2), "nothing was full; most busy: broker (60%)")
        self.assertEqual(limit_of({**one, "machine_s": 19.9}, 2), "all 2 processors (broker 60%, host 20%, load 30%, others 89%)")

    def test_cost_is_of_what_was_answered(self):
        self.assertAlmostEqual(cost(step(10_000), "host"), 2.0)
        self.assertAlmostEqual(cost(step(10_000, answered=50_000), "host"), 4.0)
        self.assertIsNone(cost(step(10_000), "database"))
        self.assertIsNone(cost(step(10_000, answered=0), "host"))

    def test_others(self):
        self.assertAlmostEqual(others(step(10_000)), 0.01)
        self.assertEqual(others(step(10_000, machine_s=0.0)), 0.0)


class Runs(unittest.TestCase):
    def test_highest_and_first_above(self):
        one = run(HOST, 1000, step(1000, p99_ms=30.0), step(2000), step(5000, **SLOW), step(7500, **SLOW))
        self.assertEqual(highest(one)["rate"], 2000)
        self.assertEqual(first_above(one)["rate"], 5000)
        self.assertIsNone(highest(run(HOST, 1000, step(1000, p99_ms=30.0))))
        self.assertIsNone(first_above(run(HOST, 1000, step(1000))))

    def test_common_rate_and_ceiling(self):
        some, more = run(HOST, 1000, step(1000), step(2000)), run(HOST, 5000, step(1000), step(2000, **SLOW))
        self.assertEqual(common_rate([some, more]), 1000)
        self.assertIsNone(common_rate([some, run(HOST, 5000, step(2000, **SLOW))]))
        self.assertAlmostEqual(ceiling(some), 100_000 / 6.0)


class Targets(unittest.TestCase):
    def reached(self, *runs, results=(), quick=False):
        return [verdict.reached for verdict in judge(document(runs, results, quick))]

    def test_goal(self):
        good, slow = step(15_000), step(15_000, **SLOW)
        idle = step(15_000, p99_ms=63.0, cpu_s={"broker": 5.0, "host": 5.0})
        for name, ours, theirs, expected in (("carried", [good], [slow], True), ("the echo carries it", [slow], [good], False),
                                             ("neither does", [step(12_500), slow], [step(12_500), slow], True),
                                             ("the echo carries more", [step(10_000), slow], [step(12_500), slow], False),
                                             ("the broker has time left", [step(10_000), idle], [step(10_000), idle], False),
                                             ("no echo", [slow], [], None), ("not tried", [step(10_000)], [step(10_000)], None)):
            with self.subTest(name):
                self.assertEqual(self.reached(run(HOST, 50_000, *ours), run(ECHO, 50_000, *theirs)), [True, expected])

    def test_quick_has_no_goal(self):
        self.assertEqual(self.reached(run(HOST, 1000, step(1000)), run(ECHO, 1000, step(1000)), quick=True), [True])

    def test_nothing_lost(self):
        self.assertEqual(self.reached(run(HOST, 1000, step(1000, lost=1)), quick=True), [False])
        self.assertEqual(self.reached(run(HOST, 1000, step(1000, extra=1)), quick=True), [False])
        self.assertEqual(self.reached(run(ECHO, 1000, step(1000, lost=1)), quick=True), [None])

    def test_growth(self):
        for name, host_s, expected in (("as before", 2.0, True), ("just so", 2.4, True), ("grows", 2.5, False)):
            with self.subTest(name):
                grown = run(HOST, 50_000, step(10_000, cpu_s={"broker": 6.0, "host": host_s}))
                self.assertEqual(self.reached(run(HOST, 1000, step(10_000)), grown, quick=True), [True, expected])
        self.assertEqual(self.reached(run(HOST, 1000, step(1000)), run(HOST, 50_000, step(1000, **SLOW)), quick=True), [True, None])

    def test_documents(self):
        few = contacts(10_000)
        for name, many, expected in (("as before", contacts(1_000_000), [True] * 4), ("p50", contacts(1_000_000, p50_ms=2.4), [False, True] * 2),
                                     ("p99", contacts(1_000_000, p99_ms=14.6), [True, False] * 2),
                                     ("not measured", {"documents": 1_000_000, "commands": {}}, [None] * 4)):
            with self.subTest(name):
                self.assertEqual(self.reached(results=(few, many)), expected)


class Texts(unittest.TestCase):
    FAILED = {"program": ECHO, "subscriptions": 1000, "memory": {}, "steps": [], "failed": "no echo"}

    def all_of_it(self):
        return document([run(HOST, 1000, step(1000), step(15_000, **SLOW)), self.FAILED, run(HOST, 50_000, step(1000), step(15_000, **SLOW)),
                         run(ECHO, 50_000, step(1000), step(15_000, **SLOW))], [contacts(10_000), {"documents": 100_000, "commands": {}, "failed": "no"}])

    def test_tables_have_all_columns_in_each_row(self):
        one = self.all_of_it()
        for name, table, rows in (("steps", step_table(one, 1000), 3), ("summary", summary_table(one), 3), ("contacts", contact_table(one), 4)):
            with self.subTest(name):
                lines = [line for line in table.splitlines() if line.startswith("|")]
                self.assertEqual(len(lines), rows + 2)
                self.assertEqual(len({line.count("|") for line in lines}), 1)
                self.assertEqual(len({len(line) for line in lines}), 1)

    def test_what_was_not_measured_is_said(self):
        self.assertIn("not measured", step_table(self.all_of_it(), 1000))
        self.assertIn("not measured", contact_table(self.all_of_it()))

    def test_busy_machine_is_said(self):
        self.assertNotIn("busy", "".join(machine_lines(document([run(HOST, 1000, step(1000))]))))
        self.assertIn("busy", "".join(machine_lines(document([run(HOST, 1000, step(1000, machine_s=10.0))]))))
        self.assertNotIn("busy", "".join(machine_lines(document(results=[contacts(1000)]))))
        self.assertIn("busy", "".join(machine_lines(document(results=[contacts(1000, machine_s=19.0)]))))

    def test_picture_is_xml_and_has_a_curve_for_each_run(self):
        for name, one, curves in (("all", self.all_of_it(), 3), ("documents", document(results=[contacts(10_000)]), 0),
                                  ("nothing", document([self.FAILED]), 0)):
            with self.subTest(name):
                drawn = picture(one)
                xml.etree.ElementTree.fromstring(drawn)
                self.assertEqual(drawn.count(" subscriptions</text>") - drawn.count(": cashewd, 50,000 subs") - drawn.count(": echo, 50,000 subs"),
                                 curves)


if __name__ == "__main__":
    unittest.main()
