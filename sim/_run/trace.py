"""The steps of one run: for the table of a failure, and to compare two runs.

Only failing runs are traced. A location is the innermost line of the *program*: frames of Trio, of
the standard library's context managers and of the simulator are looked through.
"""

from __future__ import annotations

import os
import sysconfig
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

from sim._run.step import TaskId

_STANDARD_LIBRARY: Final = sysconfig.get_paths()["stdlib"] + os.sep
_MACHINERY: Final = ("trio.", "outcome.", "sim._", "sim.strategies.")


@dataclass(frozen=True, slots=True)
class TracedStep:
    """One step of a traced run."""

    task: TaskId
    name: str
    time: float
    """Virtual seconds since the start of the run."""
    chosen: int
    """The index of the task among those that were enabled."""
    enabled: int
    """How many tasks were enabled."""
    start: str
    """Where the task went on, as ``file:line in function``."""
    end: str
    """Where it gave up control; "" if it finished."""
    preempts: bool
    """Whether the task that made the step before could have gone on, and was made to wait."""
    fault: str = ""
    """The fault that struck where it gave up control: "cancel", "crash"; "cancel of client" if it struck
    another task, which waited; "" if nothing did."""
    drew: tuple[str, ...] = ()
    """The draws of the step: with `sim.choose`, or the seed of the random sources."""

    @property
    def label(self) -> str:
        """The name of its task, and which it is of those who have that name."""
        return task_label(self.name, self.task)

    def __str__(self) -> str:
        end = f"to {self.end}" if self.end else "to its end"
        if self.fault:
            end = f"{end}, where a {self.fault} struck"
        if self.drew:
            end = f"{end}, drawing {', '.join(self.drew)}"
        return (
            f"{self.name} {list(self.task)} at {self.time:g} s, 1 of {self.enabled} enabled, "
            f"from {self.start} {end}"
        )


class Trace:
    """Records the steps of one run, as the kernel makes them.

    Args:
        stack_at: the number of a step of which to keep the whole stack, in `stack`.
    """

    def __init__(self, stack_at: int | None = None) -> None:
        self.steps: list[TracedStep] = []
        self.stack: tuple[str, ...] = ()
        self._stack_at = stack_at
        self._open: tuple[TaskId, str, float, int, int, str] | None = None
        self._previous_can_go_on = False
        self._drew: list[str] = []
        self._ends: dict[TaskId, str] = {}
        # How many choices were made before each step, that of the step itself included.
        self._choices: list[int] = []
        self.logged: list[tuple[int, str]] = []

    def drew(self, what: str) -> None:
        """Something was drawn in the current step."""
        self._drew.append(what)

    def log(self, line: str) -> None:
        """Something was logged in the current step."""
        self.logged.append((len(self.steps), line))

    def before_step(
        self, task: Any, identity: TaskId, chosen: int, enabled: int, time: float, choices: int
    ) -> None:
        self._choices.append(choices)
        # It goes on where it stopped; a stack may be deep, and looking for the place slow.
        start = self._ends.get(identity) or location(task)
        self._open = (identity, short_name(task.name), time, chosen, enabled, start)
        if len(self.steps) == self._stack_at:
            self.stack = _stack(task)

    def after_step(self, task: Any, can_go_on: bool, fault: str) -> None:
        assert self._open is not None
        identity, name, time, chosen, enabled, start = self._open
        self._open = None
        # The task of the step before is the first of the enabled ones, if it is one of them.
        preempts = self._previous_can_go_on and chosen > 0
        self._previous_can_go_on = can_go_on
        if len(self.steps) == self._stack_at:
            # Where it stopped; where it had gone on, if it has stopped nowhere.
            self.stack = _stack(task) or self.stack
        drew = tuple(self._drew)
        self._drew.clear()
        end = self._ends[identity] = location(task)
        self.steps.append(
            TracedStep(identity, name, time, chosen, enabled, start, end, preempts, fault, drew)
        )

    def step_of(self, choice: int) -> int:
        """The number of the step that a choice was made in, or, if it was who goes on, after."""
        return max(0, sum(made <= choice for made in self._choices) - 1)


def first_difference(first: Trace, second: Trace) -> tuple[int, str, str] | None:
    """The first step in which two runs differ, as (step, in the first, in the second)."""
    for number in range(max(len(first.steps), len(second.steps))):
        one, other = (trace.steps[number] if number < len(trace.steps) else None for trace in (first, second))
        if one is None or other is None or _essence(one) != _essence(other):
            over = "the run was over"
            return number, str(one) if one else over, str(other) if other else over
    return None


def _essence(step: TracedStep) -> object:
    """The part of a step that identifies it: not the names of tasks and the texts of draws, which may contain
    the address of an object. Its identity names the task, and the choices name the draws."""
    fault = step.fault.partition(" ")[0]
    return step.task, step.time, step.chosen, step.enabled, step.start, step.end, step.preempts, fault


def short_name(name: str) -> str:
    """A task's name without the module and the enclosing functions."""
    return name if name.startswith("<") else name.rpartition("<locals>.")[2].rpartition(".")[2]


def task_label(name: str, identity: TaskId) -> str:
    """How reports call a task: by its short name, and its place in the tree of tasks."""
    return " ".join([name, ".".join(map(str, identity))]) if identity else name


def location(task: Any) -> str:
    """Where the task is suspended, in the program's own code; "" if it has finished."""
    if task.coro.cr_frame is None:
        # Older releases of Trio cannot walk a coroutine that is over.
        return ""
    frames = list(task.iter_await_frames())
    for frame, line in reversed(frames):
        if not is_machinery(frame):
            return place(frame, line)
    return place(*frames[0]) if frames else ""


def _stack(task: Any) -> tuple[str, ...]:
    """Every line of the program that the task is in, outermost first."""
    if task.coro.cr_frame is None:
        return ()
    return tuple(place(frame, line) for frame, line in task.iter_await_frames() if not is_machinery(frame))


def is_machinery(frame: FrameType) -> bool:
    """Whether a frame is of Trio, of the simulator, or of the standard library."""
    module = frame.f_globals.get("__name__", "")
    if module.startswith(_MACHINERY) or module == "sim":
        return True
    path = frame.f_code.co_filename
    return path.startswith(_STANDARD_LIBRARY) and "site-packages" not in path


def is_library(path: str) -> bool:
    """Whether a file is of the standard library, or was installed beside it."""
    return path.startswith(_STANDARD_LIBRARY) or "site-packages" in path


def place(frame: FrameType, line: int) -> str:
    """Where a frame is, as ``file:line in function``."""
    return f"{_relative(frame.f_code.co_filename)}:{line} in {frame.f_code.co_name}"


def _relative(path: str) -> str:
    here = os.getcwd() + os.sep
    return path.removeprefix(here)
