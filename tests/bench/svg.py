"""What the pictures are drawn with: SVG, by hand."""

import math
from html import escape


def text(x, y, words, anchor="start", colour="#333"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'


def line(points, colour, dashes=""):
    """Through the points; a gap where one is missing."""
    parts, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        parts.append(f"{pen}{point[0]:.1f},{point[1]:.1f}")
        pen = "L"
    broken = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path d="{" ".join(parts)}" fill="none" stroke="{colour}" stroke-width="1.5"{broken}/>'


def log_part(value, low, high):
    """Where the value is between low, 0, and high, 1, on a logarithmic axis."""
    value = min(max(value, low), high)
    return (math.log10(value) - math.log10(low)) / (math.log10(high) - math.log10(low))


def page(width, height, parts):
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="11">',
                      '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>"]) + "\n"
