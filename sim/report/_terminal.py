"""A failing run as a table in the terminal: one row a step, one lane a task.

In the lanes, ``●`` is the task that makes the step, ``│`` one that exists and does not; a ``*``
behind the step's number marks a preemption, the places where the schedule did something that a
reader would not have expected.
"""

from __future__ import annotations

import linecache
import traceback
from typing import TYPE_CHECKING, Final

from sim._errors import Nondeterminism

if TYPE_CHECKING:
    from sim._result import Failure, Result
    from sim._trace import TracedStep
    from sim.strategies import TaskId

MAX_ROWS: Final = 80
"""Rows shown of a run; of a longer one, its end is shown, where the failure is."""
_MAX_LANES: Final = 24
_MAX_SOURCE: Final = 60


def describe_result(result: Result) -> str:
    """One paragraph: what was explored, how fast, and what failed."""
    kind = "complete" if result.complete else "not complete"
    lines = [
        (
            f"{result.scenario}: {result.executions:,} executions ({result.coverage}, {kind}), "
            f"{len(result.failures):,} failed; {result.seconds:.2f} s, "
            f"{result.executions_per_second:,.0f} executions/s, strategy {result.strategy}, "
            f"seed {result.seed}"
        )
    ]
    if result.abandoned:
        lines.append(f"{result.abandoned:,} executions were abandoned half-way as redundant")
    if result.diverged is not None:
        lines.append(f"ended early: {result.diverged}")
    lines.extend(f"never, in none of them: {what}" for what in result.never)
    return "\n".join(lines)


def describe_failure(failure: Failure) -> str:
    """The error, the interleaving that leads to it, and how to see it again."""
    return "\n".join(
        [
            *_errors(failure.error),
            "",
            *_table(failure.steps),
            "",
            *_logged(failure),
            (
                f"{len(failure.steps):,} steps, {failure.choices:,} choices, "
                f"{failure.preemptions:,} preemptions (*)"
            ),
            f"replay token: {failure.token}",
        ]
    )


def _errors(error: BaseException) -> list[str]:
    """What was raised and where. The program's own error comes first."""
    if isinstance(error, Nondeterminism):
        own = [] if error.__cause__ is None else _errors(error.__cause__)
        return [*own, *([""] if own else []), f"{type(error).__name__}: {error.finding}"]
    where = _raised_at(error)
    raised = "".join(traceback.format_exception_only(error)).rstrip()
    return [raised, *([f"  raised at {where}"] if where else [])]


def _logged(failure: Failure) -> list[str]:
    if not failure.logged:
        return []
    return ["logged in this run:", *(f"{step:>5}  {line}" for step, line in failure.logged), ""]


def _raised_at(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    last = frames[-1]
    return f"{last.filename}:{last.lineno} in {last.name}: {last.line}"


def _table(steps: tuple[TracedStep, ...]) -> list[str]:
    if not steps:
        return ["(no step was made)"]
    first = max(0, len(steps) - MAX_ROWS)
    lives = _lives(steps)
    shown = steps[first:]
    lanes = [
        task
        for task, (born, died) in sorted(lives.items(), key=lambda item: item[1])
        if died >= first and born < len(steps)
    ][:_MAX_LANES]
    task_width = max(len(_label(step)) for step in shown)
    from_width = max(len(step.start) for step in shown)
    rows = [f"... {first:,} steps before these"] if first else []
    rows.append(
        f"{'step':>6} {'time':>9}  {'':{len(lanes)}}  {'task':{task_width}}  "
        f"{'goes on at':{from_width}}  and stops at"
    )
    for number, step in enumerate(shown, first):
        marks = "".join(_mark(task, step, number, lives) for task in lanes)
        preempts = "*" if step.preempts else " "
        rows.append(
            f"{number:>5}{preempts} {step.time:>7g} s  {marks}  {_label(step):{task_width}}  "
            f"{step.start:{from_width}}  {_stop(step)}".rstrip()
        )
    return rows


def _lives(steps: tuple[TracedStep, ...]) -> dict[TaskId, tuple[int, int]]:
    """For each task its first and its last step."""
    lives: dict[TaskId, tuple[int, int]] = {}
    for number, step in enumerate(steps):
        born, _ = lives.get(step.task, (number, number))
        lives[step.task] = (born, number)
    return lives


def _mark(task: TaskId, step: TracedStep, number: int, lives: dict[TaskId, tuple[int, int]]) -> str:
    if task == step.task:
        return "●"
    born, died = lives[task]
    return "│" if born < number < died else " "


def _label(step: TracedStep) -> str:
    path = ".".join(map(str, step.task))
    return f"{step.name} {path}" if path else step.name


def _stop(step: TracedStep) -> str:
    drew = f"  <- drew {', '.join(step.drew)}" if step.drew else ""
    if not step.end:
        return f"its end{drew}"
    place, _, _ = step.end.partition(" in ")
    path, _, line = place.rpartition(":")
    source = linecache.getline(path, int(line)).strip()
    if len(source) > _MAX_SOURCE:
        source = source[: _MAX_SOURCE - 3] + "..."
    struck = f"  <- {step.fault} strikes here" if step.fault else ""
    return f"{place}  {source}{drew}{struck}"
