"""Models: the promises of a concurrent object, written as a sequential one, against which a history is
checked.

A model is a class with one method an operation. Given the state and the operation's arguments, the
method gives the next state and the answer, and changes nothing::

    class Account(sim.Model[int]):
        initial = 0
        read_only = frozenset({"balance"})

        def deposit(self, state: int, amount: int) -> sim.Step[int]:
            return state + amount, None

        def withdraw(self, state: int, amount: int) -> sim.Step[int]:
            if amount > state:
                return state, sim.Raised(InsufficientFunds)
            return state - amount, None

        def balance(self, state: int) -> sim.Step[int]:
            return state, state

An object that may answer in more than one way overrides `step` instead, and gives all next states.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeAlias, TypeVar, cast

import trio

from sim._run import arguments
from sim._run.portable import PortableError
from sim.oracles.history import ANY, UNKNOWN, Operation, Raised

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

StateT = TypeVar("StateT")


class _Blocked(Enum):
    BLOCKED = "BLOCKED"


BLOCKED: Final = _Blocked.BLOCKED
"""A model's method returns this where the operation would wait: it cannot take effect here."""

Step: TypeAlias = tuple[StateT, object] | _Blocked
"""The result of a model's method: the next state and the answer, or `BLOCKED`."""


class _Whole(Enum):
    WHOLE = "WHOLE"

    def __repr__(self) -> str:
        return "WHOLE"


WHOLE: Final = _Whole.WHOLE
"""The partition of an operation that concerns every key: the history is checked in one piece."""


class UnknownOperation(PortableError, Exception):
    """A history has an operation that the model has no method for.

    Attributes:
        model: the model.
        operation: the operation.
    """

    def __init__(self, model: Model[Any], operation: Operation) -> None:
        self.model = model
        self.operation = operation
        super().__init__(
            f"{type(model).__name__} has no operation {operation.name!r} (called by"
            f" {operation.client}); it knows {', '.join(model.operation_names())}: give the"
            " operation one of these names, or add a method to a subclass of the model"
        )


class Model(Generic[StateT]):
    """A sequential specification.

    States must be immutable and hashable: tuples and frozensets, not lists and dicts.
    """

    initial: StateT
    """The state before any operation, of every partition."""

    read_only: ClassVar[frozenset[str]] = frozenset()
    """Names of operations that never change the state: the check is quicker for knowing them."""

    def partition(self, operation: Operation) -> Hashable:
        """The key that the operation is about.

        Operations on different keys must not see each other (locality: Herlihy and Wing,
        "Linearizability: a correctness condition for concurrent objects", TOPLAS 12(3), 1990,
        theorem 1), so that each key is checked alone, which is what makes long histories cheap.
        If one operation of a history is about `WHOLE`, the history is checked in one piece.
        """
        del operation
        return WHOLE

    def step(self, state: StateT, operation: Operation) -> Iterable[StateT]:
        """All states in which the object may be after `operation` took effect in `state`.

        None if it cannot take effect with that outcome. For the outcome `UNKNOWN` any answer will
        do.

        Raises:
            UnknownOperation: the model has no method for it.
        """
        taken = self.answer(state, operation)
        if isinstance(taken, _Blocked):
            return ()
        state_after, answer = taken
        return (state_after,) if agrees(operation, answer) else ()

    def answer(self, state: StateT, operation: Operation) -> Step[StateT]:
        """The result of the model's method for the operation in `state`.

        Raises:
            UnknownOperation: the model has no method for it.
        """
        if operation.name not in self.operation_names():
            raise UnknownOperation(self, operation)
        method: Callable[..., Step[StateT]] = getattr(self, operation.name)
        return method(state, *operation.args)

    @classmethod
    def operation_names(cls) -> frozenset[str]:
        """The names of the model's operations: its public methods beyond those of `Model`."""
        names = cls.__dict__.get("_operation_names")
        if names is None:
            names = frozenset(
                name
                for name in dir(cls)
                if not name.startswith("_") and not hasattr(Model, name) and callable(getattr(cls, name))
            )
            # Kept in the class itself: looked up at every step of a search, the same for all.
            cls._operation_names = names
        return cast("frozenset[str]", names)

    _operation_names: ClassVar[frozenset[str]]


def agrees(operation: Operation, answer: object) -> bool:
    """Whether the recorded outcome of `operation` is the model's `answer`."""
    outcome = operation.outcome
    if outcome is UNKNOWN:
        return True
    if isinstance(outcome, Raised):
        return isinstance(answer, Raised) and issubclass(outcome.exception, answer.exception)
    if isinstance(answer, Raised):
        return False
    return outcome.value is ANY or bool(outcome.value == answer)


class Register(Model["Hashable"]):
    """One value: `read()`, `write(value)`, `compare_and_set(expected, value)` -> whether it did."""

    read_only = frozenset({"read"})

    def __init__(self, initial: Hashable = None) -> None:
        self.initial = initial

    def read(self, state: Hashable) -> Step[Hashable]:
        return state, state

    def write(self, state: Hashable, value: Hashable) -> Step[Hashable]:
        del state
        return value, None

    def compare_and_set(self, state: Hashable, expected: Hashable, value: Hashable) -> Step[Hashable]:
        return (value, True) if state == expected else (state, False)


_Items: TypeAlias = "frozenset[tuple[Hashable, Hashable]]"


class Map(Model[_Items]):
    """Keys and values, checked key by key.

    `put(key, value)`; `get(key)` -> the value, or `missing`; `contains(key)`; `delete(key)` ->
    whether it was there; `put_if_absent(key, value)` and `compare_and_set(key, expected, value)` ->
    whether they did. `keys()` and `items()` (frozensets), `size()` and `clear()` are about the
    whole map: a history that has one of them is checked in one piece.

    Args:
        missing: what `get` answers for a key that is not there.
    """

    read_only = frozenset({"get", "contains", "keys", "items", "size"})
    initial: _Items = frozenset()

    def __init__(self, missing: object = None) -> None:
        self._missing = missing

    def partition(self, operation: Operation) -> Hashable:
        return operation.args[0] if operation.args else WHOLE

    def put(self, state: _Items, key: Hashable, value: Hashable) -> Step[_Items]:
        return self._without(state, key) | {(key, value)}, None

    def get(self, state: _Items, key: Hashable) -> Step[_Items]:
        return state, next((value for k, value in state if k == key), self._missing)

    def contains(self, state: _Items, key: Hashable) -> Step[_Items]:
        return state, self._has(state, key)

    def delete(self, state: _Items, key: Hashable) -> Step[_Items]:
        return self._without(state, key), self._has(state, key)

    def put_if_absent(self, state: _Items, key: Hashable, value: Hashable) -> Step[_Items]:
        if self._has(state, key):
            return state, False
        return state | {(key, value)}, True

    def compare_and_set(
        self, state: _Items, key: Hashable, expected: Hashable, value: Hashable
    ) -> Step[_Items]:
        if self.get(state, key) != (state, expected):
            return state, False
        return self._without(state, key) | {(key, value)}, True

    def keys(self, state: _Items) -> Step[_Items]:
        return state, frozenset(key for key, _ in state)

    def items(self, state: _Items) -> Step[_Items]:
        return state, state

    def size(self, state: _Items) -> Step[_Items]:
        return state, len(state)

    def clear(self, state: _Items) -> Step[_Items]:
        del state
        return frozenset(), None

    @staticmethod
    def _has(state: _Items, key: Hashable) -> bool:
        return any(k == key for k, _ in state)

    @staticmethod
    def _without(state: _Items, key: Hashable) -> _Items:
        return frozenset(item for item in state if item[0] != key)


_Elements: TypeAlias = "frozenset[Hashable]"


class Set(Model[_Elements]):
    """Elements, checked one by one.

    `add(element)` -> whether it was new; `remove(element)` -> whether it was there;
    `contains(element)`. `elements()` (a frozenset), `size()` and `clear()` are about the whole set:
    a history that has one of them is checked in one piece.
    """

    read_only = frozenset({"contains", "elements", "size"})
    initial: _Elements = frozenset()

    def partition(self, operation: Operation) -> Hashable:
        return operation.args[0] if operation.args else WHOLE

    def add(self, state: _Elements, element: Hashable) -> Step[_Elements]:
        return state | {element}, element not in state

    def remove(self, state: _Elements, element: Hashable) -> Step[_Elements]:
        return state - {element}, element in state

    def contains(self, state: _Elements, element: Hashable) -> Step[_Elements]:
        return state, element in state

    def elements(self, state: _Elements) -> Step[_Elements]:
        return state, state

    def size(self, state: _Elements) -> Step[_Elements]:
        return state, len(state)

    def clear(self, state: _Elements) -> Step[_Elements]:
        del state
        return frozenset(), None


_Waiting: TypeAlias = "tuple[Hashable, ...]"


class Queue(Model[_Waiting]):
    """First in, first out, in one piece.

    `put(value)` waits while `capacity` values are in it and `get()` while none is;
    `put_nowait(value)` and `get_nowait()` raise `trio.WouldBlock` instead. `size()` is how many are
    in it.

    Args:
        capacity: how many values it holds.
    """

    read_only = frozenset({"size"})
    initial: _Waiting = ()

    def __init__(self, capacity: float = math.inf) -> None:
        arguments.number("capacity", capacity, at_least=0)
        self._capacity = capacity

    def put(self, state: _Waiting, value: Hashable) -> Step[_Waiting]:
        return ((*state, value), None) if len(state) < self._capacity else BLOCKED

    def get(self, state: _Waiting) -> Step[_Waiting]:
        return (state[1:], state[0]) if state else BLOCKED

    def put_nowait(self, state: _Waiting, value: Hashable) -> Step[_Waiting]:
        if len(state) >= self._capacity:
            return state, Raised(trio.WouldBlock)
        return (*state, value), None

    def get_nowait(self, state: _Waiting) -> Step[_Waiting]:
        return (state[1:], state[0]) if state else (state, Raised(trio.WouldBlock))

    def size(self, state: _Waiting) -> Step[_Waiting]:
        return state, len(state)


class Counter(Model[int]):
    """A number: `increment(by=1)` and `decrement(by=1)` -> the new value; `read()`.

    Args:
        initial: what it starts with.
    """

    read_only = frozenset({"read"})

    def __init__(self, initial: int = 0) -> None:
        arguments.whole_number("initial", initial)
        self.initial = initial

    def increment(self, state: int, by: int = 1) -> Step[int]:
        return state + by, state + by

    def decrement(self, state: int, by: int = 1) -> Step[int]:
        return state - by, state - by

    def read(self, state: int) -> Step[int]:
        return state, state


class Lock(Model["Hashable"]):
    """Mutual exclusion: `acquire(owner)`, `acquire_nowait(owner)` and `release(owner)`.

    `acquire` waits and `acquire_nowait` raises `trio.WouldBlock` while anybody has it, also the
    owner. `release` by one who does not have it raises `RuntimeError`. An owner is anything but
    None.
    """

    initial: Hashable = None

    def acquire(self, state: Hashable, owner: Hashable) -> Step[Hashable]:
        return (owner, None) if state is None else BLOCKED

    def acquire_nowait(self, state: Hashable, owner: Hashable) -> Step[Hashable]:
        return (owner, None) if state is None else (state, Raised(trio.WouldBlock))

    def release(self, state: Hashable, owner: Hashable) -> Step[Hashable]:
        return (None, None) if state == owner else (state, Raised(RuntimeError))


_Entry: TypeAlias = "tuple[int, Hashable]"
_Entries: TypeAlias = "tuple[int, tuple[_Entry, ...]]"


class TodoList(Model[_Entries]):
    """To-do lists by name, checked list by list.

    `add_entry(name, entry)` -> the entry's id, which is 1, 2, 3, ... in each list;
    `update_entry(name, id, entry)` and `delete_entry(name, id)`, without effect where there is no
    such id; `entries(name)` -> a tuple of `(id, entry)` in the order of the ids. An entry is
    anything that is immutable and hashable.
    """

    read_only = frozenset({"entries"})
    initial: _Entries = (1, ())

    def partition(self, operation: Operation) -> Hashable:
        return operation.args[0]

    def add_entry(self, state: _Entries, name: str, entry: Hashable) -> Step[_Entries]:
        del name
        next_id, entries = state
        return (next_id + 1, (*entries, (next_id, entry))), next_id

    def update_entry(self, state: _Entries, name: str, entry_id: int, entry: Hashable) -> Step[_Entries]:
        del name
        next_id, entries = state
        return (next_id, tuple((i, entry if i == entry_id else old) for i, old in entries)), None

    def delete_entry(self, state: _Entries, name: str, entry_id: int) -> Step[_Entries]:
        del name
        next_id, entries = state
        return (next_id, tuple((i, entry) for i, entry in entries if i != entry_id)), None

    def entries(self, state: _Entries, name: str) -> Step[_Entries]:
        del name
        return state, state[1]
