#!/usr/bin/env python3
"""The ledger of lost.py: what counts as lost, by which kill, and what as done twice; and the line of the table."""

import sys
import unittest

sys.dont_write_bytecode = True

from lost import ledger, row_of, waited_ms  # noqa: E402


class Lost(unittest.TestCase):
    def test_ledger(self):
        due = {("a", 1): 1.0, ("a", 2): 2.0, ("b", 1): 2.5, ("b", 2): 9.0}
        cases = (
            ({"a": [1, 2], "b": [1, 2]}, [3.0, 6.0], ([0, 0], 0)),
            ({"a": [1, 2, 2], "b": [2, 1, 1]}, [3.0], ([0], 2)),
            ({"a": [1]}, [3.0, 6.0], ([2, 1], 0)),
            ({"a": [2], "b": [1, 2]}, [1.5, 6.0], ([1, 0], 0)),
            ({}, [3.0, 6.0], ([3, 1], 0)),
            # Somebody else's effect is nobody's command.
            ({"c": [1]}, [3.0], ([4], 0)),
        )
        for effects, kills, expected in cases:
            self.assertEqual(ledger(due, effects, kills), expected, (effects, kills))

    def test_waited(self):
        due = {("a", 1): 1.0, ("a", 2): 2.0, ("b", 1): 3.0}
        self.assertEqual(waited_ms(due, {"a": [(1_005_000_000, 1), (2_001_000_000, 2)], "b": [(3_002_000_000, 1), (9_000_000_000, 7)]}), 2.0)
        self.assertEqual(waited_ms(due, {}), 0)

    def test_row(self):
        results = {("plain", "working"): {"lost": [0, 1, 5], "sent": 12000}, ("cashewd", "working"): {"lost": [0, 0, 0], "sent": 9}}
        self.assertEqual(row_of("plain", results), "| libmosquitto and libmongoc, in C | 0 / 1 / 5 (in sum 6 of 12,000) | not measured |")
        self.assertEqual(row_of("cashewd", results), "| cashewd | 0 (in sum 0 of 9) | not measured |")


if __name__ == "__main__":
    unittest.main()
