"""Draws the failing part of a history: who did what, what overlapped, what does not add up."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sim.oracles.history import UNKNOWN
from sim.oracles.models import BLOCKED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.oracles.history import Operation
    from sim.oracles.models import Model


def render_history(operations: Sequence[Operation]) -> str:
    """A line an operation: client, operation, and the span from its call to its return.

    Two spans that share a column overlap in time; one that ends left of another's beginning was
    over before. An operation of unknown outcome has no end.

    Args:
        operations: in the order in which the lines shall be.
    """
    ends = {moment for op in operations for moment in (op.called, op.returned)} - {math.inf}
    # One column for each event; events of operations that are not shown take no room.
    column = {moment: number for number, moment in enumerate(sorted(ends))}
    width = len(column)
    client_width = max((len(op.client) for op in operations), default=0)
    text_width = max((len(str(op)) for op in operations), default=0)
    lines: list[str] = []
    for op in operations:
        begin = column[op.called]
        if op.returned == math.inf:
            span = " " * begin + "[" + "-" * (width - begin) + " ?"
        else:
            span = " " * begin + "[" + "-" * (column[op.returned] - begin - 1) + "]"
        lines.append(f"{op.client:<{client_width}}  {op!s:<{text_width}}  {span}".rstrip())
    return "\n".join(lines)


def render_violation(
    model: Model[Any],
    where: str,
    operations: Sequence[Operation],
    considered: int,
    explained: Sequence[Operation],
    state: object,
) -> str:
    """The failing part with the order that gets furthest, and what fails after it.

    Args:
        model: the model.
        where: "key 'x', " or nothing.
        operations: the failing part.
        considered: how many operations it was cut down from.
        explained: the order that gets furthest; may have others in it, of unknown outcome.
        state: the model's state after it.
    """
    count = f"{len(operations)} of {considered} operations"
    lines = [
        f"not linearizable: {where}{count} ({type(model).__name__})",
        "",
        *(f"    {line}" for line in render_history(operations).splitlines()),
        "",
    ]
    if considered > len(operations):
        lines.append(
            "No order explains these, even if each of the others took effect at any time after\n"
            "its call, or never."
        )
    if explained:
        lines.append("The order that gets furthest:")
        lines.extend(f"    {op}" for op in explained)
        lines.append(f"leads to {state!r}, where")
    else:
        lines.append(f"In the initial state {state!r}")
    placed = set(map(id, explained))
    lines.extend(f"    {op} {_objection(model, state, op)}" for op in _due(operations, placed))
    return "\n".join(lines)


def _due(operations: Sequence[Operation], placed: set[int]) -> list[Operation]:
    """The operations that could come next: nothing left had returned before they were called."""
    left = [op for op in operations if id(op) not in placed]
    deadline = min((op.returned for op in left), default=math.inf)
    return [op for op in left if op.called <= deadline and op.outcome is not UNKNOWN]


def _objection(model: Model[Any], state: object, operation: Operation) -> str:
    if tuple(model.step(state, operation)):
        return "is possible, but leads no further."
    answer = model.answer(state, operation)
    if answer is BLOCKED:
        return "would have to wait."
    return f"should have answered {answer[1]!r}."
