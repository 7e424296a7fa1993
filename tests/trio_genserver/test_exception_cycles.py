"""No exception that comes out is part of a reference cycle: it dies with the last who looks at it.

And with it what its frames hold, as what was sent; else that would be there until a garbage collection. It
holds for every way of `ways_out`. It does not hold, as nobody here could see to it, where

- the user keeps it in a variable of a frame that it comes through: the exception itself, a `Settled`, an
  `Outcome`, or a `Down`;
- the user raises the cause of what he has caught while it is being handled, so that it becomes its context;
- it leaves a nursery of the user's whose other tasks wait: Trio keeps it then;
- it is no `Exception`, so that the nursery of a block has it;
- it is the reason in a `Down`: that and its `Monitor` know each other.
"""

from __future__ import annotations

import gc
import logging
import traceback
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
import trio
import trio.testing

from trio_genserver import ServerCrashed, ServerNotRunning, child_spec, open_supervisor

from . import ways_out
from .ways_out import WAYS, Desk, Payload, Way, family

HERE = Path(ways_out.__file__).parent

pytestmark = pytest.mark.usefixtures("path")


@pytest.fixture(scope="module")
def unfrozen() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.fixture
def no_collection(unfrozen: None) -> Iterator[None]:
    # A record of the log keeps the exception that it is about.
    logging.disable()
    gc.disable()
    gc.freeze()  # what is there already needs not be looked at
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()
    logging.disable(logging.NOTSET)


def frames_of(error: BaseException) -> list[FrameType]:
    """Those of a program. (To look at the variables of one that runs would keep them.)"""
    return [frame for frame, _ in traceback.walk_tb(error.__traceback__) if "__file__" in frame.f_globals]


@pytest.mark.parametrize("lets_out", WAYS, ids=lambda way: way.__name__)
async def test_it_dies_with_the_last_who_looks_at_it(lets_out: Way, no_collection: None) -> None:
    came_out = False
    sent = Payload()
    alive: list[tuple[str, Callable[[], object]]] = [("what was sent", weakref.ref(sent))]
    try:
        await lets_out(sent)
    except Exception as out:  # noqa: BLE001 - all of them
        came_out = True
        for error in family(out):
            # Those that are written in C have no weak references; those without frames may be kept.
            if type(error).__flags__ & 1 << 9 and frames_of(error):
                alive.append((repr(error), weakref.ref(error)))
            del error
    assert came_out
    del sent
    await trio.testing.wait_all_tasks_blocked()
    assert [what for what, ref in alive if ref() is not None] == []
    # Nothing that is garbage now keeps a frame of the program.
    gc.collect()
    frames = [each for each in gc.garbage if isinstance(each, FrameType) and each.f_locals]
    assert [frame for frame in frames if Path(frame.f_code.co_filename).parent == HERE] == []


async def test_the_traceback_shows_where_it_arose() -> None:
    async with open_supervisor([child_spec(Desk).replace(restart="temporary")]) as supervisor:
        desk = supervisor.child("Desk", Desk)
        with pytest.raises(ServerCrashed) as crash:
            await desk.call(Desk.crash_later(1))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(ServerNotRunning) as late:
            await desk.call(Desk.crash_later(1))
    for error in (crash.value, late.value):
        text = "".join(traceback.format_exception(error))
        assert 'raise Broken("crashed") from error' in text
        assert 'raise KeyError("first")' in text
        assert "in crash_later" in text
    # Who was there has the frames as well; later, only the lines are known.
    assert crash.value.__cause__ is not None
    assert late.value.__cause__ is not None
    assert any("sent" in frame.f_locals for frame in frames_of(crash.value.__cause__))
    assert frames_of(late.value.__cause__) == []
