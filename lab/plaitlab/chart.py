# SPDX-License-Identifier: ISC
"""Charts as SVG text, for people: lines, areas and bars over one pair of axes.

    chart = Chart("Rate per link", x=Axis(0, 60, "time, s"), y=Axis(0, 90, "Mbit/s"))
    chart.area(times, low, high, BLUE, "dsl")
    chart.hline(80, "both links")
    chart.save("rate.svg")

    bars("Throughput", "Gbit/s", ["1 stream", "64 streams"], {"a": [9, 8], "b": [7, 6]}).save(path)
"""

import dataclasses
import math
from xml.sax.saxutils import escape

BLUE, ORANGE, GREEN, VIOLET, RED = "#2f6fb7", "#ee9b32", "#3c9a6b", "#8460b0", "#c8352e"
COLOURS = (BLUE, ORANGE, GREEN, VIOLET, RED)
INK, GREY, PALE, SHADE, DEEPER = "#24292f", "#6b7480", "#dde2e7", "#f5f7f9", "#e9edf2"
FONT = "system-ui, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif"
MARGIN = {"left": 68, "right": 30, "top": 104, "bottom": 58}


def ticks(low, high, about=8):
    """Round numbers from low to high."""
    rough = (high - low) / about
    power = 10 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(n * step, 10) for n in range(first, last + 1)]


def text_width(text, size):
    """About how wide a text is drawn."""
    return len(text) * size * 0.54


@dataclasses.dataclass
class Axis:
    low: float
    high: float
    label: str
    categories: list = None         # names at 0.5, 1.5, .. in place of numbers


class Chart:
    """Collects elements and draws them in the order of their calls, over the bands and the grid."""

    def __init__(self, title, x, y, subtitle="", width=1480, height=580):
        self.title, self.subtitle = title, subtitle
        self.x_axis, self.y_axis = x, y
        self.width, self.height = width, height
        self.left, self.right = MARGIN["left"], width - MARGIN["right"]
        self.top, self.bottom = MARGIN["top"], height - MARGIN["bottom"]
        self._bands, self._body, self._over, self._legend = [], [], [], []

    def x(self, value):
        axis = self.x_axis
        return self.left + (value - axis.low) / (axis.high - axis.low) * (self.right - self.left)

    def y(self, value):
        axis = self.y_axis
        return self.bottom - (value - axis.low) / (axis.high - axis.low) * (self.bottom - self.top)

    # ---- elements

    def band(self, start, end, lines, shade=SHADE):
        """A stretch of the x axis; its name in lines at the top, upright where it is too narrow."""
        x0, x1, middle = self.x(start), self.x(end), self.x((start + end) / 2)
        self._bands.append(f'<rect x="{x0:.1f}" y="{self.top}" width="{x1 - x0:.1f}" '
                           f'height="{self.bottom - self.top}" fill="{shade}"/>')
        if max(text_width(line, 12) for line in lines) <= x1 - x0 + 4:
            for n, line in enumerate(lines):
                self._over.append(self._text(middle, self.top + 19 + 16 * n, line, 12,
                                             anchor="middle", weight=600 if n == 0 else 400))
        else:
            self._over.append(self._text(middle - 4, self.top + 10, ", ".join(lines), 11, turn=90))

    def line(self, xs, ys, colour, label=None, width=1.6, dash=None):
        points = " ".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in zip(xs, ys))
        self._body.append(f'<polyline points="{points}" fill="none" stroke="{colour}" '
                          f'stroke-width="{width}" stroke-linejoin="round"{self._dash(dash)}/>')
        self.legend(label, colour)

    def area(self, xs, lows, highs, colour, label=None):
        forth = [f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in zip(xs, highs)]
        back = [f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in zip(xs, lows)]
        self._body.append(f'<polygon points="{" ".join(forth + back[::-1])}" fill="{colour}" '
                          'fill-opacity="0.82"/>')
        self.legend(label, colour)

    def bar(self, start, end, value, colour, text=None):
        x0, x1, y = self.x(start), self.x(end), self.y(value)
        self._body.append(f'<rect x="{x0:.1f}" y="{y:.1f}" width="{x1 - x0:.1f}" '
                          f'height="{self.y(self.y_axis.low) - y:.1f}" rx="2" fill="{colour}"/>')
        if text:
            self._over.append(self._text((x0 + x1) / 2, y - 5, text, 11, anchor="middle"))

    def hline(self, value, text, colour=INK, dash="6 4"):
        y = self.y(value)
        self._over.append(f'<line x1="{self.left}" x2="{self.right}" y1="{y:.1f}" y2="{y:.1f}" '
                          f'stroke="{colour}" stroke-width="1.4"{self._dash(dash)}/>')
        self._over.append(self._text(self.left + 8, y - 7, text, 12, colour, weight=600))

    def vline(self, value, text, colour=RED, level=0):
        """A moment; texts that would meet stand on different levels."""
        x = self.x(value)
        anchor, shift = ("end", -5) if x > self.right - text_width(text, 12) - 10 else ("start", 5)
        self._over.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{self.top}" y2="{self.bottom}" '
                          f'stroke="{colour}" stroke-width="1.6"/>')
        self._over.append(self._text(x + shift, self.top + 70 + 16 * level, text, 12, colour,
                                     anchor=anchor, weight=600))

    def legend(self, label, colour):
        """An entry of the legend; lines and areas with a label make their own."""
        if label:
            self._legend.append((label, colour))

    # ---- drawing

    @staticmethod
    def _dash(dash):
        return f' stroke-dasharray="{dash}"' if dash else ""

    @staticmethod
    def _text(x, y, text, size, colour=INK, anchor="start", weight=400, turn=0):
        halo = (' paint-order="stroke" stroke="#ffffff" stroke-width="3" stroke-opacity="0.7"'
                if turn > 0 else "")        # it stands over the data
        rotation = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" '
                f'text-anchor="{anchor}" font-weight="{weight}"{halo}{rotation}>'
                f"{escape(text)}</text>")

    def _grid(self):
        out = []
        for value in ticks(self.y_axis.low, self.y_axis.high):
            y = self.y(value)
            out.append(f'<line x1="{self.left}" x2="{self.right}" y1="{y:.1f}" y2="{y:.1f}" '
                       f'stroke="{PALE}"/>')
            out.append(self._text(self.left - 9, y + 4, f"{value:g}", 12, GREY, anchor="end"))
        if self.x_axis.categories:
            at = [(n + 0.5, name) for n, name in enumerate(self.x_axis.categories)]
        else:
            at = [(value, f"{value:g}") for value in ticks(self.x_axis.low, self.x_axis.high, 12)]
        for value, name in at:
            out.append(self._text(self.x(value), self.bottom + 19, name, 12, GREY, anchor="middle"))
        out.append(f'<line x1="{self.left}" x2="{self.right}" y1="{self.bottom}" '
                   f'y2="{self.bottom}" stroke="{GREY}"/>')
        middle = (self.top + self.bottom) / 2
        out.append(self._text(22, middle, self.y_axis.label, 13, anchor="middle", turn=-90))
        out.append(self._text((self.left + self.right) / 2, self.height - 16, self.x_axis.label, 13,
                              anchor="middle"))
        return out

    def _head(self):
        out = [self._text(self.left, 34, self.title, 20, weight=600),
               self._text(self.left, 57, self.subtitle, 13, GREY)]
        at = self.left
        for label, colour in self._legend:
            out.append(f'<rect x="{at}" y="74" width="13" height="13" rx="3" fill="{colour}"/>')
            out.append(self._text(at + 19, 85, label, 12.5))
            at += 19 + text_width(label, 12.5) + 26
        return out

    def svg(self):
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" font-family="{FONT}">',
            f"<title>{escape(self.title)}</title>",
            f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>',
            *self._bands, *self._grid(), *self._body, *self._over, *self._head(), "</svg>", ""])

    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.svg())


def bars(title, y_label, categories, series, subtitle="", **size):
    """A bar per category and series: {name: [value per category]}."""
    top = max(max(values) for values in series.values()) * 1.15 or 1
    chart = Chart(title, Axis(0, len(categories), "", categories), Axis(0, top, y_label), subtitle,
                  **size)
    wide = 0.7 / len(series)
    for n, (name, values) in enumerate(series.items()):
        colour = COLOURS[n % len(COLOURS)]
        chart.legend(name, colour)
        for c, value in enumerate(values):
            start = c + 0.15 + n * wide
            chart.bar(start, start + wide * 0.92, value, colour, f"{value:.3g}")
    return chart
