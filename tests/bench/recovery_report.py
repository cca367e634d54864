"""What `run recovery` prints: a line for each phase, the table, the targets, and what comes of them."""

import statistics
from dataclasses import dataclass

from recovery_faults import HANG_DEADLINE_S, flood, hang, loggly_away, overload

OTHERS_BEHIND_MS = 1500
FLOOD_LIMIT = 2.0
CAPACITY_LIMIT = 0.9  # of the capacity before
NOISY = 3
# What a target is about.
TIME, PROMISE, LINKS, UNMEASURED, NOISE = "time", "promise", "links", "unmeasured", "noise"


@dataclass
class Check:
    """One target of one fault: what is asked, what was seen, whether it was met."""

    fault: str
    title: str
    target: str
    figure: str
    held: bool
    kind: str = TIME

    @property
    def text(self):
        return f"{self.title}: {self.target}: {self.figure}"


def median(results, figure):
    """Over the rounds; None where a round has none, which is worse than any number."""
    values = [result.get(figure) for result in results]
    if not values or sum(value is None for value in values) * 2 > len(values):
        return None
    present = sorted(value if value is not None else float("inf") for value in values)
    return statistics.median_low(present) if len(present) % 2 else statistics.median(present)


def seconds(value):
    return "never" if value is None else f"{value:.0f} s" if value == int(value) else f"{value:.1f} s"


def number(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def targets_met(checks):
    """The targets of one fault, and whether each was met; what must never happen is named where it did."""
    always = [check for check in checks if check.kind in (PROMISE, LINKS)]
    parts = [f"{check.target}: {'met' if check.held else 'MISSED, ' + check.figure}" for check in checks if check.kind == TIME]
    parts += [f"{check.target}: MISSED, {check.figure}" for check in always if not check.held]
    if any(check.kind in (UNMEASURED, NOISE) for check in checks):
        parts.append("NOT MEASURED in each round")
    if always and all(check.held for check in always):
        parts.append("nothing lost, disordered or dropped: met")
    return "; ".join(parts)


def verdict(fault, result, checks):
    """One phase in one line."""
    if "failed" in result:
        return f"{fault.title}: NOT MEASURED: {result['failed']}"
    text = (f"{fault.title}: back {seconds(result['back_s'])} after its end ({result['fault_s']:.1f} s), p99 before "
            f"{result['before_p99_ms']:.0f} ms; {result['lost']} lost, {result['doubled']} doubled, {result['out_of_order']} users out of order, "
            f"held {result['held']}")
    return text + (f" ({result['example']})" if result["example"] else "") + f" | {targets_met(checks)}"


def measured(document, fault):
    return [result for result in document["faults"].get(fault.name, []) if "failed" not in result]


COLUMNS = (("p99 before, ms", "before_p99_ms", 0), ("back, s", "back_s", 0), ("drained at, /s", "drain_per_s", 0), ("lost", "lost", 0),
           ("not done", "missing", 0), ("doubled", "doubled", 0), ("out of order", "out_of_order", 0), ("skips", "skipped", 0),
           ("repeated", "repeated", 0), ("held", "held", 0))


def table(faults, document, checks):
    """Medians of the rounds; the last column has the targets."""
    cells = [["fault"] + [name for name, _, _ in COLUMNS] + ["lanes, links lost", "targets"]]
    for fault in faults:
        results = measured(document, fault)
        if not results:
            continue
        values = []
        for _, figure, digits in COLUMNS:
            value = median(results, figure)
            values.append("never" if value is None and figure == "back_s" else number(value, digits))
        cells.append([fault.title] + values + [number(statistics.median(len(result["losses"]) for result in results)),
                                               targets_met([check for check in checks if check.fault == fault.name])])
    widths = [max(len(row[at]) for row in cells) for at in range(len(cells[0]))]
    return "\n".join("  ".join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:])] + [row[-1]])
                     for row in cells) + "\n"


# ---- targets ----


def back_check(fault, results, limit_s):
    value = median(results, "back_s")
    return Check(fault.name, fault.title, f"back <= {limit_s:.1f} s after its end", seconds(value), value is not None and value <= limit_s)


def outage_check(fault, results, load):
    """T x L / (1 - L) + 2 seconds: what waits after T seconds at load L, worked off by what capacity leaves."""
    if load >= 1:
        return Check(fault.name, fault.title, "back after its end", "the load is not below capacity, so there is no limit", False)
    return back_check(fault, results, median(results, "fault_s") * load / (1 - load) + 2)


def drain_checks(fault, results, capacity):
    """Of the rounds in which there was a backlog. A flood's own commands are not counted, so there the rate says nothing."""
    values = [result["drain_per_s"] for result in results if result["drain_per_s"] is not None]
    if not values or fault.run is flood:
        return []
    value = statistics.median(values)
    return [Check(fault.name, fault.title, f">= {CAPACITY_LIMIT} of capacity while it drains", f"{number(value)} of {capacity:,.0f}/s",
                  value >= CAPACITY_LIMIT * capacity)]


def hang_checks(fault, results):
    user, others = median(results, "hurt_user_back_s"), median(results, "others_max_ms")
    return [Check(fault.name, fault.title, f"that user is back <= {HANG_DEADLINE_S + 2:.0f} s after it was sent", seconds(user),
                  user is not None and user <= HANG_DEADLINE_S + 2),
            Check(fault.name, fault.title, f"the others are never more than {OTHERS_BEHIND_MS:,} ms behind", f"{number(others)} ms",
                  others <= OTHERS_BEHIND_MS)]


def own_checks(fault, results, document):
    """What is asked of this fault alone."""
    capacity = document["capacity"]
    if fault.run is hang:
        return hang_checks(fault, results)
    if fault.run is flood:
        ratio = median(results, "during_p99_ms") / median(results, "before_p99_ms")
        return [Check(fault.name, fault.title, f"the others' p99 <= {FLOOD_LIMIT:g} x before", f"{ratio:.1f} x", ratio <= FLOOD_LIMIT)]
    if fault.run is loggly_away:
        bad = median(results, "bad_during")
        return [Check(fault.name, fault.title, "as before in 9 of 10 seconds meanwhile", f"{1 - bad:.0%}", bad <= 0.1)]
    if fault.run is overload:
        rate = median(results, "during_per_s")
        return [Check(fault.name, fault.title, f">= {CAPACITY_LIMIT} of capacity answered meanwhile", f"{number(rate)} of {capacity:,.0f}/s",
                      rate is not None and rate >= CAPACITY_LIMIT * capacity)]
    return []


def promise_checks(fault, results):
    """Nothing lost, nothing out of order, nothing dropped: of all rounds, not of the median one."""
    def total(figure):
        return sum(result[figure] for result in results)

    def check(target, figure, held, kind=PROMISE):
        return Check(fault.name, fault.title, target, figure, held, kind)

    checks = [check("nothing lost", f"{total('lost')} without an event, {total('missing')} not done", total("lost") == 0 and total("missing") == 0),
              check("nothing out of order", f"{total('out_of_order')} users", total("out_of_order") == 0)]
    if not fault.kills:
        checks.append(check("no step skips ahead", f"{total('skipped')}", total("skipped") == 0))
    dropped = [f"{event} at {at} s" for result in results for at, event in result["losses"]]
    checks.append(check("no lane dropped and no link lost but by the fault", f"{len(dropped)}" + (f" ({', '.join(dropped[:4])})" if dropped else ""),
                        not dropped, LINKS))
    return checks


def checks_of(faults, document):
    checks = []
    for fault in faults:
        rounds, results = document["faults"].get(fault.name, []), measured(document, fault)
        if len(results) < len(rounds) or not results:
            checks.append(Check(fault.name, fault.title, "measured", f"{len(results)} of {len(rounds)} rounds", False,
                                NOISE if any(result.get("noisy") for result in rounds) else UNMEASURED))
        if not results:
            continue
        if fault.outage:
            checks.append(outage_check(fault, results, document["rate"] / document["capacity"]))
        elif fault.back_s is not None:
            checks.append(back_check(fault, results, fault.back_s))
        checks += own_checks(fault, results, document) + drain_checks(fault, results, document["capacity"]) + promise_checks(fault, results)
    return checks


def outcome(checks):
    """The exit code, and a sentence where one is needed. The seconds before a fault are without one, too. Noise excuses no command that
    was lost or out of order."""
    missed = [check for check in checks if not check.held]
    if not any(check.kind == NOISE or check.fault == "none" and check.kind != UNMEASURED for check in missed):
        return (1 if missed else 0), ""
    sentence = "machine too noisy: what was without a fault failed the same test, and this is no pass."
    if any(check.kind == PROMISE for check in missed):
        return 1, sentence + " But commands were lost or out of order, and that is no noise."
    return NOISY, sentence
