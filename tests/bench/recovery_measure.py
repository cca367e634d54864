"""What the phones' file and the list of effects say: latencies a second, when it was back, what was lost, doubled, out of order.

Times are seconds of CLOCK_MONOTONIC. A latency counts from the time at which a command was due; it belongs to the second in which the
command was due, so a command that is never answered is one of infinite latency in its second.
"""

import math
import os
import statistics
from bisect import bisect_right

GOOD_OF_TEN = 9
TEN = 10
BACKLOG_S = 0.5  # of the load: what waits beyond that is a backlog
DRAIN_MIN_S = 3  # a shorter one says little


class Load:
    """The file that bench-recovery-load writes, read as it grows."""

    def __init__(self, path):
        self.path, self.at, self.rest = path, 0, b""
        self.began = None
        self.due = {}  # (user, command) -> when it was due
        self.due_in = {}  # second of the clock -> the keys of what was due in it
        self.answered = {}  # (user, command) -> when its event came
        self.sends = {}  # user -> {number: command}
        self.refused = []
        self.repeats = 0
        self.ended = False

    def read(self):
        if not os.path.exists(self.path):
            return
        with open(self.path, "rb") as lines:
            lines.seek(self.at)
            data = lines.read()
        self.at += len(data)
        *whole, self.rest = (self.rest + data).split(b"\n")
        for line in whole:
            self.take(line.decode().split(" "))

    def take(self, words):
        if words[0] == "S":
            user, number, command = words[1], int(words[2]), int(words[3])
            key = (user, command)
            if key in self.due:
                self.repeats += 1
            else:
                self.was_due(key, int(words[4]) / 1e9)
            self.sends.setdefault(user, {})[number] = command
        elif words[0] == "A":
            self.answered[(words[1], int(words[2]))] = int(words[4]) / 1e9
        elif words[0] == "B":
            self.began = int(words[1]) / 1e9
        elif words[0] == "X":
            self.refused.append(words[1:])
        elif words[0] == "E":
            self.ended = True

    def was_due(self, key, due):
        self.due[key] = due
        self.due_in.setdefault(math.floor(due), []).append(key)

    def latencies(self, begin, end, keep=lambda user: True):
        """Of the commands that were due from begin to end, a list for each second, sorted."""
        seconds = [[] for _ in range(max(0, math.floor(end - begin)))]
        for second in range(math.floor(begin), math.floor(begin) + len(seconds) + 1):
            for key in self.due_in.get(second, ()):
                due = self.due[key]
                at = math.floor(due - begin)
                if due >= begin and at < len(seconds) and keep(key[0]):
                    seconds[at].append(self.answered.get(key, math.inf) - due)
        return [sorted(second) for second in seconds]

    def answered_per_second(self, begin, end):
        seconds = [0] * max(0, math.floor(end - begin))
        for when in self.answered.values():
            at = math.floor(when - begin)
            if when >= begin and at < len(seconds):
                seconds[at] += 1
        return seconds

    def waiting(self, moments):
        """How many commands were due and not answered at each of the moments."""
        due, answered = sorted(self.due.values()), sorted(self.answered.values())
        return [bisect_right(due, moment) - bisect_right(answered, moment) for moment in moments]


def p99(latencies):
    """In seconds; a second in which nothing was due has none to be late, but that is not so here: it is one of infinite latency."""
    return latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))] if latencies else math.inf


def typical(seconds):
    values = [p99(second) for second in seconds]
    return statistics.median(values) if values else math.inf


def limit_of(before):
    return max(2 * before, before + 0.020)


class Back:
    """Seconds from `end` to the first of ten in a row of which nine are as before. Each second is looked at once: whoever asks again and again
    while a backlog drains would take part of what drains it."""

    def __init__(self, load, end, before, keep=lambda user: True):
        self.load, self.end, self.before, self.keep, self.good = load, end, before, keep, []

    def by(self, until):
        """None: not yet."""
        seconds = self.load.latencies(self.end + len(self.good), until, self.keep)
        self.good += [p99(second) <= limit_of(self.before) for second in seconds]
        for first in range(len(self.good) - TEN + 1):
            if sum(self.good[first:first + TEN]) >= GOOD_OF_TEN:
                return first
        return None


def back(load, end, until, before, keep=lambda user: True):
    return Back(load, end, before, keep).by(until)


def drain_per_s(load, end, until, rate):
    """What was answered a second while a backlog waited, the median; None: there was none, or a short one. The first second after the
    fault's end is left out, since links come back in it, and the backlog is at its end when less than BACKLOG_S of the load waits."""
    answered = load.answered_per_second(end + 1, until)
    waiting = load.waiting([end + 2 + second for second in range(len(answered))])
    ended = next((second for second, count in enumerate(waiting) if count < BACKLOG_S * rate), len(answered))
    return statistics.median(answered[:ended]) if ended >= DRAIN_MIN_S else None


# ---- effects ----


def in_order(numbers):
    return all(a < b for a, b in zip(numbers, numbers[1:]))


def order_of(numbers):
    """(first effects in order, last effects in order) of one user's."""
    first = list(dict.fromkeys(numbers))
    last = list(dict.fromkeys(reversed(numbers)))[::-1]
    return in_order(first), in_order(last)


def as_runs(numbers):
    """1..55 31..38: for people."""
    runs, begin = [], None
    for at, number in enumerate(numbers):
        begin = number if begin is None else begin
        if at + 1 == len(numbers) or numbers[at + 1] != number + 1:
            runs.append(f"{begin}..{number}" if number != begin else str(number))
            begin = None
    return " ".join(runs[:12]) + (" .." if len(runs) > 12 else "")


def judge_effects(load, effects, restored_at=None):
    """Counts over all users. Where the broker went back to an earlier save, order counts before and after it, each by itself."""
    counts = {"commands": len(load.due), "lost": len(load.due) - len(load.answered), "missing": 0, "doubled": 0, "out_of_order": 0,
              "skipped": 0, "repeated": load.repeats, "example": ""}
    for user, sends in load.sends.items():
        ran = effects.get(user, [])
        counts["doubled"] += len(ran) - len({number for _, number in ran})
        counts["missing"] += len({command for _, command in sends.items()} - {sends.get(number) for _, number in ran})
        split = restored_at * 1e9 if restored_at else 0
        for part in ([effect for effect in ran if effect[0] < split], [effect for effect in ran if effect[0] >= split]):
            numbers = [number for _, number in part]
            if not all(order_of(numbers)):
                counts["out_of_order"] += 1
                counts["example"] = counts["example"] or f"{user}: {as_runs(numbers)}"
        numbers = [number for _, number in ran]
        counts["skipped"] += sum(b > a + 1 for a, b in zip([0] + numbers, numbers))
    return counts
