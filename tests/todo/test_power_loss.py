"""The power goes: after every single thing that the real system did to the disk, whatever the disk then
holds.

A real run is recorded, its system calls and its acknowledgements in one order. After each of them the
states are built that a disk may be in (see `tests.todo.disk`), and the real system opens them: nothing
acknowledged is missing, nothing is half there, and the folder opens.
"""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

import pytest

from tests.todo.acknowledged import Acknowledged, contents
from tests.todo.disk import Disk, Event, Printed, Synced, record

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed; it records what reaches the disk"
)


def run(tmp_path: Path, operations: int, *, careless: bool = False) -> list[Event]:
    """The events of a real run: a new folder, and two clients at once."""
    folder = tmp_path / "recorded" / "db"
    folder.parent.mkdir()
    command = [sys.executable, "-m", "tests.todo.writer", "once", str(folder), "1", str(operations)]
    if careless:
        command.append("careless")
    # Other programs that an import starts print as well.
    events = [
        event
        for event in record(command, folder, tmp_path / "trace", ROOT)
        if not isinstance(event, Printed) or event.text.startswith(("begin ", "done "))
    ]
    assert sum(isinstance(event, Printed) for event in events) == 4 * operations
    assert any(isinstance(event, Synced) for event in events)
    return events


def losses(
    tmp_path: Path, events: list[Event], every: int, variants: tuple[float, ...]
) -> tuple[int, list[str]]:
    """Crash after each `every`th event, in each variant: how many states there were, and what was lost."""
    draw = random.Random(0)
    disk = Disk(tmp_path / "recorded" / "db")
    heard: list[str] = []
    lost: list[str] = []
    states = 0
    for number, event in enumerate(events):
        disk.apply(event)
        if isinstance(event, Printed):
            heard.append(event.text)
        if number % every:
            continue
        for keep in variants:
            place = tmp_path / "state"
            disk.crash(draw, keep, place)
            model = Acknowledged()
            for line in heard:
                model.hear(line)
            states += 1
            try:
                model.check(contents(place))
            except Exception as error:  # noqa: BLE001 - whatever keeps it from opening is a loss
                lost.append(f"after event {number} ({str(event)[:80]}), {keep}: {error!r:.300}")
            shutil.rmtree(place)
    return states, lost


def test_nothing_acknowledged_is_lost_with_the_power(tmp_path: Path) -> None:
    events = run(tmp_path, operations=12)
    states, lost = losses(tmp_path, events, every=13, variants=(0.0, 0.5, 1.0))
    assert states > 80
    assert lost == []


def test_the_same_test_finds_the_losses_of_a_lower_durability(tmp_path: Path) -> None:
    """With `synchronous=NORMAL` a commit does not wait for the disk, and this is seen."""
    events = run(tmp_path, operations=12, careless=True)
    _, lost = losses(tmp_path, events, every=20, variants=(0.0, 0.5))
    assert lost != []


@pytest.mark.torture
def test_nothing_acknowledged_is_lost_in_thousands_of_states(tmp_path: Path) -> None:
    events = run(tmp_path, operations=30)
    states, lost = losses(tmp_path, events, every=1, variants=(0.0, 0.3, 0.8, 1.0))
    assert states > 3_000
    assert lost == []
