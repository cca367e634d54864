"""What `run scale` makes of figures: which rates were carried, what limited the others, tables in Markdown, and the targets."""

import statistics

from rows import Verdict

HOST, ECHO = "cashewd", "echo"  # "echo": a bare client in cashewd's place, so what the broker alone makes of it
COMMANDS = ("request_contact", "get_contact_list")
P99_LIMIT_MS = 20
ANSWERED = 0.98  # of what was due within the measured time, within that time
GOAL = 15_000  # commands a second
GROWTH_LIMIT = 1.2
FULL = 0.95  # of a processor: mosquitto, cashewd's thread that speaks with it, and the load generator have one thread each
MACHINE_FULL = 0.97
NOISE = 0.1  # of a processor
DOCUMENTS_FACTOR, P50_SLACK_MS, P99_SLACK_MS = 1.5, 1.0, 10.0
PARTS = ("broker", "host", "database", "load")


# ---- one step ----


def is_lossless(step):
    return step["lost"] == 0


def is_carried(step):
    return is_lossless(step) and step["p99_ms"] < P99_LIMIT_MS and step["per_second"] >= ANSWERED * step["rate"]


def seconds_of(step, part):
    """CPU seconds within the measured time; None where it was not watched."""
    return step["load_cpu_s"] if part == "load" else step["cpu_s"].get(part)


def share(step, part):
    """Of one processor."""
    value = seconds_of(step, part)
    return None if value is None else value / step["seconds"]


def others(step):
    """What all other processes took of the machine, in processors: a machine that is measured on does nothing else."""
    return max(0.0, step["machine_s"] / step["seconds"] - sum(share(step, part) or 0 for part in PARTS))


def cost(step, part):
    """CPU seconds per 100,000 commands."""
    value = seconds_of(step, part)
    return None if value is None or not step["answered"] else value * 100_000 / step["answered"]


def limit_of(step, processors):
    """What had no time left; where nothing had, but the rate was not carried all the same, the busiest part; else ""."""
    found = [f"{part} ({share(step, part):.0%} of a processor)" for part in PARTS if (share(step, part) or 0) >= FULL]
    if found:
        return ", ".join(found)
    if step["machine_s"] >= MACHINE_FULL * processors * step["seconds"]:
        shares = [f"{part} {share(step, part):.0%}" for part in PARTS if (share(step, part) or 0) >= 0.05]
        return f"all {processors} processors ({', '.join([*shares, f'others {others(step):.0%}'])})"
    if is_carried(step):
        return ""
    busiest = max(PARTS, key=lambda part: share(step, part) or 0)
    return f"nothing was full; most busy: {busiest} ({share(step, busiest):.0%})"


# ---- one run ----


def run_of(document, kind, subscriptions):
    return next((run for run in document["runs"] if run["program"] == kind and run["subscriptions"] == subscriptions and run["steps"]), None)


def step_of(run, rate):
    return next((step for step in run["steps"] if step["rate"] == rate), None) if run else None


def counts(document):
    return sorted({run["subscriptions"] for run in document["runs"]})


def highest(run):
    """The step of the highest rate that was carried, or None."""
    return max((step for step in run["steps"] if is_carried(step)), key=lambda step: step["rate"], default=None)


def first_above(run):
    """The lowest rate above it, which was not."""
    best = highest(run)
    return min((step for step in run["steps"] if not best or step["rate"] > best["rate"]), key=lambda step: step["rate"], default=None)


def common_rate(runs):
    """The highest rate that all of them carried, where costs can be compared; None if there is none."""
    carried = [{step["rate"] for step in run["steps"] if is_carried(step)} for run in runs]
    return max(set.intersection(*carried), default=None) if carried else None


def ceiling(run):
    """Commands a second that mosquitto's one thread has time for, at what a command cost it where it had most to do."""
    values = [cost(step, "broker") for step in run["steps"]]
    values = [value for value in values if value]
    return 100_000 / min(values) if values else None


# ---- tables ----


def number(value, digits=0, unit=""):
    return "-" if value is None else f"{value:,.{digits}f}{unit}"


def percent(value):
    return "-" if value is None else f"{value:.0%}"


WORDS = ("program", "command", "limited by", "not carried")  # columns of words


def markdown(title, head, rows):
    """A table that can be read as it stands, too."""
    cells = [list(head), *rows]
    widths = [max(3, *(len(row[at]) for row in cells)) for at in range(len(head))]

    def line(row):
        return "| " + " | ".join(cell.ljust(width) if name in WORDS else cell.rjust(width) for name, cell, width in zip(head, row, widths)) + " |"
    rule = "|" + "|".join("-" * (width + 2) if name in WORDS else "-" * (width + 1) + ":" for name, width in zip(head, widths)) + "|"
    return "\n".join([f"## {title}", "", line(cells[0]), rule, *(line(row) for row in cells[1:]), ""])


STEP_HEAD = ("program", "commands/s", "answered/s", "p50 ms", "p99 ms", "max ms", "lost", "twice", "late", "broker", "host", "database", "load", "others",
             "limited by")


def step_table(document, subscriptions):
    rows = []
    for run in document["runs"]:
        if run["subscriptions"] != subscriptions:
            continue
        for step in run["steps"]:
            late = step["late"] / max(1, step["due"])
            rows.append([run["program"], number(step["rate"]), number(step["per_second"]), number(step["p50_ms"], 2), number(step["p99_ms"], 1),
                         number(step["max_ms"], 1), number(step["lost"]), number(step["extra"]), percent(late),
                         *(percent(share(step, part)) for part in PARTS), percent(others(step)),
                         limit_of(step, document["machine"]["processors"]) or "-"])
        if "failed" in run:
            rows.append([run["program"], "not measured"] + ["-"] * (len(STEP_HEAD) - 2))
    return markdown(f"{subscriptions:,} subscriptions, get_apples and back", STEP_HEAD, rows)


def summary_row(run, rate, processors):
    best, above = highest(run), first_above(run)
    step = step_of(run, rate) if rate else None
    before, after = run["memory"].get("connected", {}), run["steps"][-1]["memory"]
    costs = [number(cost(step, part), 2) if step else "-" for part in PARTS]
    memory = [f"{before[part] / 1e6:,.0f} / {after[part] / 1e6:,.0f}" if part in before else "-" for part in ("broker", "host", "load")]
    return [f"{run['subscriptions']:,}", run["program"], number(best["rate"]) if best else "none", number(best["p99_ms"], 1) if best else "-",
            f"{above['rate']:,.0f}/s: p99 {above['p99_ms']:,.0f} ms; {limit_of(above, processors)}" if above else "-", *costs, number(ceiling(run)),
            *memory]


def summary_table(document):
    rows, rates = [], []
    for kind in (HOST, ECHO):
        runs = [run for run in document["runs"] if run["program"] == kind and run["steps"]]
        rate = common_rate(runs)
        rates.append(f"{kind} {number(rate, 0, '/s')}")
        rows += [summary_row(run, rate, document["machine"]["processors"]) for run in runs]
    head = ("subscriptions", "program", f"carried, p99 < {P99_LIMIT_MS} ms", "p99 ms", "not carried", "broker", "host", "database", "load",
            "broker's ceiling/s", "broker, MB", "host, MB", "load, MB")
    return (markdown("Summary", head, rows) + f"\nbroker, host, database, load: CPU seconds per 100,000 commands at the highest rate that all numbers of "
            f"subscriptions carried ({', '.join(rates)}). MB: resident, when all are connected / after the last rate. The broker's ceiling: what one processor "
            "has time for, at the least that a command cost it.\n")


def contact_table(document):
    head = ("documents", "command", "commands/s", "p50 ms", "p99 ms", "max ms", "broker", "host", "database", "database, MB", "loaded in s")
    rows = []
    for result in document["contacts"]:
        for command in COMMANDS:
            figures = result["commands"].get(command)
            if not figures:
                rows.append([f"{result['documents']:,}", command, "not measured"] + ["-"] * (len(head) - 3))
                continue
            memory = result.get("memory", {}).get("database")
            rows.append([f"{result['documents']:,}", command, number(figures["per_second"]), number(figures["p50_ms"], 2), number(figures["p99_ms"], 1),
                         number(figures["max_ms"], 1), *(number(cost({**figures, "answered": figures["commands"]}, part), 1) for part in PARTS[:3]),
                         number(memory / 1e6 if memory else None), number(result.get("load_s"), 1)])
    return (markdown("Contact documents", head, rows)
            + "\nAs many requests besides. broker, host, database: CPU seconds per 100,000 commands.\n")


def machine_lines(document):
    lines = [f"{name}: {value}" for name, value in document["machine"].items()]
    steps = [step for run in document["runs"] for step in run["steps"]]
    steps += [figures for result in document["contacts"] for figures in result["commands"].values()]
    noise = statistics.median(others(step) for step in steps) if steps else 0
    if noise > NOISE:
        lines.append(f"Other processes took {noise:.0%} of a processor in the median: the machine was busy, and the figures are rough.")
    return lines


# ---- targets ----


def lossless_verdict(document):
    steps = [step for run in document["runs"] if run["program"] == HOST for step in run["steps"]]
    lost, twice = (sum(step[figure] for step in steps) for figure in ("lost", "extra"))
    commands = sum(step["due"] for step in steps)
    return Verdict(f"nothing lost and nothing answered twice, at any rate: {lost:,} lost, {twice:,} twice of {commands:,}",
                   lost == 0 and twice == 0 if steps else None, [lost, twice])


def goal_verdict(document, subscriptions):
    """The goal is carried; or with a bare echo in cashewd's place no higher rate is carried than with cashewd, and the broker has no time left."""
    text = f"{subscriptions:,} subscriptions: {GOAL:,}/s with p99 < {P99_LIMIT_MS} ms, or the broker alone takes what is missing"
    runs = [run_of(document, kind, subscriptions) for kind in (HOST, ECHO)]
    ours, theirs = (step_of(run, GOAL) for run in runs)
    if not ours:
        return Verdict(f"{text}: {GOAL:,}/s was not measured", None)
    if is_carried(ours):
        return Verdict(f"{text}: carried, p99 {ours['p99_ms']:,.1f} ms", True)
    if not theirs:
        return Verdict(f"{text}: {goal_words(HOST, ours, runs[0])}; the echo was not measured", None)
    rates = [best["rate"] if best else 0 for best in map(highest, runs)]
    fills = any(share(step, "broker") >= FULL for step in (ours, theirs))
    return Verdict(f"{text}: {goal_words(HOST, ours, runs[0])}; {goal_words(ECHO, theirs, runs[1])}", fills and rates[1] <= rates[0], rates)


def goal_words(kind, step, run):
    best = highest(run)
    return (f"{kind} {step['per_second']:,.0f}/s, p99 {step['p99_ms']:,.1f} ms, the broker at {share(step, 'broker'):.0%} of a processor "
            f"(carried: {number(best['rate'] if best else None, 0, '/s')})")


def growth_verdict(document):
    runs = [run for run in document["runs"] if run["program"] == HOST and run["steps"]]
    if len(runs) < 2:
        return []
    first, last = runs[0], runs[-1]
    text = f"cashewd's CPU per command, {last['subscriptions']:,} by {first['subscriptions']:,} subscriptions: <= {GROWTH_LIMIT}"
    rate = common_rate([first, last])
    if rate is None:
        return [Verdict(f"{text}: no rate was carried by both", None)]
    ratio, broker = (cost(step_of(last, rate), part) / cost(step_of(first, rate), part) for part in ("host", "broker"))
    return [Verdict(f"{text}: {ratio:.2f} at {rate:,.0f}/s (the broker's: {broker:.2f})", ratio <= GROWTH_LIMIT, [ratio])]


def contact_verdicts(document):
    """Of the most documents by the fewest."""
    if len(document["contacts"]) < 2:
        return []
    few, many = document["contacts"][0], document["contacts"][-1]
    verdicts = []
    for command in COMMANDS:
        for figure, slack in (("p50_ms", P50_SLACK_MS), ("p99_ms", P99_SLACK_MS)):
            text = f"{command}, {figure[:3]} of {many['documents']:,} documents: <= {DOCUMENTS_FACTOR} x that of {few['documents']:,} + {slack:g} ms"
            values = [result["commands"].get(command, {}).get(figure) for result in (few, many)]
            if None in values:
                verdicts.append(Verdict(f"{text}: not measured", None))
                continue
            verdicts.append(Verdict(f"{text}: {values[1]:.2f} ms, {values[0]:.2f} ms", values[1] <= DOCUMENTS_FACTOR * values[0] + slack, values))
    return verdicts


def judge(document):
    """All targets of what was to be measured."""
    verdicts = []
    if document["runs"]:
        verdicts.append(lossless_verdict(document))
        if not document["quick"]:
            verdicts += [goal_verdict(document, subscriptions) for subscriptions in counts(document)]
        verdicts += growth_verdict(document)
    return verdicts + contact_verdicts(document)
