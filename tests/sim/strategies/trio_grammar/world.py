"""What the tasks of a generated program share, and what they write down."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

import trio
import trio.testing

import sim

PAIR = 2


class Failure(Exception):
    """What generated programs raise."""


class World:
    """The objects of one run, two of most kinds. All that tasks share is in here, and Trio's or a cell."""

    def __init__(self) -> None:
        self.cells = [sim.Shared(0) for _ in range(PAIR)]
        self.events = [trio.Event() for _ in range(PAIR)]
        self.locks: list[trio.Lock | trio.StrictFIFOLock] = [trio.Lock(), trio.StrictFIFOLock()]
        self.semaphores = [trio.Semaphore(1), trio.Semaphore(0, max_value=1)]
        self.limiters = [trio.CapacityLimiter(1) for _ in range(PAIR)]
        self.conditions = [trio.Condition() for _ in range(PAIR)]
        self.lots = [trio.lowlevel.ParkingLot() for _ in range(PAIR)]
        self.channels = [trio.open_memory_channel[int](size) for size in range(PAIR)]
        self.scopes = [trio.CancelScope(), trio.CancelScope(relative_deadline=2)]
        self.variables = [trio.lowlevel.RunVar[int]("variable"), trio.lowlevel.RunVar[int]("other", 0)]
        self.streams: list[Sequence[trio.StapledStream[Any, Any]]] = [
            trio.testing.memory_stream_pair(),
            trio.testing.lockstep_stream_pair(),
        ]
        self.sequencer = trio.testing.Sequencer()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", trio.TrioDeprecationWarning)
            self.queue = trio.lowlevel.UnboundedQueue[int]()
        # Nurseries and tasks that their owners have shown to the others.
        self.nurseries = [sim.Shared[trio.Nursery | None](None) for _ in range(PAIR)]
        self.tasks = [sim.Shared[trio.lowlevel.Task | None](None) for _ in range(PAIR)]
        self.statuses = [sim.Shared[trio.TaskStatus[int] | None](None) for _ in range(PAIR)]
        self.root = trio.lowlevel.current_task()
        self.began = trio.current_time()
        self.is_apart = False
        self.logs: dict[int, list[Hashable]] = {}
        # Generators that nobody closes before the end.
        self.kept: list[object] = []

    def apart(self) -> World:
        """The same for a task that the program does not wait for, and whose log it must not look at."""
        other = copy.copy(self)
        other.logs = {}
        other.is_apart = True
        return other

    def outcome(self) -> Hashable:
        """What the run has come to."""
        return (
            tuple((number, tuple(log)) for number, log in sorted(self.logs.items())),
            tuple(cell.get() for cell in self.cells),
            tuple((scope.cancel_called, scope.cancelled_caught) for scope in self.scopes),
            trio.current_time(),
        )


Act: TypeAlias = Callable[[World], Awaitable[Hashable]]
"""A statement: what it returns is written down."""


Kind: TypeAlias = "Callable[[Maker], Act]"
"""What makes a statement."""


@dataclass
class Maker:
    """Makes the parts of a program.

    Attributes:
        random: decides.
        kinds: the statements to choose from.
        depth: how many more blocks may be put into each other.
        bodies: how many were made; the number of a body is that of the log of whoever runs it.
    """

    random: Random
    kinds: Sequence[Kind]
    depth: int = 2
    bodies: int = field(default=0)

    def which(self) -> int:
        """One of two objects, mostly the first, so that tasks meet."""
        return int(self.random.random() < 0.25)

    def statement(self) -> Act:
        """A statement."""
        return self.random.choice(self.kinds)(self)

    def block(self, most: int = 2) -> Body:
        """Statements in a block of another one."""
        self.depth -= 1
        try:
            return self.body(self.random.randint(1, most) if self.depth >= 0 else 0)
        finally:
            self.depth += 1

    def body(self, length: int) -> Body:
        """So many statements, and a log for them."""
        number = self.bodies
        self.bodies += 1
        return Body(number, [self.statement() for _ in range(length)])


@dataclass(frozen=True)
class Body:
    """Statements that are run one after the other, each at most once in a run."""

    number: int
    acts: list[Act]

    async def run(self, world: World) -> None:
        """Write down what each returns or raises; stop at a `Failure` and when cancelled."""
        log = world.logs.setdefault(self.number, [])
        for act in self.acts:
            try:
                log.append(await act(world))
            except trio.Cancelled:
                log.append("cancelled")
                raise
            except Failure:
                log.append("failed")
                raise
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError) as error:
                log.append(type(error).__name__)
            except (trio.WouldBlock, trio.EndOfChannel, trio.TooSlowError) as error:
                log.append(type(error).__name__)
            except (RuntimeError, LookupError, ValueError, AttributeError) as error:
                log.append(type(error).__name__)


def described(error: BaseException) -> Hashable:
    """An error, or what is in a group, in order."""
    inside: Sequence[Any] = getattr(error, "exceptions", ())
    return (type(error).__name__, *map(described, inside)) if inside else type(error).__name__
