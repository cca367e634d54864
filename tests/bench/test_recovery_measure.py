#!/usr/bin/env python3
"""What recovery_measure.py says of loads and effects that are written down here."""

import math
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from recovery_measure import Load, as_runs, back, drain_per_s, judge_effects, order_of, p99  # noqa: E402

RATE = 100  # commands a second of the loads below


def load_of(latencies):
    """One user, RATE commands in each second from 0 on, all of a second with that latency; None: without an event."""
    load = Load("none")
    for second, latency in enumerate(latencies):
        for at in range(RATE):
            key = ("u00", second * RATE + at + 1)
            load.was_due(key, second + at / RATE)
            if latency is not None:
                load.answered[key] = load.due[key] + latency
    return load


def load_of_sends(sends):
    load = Load("none")
    load.sends = {"u00": sends}
    load.due = {("u00", command): 0.0 for command in sends.values()}
    load.answered = dict(load.due)
    return load


class Order(unittest.TestCase):
    CASES = (
        ("each once", [1, 2, 3], (True, True)),
        ("a whole suffix again", [1, 2, 3, 4, 3, 4, 5], (True, True)),
        ("a torn suffix: the last effect of 3 is older than that of 2", [1, 2, 3, 2, 4], (True, False)),
        ("3 before 2", [1, 3, 2], (False, False)),
        ("3 before 2, then all again", [1, 3, 2, 3], (False, True)),
        ("one missing is no disorder", [1, 3], (True, True)),
    )

    def test_order(self):
        for name, numbers, expected in self.CASES:
            with self.subTest(name):
                self.assertEqual(order_of(numbers), expected)

    def test_runs(self):
        self.assertEqual(as_runs([1, 2, 3, 2, 3, 7]), "1..3 2..3 7")


class Effects(unittest.TestCase):
    #      name, {number: command} sent, numbers of the effects, what is counted
    CASES = (
        ("each once", {1: 1, 2: 2}, [1, 2], {"missing": 0, "doubled": 0, "out_of_order": 0, "skipped": 0}),
        ("a repeat is a publish of its own", {1: 1, 2: 2, 3: 1}, [2, 3], {"missing": 0, "doubled": 0, "out_of_order": 0, "skipped": 1}),
        ("one is missing", {1: 1, 2: 2, 3: 3}, [1, 3], {"missing": 1, "doubled": 0, "out_of_order": 0, "skipped": 1}),
        ("a suffix twice", {1: 1, 2: 2, 3: 3}, [1, 2, 3, 2, 3], {"missing": 0, "doubled": 2, "out_of_order": 0, "skipped": 0}),
        ("a torn suffix", {1: 1, 2: 2, 3: 3}, [1, 2, 3, 2], {"missing": 0, "doubled": 1, "out_of_order": 1, "skipped": 0}),
    )

    def test_effects(self):
        for name, sends, numbers, expected in self.CASES:
            with self.subTest(name):
                counts = judge_effects(load_of_sends(sends), {"u00": list(enumerate(numbers))})
                self.assertEqual({key: counts[key] for key in expected}, expected)

    def test_broker_that_goes_back_to_its_last_save(self):
        effects = {"u00": [(10, 1), (11, 2), (12, 3), (21, 2), (22, 4)]}
        load = load_of_sends({1: 1, 2: 2, 3: 3, 4: 4})
        self.assertEqual(judge_effects(load, effects)["out_of_order"], 1)
        self.assertEqual(judge_effects(load, effects, restored_at=20e-9)["out_of_order"], 0)

    def test_lost(self):
        load = load_of_sends({1: 1, 2: 2})
        del load.answered[("u00", 2)]
        self.assertEqual(judge_effects(load, {"u00": [(1, 1), (2, 2)]})["lost"], 1)


class Back(unittest.TestCase):
    BEFORE = 0.010  # so the limit is 30 ms

    #      name, latency of each second after the fault's end, back
    CASES = (
        ("at once", [0.01] * 12, 0),
        ("one bad second of ten does not count", [0.01] * 5 + [0.5] + [0.01] * 6, 0),
        ("three bad ones at first: the window may begin with the last", [0.5] * 3 + [0.01] * 12, 2),
        ("never within what was seen", [0.5] * 12, None),
        ("too little was seen", [0.01] * 9, None),
        ("a second without events is a bad one", [None, None] + [0.01] * 12, 1),
        ("exactly at the limit", [0.0299] * 12, 0),
    )

    def test_back(self):
        for name, latencies, expected in self.CASES:
            with self.subTest(name):
                self.assertEqual(back(load_of(latencies), 0.0, float(len(latencies)), self.BEFORE), expected)

    def test_p99(self):
        self.assertEqual(p99(sorted([0.001] * 98 + [1.0, 2.0])), 2.0)
        self.assertEqual(p99([]), math.inf)


class Drain(unittest.TestCase):
    """Of an outage of 4 s that ends at 0: what was due in it is answered from then on, at `served` a second in the order it was due."""

    @staticmethod
    def load(served, seconds=40):
        load = Load("none")
        for at in range((4 + seconds) * RATE):
            key = ("u00", at + 1)
            load.was_due(key, -4 + at / RATE)
            load.answered[key] = max(load.due[key] + 0.001, at / served + 0.001)
        return load

    #      commands a second that are served, what it says
    CASES = (
        ("at 1.4 x the load", 1.4 * RATE, 1.4 * RATE),
        ("at 1.1 x the load", 1.1 * RATE, 1.1 * RATE),
        ("never drained", 0.8 * RATE, 0.8 * RATE),
        ("at once: too short to say", 10 * RATE, None),
    )

    def test_drain(self):
        for name, served, expected in self.CASES:
            with self.subTest(name):
                found = drain_per_s(self.load(served), 0.0, 39.0, RATE)
                self.assertEqual(found is None, expected is None)
                if expected:
                    self.assertAlmostEqual(found, expected, delta=2)

    def test_nothing_waits(self):
        self.assertIsNone(drain_per_s(load_of([0.01] * 12), 0.0, 12.0, RATE))

    def test_waiting(self):
        self.assertEqual(load_of([0.25, None]).waiting([0.0, 0.5, 2.0]), [1, 25, RATE])


if __name__ == "__main__":
    unittest.main()
