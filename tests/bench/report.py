"""What the benchmark prints: minimum / median / maximum, ratios, verdicts."""

import statistics

from rows import PHASES, Verdict


def spread(values, digits):
    """"min / median / max", or "-" where there is none."""
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:,.{digits}f}"
    return " / ".join(f"{value:,.{digits}f}" for value in (min(values), statistics.median(values), max(values)))


def figures(results, case, phase, figure):
    """One value per repetition; None where it was not measured."""
    return [(repetition.get(phase) or {}).get(figure) if repetition else None for repetition in results[case]]


def present(values):
    return [value for value in values if value is not None]


COLUMNS = (("commands/s", "per_second", 0), ("CPU s per 100,000", "cpu", 2), ("p50 ms", "p50_ms", 2), ("p99 ms", "p99_ms", 2),
           ("broker's CPU", "broker_cpu", 2), ("database's", "database_cpu", 2), ("load's", "load_cpu", 2))


def table(row, results):
    lines = []
    for phase in PHASES:
        heading = "as fast as it goes, 200 devices x 4 outstanding" if phase == "saturated" else f"{row.rate:,.0f} commands/s"
        measured = [column for column in COLUMNS
                    if any(present(figures(results, case.name, phase, column[1])) for case in row.cases)]
        if not measured:
            continue
        cells = [[heading] + [column[0] for column in measured] + ["RSS MB"]]
        for case in row.cases:
            values = [spread(present(figures(results, case.name, phase, figure)), digits) for _, figure, digits in measured]
            memory = [value / 1e6 for value in present(figures(results, case.name, phase, "rss"))]
            if any(value != "-" for value in values):
                cells.append(["  " + case.name] + values + [f"{max(memory):.1f}" if memory else "-"])
        widths = [max(len(line[at]) for line in cells) for at in range(len(cells[0]))]
        for line in cells:
            lines.append("  ".join([line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]))
        lines.append("")
    return "\n".join(lines)


def ratios_of(target, results):
    pairs = zip(figures(results, target.case, target.phase, target.figure),
                figures(results, target.reference, target.phase, target.figure))
    return [ours / theirs for ours, theirs in pairs if ours and theirs]


def target_text(target, row):
    at_most = target.figure == "cpu"
    what = "CPU" if at_most else "commands/s"
    where = "saturated" if target.phase == "saturated" else f"at {row.rate:,.0f}/s"
    return f"{what} of {target.case} by {target.reference}, {where}: {'<=' if at_most else '>='} {target.limit:.2f}"


def is_reached(target, ratio):
    return ratio <= target.limit if target.figure == "cpu" else ratio >= target.limit


def judge(target, row, results):
    ratios, text = ratios_of(target, results), target_text(target, row)
    if not ratios:
        return Verdict(text, None)
    middle = statistics.median(ratios)
    reached, note = is_reached(target, middle), ""
    # 0.90 counts where the repetitions differ by more than what is missing.
    if target.figure == "per_second" and not reached and middle >= 0.90 and max(ratios) - min(ratios) > target.limit - middle:
        reached, note = True, ", within the spread"
    return Verdict(f"{text}: {spread(ratios, 3)}{note}", reached, ratios)


INTERVAL_MIN = 6  # values, below which not even their extremes enclose the median in 95 of 100 cases


def median_interval(values):
    """Where the median of all such values lies, in 95 of 100 cases: between two of those at hand, whose ranks the binomial distribution
    gives (its normal approximation)."""
    ordered = sorted(values)
    below = max(0, int((len(ordered) - 1.96 * len(ordered) ** 0.5) / 2))
    return ordered[below], ordered[len(ordered) - 1 - below]


def judge_medians(target, row, results):
    """p99 and memory: of the turns' medians, since one turn's p99 says little."""
    ours, theirs = (present(figures(results, case, target.phase, target.figure)) for case in (target.case, target.reference))
    unit, scale = ("ms", 1) if target.figure == "p99_ms" else ("MB", 1e6)
    name = "p99" if target.figure == "p99_ms" else "RSS"
    text = (f"{name} of {target.case} by {target.reference}, at {row.rate:,.0f}/s: <= {target.limit:g} x + {target.slack / scale:g} {unit}")
    if not ours or not theirs:
        return Verdict(text, None)
    mine, other = statistics.median(ours), statistics.median(theirs)
    return Verdict(f"{text}: {mine / scale:.2f} by {other / scale:.2f} {unit}", mine <= target.limit * other + target.slack, ours)


def judge_change(target, row, results):
    if target.figure in ("p99_ms", "rss"):
        return judge_medians(target, row, results)
    ratios, text = ratios_of(target, results), target_text(target, row)
    if not ratios:
        return Verdict(text, None)
    middle = statistics.median(ratios)
    if len(ratios) < INTERVAL_MIN:
        return Verdict(f"{text}: {spread(ratios, 3)}", is_reached(target, middle), ratios)
    low, high = median_interval(ratios)
    return Verdict(f"{text}: {middle:.3f} (95 %: {low:.3f} to {high:.3f}; {len(ratios)} turns)", is_reached(target, middle), ratios)


def verdict_line(verdict):
    mark = {True: "reached    ", False: "NOT REACHED", None: "not measured"}[verdict.reached]
    return f"  {mark}  {verdict.text}"
