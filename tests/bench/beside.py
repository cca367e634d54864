"""`run --beside`: what this build may cost beside another one. The limits stand in one table, LIMITS.

Happy path: row_of() gives a row's programs in groups that take turns, and what is compared; judge() takes the turns' figures and says
figure, limit, and whether it holds. Failure: what has no figure is "not measured", which is no pass.
"""

import os
import re
import statistics
import subprocess
from dataclasses import dataclass, replace

from rows import Case, Verdict

TURNS = 24  # that a verdict wants


@dataclass(frozen=True)
class Limit:
    """`figure` of ours against factor x the reference's + slack. Paired: the median of the turns' ratios, since what the machine does
    meanwhile meets both of a turn. Not paired: the median of the turns against that of the reference's, since one turn says little."""

    what: str
    figure: str  # of the load generator's
    factor: float
    slack: float = 0  # in the figure's unit
    phase: str = "rate"  # saturated, rate
    at_least: bool = False
    paired: bool = False
    unit: str = ""
    scale: float = 1  # figures by this are in the unit
    reference: str = "the other's"


LIMITS = {
    "saturated CPU": Limit("saturated CPU per command", "cpu", 1.15, phase="saturated", paired=True),
    "saturated CPU, TLS with workers": Limit("saturated CPU per command", "cpu", 1.30, phase="saturated", paired=True),
    "commands/s": Limit("commands/s", "per_second", 0.97, phase="saturated", paired=True, at_least=True),
    "scheduled CPU, light": Limit("CPU", "cpu", 1.10, paired=True, reference="a bare echo's"),
    "scheduled CPU, workers": Limit("CPU", "cpu", 1.50, paired=True),
    "p99": Limit("p99", "p99_ms", 1.25, slack=1, unit="ms"),
    "RSS": Limit("RSS", "rss", 1, slack=4e6, unit="MB", scale=1e6),
    "window": Limit("commands/s", "per_second", 10, phase="saturated", paired=True, at_least=True),
    "naps": Limit("the others' p99", "p99_ms", 1.2, slack=5, unit="ms", reference="that without naps"),
    "naps, window": Limit("the others' p99", "p99_ms", 0, slack=200, unit="ms"),
}
# What a revision is known to make behind the window of 20; another one is measured.
WINDOW_KNOWN = {"2e25b62": 3900}


@dataclass(frozen=True)
class Comparison:
    """Of two cases of a row."""

    case: str
    reference: str
    limit: str  # of LIMITS


# ---- the rows ----


def is_light(case):
    return case.mode == "get_apples"


def comparisons(case, before, echo):
    with_workers = "saturated CPU, TLS with workers" if case.tls and not is_light(case) else "saturated CPU"
    scheduled = Comparison(case.name, echo, "scheduled CPU, light") if echo else Comparison(case.name, before, "scheduled CPU, workers")
    return (Comparison(case.name, before, with_workers), Comparison(case.name, before, "commands/s"), scheduled,
            Comparison(case.name, before, "p99"), Comparison(case.name, before, "RSS"))


def row_of(row, folder):
    """The row's cashewd of two builds, and a bare echo where handlers are light: each group's programs take turns."""
    groups, targets = [], []
    for case in row.cases:
        if case.kind == "cashewd":
            before = replace(case, name=case.name + ", beside", build=folder)
            echo = Case("echo TLS" if case.tls else "echo", "echo", case.mode, tls=case.tls, phases=("rate",)) if is_light(case) else None
            groups.append((before, *([echo] if echo else []), case))
            targets += comparisons(case, before.name, echo.name if echo else None)
    return replace(row, cases=tuple(case for group in groups for case in group), groups=tuple(groups), targets=tuple(targets))


# ---- judging ----


INTERVAL_MIN = 6  # values, below which not even their extremes enclose the median in 95 of 100 cases


def median_interval(values):
    """Where the median of all such values lies, in 95 of 100 cases: between two of those at hand, whose ranks the binomial distribution
    gives (its normal approximation)."""
    ordered = sorted(values)
    below = max(0, int((len(ordered) - 1.96 * len(ordered) ** 0.5) / 2))
    return ordered[below], ordered[len(ordered) - 1 - below]


def holds(limit, figure, bound):
    return figure >= bound if limit.at_least else figure <= bound


def limit_text(limit):
    sign = ">=" if limit.at_least else "<="
    slack = f"{limit.slack / limit.scale:g} {limit.unit}"
    if not limit.factor:
        return f"{sign} {slack}"
    if limit.factor == 1:
        return f"{sign} {limit.reference} + {slack}"
    return f"{sign} {limit.factor:g} x {limit.reference}" + (f" + {slack}" if limit.slack else "")


def judge_paired(limit, ours, theirs):
    ratios = [mine / other for mine, other in zip(ours, theirs) if mine is not None and other]
    if not ratios:
        return None
    figure, turns = statistics.median(ratios), f"{len(ratios)} turn{'s' if len(ratios) > 1 else ''}"
    if len(ratios) >= INTERVAL_MIN:
        low, high = median_interval(ratios)
        turns = f"95 %: {low:.3f} to {high:.3f}; {turns}"
    return f"{figure:.3f} x ({turns})", holds(limit, figure, limit.factor), ratios


def judge_medians(limit, ours, theirs):
    ours, theirs = ([value for value in values if value is not None] for values in (ours, theirs))
    if not ours or limit.factor and not theirs:
        return None
    figure = statistics.median(ours)
    bound = (limit.factor * statistics.median(theirs) if limit.factor else 0) + limit.slack
    text = f"{figure / limit.scale:.2f} {limit.unit}"
    if limit.factor:
        text += f" by {statistics.median(theirs) / limit.scale:.2f}, at most {bound / limit.scale:.2f}"
    return f"{text} (median of {len(ours)})", holds(limit, figure, bound), ours


def judge(name, whose, ours, theirs=(), where=""):
    """Whether the limit of that name holds for the turns' figures; None stands for a turn that was not measured. `where`: under what
    load."""
    limit = LIMITS[name]
    found = (judge_paired if limit.paired else judge_medians)(limit, ours, theirs)
    figure, reached, values = found or ("not measured", None, [])
    what = f"{limit.what}, {where}" if where else limit.what
    return Verdict(f"{whose}: {what}: {figure}, limit {limit_text(limit)}", reached, values)


def figures(results, case, phase, figure):
    return [(turn.get(phase) or {}).get(figure) if turn else None for turn in results.get(case, [])]


def judge_row(row, results):
    """Of all that the row compares; results are {case: [{phase: figures} of each turn]}."""
    verdicts = []
    for one in row.targets:
        limit = LIMITS[one.limit]
        ours, theirs = (figures(results, case, limit.phase, limit.figure) for case in (one.case, one.reference))
        verdicts.append(judge(one.limit, f"{row.name}, {one.case}", ours, theirs, f"at {row.rate:,.0f}/s" if limit.phase == "rate" else ""))
    return verdicts


def exit_code(verdicts, failures):
    """1 where a limit is passed, or something was not measured."""
    return 1 if failures or any(verdict.reached is not True for verdict in verdicts) else 0


# ---- the other build ----


def window_reference(revision, measured):
    """Commands/s of the other build behind the window of 20, for each turn."""
    known = [rate for name, rate in WINDOW_KNOWN.items() if revision.startswith(name)]
    return known * len(measured) if known else measured


def revision_at(folder, *options):
    """The revision that is checked out in a folder; "" where it is no checkout, or there is no git."""
    try:
        done = subprocess.run(["git", "-C", folder, "rev-parse", *options, "HEAD"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def revision_of(folder):
    """The revision of the sources that a build folder is of, as its CMake cache names them; "" where that cannot be told."""
    try:
        with open(os.path.join(folder, "CMakeCache.txt"), encoding="utf-8") as lines:
            home = re.search(r"^CMAKE_HOME_DIRECTORY:\w+=(.*)$", lines.read(), re.MULTILINE)
    except OSError:
        return ""
    if not home:
        return ""
    return revision_at(home.group(1))
