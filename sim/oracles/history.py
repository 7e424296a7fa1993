"""A record of who called what, when, and how it ended: what a linearizability check judges.

An assertion in a scenario sees one client's view. A history sees all of them: each operation with
the moment it was called and the moment its outcome was known. Those moments are positions in one
sequence of events, not times, so a history needs no clock and reads the same under `trio.run`,
under a mock clock, in threads, and in a simulation.

An operation can end in the three ways of Jepsen's histories: it had an outcome (`:ok`), it
certainly did nothing (`:fail`, here `refused`), or nobody knows (`:info`, here `UNKNOWN`). The last
is what makes a check of crashes and cancellation possible at all: a client that was cancelled in
the middle of a write must be believed to have written, at any later time, or never.
"""

from __future__ import annotations

import itertools
import weakref
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, cast, final

import trio

from sim._dependence.footprint import Active
from sim._run import arguments
from sim._run.portable import PortableError
from sim._run.step import Operation as Access

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

T = TypeVar("T")


class _Any(Enum):
    ANY = "ANY"

    def __repr__(self) -> str:
        return "ANY"


class _Unknown(Enum):
    UNKNOWN = "UNKNOWN"

    def __repr__(self) -> str:
        return "UNKNOWN"


ANY: Final = _Any.ANY
"""A returned value that was not looked at: the operation took effect, with whatever answer."""

UNKNOWN: Final = _Unknown.UNKNOWN
"""The outcome that no client learnt: the operation took effect after its call, or never."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The operation ended with this value."""

    value: object

    def __str__(self) -> str:
        return f"-> {self.value!r}"


@dataclass(frozen=True, slots=True)
class Raised:
    """The operation ended with an exception that is one of its regular answers.

    In a model, `Raised(KeyError)` is the answer of an operation that raises; a recorded exception
    of that class, or of one derived from it, agrees with it.
    """

    exception: type[BaseException]
    message: str = ""

    def __str__(self) -> str:
        return f"raised {self.exception.__name__}"


Outcome: TypeAlias = Returned | Raised | _Unknown


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a history.

    Args:
        name: what was done; the model has a method of this name.
        args: what it was done with.
        client: who did it, for the reader only.
        called: position of the call in the sequence of events.
        returned: position at which the outcome was known; infinite while it is `UNKNOWN`.
            One operation is before another if its `returned` is less than the other's `called`.
        outcome: how it ended.
    """

    name: str
    args: tuple[object, ...]
    client: str
    called: float
    returned: float
    outcome: Outcome

    def __str__(self) -> str:
        arguments = ", ".join(map(repr, self.args))
        ending = "-> ?" if self.outcome is UNKNOWN else str(self.outcome)
        return f"{self.name}({arguments}) {ending}"

    def forgotten(self) -> Operation:
        """The same call with its outcome unknown."""
        return Operation(self.name, self.args, self.client, self.called, float("inf"), UNKNOWN)


def _snapshot(value: T) -> T:
    """A copy of built-in containers, so that a list changed later does not change the history."""
    # The exact classes only: a subclass may have a constructor of its own, and a value that is
    # not a plain container is the program's to keep unchanged.
    kind: type[object] = type(value)
    if kind is list or kind is set or kind is tuple:
        elements = cast("list[object]", value)
        return cast("T", cast("type[list[object]]", kind)(map(_snapshot, elements)))
    if kind is dict:
        items = cast("dict[object, object]", value).items()
        return cast("T", {key: _snapshot(element) for key, element in items})
    return value


@final
class OpenOperation:
    """An operation that has been called; `History.operation` makes it.

    A context manager. Left without a word it has returned None; left by an exception that is not
    among its `raises`, by `trio.Cancelled` above all, its outcome is unknown.
    """

    __slots__ = (
        "_args",
        "_called",
        "_client",
        "_history",
        "_name",
        "_outcome",
        "_raises",
        "_refused",
        "_returned",
    )

    def __init__(
        self,
        history: History,
        name: str,
        args: tuple[object, ...],
        client: str,
        raises: type[BaseException] | tuple[type[BaseException], ...],
        called: int,
    ) -> None:
        self._history = history
        self._name = name
        self._args = args
        self._client = client
        self._raises = raises
        self._called = called
        self._returned: float = float("inf")
        self._outcome: Outcome = UNKNOWN
        self._refused = False

    def returned(self, value: T) -> T:
        """Record that the operation took effect and answered `value`; gives `value` back.

        Pass `sim.ANY` if it took effect and its answer does not matter.

        Raises:
            OperationEnded: its outcome was recorded before.
        """
        self._end(Returned(_snapshot(value)))
        return value

    def raised(self, exception: BaseException) -> None:
        """Record that the operation answered with `exception`, as the model says it may.

        Raises:
            OperationEnded: its outcome was recorded before.
            WrongType: it is no exception but a class of them, say.
        """
        arguments.instance("exception", exception, BaseException)
        self._end(Raised(type(exception), str(exception)))

    def refused(self) -> None:
        """Record that the operation certainly had no effect: it leaves the history.

        For a full mailbox, `trio.WouldBlock`, a server that was not there.

        Raises:
            OperationEnded: its outcome was recorded before.
        """
        self._check_open()
        self._refused = True

    def __enter__(self) -> OpenOperation:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._outcome is not UNKNOWN or self._refused:
            return
        if exc is None:
            self.returned(None)
        elif isinstance(exc, self._raises):
            self.raised(exc)

    @property
    def is_refused(self) -> bool:
        """Whether `refused` was called."""
        return self._refused

    def so_far(self) -> Operation:
        """The operation as it is known now: of unknown outcome until it has ended."""
        return Operation(self._name, self._args, self._client, self._called, self._returned, self._outcome)

    def _check_open(self) -> None:
        if self._outcome is not UNKNOWN or self._refused:
            raise OperationEnded(self.so_far(), refused=self._refused)

    def _end(self, outcome: Outcome) -> None:
        self._check_open()
        self._returned = self._history.next_event(Access.UPDATE)
        self._outcome = outcome


@final
class OperationEnded(PortableError, Exception):
    """A second outcome was recorded for one operation.

    Attributes:
        operation: the operation with its first outcome.
    """

    def __init__(self, operation: Operation, *, refused: bool) -> None:
        self.operation = operation
        first = "it was refused" if refused else str(operation.outcome)
        super().__init__(
            f"{operation.name}() of {operation.client} has ended already ({first}): call one of"
            " returned(), raised() and refused() once, and begin a new operation for a new try"
        )


class History:
    """Records the operations of concurrent clients.

    ::

        history = sim.History()

        async def client(key: str, value: int) -> None:
            with history.operation("put", key, value):
                await store.put(key, value)
            with history.operation("get", key) as operation:
                operation.returned(await store.get(key))

        ...
        sim.assert_linearizable(history, sim.models.Map())

    Recording never waits: it adds no checkpoint and no schedule of its own.
    """

    def __init__(self) -> None:
        self._operations: list[OpenOperation] = []
        # One C call: positions stay unique when operations are recorded in several threads.
        self._events = itertools.count()
        self._clients: weakref.WeakKeyDictionary[trio.lowlevel.Task, str] = weakref.WeakKeyDictionary()
        self._name_counts: dict[str, int] = {}
        if Active.recorder is not None:
            Active.recorder.made(self, "history")

    def operation(
        self,
        name: str,
        /,
        *args: object,
        client: str | None = None,
        raises: type[BaseException] | tuple[type[BaseException], ...] = (),
    ) -> OpenOperation:
        """Record the call of an operation; use the result in a `with` statement.

        Args:
            name: the model's method for it.
            args: the model's arguments for it. Lists, sets and dicts are copied.
            client: who does it; the name of the Trio task unless given.
            raises: exceptions that are answers (`KeyError` of a missing key, say). Every other
                exception passes through as well, and leaves the outcome unknown.

        Raises:
            WrongType: the name or the client is no string, or ``raises`` is no class of exceptions.
        """
        arguments.text("name", name)
        if raises != ():
            arguments.exceptions("raises", raises)
        if client is None:
            client = self._current_client()
        else:
            arguments.text("client", client)
        opened = OpenOperation(
            self, name, _snapshot(args), client, raises, called=self.next_event(Access.READ)
        )
        self._operations.append(opened)
        return opened

    async def call(
        self,
        name: str,
        function: Callable[..., Awaitable[T]],
        /,
        *args: object,
        raises: type[BaseException] | tuple[type[BaseException], ...] = (),
    ) -> T:
        """Await `function(*args)` and record it as the operation `name(*args)`.

        Raises:
            BaseException: whatever `function` raises.
            WrongType: as from `operation`, or ``function`` cannot be called.
        """
        arguments.function("function", function)
        with self.operation(name, *args, raises=raises) as operation:
            return operation.returned(await function(*args))

    @property
    def operations(self) -> tuple[Operation, ...]:
        """All operations in the order of their calls, without those that were refused.

        One that has not ended is of unknown outcome.
        """
        return tuple(opened.so_far() for opened in self._operations if not opened.is_refused)

    def __len__(self) -> int:
        return len(self.operations)

    def next_event(self, access: Access) -> int:
        """Take the next position in the sequence of events.

        Args:
            access: what kind of event: a call is a `READ` and a return is an `UPDATE`. A history
                says which operations were over before which began, and nothing else, so that two
                calls commute, and two returns, but no call and return do. A strategy that takes
                schedules for equivalent has to know.
        """
        if Active.recorder is not None:
            Active.recorder.touched(self, "history", access)
        return next(self._events)

    def _current_client(self) -> str:
        try:
            task = trio.lowlevel.current_task()
        except RuntimeError:
            return "outside Trio"
        client = self._clients.get(task)
        if client is None:
            name = task.name.rpartition(".")[2]
            count = self._name_counts[name] = self._name_counts.get(name, 0) + 1
            client = self._clients[task] = name if count == 1 else f"{name}#{count}"
        return client
