"""The map in CONTRIBUTING is true: each walk, made under a profiler, reaches its stops in order."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
import trio

import sim
import todo.cli
from trio_genserver import GenServer, handle_call, open_server

ROOT = Path(__file__).resolve().parents[1]
STOP = re.compile(r"^\d+\. `(\S+\.py):(\S+)`", re.MULTILINE)

Stop = tuple[str, str]


def walk(title: str) -> list[Stop]:
    """The stops below a heading of CONTRIBUTING."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    _, _, below = text.partition(f"\n### {title}\n")
    stops = STOP.findall(re.split(r"^##", below, maxsplit=1, flags=re.MULTILINE)[0])
    assert stops, title
    return stops


@contextmanager
def calls(*stops: Stop) -> Generator[list[Stop]]:
    """Note the calls of these functions, in every thread that starts meanwhile, in their order."""
    wanted = {(str(ROOT / path), name): (path, name) for path, name in stops}
    made: list[Stop] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            stop = wanted.get((frame.f_code.co_filename, frame.f_code.co_qualname))
            if stop is not None:
                made.append(stop)

    before = sys.getprofile()
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield made
    finally:
        sys.setprofile(before)
        threading.setprofile(before)


def reached_in_order(stops: list[Stop], made: list[Stop]) -> list[Stop]:
    """As many of the stops as the calls reach one after the other."""
    left = iter(made)
    return [stop for stop in stops if stop in left]


class Counter(GenServer):
    def __init__(self) -> None:
        self.value = 0

    @handle_call
    async def increment(self, by: int) -> int:
        await trio.lowlevel.checkpoint()
        self.value += by
        return self.value


def make_a_call(folder: Path) -> None:
    async def main() -> None:
        async with open_server(Counter) as counter:
            assert await counter.call(Counter.increment(5)) == 5

    trio.run(main)


def add_an_entry(folder: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        todo.cli.main(["--folder", str(folder / "lists"), "add", "bob", "Dentist"], prog_name="todo")
    assert not ended.value.code


async def lost_update() -> None:
    cell = sim.Shared(0)

    async def increment() -> None:
        value = cell.get()
        await trio.lowlevel.checkpoint()
        cell.set(value + 1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(increment)
        nursery.start_soon(increment)


def explore_by_dpor(folder: Path) -> None:
    assert sim.explore(lost_update, "dpor", max_executions=100).coverage == "all 4 traces"


WALKS = {
    "A call": (make_a_call, 7),
    "`todo add`": (add_an_entry, 12),
    "An execution of `dpor`, with a reversal": (explore_by_dpor, 12),
}


@pytest.mark.parametrize("title", WALKS)
def test_a_walk_reaches_its_stops_in_order(title: str, tmp_path: Path) -> None:
    program: Callable[[Path], None]
    program, at_most = WALKS[title]
    stops = walk(title)
    assert len(stops) <= at_most
    with calls(*stops) as made:
        program(tmp_path)
    assert reached_in_order(stops, made) == stops


def test_a_call_passes_through_at_most_five_files() -> None:
    assert len({path for path, _ in walk("A call")}) <= 5


def test_a_stop_that_is_not_reached_in_its_order_is_missed() -> None:
    one, two = ("a.py", "f"), ("b.py", "g")
    assert reached_in_order([one, two], [two, one]) != [one, two]
    assert reached_in_order([one, two], [one, one, two]) == [one, two]


def test_the_index_of_the_documentation_lists_every_page() -> None:
    docs = ROOT / "docs"
    index = (docs / "README.md").read_text("utf-8")
    pages = [page.relative_to(docs).as_posix() for page in docs.rglob("*.md")]
    assert not [page for page in pages if page != "README.md" and f"]({page})" not in index]
