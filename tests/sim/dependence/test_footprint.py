from __future__ import annotations

import weakref

import trio

import sim
from sim._dependence.footprint import Recorder
from sim.strategies import ROOT, Operation


def test_what_is_made_before_the_first_step_is_nobodys_also_after_an_abandoned_execution() -> None:
    recorder = Recorder()
    creators: list[tuple[int, ...]] = []
    for last_to_step in (ROOT, (0,), ROOT):
        made = object()
        task = object()
        recorder.begin_execution({task: last_to_step})
        recorder.made(made, "callbacks")
        recorder.task = task
        recorder.begin_step()
        recorder.touched(made, "callbacks", Operation.READ)
        creators += [
            access.object.creator for access in recorder.end_step() if access.object.kind == "callbacks"
        ]
        recorder.end_execution()
    assert len(set(creators)) == 1
    assert len(creators) == 3
    assert not {ROOT, (0,)} & set(creators)


def test_an_object_lives_no_longer_than_without_footprints() -> None:
    gone: list[bool] = []

    async def scenario() -> None:
        made = (
            trio.Event(),
            trio.CancelScope(),
            trio.Lock(),
            trio.CapacityLimiter(1),
            trio.lowlevel.ParkingLot(),
            sim.Shared(0),
        )
        made[0].set()
        await made[0].wait()
        references = [weakref.ref(each) for each in made]
        del made
        gone.extend(reference() is None for reference in references)

    result = sim.explore(scenario, "dpor")
    assert gone[: 6 * result.executions] == [True] * 6
