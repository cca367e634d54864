#!/usr/bin/env python3
"""What floods.py makes of figures: which targets a row has missed, and how many commands count as answered."""

import math
import sys
import unittest

sys.dont_write_bytecode = True

from floods import answered_of, missed  # noqa: E402

GOOD = {"before_ms": 2.0, "during_ms": 9.0, "after_ms": 9.0, "answered": 0.999, "broker_bytes": 256 * 1024 * 1024}


class Floods(unittest.TestCase):
    def test_missed(self):
        cases = (
            ({}, []),
            ({"during_ms": 9.1}, ["p99 during"]),
            ({"during_ms": math.inf}, ["p99 during"]),
            ({"after_ms": 9.1}, ["p99 after"]),
            ({"answered": 0.9989}, ["answered"]),
            ({"broker_bytes": 256 * 1024 * 1024 + 1}, ["memory"]),
            ({"before_ms": 1.0, "answered": 0}, ["p99 during", "p99 after", "answered"]),
        )
        for change, expected in cases:
            self.assertEqual(missed({**GOOD, **change}), expected, change)

    def test_answered(self):
        self.assertEqual(answered_of([0.1, 0.2, math.inf, math.inf]), 0.5)
        self.assertEqual(answered_of([0.1]), 1)
        self.assertEqual(answered_of([]), 0)


if __name__ == "__main__":
    unittest.main()
