"""The picture of `run recovery`: for each fault commands answered a second and p99 over time, with the fault marked from its begin to
its end, and its targets."""

from recovery_faults import nothing
from recovery_report import measured, median, targets_met
from svg import line, log_part, page, text

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 1000, 165, 60, 60, 36, 24
P99_LOW, P99_HIGH = 1.0, 100_000.0  # ms, on a logarithmic axis


def middle_round(results):
    """The round whose time to be back is the median one."""
    value = median(results, "back_s")
    return next((result for result in results if result["back_s"] == value), results[0])


def log_position(value):
    return log_part(value, P99_LOW, P99_HIGH)


def marked(begin, end, top, height):
    """The fault: a red line where it begins and one where it ends, the time between them shaded."""
    return [f'<rect x="{begin:.1f}" y="{top:.1f}" width="{max(0.0, end - begin):.1f}" height="{height}" fill="#f3c9c9"/>',
            *(f'<line x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{top + height:.1f}" stroke="#c02020" stroke-width="1.5"/>'
              for x in (begin, end)),
            text(begin + 4, top + 11, "fault", "start", "#c02020")]


def panel(fault, result, checks, top, highest):
    series = result["series"]
    first, last = series[0][0], series[-1][0] + 1
    inner, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x_of(second):
        return LEFT + (second - first) / (last - first) * inner

    def y_of(part):
        return top + TOP + (1 - part) * height

    back, missed = result["back_s"], any(not check.held for check in checks)
    out = [text(LEFT, top + 15, f"{fault.title}: " + ("never back" if back is None else f"back {back:.0f} s after its end")),
           text(LEFT, top + 29, targets_met(checks), "start", "#c02020" if missed else "#2a7a2a"),
           *(marked(x_of(0), x_of(min(result["fault_end_s"], last)), y_of(1), height) if fault.run is not nothing else []),
           f'<rect x="{LEFT}" y="{y_of(1):.1f}" width="{inner}" height="{height}" fill="none" stroke="#bbb"/>']
    for part in (0, 0.5, 1):
        out.append(text(LEFT - 5, y_of(part) + 4, f"{part * highest:,.0f}", "end", "#1f5fa8"))
    for value in (1, 10, 100, 1000, 10_000, 100_000):
        name = f"{value:,} ms" if value < 1000 else f"{value // 1000} s"
        out.append(text(WIDTH - RIGHT + 5, y_of(log_position(value)) + 4, name, "start", "#b5542a"))
    for second in range(int(first // 10) * 10, int(last) + 1, 10):
        if second >= first:
            out.append(text(x_of(second), top + HEIGHT - 8, f"{second} s", "middle"))
    out.append(line([(x_of(at + 0.5), y_of(min(1, answered / highest))) for at, answered, _ in series], "#1f5fa8"))
    out.append(line([None if late is None else (x_of(at + 0.5), y_of(log_position(late))) for at, _, late in series], "#b5542a"))
    return out


def picture(faults, document, checks):
    shown = [(fault, middle_round(measured(document, fault))) for fault in faults if measured(document, fault)]
    shown = [(fault, result) for fault, result in shown if result["series"]]
    highest = 1.25 * max([document["capacity"]] + [answered for _, result in shown for _, answered, _ in result["series"]]) or 1
    out = [text(LEFT, 18, f"commands answered a second (blue, left) and p99 of those due in that second (brown, right); the fault is red; "
                          f"{document['rate']:,.0f}/s, capacity {document['capacity']:,.0f}/s, {document['database']}")]
    for at, (fault, result) in enumerate(shown):
        out += panel(fault, result, [check for check in checks if check.fault == fault.name], 30 + at * HEIGHT, highest)
    return page(WIDTH, HEIGHT * len(shown) + 40, out)
