"""trio_genserver beside other libraries for servers and actors, and beside the BEAM: `make peers bench`.

Each peer has a process of its own, ours too, all of one interpreter; they are asked in turns, and while one
measures the others wait. A peer that is not installed is left out, and named.

All do the same work: a counter that understands several messages, which it tells apart as the examples of its
library do. A library whose handlers are coroutines only is held against both kinds of ours.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path

from .harness import Samples, interleave, ratio
from .peers.environments import (
    BEAM,
    BY_HAND,
    DEFAULT,
    OURS,
    Peer,
    PeerFailed,
    Server,
    commands,
    serving,
)

__all__ = ["main"]

DOCS = Path(__file__).parent.parent / "docs"
# Seconds that one measurement should take. Short and many, so that a neighbour's burst of work falls on few
# of them, and on all columns alike.
AIM = 0.06
STEP = 500


@dataclass(frozen=True)
class Kind:
    """One row.

    Attributes:
      row: the name in `peers.serve`.
      clients: for calls.
      count: how many operations; 0: as many as take about `AIM`.
      instead: what is measured of a peer that does not have `row`.
      fresh: each measurement in a new process.
    """

    title: str
    row: str
    clients: int = 0
    count: int = 0
    instead: str = ""
    unit: str = "us"
    fresh: bool = False


def kinds(servers: int) -> list[Kind]:
    return [
        Kind("call, 1 client", "call", clients=1, instead="call_async"),
        Kind("call, 100 clients", "call", clients=100, instead="call_async"),
        Kind("call, coroutine handler, 1 client", "call_async", clients=1),
        Kind("call, coroutine handler, 100 clients", "call_async", clients=100),
        Kind("cast, until handled", "cast"),
        Kind(f"start and stop, {servers:,}", "start_stop", count=servers),
        Kind("memory a server", "memory", count=max(1, servers // 5), unit="bytes", fresh=True),
        Kind("crash and supervised restart", "crash_restart"),
        Kind("call the worker of a key", "keyed"),
    ]


@dataclass
class Result:
    """The samples of one row: title of a column -> samples. Ours is always among them."""

    kind: Kind
    samples: Samples

    def times_ours(self, title: str) -> float:
        """How many times as long as ours it takes, or as much memory."""
        return ratio(self.samples, title, OURS.title)

    @property
    def ahead_of_us(self) -> list[str]:
        """Which of the Python libraries are better than ours here."""
        others = (title for title in self.samples if title not in (OURS.title, BY_HAND.title, BEAM.title))
        return [title for title in others if self.times_ours(title) < 1]


def measure(
    kind: Kind, servers: dict[Peer, Server], there: dict[Peer, list[str]], repeats: int, failures: list[str]
) -> Result | None:
    """None if ours is not there. A peer that fails is left out of the row, and its failure noted."""
    rows = {
        peer: row
        for peer, server in servers.items()
        for row in (kind.row, kind.instead)
        if row in server.rows and not (row == kind.instead and kind.row in server.rows)
    }
    extra = (kind.clients,) if kind.clients else ()
    counts: dict[Peer, int] = {}
    for peer, row in list(rows.items()):
        try:
            counts[peer] = kind.count or _enough(servers[peer].measure(row, STEP, *extra))
        except PeerFailed as failure:
            failures.append(str(failure))
            del rows[peer]

    def once(peer: Peer) -> float:
        try:
            if not kind.fresh:
                return servers[peer].measure(rows[peer], counts[peer], *extra)
            with serving({peer: there[peer]}, {}) as alone:
                return alone[peer].measure(rows[peer], counts[peer], *extra)
        except (PeerFailed, KeyError) as failure:
            failures.append(str(failure))
            return math.nan

    # Where the number is given, one measurement is long.
    turns = max(1, repeats // 4) if kind.count else repeats
    samples = interleave({peer.title: partial(once, peer) for peer in rows}, turns, progress=kind.title)
    whole = {title: values for title, values in samples.items() if not any(map(math.isnan, values))}
    return Result(kind, whole) if OURS.title in whole else None


def _enough(cost: float) -> int:
    return min(50, max(1, round(AIM * 1e6 / cost / STEP))) * STEP


def show(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(results: list[Result], titles: list[str], *, ratios: bool) -> str:
    lines = [f"| | {'' if ratios else 'unit | '}" + " | ".join(titles) + " |"]
    lines.append("|---" * (len(titles) + (1 if ratios else 2)) + "|")
    for result in results:
        cells: list[str] = []
        for title in titles:
            if title not in result.samples:
                cells.append("")
            elif ratios:
                times = result.times_ours(title)
                cells.append(f"**{times:.2f}**" if title in result.ahead_of_us else show(times))
            else:
                cells.append(show(statistics.median(result.samples[title])))
        unit = "" if ratios else f"{result.kind.unit} | "
        lines.append(f"| {result.kind.title} | {unit}" + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def verdict(results: list[Result]) -> str:
    behind = [result for result in results if result.ahead_of_us]
    text = f"Ahead of every Python library in {len(results) - len(behind)} of {len(results)} rows."
    for result in behind:
        faster = " and ".join(
            f"{title} ({result.times_ours(title):.2f} of ours)" for title in result.ahead_of_us
        )
        text += f" Behind in {result.kind.title}: {faster}."
    return text


def notes(servers: dict[Peer, Server], missing: dict[Peer, str], failures: list[str]) -> str:
    lines: list[str] = []
    for peer, server in servers.items():
        if peer in (OURS, BY_HAND):
            continue
        lines.append(f"- {peer.title} {server.version}{': ' + peer.note if peer.note else ''}.")
    lines += [f"- {peer.title} is missing: {why}" for peer, why in missing.items()]
    lines += [f"- Left out: {failure}" for failure in dict.fromkeys(failures)]
    return "\n".join(lines) + "\n"


def interpreter(command: list[str]) -> str:
    """The interpreter of the environments, and the machine, in words."""
    program = (
        "import platform as p, os, trio; "
        "print(f'{p.python_implementation()} {p.python_version()}, trio {trio.__version__}, "
        "{p.system()} {p.machine()}, {os.cpu_count()} cores')"
    )
    done = subprocess.run([command[0], "-c", program], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def svg(results: list[Result], title: str) -> str:
    """Bars from the line where a peer takes as long as ours: to the right it takes longer. Logarithmic."""
    left, width, step, gap, top = 350, 420, 17, 12, 84
    entries = [
        (result, [(peer, result.times_ours(peer)) for peer in result.samples if peer != OURS.title])
        for result in results
    ]
    factors = [times for _, bars in entries for _, times in bars if times > 0]
    low = min(-0.3, math.log10(min(factors)) * 1.05)
    high = max(0.3, math.log10(max(factors)) * 1.05)
    height = top + sum(step * len(bars) + gap for _, bars in entries) + 26

    def x(factor: float) -> float:
        return left + width * (math.log10(factor) - low) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 70} {height}"',
        'font-family="system-ui, sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="12" y="24" font-size="16" font-weight="600">{escape(title)}</text>',
        '<text x="12" y="42" fill="#555">How many times as long as ours they take, or as much memory.</text>',
        '<text x="12" y="58" fill="#555">Green: a library that takes more. Red: one that takes less.</text>',
    ]
    for exponent in range(math.ceil(low), math.floor(high) + 1):
        line = x(10.0**exponent)
        colour = "#222" if exponent == 0 else "#ddd"
        parts.append(
            f'<line x1="{line:.1f}" x2="{line:.1f}" y1="{top - 6}" y2="{height - 22}" stroke="{colour}"/>'
            f'<text x="{line:.1f}" y="{height - 8}" text-anchor="middle" fill="#555">'
            f"{'ours' if exponent == 0 else f'{10.0**exponent:g} times'}</text>"
        )
    y = top
    for result, bars in entries:
        parts.append(f'<text x="12" y="{y + 12}" font-weight="600">{escape(result.kind.title)}</text>')
        for peer, times in bars:
            library = peer not in (BY_HAND.title, BEAM.title)
            colour = "#9aa5ad" if not library else "#2a7f62" if times >= 1 else "#c0562f"
            begin, end = sorted((x(1), x(times)))
            parts.append(f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{escape(peer)}</text>')
            parts.append(
                f'<rect x="{begin:.1f}" y="{y + 2}" width="{max(end - begin, 0.5):.1f}" height="{step - 5}" '
                f'fill="{colour}"/>'
            )
            parts.append(f'<text x="{end + 5:.1f}" y="{y + 12}" fill="#333">{show(times)}</text>')
            y += step
        y += gap
    parts.append("</svg>\n")
    return "\n".join(parts)


TEXT = """# trio_genserver beside other libraries

{machine}; medians of {repeats} interleaved turns, a quarter as many for
start, stop and memory. `make peers` makes the environments of the other libraries,
`make bench` measures again.

{verdict}

![The ratios as bars](bench_peers.svg)

How many times as long as ours the others take, or as much memory; bold where a Python library takes less:

{ratios}
The same in microseconds and bytes, as of that machine:

{figures}
What was measured, and how:

- The server is a counter that takes several messages and tells them apart as the examples of its library
  do: a method for each of ours, tuples or dataclasses and `match` elsewhere.
- *Call* is of the leanest handler that a library has, for most of them a coroutine; *call, coroutine
  handler* holds those against a coroutine of ours, too.
- *Cast* goes in bursts of 500 into a mailbox without a bound; the figure includes the handling of the last.
- *Memory* is what the process grows by for each server that has answered once, in a new process.
- *Crash and supervised restart* goes from the cast that crashes the server until its successor answers.
- *Call the worker of a key* finds one of eight workers by a key and calls it, with what the library has for
  that.
{notes}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=24)
    parser.add_argument("--servers", type=int, default=10_000)
    parser.add_argument("--environments", metavar="DIR", type=Path, default=DEFAULT)
    parser.add_argument("--json", action="store_true", help="print the samples, write nothing")
    arguments = parser.parse_args()
    there, missing = commands(arguments.environments)
    failures: list[str] = []
    with serving(there, missing) as servers:
        for peer, why in missing.items():
            print(f"{peer.title} is not measured: {why}", file=sys.stderr)
        if OURS not in servers:
            print(
                "Without an environment for our own column there is no table; see `make peers`.",
                file=sys.stderr,
            )
            return
        measured = [
            measure(kind, servers, there, arguments.repeats, failures) for kind in kinds(arguments.servers)
        ]
        results = [result for result in measured if result is not None]
        if arguments.json:
            json.dump([{"row": each.kind.title, "samples": each.samples} for each in results], sys.stdout)
            return
        titles = [peer.title for peer in servers]
        text = TEXT.format(
            machine=interpreter(there[OURS]),
            repeats=arguments.repeats,
            verdict=verdict(results),
            ratios=table(results, [title for title in titles if title != OURS.title], ratios=True),
            figures=table(results, titles, ratios=False),
            notes=notes(servers, missing, failures),
        )
    print(text)
    (DOCS / "bench_peers.md").write_text(text, encoding="utf-8")
    (DOCS / "bench_peers.svg").write_text(svg(results, "Other libraries / trio_genserver"), encoding="utf-8")


if __name__ == "__main__":
    main()
