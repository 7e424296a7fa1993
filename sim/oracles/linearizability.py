"""Judges a history: did each operation take effect at one moment between its call and its return?

Linearizability is the promise that a server, a lock or a cache makes to its concurrent users: that
it can be thought of as doing one thing after the other. Here the promise is checked from outside,
on a recorded history, with nothing known of how the object works. The verdict on a history that
breaks it carries the smallest part that shows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from sim._run import arguments
from sim._run.portable import PortableError
from sim.oracles.history import History, Operation
from sim.oracles.history_table import render_violation
from sim.oracles.models import WHOLE, Model
from sim.oracles.smallest_violation import all_but_forgotten, failing_prefix, smallest_failing_part
from sim.oracles.wing_gong_lowe import DEFAULT_MAX_STEPS, SearchResult, search

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping


@dataclass(frozen=True, slots=True)
class Violation:
    """Why a history is not linearizable.

    Attributes:
        key: the partition it is in; `WHOLE` if the history is in one piece.
        operations: the failing part, in the order of the calls. It has no order that the model
            allows, not even if each other operation of the key took effect at any time after its
            call, or never; and that is so of no part of it (for parts of long histories: of no part
            that was found in about a second).
        considered: how many operations of the key were called in the shortest beginning of the
            history that has no order.
        explained: the order that gets furthest, with the other operations that it needs, of unknown
            outcome, in their places.
        state: the model's state after `explained`.
        model: the model.
    """

    key: Hashable
    operations: tuple[Operation, ...]
    considered: int
    explained: tuple[Operation, ...]
    state: object
    model: Model[Any]

    def __str__(self) -> str:
        return render_violation(
            self.model,
            "" if self.key is WHOLE else f"key {self.key!r}, ",
            self.operations,
            self.considered,
            self.explained,
            self.state,
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of a history; true if it is linearizable.

    Attributes:
        violation: the smallest failing part, or None.
        orders: for each key one order that explains its operations. Operations of unknown outcome
            are in it where they were needed. Empty if there is a violation.
        operations: how many operations the history has.
        failing_keys: the keys whose operations have no order.
        steps: how often the searches asked the model for a step.
    """

    violation: Violation | None
    orders: Mapping[Hashable, tuple[Operation, ...]]
    operations: int
    failing_keys: tuple[Hashable, ...]
    steps: int

    def __bool__(self) -> bool:
        return self.violation is None

    def __str__(self) -> str:
        if self.violation is not None:
            return str(self.violation)
        keys = f" over {len(self.orders)} keys" if len(self.orders) > 1 else ""
        return f"linearizable: {self.operations} operations{keys}"


@final
class NotLinearizable(PortableError, AssertionError):
    """A history has no order that its model allows.

    Attributes:
        verdict: the verdict with the smallest failing part.
    """

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(str(verdict))


def check_linearizability(
    history: History | Iterable[Operation],
    model: Model[Any],
    *,
    max_steps: int = DEFAULT_MAX_STEPS,
) -> Verdict:
    """Judge whether `history` is linearizable with respect to `model`.

    Args:
        history: the recorded history, or operations from anywhere else.
        model: what the object promises, for instance `sim.models.Map()`.
        max_steps: how often the search of one key may ask the model for a step.

    Raises:
        SearchBudgetExceeded: a key was not decided within `max_steps`.
        StateNotHashable: a state of the model is not hashable.
        UnknownOperation: the model has no method for an operation of the history.
        WrongType: the history is none, or the model is no instance of one: `sim.models.Map` without ``()``.
    """
    arguments.instance("model", model, Model)
    arguments.whole_number("max_steps", max_steps, at_least=1)
    operations = history.operations if isinstance(history, History) else _operations(history)
    parts = _partition(operations, model)
    results = {key: search(part, model, max_steps) for key, part in parts.items()}
    failing = [key for key, result in results.items() if not result.linearizable]
    return Verdict(
        violation=_smallest_violation(failing, parts, results, model) if failing else None,
        orders={} if failing else {key: result.order for key, result in results.items()},
        operations=len(operations),
        failing_keys=tuple(failing),
        steps=sum(result.steps for result in results.values()),
    )


def assert_linearizable(
    history: History | Iterable[Operation],
    model: Model[Any],
    *,
    max_steps: int = DEFAULT_MAX_STEPS,
) -> None:
    """Raise `NotLinearizable` with the smallest failing part unless `history` is linearizable.

    Args:
        history: as for `check_linearizability`.
        model: as for `check_linearizability`.
        max_steps: as for `check_linearizability`.

    Raises:
        NotLinearizable: it is not.
        SearchBudgetExceeded: a key was not decided within `max_steps`.
        StateNotHashable: a state of the model is not hashable.
        UnknownOperation: the model has no method for an operation of the history.
        WrongType: as for `check_linearizability`.
    """
    verdict = check_linearizability(history, model, max_steps=max_steps)
    if not verdict:
        raise NotLinearizable(verdict)


def _operations(history: Iterable[Operation]) -> tuple[Operation, ...]:
    """The elements of a history that is not a `History`."""
    arguments.instance("history", history, History, Iterable)
    operations = tuple(history)
    for operation in operations:
        arguments.instance("what history is made of", operation, Operation)
    return operations


def _partition(operations: Iterable[Operation], model: Model[Any]) -> dict[Hashable, list[Operation]]:
    parts: dict[Hashable, list[Operation]] = {}
    for operation in operations:
        parts.setdefault(model.partition(operation), []).append(operation)
    if WHOLE in parts and len(parts) > 1:
        return {WHOLE: [operation for part in parts.values() for operation in part]}
    return parts


def _smallest_violation(
    failing: list[Hashable],
    parts: Mapping[Hashable, list[Operation]],
    results: Mapping[Hashable, SearchResult],
    model: Model[Any],
) -> Violation:
    # Minimising is dearer than judging, so only the key that fails soonest is minimised.
    key = min(failing, key=lambda key: _called_by(parts[key], results[key].blocked_at))
    prefix = failing_prefix(parts[key], model, results[key].blocked_at)
    core = smallest_failing_part(prefix, model)
    result = search(all_but_forgotten(prefix, core), model)
    return Violation(
        key=key,
        operations=tuple(core),
        considered=len(prefix),
        explained=result.order,
        state=result.state,
        model=model,
    )


def _called_by(operations: Iterable[Operation], moment: float) -> int:
    return sum(operation.called <= moment for operation in operations)
