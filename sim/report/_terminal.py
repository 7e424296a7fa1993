"""A failing run as a table in the terminal: one row a step, one lane a task.

In the lanes, ``●`` is the task that makes the step, ``│`` one that exists and does not; a ``*``
behind the step's number marks a preemption, the places where the schedule did something that a
reader would not have expected.
"""

from __future__ import annotations

import linecache
import os
import traceback
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sim._run.errors import Nondeterminism, StepBudgetExceeded, repetition

if TYPE_CHECKING:
    from sim._exploration.result import Failure, Result
    from sim._run.cycle import Cycle
    from sim._run.step import TaskId
    from sim._run.trace import TracedStep

MAX_ROWS: Final = 80
"""Rows shown of a run; of a longer one, its end is shown, where the failure is."""
# Of a run that repeats itself, what leads to that is shown though the repeated steps may fill the table.
_MAX_ROWS_BEFORE: Final = 20
_MAX_LANES: Final = 24
_MAX_SOURCE: Final = 60
# The width of a row besides its lanes, its task and the place where that continues, to say where it stops.
_ROOM_FOR_THE_REST: Final = 70
_NARROW_LABEL: Final = 24


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
    lines.extend(f"never, in no execution: {what}" for what in result.never)
    return "\n".join(lines)


def describe_failure(failure: Failure, width: int | None = None) -> str:
    """The error, the interleaving that leads to it, and how to see it again.

    Args:
        width: how many columns the table may take; None: as many as it needs.
    """
    return "\n".join(
        [
            *_errors(failure.error),
            "",
            *_table(failure.steps, width, getattr(failure.error, "cycle", None)),
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
    """The exceptions and their places. The program's own error comes first."""
    if isinstance(error, Nondeterminism):
        own = [] if error.__cause__ is None else _errors(error.__cause__)
        return [*own, *([""] if own else []), f"{type(error).__name__}: {_printable(error.finding)}"]
    if isinstance(error, StepBudgetExceeded):
        # The table shows the steps.
        return [f"{type(error).__name__}: {_printable(error.finding)}"]
    where = _raised_at(error)
    raised = _printable("".join(traceback.format_exception_only(error)).rstrip())
    return [raised, *([f"  raised at {where}"] if where else [])]


def _logged(failure: Failure) -> list[str]:
    if not failure.logged:
        return []
    return ["logged in this run:", *(f"{step:>5}  {_printable(line)}" for step, line in failure.logged), ""]


def _raised_at(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    last = frames[-1]
    return f"{last.filename}:{last.lineno} in {last.name}: {last.line}"


def _table(steps: tuple[TracedStep, ...], width: int | None, cycle: Cycle | None) -> list[str]:
    if not steps:
        return ["(no step was made)"]
    numbers = _shown_numbers(steps, cycle)
    first, last = numbers[0], numbers[-1] + 1
    lives = _lives(steps)
    shown = [steps[number] for number in numbers]
    lanes = [
        task
        for task, (born, died) in sorted(lives.items(), key=lambda item: item[1])
        if died >= first and born < last
    ][:_MAX_LANES]
    task_width = max(_columns(_label(step)) for step in shown)
    from_width = max(len("goes on at"), *(_columns(_place(step.start)) for step in shown))
    # Where a task goes on is where it has stopped before: where there is little room, once is enough.
    narrow = width is not None and task_width + from_width + len(lanes) > width - _ROOM_FOR_THE_REST
    if narrow:
        task_width = min(task_width, _NARROW_LABEL)
    rows = [f"... {first:,} steps before these"] if first else []
    rows.append(
        f"{'step':>6} {'time':>9}  {'':{len(lanes)}}  {'task':{task_width}}  "
        + ("stops at" if narrow else f"{'goes on at':{from_width}}  and stops at")
    )
    for before, number, step in zip([first - 1, *numbers], numbers, shown, strict=False):
        if number > before + 1:
            rows.append(f"  ... {number - before - 1:,} more of these")
        if cycle is not None and number == cycle.first:
            rows.append(f"{repetition(cycle)}:")
        marks = "".join(_mark(task, step, number, lives) for task in lanes)
        preempts = "*" if step.preempts else " "
        row = f"{number:>5}{preempts} {step.time:>7g} s  {marks}  {_padded(_label(step), task_width)}  "
        if not narrow:
            row += f"{_padded(_place(step.start), from_width)}  "
        row = (row + _stop(step, None if width is None else width - _columns(row))).rstrip()
        rows.append(row if width is None else _cut(row, width))
    if cycle is not None:
        if cycle.length > MAX_ROWS:
            rows.append(f"... {cycle.length - MAX_ROWS:,} more steps of these")
        rows.append(f"... and so on, until the run is abandoned after step {len(steps) - 1:,}")
    return rows


def _shown_numbers(steps: tuple[TracedStep, ...], cycle: Cycle | None) -> Sequence[int]:
    """Which steps of a run are shown: its end, or, once, what it repeats at its end and before what leads to
    that; there, equal ones in a row are not."""
    if cycle is None:
        return range(max(0, len(steps) - MAX_ROWS), len(steps))
    what = [(step.task, step.start, step.end) for step in steps[: cycle.first]]
    leading = [number for number in range(cycle.first) if len(set(what[max(0, number - 1) : number + 2])) > 1]
    room = max(MAX_ROWS - cycle.length, _MAX_ROWS_BEFORE)
    return [*leading[-room:], *range(cycle.first, cycle.first + min(cycle.length, MAX_ROWS))]


def _printable(text: str) -> str:
    """A text without what a terminal would obey."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in text
    )


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _padded(text: str, width: int) -> str:
    text = _cut(text, width)
    return text + " " * (width - _columns(text))


def _cut(text: str, width: int) -> str:
    if _columns(text) <= width:
        return text
    if width < 1:
        return ""
    while text and _columns(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def _place(place: str) -> str:
    """``file:line in function``, an installed file by its name within the library."""
    return _printable(place.rpartition("site-packages" + os.sep)[2])


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
    return _printable(step.label)


def _stop(step: TracedStep, room: int | None) -> str:
    drew = _printable(f"  <- drew {', '.join(step.drew)}" if step.drew else "")
    if not step.end:
        return f"its end{drew}"
    place, _, _ = step.end.partition(" in ")
    path, _, line = place.rpartition(":")
    source = _printable(linecache.getline(path, int(line)).strip())
    place = _place(place)
    struck = f"  <- {step.fault} strikes here" if step.fault else ""
    if len(source) > _MAX_SOURCE:
        source = source[: _MAX_SOURCE - 3] + "..."
    if room is not None:
        # The choice there says more than the line.
        source = _cut(source, max(0, room - _columns(place + drew + struck) - 2))
    return f"{place}  {source}{drew}{struck}"
