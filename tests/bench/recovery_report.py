"""What `run recovery` prints: a line for each phase, the table, the targets."""

import statistics
from dataclasses import dataclass

from recovery_faults import HANG_DEADLINE_S, flood, hang, loggly_away, overload

OTHERS_BEHIND_MS = 1500
FLOOD_LIMIT = 2.0
CAPACITY_LIMIT = 0.9


@dataclass
class Check:
    fault: str
    text: str
    held: bool


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


def verdict(fault, result):
    """One phase in one line."""
    if "failed" in result:
        return f"{fault.title}: NOT MEASURED: {result['failed']}"
    text = (f"{fault.title}: back {seconds(result['back_s'])} after its end ({result['fault_s']:.1f} s), p99 before "
            f"{result['before_p99_ms']:.0f} ms; {result['lost']} lost, {result['doubled']} doubled, {result['out_of_order']} users out of order, "
            f"held {result['held']}")
    return text + (f" ({result['example']})" if result["example"] else "")


def measured(document, fault):
    return [result for result in document["faults"].get(fault.name, []) if "failed" not in result]


COLUMNS = (("p99 before, ms", "before_p99_ms", 0), ("back, s", "back_s", 0), ("drained at, /s", "drain_per_s", 0), ("lost", "lost", 0),
           ("not done", "missing", 0), ("doubled", "doubled", 0), ("out of order", "out_of_order", 0), ("skips", "skipped", 0),
           ("repeated", "repeated", 0), ("held", "held", 0))


def table(faults, document):
    """Medians of the rounds."""
    cells = [["fault"] + [name for name, _, _ in COLUMNS] + ["lanes, links lost"]]
    for fault in faults:
        results = measured(document, fault)
        if not results:
            continue
        values = []
        for _, figure, digits in COLUMNS:
            value = median(results, figure)
            values.append("never" if value is None and figure == "back_s" else number(value, digits))
        cells.append([fault.title] + values + [number(statistics.median(len(result["losses"]) for result in results))])
    widths = [max(len(row[at]) for row in cells) for at in range(len(cells[0]))]
    return "\n".join("  ".join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])])
                     for row in cells) + "\n"


# ---- targets ----


def back_check(fault, results, limit_s):
    value = median(results, "back_s")
    return Check(fault.name, f"{fault.title}: back <= {limit_s:.1f} s after its end: {seconds(value)}",
                 value is not None and value <= limit_s)


def outage_limit(results, load):
    """T x L / (1 - L) + 2 seconds: what waits after T seconds at load L, worked off by what capacity leaves."""
    return median(results, "fault_s") * load / (1 - load) + 2


def drain_check(fault, results, capacity):
    value = median(results, "drain_per_s")
    return Check(fault.name, f"{fault.title}: >= {CAPACITY_LIMIT} of capacity while it drains: {number(value)} of {capacity:,.0f}/s",
                 value is not None and value >= CAPACITY_LIMIT * capacity)


def hang_checks(fault, results):
    user, others = median(results, "hurt_user_back_s"), median(results, "others_max_ms")
    return [Check(fault.name, f"{fault.title}: that user is back <= {HANG_DEADLINE_S + 2:.0f} s after it was sent: {seconds(user)}",
                  user is not None and user <= HANG_DEADLINE_S + 2),
            Check(fault.name, f"{fault.title}: the others are never more than {OTHERS_BEHIND_MS} ms behind: {number(others)} ms",
                  others <= OTHERS_BEHIND_MS)]


def own_checks(fault, results, document):
    """What is asked of this fault alone."""
    capacity = document["capacity"]
    if fault.run is hang:
        return hang_checks(fault, results)
    if fault.run is flood:
        ratio = median(results, "during_p99_ms") / median(results, "before_p99_ms")
        return [Check(fault.name, f"{fault.title}: the others' p99 <= {FLOOD_LIMIT} x before: {ratio:.1f} x", ratio <= FLOOD_LIMIT)]
    if fault.run is loggly_away:
        bad = median(results, "bad_during")
        return [Check(fault.name, f"{fault.title}: as before in 9 of 10 seconds meanwhile: {1 - bad:.0%}", bad <= 0.1)]
    if fault.run is overload:
        rate = median(results, "during_per_s")
        return [Check(fault.name, f"{fault.title}: >= {CAPACITY_LIMIT} of capacity answered meanwhile: {number(rate)} of {capacity:,.0f}/s",
                      rate is not None and rate >= CAPACITY_LIMIT * capacity)]
    if fault.outage and median(results, "drain_per_s") is not None:
        return [drain_check(fault, results, capacity)]
    return []


def promise_checks(fault, results):
    """Nothing lost, nothing out of order, nothing dropped: of all rounds, not of the median one."""
    def total(figure):
        return sum(result[figure] for result in results)

    checks = [Check(fault.name, f"{fault.title}: nothing lost: {total('lost')} without an event, {total('missing')} not done",
                    total("lost") == 0 and total("missing") == 0),
              Check(fault.name, f"{fault.title}: nothing out of order: {total('out_of_order')} users", total("out_of_order") == 0)]
    if not fault.kills:
        checks.append(Check(fault.name, f"{fault.title}: no step skips ahead: {total('skipped')}", total("skipped") == 0))
    dropped = [f"{event} at {at} s" for result in results for at, event in result["losses"]]
    checks.append(Check(fault.name, f"{fault.title}: no lane dropped and no link lost but by the fault: {len(dropped)}"
                        + (f" ({', '.join(dropped[:4])})" if dropped else ""), not dropped))
    return checks


def checks_of(faults, document):
    checks = []
    for fault in faults:
        results = measured(document, fault)
        if len(results) < len(document["faults"].get(fault.name, [])) or not results:
            checks.append(Check(fault.name, f"{fault.title}: not measured", False))
        if not results:
            continue
        load = document["rate"] / document["capacity"]
        if fault.outage and load < 1:
            checks.append(back_check(fault, results, outage_limit(results, load)))
        elif fault.back_s is not None:
            checks.append(back_check(fault, results, fault.back_s))
        checks += own_checks(fault, results, document)
        checks += promise_checks(fault, results)
    return checks

