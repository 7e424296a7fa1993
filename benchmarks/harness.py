"""Measuring side by side, on machines that are shared and noisy.

One number proves nothing here: the same program has been 2.5 times slower on the next machine, and a
neighbour wakes up in the middle of a run. So what is compared is measured *interleaved*, A B C A B C ...,
each repetition gives one ratio between neighbours in time, and the median of these ratios is the figure.
"""

from __future__ import annotations

import gc
import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import trio

__all__ = ["Row", "interleave", "machine", "markdown", "ratio", "svg", "verdicts"]

Samples = dict[str, list[float]]


def interleave(columns: Mapping[str, Callable[[], float]], repeats: int, *, progress: str = "") -> Samples:
    """Measure every column `repeats` times, in turns; one uncounted turn first.

    Each turn begins with another column, so that none always comes after the same one.

    Args:
      columns: name -> a function that measures once and returns the cost of one operation.
      repeats: how many counted turns.
      progress: what to show on a terminal while it goes on.

    Returns:
      name -> the `repeats` samples, sample i of each column from the same turn.
    """
    samples: Samples = {name: [] for name in columns}
    order = list(columns)
    for turn in range(-1, repeats):
        if progress and sys.stderr.isatty():
            print(f"\r{progress}: turn {turn + 1} of {repeats}\033[K", end="", file=sys.stderr)
        first = turn % len(order)
        for name in order[first:] + order[:first]:
            gc.collect()
            sample = columns[name]()
            if turn >= 0:
                samples[name].append(sample)
    if progress and sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return samples


def ratio(samples: Samples, column: str, against: str) -> float:
    """The median over the turns of `column` / `against`."""
    return statistics.median(a / b for a, b in zip(samples[column], samples[against], strict=True))


@dataclass
class Row:
    """One line of the table.

    Attributes:
      name: what is measured.
      unit: of the samples, for one operation.
      samples: column -> samples.
      ours: the column that is ours.
      against: the column that the target names.
      at_most: the target: ours / against; None for a row that has none.
      digits: how many of the ratio are worth showing after the point.
    """

    name: str
    unit: str
    samples: Samples
    ours: str
    against: str
    at_most: float | None = None
    digits: int = 2

    @property
    def ratio(self) -> float:
        return ratio(self.samples, self.ours, self.against)

    def against_ratio(self, column: str) -> float:
        """Ours against another column than the one of the target."""
        return ratio(self.samples, self.ours, column)

    @property
    def verdict(self) -> str:
        if self.at_most is None:
            return ""
        return "reached" if self.ratio <= self.at_most else "not reached"


def machine() -> str:
    """What the figures were measured on, in one line."""
    return (
        f"{platform.python_implementation()} {platform.python_version()}, trio {trio.__version__}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    )


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table: medians, the ratio, and the target it is held against."""
    columns: list[str] = []
    for row in rows:
        columns += [name for name in row.samples if name not in columns]
    lines = [
        "| | unit | " + " | ".join(columns) + " | ratio | against | at most | |",
        "|---" * (len(columns) + 6) + "|",
    ]
    for row in rows:
        cells = [
            f"{statistics.median(row.samples[name]):.3g}" if name in row.samples else "" for name in columns
        ]
        at_most = "" if row.at_most is None else f"{row.at_most:.2f}"
        lines.append(
            f"| {row.name} | {row.unit} | "
            + " | ".join(cells)
            + f" | **{row.ratio:.{row.digits}f}** | {row.against} | {at_most} | {row.verdict} |"
        )
    return "\n".join(lines) + "\n"


def verdicts(rows: Sequence[Row]) -> str:
    """One sentence: which targets were reached, and by how much the others were missed."""
    aimed = [row for row in rows if row.at_most is not None]
    missed = [row for row in aimed if row.verdict != "reached"]
    text = f"{len(aimed) - len(missed)} of {len(aimed)} targets reached."
    for row in missed:
        text += f" Not reached: {row.name}, {row.ratio:.{row.digits}f} where {row.at_most:.2f} was aimed at."
    return text + "\n"


def svg(rows: Sequence[Row], title: str) -> str:
    """The ratios as horizontal bars, the targets as marks on them; one self-contained SVG."""
    left, width, step, top = 330, 420, 26, 56
    longest = max(max(row.ratio, row.at_most or 0) for row in rows) * 1.08
    height = top + step * len(rows) + 34

    def x(value: float) -> float:
        return left + width * value / longest

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 150} {height}"',
        'font-family="system-ui, sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="12" y="24" font-size="16" font-weight="600">{escape(title)}</text>',
        '<text x="12" y="42" fill="#555">less is better; the dark mark is the target</text>',
    ]
    for index, row in enumerate(rows):
        y = top + step * index
        reached = row.at_most is None or row.ratio <= row.at_most
        colour = "#2a7f62" if reached else "#c0562f"
        parts.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(row.name)}</text>')
        parts.append(
            f'<rect x="{left}" y="{y + 2}" width="{x(row.ratio) - left:.1f}" height="16" fill="{colour}"/>'
        )
        if row.at_most is not None:
            parts.append(f'<rect x="{x(row.at_most):.1f}" y="{y - 1}" width="2.5" height="22" fill="#222"/>')
        said = f"{row.ratio:.{row.digits}f}"
        if row.at_most is not None:
            said += f" (at most {row.at_most:.2f})"
        parts.append(f'<text x="{left + width + 12}" y="{y + 15}">{said}</text>')
    if longest > 1:
        parts.append(
            f'<line x1="{x(1):.1f}" x2="{x(1):.1f}" y1="{top - 4}" y2="{height - 30}" '
            'stroke="#888" stroke-dasharray="3 3"/>'
            f'<text x="{x(1):.1f}" y="{height - 14}" text-anchor="middle" fill="#555">as fast</text>'
        )
    parts.append("</svg>\n")
    return "\n".join(parts)
