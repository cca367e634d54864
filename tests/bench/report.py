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


def verdict_line(verdict, marks=("reached    ", "NOT REACHED", "not measured")):
    reached, missed, unknown = marks
    return f"  {({True: reached, False: missed, None: unknown})[verdict.reached]}  {verdict.text}"
