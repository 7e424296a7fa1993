"""Small concurrent programs without Trio, for trying partial-order reduction on them.

Threads are generators that act on a `World`; what runs from one `yield` to the next is a step. The
world notes what a step accessed and whom it woke.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass, field
from typing import TypeAlias

from sim.strategies import Operation
from sim.strategies._footprints import Use

READ, UPDATE, WRITE, JOIN = (
    int(one) for one in (Operation.READ, Operation.UPDATE, Operation.WRITE, Operation.JOIN)
)
Pid: TypeAlias = tuple[int, ...]
CLOCK: Pid = (-1,)
Thread: TypeAlias = Generator[bool, None, None]
"""Yields True to stop until somebody wakes it, False to let others run."""
Body: TypeAlias = Callable[["World"], Thread]
State: TypeAlias = tuple[Hashable, ...]


class Cancelled(Exception):
    """Thrown into a thread one of whose scopes was cancelled."""


@dataclass
class Scope:
    name: Hashable
    cancelled: bool = False


@dataclass
class Nursery:
    name: Hashable
    parent: Pid
    members: int = 1
    """The children that run, and one for the parent until it waits for them."""


@dataclass
class Lock:
    owner: Pid | None = None
    waiters: deque[Pid] = field(default_factory=deque[Pid])


@dataclass
class Channel:
    capacity: int
    items: deque[object] = field(default_factory=deque[object])
    senders: deque[tuple[Pid, object]] = field(default_factory=deque[tuple[Pid, object]])
    receivers: deque[Pid] = field(default_factory=deque[Pid])


@dataclass
class Process:
    thread: Thread
    nursery: Nursery | None
    scopes: tuple[Scope, ...]
    children: int = 0
    parked: bool = False
    on_abort: Callable[[], None] | None = None
    cancel: bool = False


class World:
    """The state of one execution, and the operations that threads use.

    What a thread's variables hold at its end, and what the cells do, is the final state.
    """

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw
        self.draws: list[int] = []
        self.cells: dict[str, int] = {}
        self.locks: dict[str, Lock] = {}
        self.channels: dict[str, Channel] = {}
        self.events: dict[str, tuple[list[bool], list[Pid]]] = {}
        self.scopes: dict[Hashable, Scope] = {}
        self.processes: dict[Pid, Process] = {}
        self.log: list[tuple[Pid, object]] = []
        self.timers: list[tuple[int, str, Callable[[], None]]] = []
        """When, what for, and what happens."""
        self.now = 0
        self.current: Pid = ()
        self.roots = 0
        self.accesses: list[Use] = []
        self.wakes: list[Pid] = []
        self.box: dict[Pid, object] = {}
        self.failure: Hashable = None
        """With what a step has ended the run at once; None if none has."""

    # What the scheduler uses

    def runnable(self) -> list[Pid]:
        if self.failure is not None:
            return []
        able = [pid for pid, process in self.processes.items() if not process.parked]
        if not able and self.timers:
            return [CLOCK]
        return able

    def step(self, pid: Pid) -> None:
        self.current = pid
        self.accesses = []
        self.wakes = []
        self.draws = []
        if pid == CLOCK:
            # In an order that does not depend on who set its timer first.
            self.timers.sort(key=lambda timer: timer[:2])
            self.now = self.timers[0][0]
            for timer in [timer for timer in self.timers if timer[0] == self.now]:
                # One that is due may take back another: it cancels who sleeps until just now.
                if timer in self.timers:
                    self.timers.remove(timer)
                    timer[2]()
            return
        process = self.processes[pid]
        try:
            if process.cancel:
                process.cancel = False
                stop = process.thread.throw(Cancelled())
            else:
                stop = next(process.thread)
            # Trio looks for a cancellation when a task has parked. For one that cannot be cancelled, a look
            # changes nothing, and must not be told: whether a parent parks in its join depends on the
            # order of steps that commute.
            if stop:
                process.parked = True
                if process.on_abort is not None and self._is_cancelled(process):
                    self._abort(pid)
        except StopIteration:
            self._ended(pid)
        except Cancelled:
            self.log.append((pid, "cancelled"))
            self._ended(pid)

    def close(self) -> None:
        """Ends the threads that never do; their clean-up is no part of the program."""
        self.log = []
        for pid, process in list(self.processes.items()):
            self.current = pid
            process.thread.close()

    def state(self) -> State:
        return (
            tuple(sorted(self.cells.items())),
            tuple(sorted((pid, repr(what)) for pid, what in self.log)),
            tuple(sorted(pid for pid, process in self.processes.items() if process.parked)),
            self.now,
        )

    # What threads use

    def touch(self, target: Hashable, mode: int) -> None:
        self.accesses.append((target, mode))

    def note(self, what: object) -> None:
        self.log.append((self.current, what))

    def fail(self, what: object) -> None:
        """The run ends with the step under way, whoever could go on."""
        self.failure = self.failure or (self.current, what)

    def draw(self, alternatives: int) -> int:
        """A choice inside the step."""
        outcome = self._draw(alternatives)
        self.draws.append(outcome)
        return outcome

    def read(self, cell: str) -> int:
        self.touch(cell, READ)
        return self.cells.get(cell, 0)

    def write(self, cell: str, value: int) -> None:
        self.touch(cell, WRITE)
        self.cells[cell] = value

    def spawn(self, body: Body, nursery: Nursery | None = None) -> Pid:
        if self.current:
            parent = self.processes[self.current]
            pid = (*self.current, parent.children)
            parent.children += 1
            scopes = parent.scopes
        else:
            pid = (self.roots,)
            self.roots += 1
            scopes = ()
        self.processes[pid] = Process(body(self), nursery, scopes)
        if nursery is not None:
            self.touch(nursery.name, UPDATE)
            nursery.members += 1
        self.wakes.append(pid)
        return pid

    def checkpoint(self) -> Thread:
        yield False
        self._raise_if_cancelled()

    def _raise_if_cancelled(self) -> None:
        if self._is_cancelled(self.processes[self.current]):
            raise Cancelled

    def _is_cancelled(self, process: Process) -> bool:
        cancelled = False
        for scope in process.scopes:
            self.touch(scope.name, READ)
            cancelled = cancelled or scope.cancelled
        return cancelled

    def _wake(self, pid: Pid) -> None:
        process = self.processes[pid]
        assert process.parked
        process.parked = False
        process.on_abort = None
        for scope in process.scopes:  # had one been cancelled, there was nobody to wake
            self.touch(scope.name, READ)
        self.wakes.append(pid)

    def _abort(self, pid: Pid) -> None:
        process = self.processes[pid]
        if process.on_abort is None:
            return
        process.on_abort()
        process.on_abort = None
        process.parked = False
        process.cancel = True
        self.wakes.append(pid)

    def open_scope(self, name: str) -> Scope:
        process = self.processes[self.current]
        scope = self.scopes.setdefault(name, Scope(name))
        process.scopes = (*process.scopes, scope)
        return scope

    def close_scope(self, scope: Scope) -> None:
        process = self.processes[self.current]
        process.scopes = tuple(one for one in process.scopes if one is not scope)

    def cancel(self, name: str) -> None:
        scope = self.scopes.setdefault(name, Scope(name))
        self.touch(name, WRITE)
        if scope.cancelled:
            return
        scope.cancelled = True
        for pid, process in list(self.processes.items()):
            if process.parked and scope in process.scopes:
                self._abort(pid)

    def cancel_at(self, time: int, name: str) -> None:
        self.timers.append((self.now + time, f"cancel {name}", lambda: self.cancel(name)))

    def sleep(self, time: int) -> Thread:
        me = self.current
        timer = (self.now + time, f"wake {me}", lambda: self._wake(me))
        self.timers.append(timer)
        self.processes[me].on_abort = lambda: self.timers.remove(timer)
        yield True

    def acquire(self, name: str) -> Thread:
        self.touch(name, WRITE)
        lock = self.locks.setdefault(name, Lock())
        me = self.current
        if lock.owner is None:
            lock.owner = me
            yield False
            return
        lock.waiters.append(me)

        def give_up() -> None:
            self.touch(name, WRITE)
            lock.waiters.remove(me)

        self.processes[me].on_abort = give_up
        yield True

    def release(self, name: str) -> None:
        self.touch(name, WRITE)
        lock = self.locks[name]
        assert lock.owner == self.current
        lock.owner = None
        if lock.waiters:
            lock.owner = lock.waiters.popleft()
            self._wake(lock.owner)

    def set(self, name: str) -> None:
        self.touch(name, WRITE)
        state, waiters = self.events.setdefault(name, ([], []))
        state.append(True)
        for pid in waiters:
            self._wake(pid)
        waiters.clear()

    def wait(self, name: str) -> Thread:
        self.touch(name, READ)
        state, waiters = self.events.setdefault(name, ([], []))
        if state:
            yield False
            self._raise_if_cancelled()
            return
        me = self.current
        waiters.append(me)

        def give_up() -> None:
            self.touch(name, WRITE)
            waiters.remove(me)

        self.processes[me].on_abort = give_up
        yield True

    def channel(self, name: str, capacity: int) -> None:
        self.channels[name] = Channel(capacity)

    def send(self, name: str, item: object) -> Thread:
        self.touch(name, WRITE)
        channel = self.channels[name]
        me = self.current
        if channel.receivers:
            receiver = channel.receivers.popleft()
            self.box[receiver] = item
            self._wake(receiver)
            yield False
        elif len(channel.items) < channel.capacity:
            channel.items.append(item)
            yield False
        else:
            waiting = (me, item)
            channel.senders.append(waiting)

            def give_up() -> None:
                self.touch(name, WRITE)
                channel.senders.remove(waiting)

            self.processes[me].on_abort = give_up
            yield True

    def receive(self, name: str) -> Generator[bool, None, object]:
        self.touch(name, WRITE)
        channel = self.channels[name]
        me = self.current
        if channel.senders:
            sender, item = channel.senders.popleft()
            channel.items.append(item)
            self._wake(sender)
        if channel.items:
            item = channel.items.popleft()
            yield False
            return item
        channel.receivers.append(me)

        def give_up() -> None:
            self.touch(name, WRITE)
            channel.receivers.remove(me)

        self.processes[me].on_abort = give_up
        yield True
        return self.box.pop(me)

    def open_nursery(self) -> Nursery:
        process = self.processes[self.current]
        nursery = Nursery(("nursery", self.current, process.children), self.current)
        process.children += 1
        return nursery

    def join(self, nursery: Nursery) -> Thread:
        """Waits until the children have ended; parks or yields, which nobody can tell apart."""
        self.touch(nursery.name, UPDATE)
        nursery.members -= 1
        yield nursery.members > 0  # without an abort function: cannot be cancelled
        self.touch(nursery.name, JOIN)

    def _ended(self, pid: Pid) -> None:
        nursery = self.processes.pop(pid).nursery
        if nursery is None:
            return
        self.touch(nursery.name, UPDATE)
        nursery.members -= 1
        if nursery.members == 0:
            parent = self.processes[nursery.parent]
            parent.parked = False
            self.wakes.append(nursery.parent)


Program: TypeAlias = Callable[[World], None]
