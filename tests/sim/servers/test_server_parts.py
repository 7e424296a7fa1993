"""A step that touches a part of a server's process touches the process, which alone a simulator is told of.

The parts (`Lifecycle`, `Turn`, `Agenda`) are changed and looked at through their process. Were a part kept
over a wait, or given away, a step could change it unseen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import sim
import trio_genserver
from sim._dependence.footprint import Recorder
from tests.sim.servers.server_program import ServerProgram
from trio_genserver._agenda import Agenda
from trio_genserver._lifecycle import Lifecycle
from trio_genserver._process import Process
from trio_genserver._turn import Turn
from trio_genserver.instruments import SharedState, shared_state

PARTS = (Lifecycle, Turn, Agenda)
SEEDS = range(12)


def _itself(part: object) -> object:
    return part


class Watch:
    """Watches what each step touches of processes and of their parts.

    Attributes:
      seen: how often a part of each class was touched.
      alone: the parts that a step has touched without their process.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: Counter[str] = Counter()
        self.alone: list[str] = []
        # By the address of a part: the part, so that no other has that address, and its process.
        self.process_of: dict[int, tuple[object, object]] = {}
        self._touched: dict[int, object] = {}
        monkeypatch.setattr(Process, "__init__", self._made(Process.__init__))
        monkeypatch.setattr(Process, "make_agenda", self._with_agenda(Process.make_agenda))
        monkeypatch.setattr(Recorder, "touched", self._noted(Recorder.touched))
        monkeypatch.setattr(Recorder, "end_step", self._checked(Recorder.end_step))
        declared = (
            *shared_state(),
            *(SharedState(each, "part", _itself, is_it=True) for each in PARTS),
        )
        monkeypatch.setattr(trio_genserver, "__shared_state__", lambda: declared)

    def _belongs(self, part: object, process: object) -> None:
        self.process_of[id(part)] = part, process

    def _made(self, original: Any) -> Any:
        def made(process: Any, *args: Any, **kwargs: Any) -> None:
            original(process, *args, **kwargs)
            for name in ("lifecycle", "turn"):
                self._belongs(object.__getattribute__(process, name), process)

        return made

    def _with_agenda(self, original: Any) -> Any:
        def make_agenda(process: Any) -> Any:
            agenda = original(process)
            self._belongs(agenda, process)
            return agenda

        return make_agenda

    def _noted(self, original: Any) -> Any:
        def touched(recorder: Recorder, touched: object, *args: Any) -> None:
            if recorder.noting:
                self._touched[id(touched)] = touched
            original(recorder, touched, *args)

        return touched

    def _checked(self, original: Any) -> Any:
        def end_step(recorder: Recorder) -> Any:
            for address, touched in self._touched.items():
                if address in self.process_of and self.process_of[address][0] is touched:
                    self.seen[type(touched).__name__] += 1
                    if id(self.process_of[address][1]) not in self._touched:
                        self.alone.append(f"{type(touched).__name__} in {recorder.task}")
            self._touched.clear()
            return original(recorder)

        return end_step


def scenario(seed: int) -> Callable[[], Awaitable[None]]:
    program = ServerProgram(seed).program

    async def run() -> None:
        await program()

    return run


def test_a_step_that_touches_a_part_touches_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch)
    for seed in SEEDS:
        sim.explore(scenario(seed), strategy="dpor", max_executions=12)
    assert watch.alone == []
    # The programs do touch them.
    assert all(watch.seen[each.__name__] > 0 for each in PARTS), watch.seen
