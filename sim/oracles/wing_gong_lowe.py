"""The search for an order that explains a concurrent history.

An operation may be put next if nothing still to be placed had returned before it was called. The
search puts one such operation after the other, each as the model allows, until all are placed
(J. M. Wing and C. Gong, "Testing and verifying concurrent objects", J. Parallel and Distributed
Computing 17, 1993). Two orders that placed the same operations and reached the same state have the
same future, so only the first of them is followed (G. Lowe, "Testing for linearizability",
Concurrency and Computation 29(4), 2017; Porcupine keeps the same cache).

Three things are added here, each so that histories with crashed and cancelled clients stay cheap:

- An operation of unknown outcome may be placed or left out. Configurations are followed in the
  order of how many such operations they used, and one that used a superset of what another used to
  get to the same place is dropped: the other can do whatever it can.
- Of unknown operations that are the same (name and arguments), the one called first is used first.
- An operation that never changes the state is placed as soon as it can be: it disturbs nobody.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sim._run.portable import PortableError
from sim.oracles.history import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.oracles.history import Operation
    from sim.oracles.models import Model

# The operations placed so far, last first. Shared between configurations, so a step costs one pair.
_Path: TypeAlias = "tuple[Operation, _Path] | None"

DEFAULT_MAX_STEPS: Final = 5_000_000
"""How often a search may ask the model for a step: some ten seconds, and at most 2 GB."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of a search.

    Attributes:
        linearizable: whether there is an order.
        order: that order; without one, the order that got furthest.
        state: the model's state after `order`.
        blocked_at: without an order, the first return that no order gets past; else infinite.
        steps: how often the model was asked for a step.
    """

    linearizable: bool
    order: tuple[Operation, ...]
    state: Any
    blocked_at: float
    steps: int


class SearchBudgetExceeded(PortableError, Exception):
    """Whether the history is linearizable was not decided within the budget.

    Attributes:
        steps: how often the model was asked for a step.
        operations: how many operations the part of the history has.
    """

    def __init__(self, steps: int, operations: int) -> None:
        self.steps = steps
        self.operations = operations
        super().__init__(
            f"undecided after {steps:,} steps of the model, for {operations:,} operations:"
            " partition the model by key, record fewer operations of unknown outcome, or raise"
            " max_steps"
        )


class StateNotHashable(PortableError, Exception):
    """A model's state cannot be kept in the search's cache.

    Attributes:
        state: the state.
    """

    def __init__(self, model: Model[Any], state: object) -> None:
        self.state = state
        super().__init__(
            f"a state of {type(model).__name__} is not hashable: {state!r}; build states from"
            " tuples and frozensets (and values that are hashable themselves)"
        )


def search(
    operations: Sequence[Operation], model: Model[Any], max_steps: int = DEFAULT_MAX_STEPS
) -> SearchResult:
    """Look for an order of `operations` that `model` allows.

    Args:
        operations: one partition of a history, in any order.
        model: the sequential specification.
        max_steps: how often to ask the model for a step at most.

    Raises:
        SearchBudgetExceeded: it takes more than `max_steps`.
        StateNotHashable: a state of the model is not.
        UnknownOperation: the model has no method for an operation.
    """
    return _Search(operations, model, max_steps).run()


class _Search:
    """The operations of one search, indexed as its loop wants them."""

    def __init__(self, operations: Sequence[Operation], model: Model[Any], max_steps: int) -> None:
        self._model = model
        self._max_steps = max_steps
        in_order = sorted(operations, key=lambda operation: operation.called)
        self._required = [op for op in in_order if op.outcome is not UNKNOWN]
        self._optional = [op for op in in_order if op.outcome is UNKNOWN and op.name not in model.read_only]
        self._optional_twins = _previous_twins(self._optional)

    def run(self) -> SearchResult:
        required, optional, twins = self._required, self._optional, self._optional_twins
        model, step, read_only = self._model, self._model.step, self._model.read_only
        calls = [op.called for op in required]
        returns = [op.returned for op in required]
        total = len(required)

        # A configuration: all required operations before number `base` are placed, and those
        # whose bit (counted from `base`) is in `placed`; of the optional ones those in `used`.
        initial = model.initial
        stack: list[tuple[int, int, Any, int, _Path]] = [(0, 0, initial, 0, None)]
        dearer: list[tuple[int, int, Any, int, _Path]] = []
        visited: dict[tuple[int, int, Any], list[int]] = {}
        try:
            visited[0, 0, initial] = [0]
        except TypeError as error:
            raise StateNotHashable(model, initial) from error
        steps = 0
        furthest = -math.inf
        best: tuple[_Path, Any] = (None, initial)

        while stack or dearer:
            if not stack:
                stack, dearer = dearer, stack
            base, placed, state, used, path = stack.pop()
            if base == total:
                return SearchResult(True, _unwind(path), state, math.inf, steps)
            if steps > self._max_steps:
                raise SearchBudgetExceeded(steps, total + len(optional))

            deadline = math.inf
            candidates: list[int] = []
            number, bits = base, placed
            while number < total and calls[number] <= deadline:
                if not bits & 1:
                    candidates.append(number)
                    deadline = min(deadline, returns[number])
                bits >>= 1
                number += 1
            if deadline > furthest:
                furthest, best = deadline, (path, state)

            successors: list[tuple[int, Any]] = []
            for number in candidates:
                operation = required[number]
                states = step(state, operation)
                steps += 1
                if operation.name in read_only:
                    if state in states:
                        successors = [(number, state)]
                        break
                    continue
                successors.extend((number, after) for after in states)
            else:
                for number, operation in enumerate(optional):
                    if operation.called > deadline:
                        break
                    twin = twins[number]
                    if used >> number & 1 or (twin is not None and not used >> twin & 1):
                        continue
                    steps += 1
                    for after in step(state, operation):
                        if after == state:
                            continue
                        now_used = used | 1 << number
                        if self._is_new(visited, (base, placed, after), now_used):
                            dearer.append((base, placed, after, now_used, (operation, path)))

            # Last in, first out: what was called first is tried first.
            for number, after in reversed(successors):
                now_base, now_placed = base, placed | 1 << (number - base)
                while now_placed & 1:
                    now_placed >>= 1
                    now_base += 1
                if self._is_new(visited, (now_base, now_placed, after), used):
                    stack.append((now_base, now_placed, after, used, (required[number], path)))

        path, state = best
        return SearchResult(False, _unwind(path), state, furthest, steps)

    def _is_new(
        self, visited: dict[tuple[int, int, Any], list[int]], place: tuple[int, int, Any], used: int
    ) -> bool:
        """Enter a configuration into `visited`, unless one that can do all it can is in it."""
        try:
            known = visited.get(place)
        except TypeError as error:
            raise StateNotHashable(self._model, place[2]) from error
        if known is None:
            visited[place] = [used]
            return True
        if any(other & used == other for other in known):
            return False
        known.append(used)
        return True


def _previous_twins(operations: Sequence[Operation]) -> list[int | None]:
    """For each operation, the number of the last one before it with its name and arguments."""
    latest: dict[tuple[str, tuple[object, ...]], int] = {}
    twins: list[int | None] = []
    for number, operation in enumerate(operations):
        what = (operation.name, operation.args)
        try:
            twins.append(latest.get(what))
            latest[what] = number
        except TypeError:  # unhashable arguments: taken to be different from all others
            twins.append(None)
    return twins


def _unwind(path: _Path) -> tuple[Operation, ...]:
    order: list[Operation] = []
    while path is not None:
        operation, path = path
        order.append(operation)
    return tuple(reversed(order))
