"""The picture of `run scale`: p99 by rate, what each part costs by rate, by number of subscriptions, and latencies by number of documents."""

from scale_report import COMMANDS, GOAL, HOST, P99_LIMIT_MS, PARTS, common_rate, cost, counts, others, share, step_of
from svg import line, log_part, page, text

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 1000, 250, 60, 250, 30, 40
LOW_MS, HIGH_MS = 0.1, 10_000.0
COLOURS = ("#1f5fa8", "#2a8a3a", "#b5542a", "#7a3fa0", "#8a7a10", "#10808a")
PART_COLOURS = {"broker": "#b5542a", "host": "#1f5fa8", "database": "#2a8a3a", "load": "#777777", "others": "#c8c8c8"}


class Panel:
    """Axes, and where a value is on them."""

    def __init__(self, top, title, xs, low, high, log_x=False, log_y=False):
        self.top, self.low, self.high, self.log_x, self.log_y = top, low, high, log_x, log_y
        self.first, self.last = (min(xs), max(xs)) if log_x else (0, 1.05 * max(xs))
        self.inner, self.height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        self.parts = [text(LEFT, top + 18, title),
                      f'<rect x="{LEFT}" y="{top + TOP}" width="{self.inner}" height="{self.height}" fill="none" stroke="#bbb"/>']
        self.keys = 0
        for x in xs:
            self.parts.append(text(self.x(x), top + HEIGHT - BOTTOM + 14, f"{x:,.0f}", "middle"))

    def x(self, value):
        if self.first == self.last:
            return LEFT + self.inner / 2
        part = log_part(value, self.first, self.last) if self.log_x else (value - self.first) / (self.last - self.first)
        return LEFT + part * self.inner

    def y(self, value):
        part = log_part(value, self.low, self.high) if self.log_y else min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))
        return self.top + TOP + (1 - part) * self.height

    def marks(self, values, unit):
        for value in values:
            self.parts.append(text(LEFT - 5, self.y(value) + 4, f"{value:,g}{unit}", "end"))

    def level(self, value, words):
        self.parts += [line([(LEFT, self.y(value)), (LEFT + self.inner, self.y(value))], "#c02020", "4 3"),
                       text(LEFT + 4, self.y(value) - 4, words, "start", "#c02020")]

    def curve(self, points, colour, name, dashes=""):
        """Points of (x, value); the name stands beside."""
        places = [(self.x(x), self.y(value)) for x, value in points if value is not None]
        y = self.top + TOP + 8 + 15 * self.keys
        self.keys += 1
        self.parts += [line(places, colour, dashes), *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in places),
                       line([(WIDTH - RIGHT + 10, y), (WIDTH - RIGHT + 34, y)], colour, dashes), text(WIDTH - RIGHT + 40, y + 4, name, "start", colour)]


def rates_of(runs):
    return sorted({step["rate"] for run in runs for step in run["steps"]})


def latencies(document, top):
    runs = [run for run in document["runs"] if run["steps"]]
    panel = Panel(top, "p99 of get_apples in ms, by commands a second", rates_of(runs), LOW_MS, HIGH_MS, log_y=True)
    panel.marks((0.1, 1, 10, 100, 1000, 10_000), "")
    panel.level(P99_LIMIT_MS, f"{P99_LIMIT_MS} ms")
    for run in runs:
        colour = COLOURS[counts(document).index(run["subscriptions"]) % len(COLOURS)]
        panel.curve([(step["rate"], step["p99_ms"]) for step in run["steps"]], colour, f"{run['program']}, {run['subscriptions']:,} subscriptions",
                    "" if run["program"] == HOST else "5 4")
    return panel.parts


def processors(document, run, top):
    """What each part takes of the processors, one above the other."""
    count = document["machine"]["processors"]
    panel = Panel(top, f"processors, by commands a second: {run['program']}, {run['subscriptions']:,} subscriptions", rates_of([run]), 0, count)
    panel.marks(range(count + 1), "")
    width = panel.inner / (3 * len(run["steps"]) + 1)
    for step in run["steps"]:
        base = 0.0
        for name in (*PARTS, "others"):
            value = others(step) if name == "others" else share(step, name) or 0
            y, height = panel.y(base + value), panel.y(base) - panel.y(base + value)
            left = panel.x(step["rate"]) - width / 2
            panel.parts.append(f'<rect x="{left:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{PART_COLOURS[name]}"/>')
            base += value
    for name in (*PARTS, "others"):
        panel.curve([], PART_COLOURS[name], name)
    if GOAL in rates_of([run]):
        panel.parts.append(text(panel.x(GOAL), top + HEIGHT - 10, "the goal", "middle", "#c02020"))
    return panel.parts


def growth(document, top):
    runs = [run for run in document["runs"] if run["program"] == HOST and run["steps"]]
    rate = common_rate(runs)
    if rate is None:
        return []
    steps = {run["subscriptions"]: step_of(run, rate) for run in runs}
    curves = {part: [(count, cost(step, part)) for count, step in sorted(steps.items())] for part in PARTS}
    highest = max(value for points in curves.values() for _, value in points if value is not None)
    panel = Panel(top, f"CPU seconds per 100,000 commands, by subscriptions, at {rate:,.0f}/s with cashewd", sorted(steps), 0, highest * 1.1, log_x=True)
    panel.marks((0, round(highest / 2, 1), round(highest, 1)), "")
    for part, points in curves.items():
        panel.curve(points, PART_COLOURS[part], part)
    return panel.parts


def documents(document, top):
    measured = [result for result in document["contacts"] if all(command in result["commands"] for command in COMMANDS)]
    if not measured:
        return []
    panel = Panel(top, "ms, by contact documents", [result["documents"] for result in measured], LOW_MS, HIGH_MS, log_x=True, log_y=True)
    panel.marks((0.1, 1, 10, 100, 1000, 10_000), "")
    for at, command in enumerate(COMMANDS):
        for figure, dashes in (("p50_ms", ""), ("p99_ms", "5 4")):
            panel.curve([(result["documents"], result["commands"][command][figure]) for result in measured], COLOURS[at], f"{command}, {figure[:3]}", dashes)
    return panel.parts


def picture(document):
    panels = []
    if any(run["steps"] for run in document["runs"]):
        panels.append(latencies)
        most = [run for run in document["runs"] if run["subscriptions"] == counts(document)[-1] and run["steps"]]
        panels += [lambda document, top, run=run: processors(document, run, top) for run in most]
        panels.append(growth)
    panels.append(documents)
    parts = [text(LEFT, 16, "many subscriptions and many documents: " + ", ".join(str(document["machine"][name]) for name in ("processor", "database", "when")))]
    top = 20
    for panel in panels:
        drawn = panel(document, top)
        if drawn:
            parts += drawn
            top += HEIGHT
    return page(WIDTH, top + 10, parts)
