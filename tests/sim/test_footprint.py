from __future__ import annotations

from sim._footprint import Recorder
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
