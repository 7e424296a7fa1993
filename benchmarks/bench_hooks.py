"""What the instrument hooks cost when nobody uses them: our code against itself without them.

A difference of one per cent is looked for on machines that waver by fifty. So the pieces are short (some
milliseconds each, in turns and in a changing order), the clock is that of this thread's own processor time,
and the whole is repeated in several processes, because where a process happens to put its objects is good for
a per cent as well. What is compared are two copies of the package, imported in the same way, of which one has
its hooks cut out. The package itself takes part as well: it should cost what its unchanged copy does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from types import ModuleType
from typing import Any, TypeAlias

import trio

import trio_genserver

from .harness import Row, Samples, interleave
from .without_hooks import plain_copy, without_hooks

__all__ = ["rows"]

Work: TypeAlias = "Callable[[Any, type[Any], int], Awaitable[float]]"

ORIGINAL, COPY, CUT = "trio_genserver", "its copy", "without hooks"
AT_MOST = 1.02
BURST = 500


def counter(package: Any) -> type[Any]:
    """The same server, of one of the packages."""

    class Counter(package.GenServer):  # type: ignore[misc]  # which package is known at run time
        def __init__(self) -> None:
            self.value = 0

        @package.handle_call  # type: ignore[untyped-decorator]  # the same
        def increment(self, by: int = 1) -> int:
            self.value += by
            return self.value

        @package.handle_call  # type: ignore[untyped-decorator]  # the same
        async def increment_async(self, by: int = 1) -> int:
            self.value += by
            return self.value

        @package.handle_cast  # type: ignore[untyped-decorator]  # the same
        def add(self, by: int = 1) -> None:
            self.value += by

    return Counter


async def casts(package: Any, server: Any, count: int) -> float:
    spec = package.child_spec(server).replace(mailbox_size=math.inf)
    async with package.open_server(spec) as ref:
        await ref.call(server.increment(0))
        begin = time.thread_time()
        for start in range(0, count, BURST):
            for _ in range(start, start + BURST):
                ref.cast_nowait(server.add(1))
            await trio.lowlevel.checkpoint()
        assert await ref.call(server.increment(0)) == count
        return time.thread_time() - begin


async def calls(package: Any, server: Any, count: int) -> float:
    async with package.open_server(server) as ref:
        await ref.call(server.increment(0))
        begin = time.thread_time()
        for _ in range(count):
            await ref.call(server.increment(1))
        return time.thread_time() - begin


async def async_calls(package: Any, server: Any, count: int) -> float:
    async with package.open_server(server) as ref:
        await ref.call(server.increment_async(0))
        begin = time.thread_time()
        for _ in range(count):
            await ref.call(server.increment_async(1))
        return time.thread_time() - begin


WORKS: dict[str, tuple[Work, int]] = {
    "cast_nowait": (casts, 3_000),
    "call, sync handler": (calls, 3_000),
    "call, async handler": (async_calls, 1_000),
}


def measure(turns: int, *, backwards: bool) -> dict[str, Samples]:
    """One process's share. `backwards`: import the packages in the other order."""

    def timed(work: Work, package: ModuleType, server: type[Any], count: int) -> float:
        return trio.run(work, package, server, count) / count * 1e6

    with contextlib.ExitStack() as stack:
        packages = {ORIGINAL: trio_genserver}
        for name, imported in ((COPY, plain_copy), (CUT, without_hooks))[:: -1 if backwards else 1]:
            packages[name] = stack.enter_context(imported())
        servers = {name: counter(package) for name, package in packages.items()}
        return {
            name: interleave(
                {
                    each: partial(timed, work, packages[each], servers[each], count)
                    for each in (ORIGINAL, COPY, CUT)
                },
                turns,
            )
            for name, (work, count) in WORKS.items()
        }


def rows(processes: int = 6, turns: int = 30) -> list[Row]:
    """Measure in `processes` processes, one after the other.

    Raises:
      subprocess.CalledProcessError: one failed; what it said is on stderr.
    """
    samples: dict[str, Samples] = {name: {ORIGINAL: [], COPY: [], CUT: []} for name in WORKS}
    for number in range(processes):
        command = [
            sys.executable,
            "-m",
            "benchmarks.bench_hooks",
            "--share",
            str(number),
            "--turns",
            str(turns),
        ]
        answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        for name, columns in answer.items():
            for column, values in columns.items():
                samples[name][column] += values
    return [
        Row(f"{name}, no instruments", "us", columns, COPY, CUT, AT_MOST, digits=3)
        for name, columns in samples.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=6)
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--share", type=int, help="measure in this process only, and print the samples")
    arguments = parser.parse_args()
    if arguments.share is not None:
        json.dump(measure(arguments.turns, backwards=arguments.share % 2 == 1), sys.stdout)
        return
    for row in rows(arguments.processes, arguments.turns):
        noise = row.against_ratio(ORIGINAL)
        print(f"{row.name}: {row.ratio:.3f} ({row.verdict}); the copy against the original: {noise:.3f}")


if __name__ == "__main__":
    main()
