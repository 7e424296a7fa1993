"""Finds what a blocked task waits for, and which tasks could end the wait, from the call that it is in.

The locals of a call into Trio say what it is about. Locks have an owner, limiters those who have borrowed,
nurseries their tasks, a thread is a task here, and a call to a server waits for the server's task.
Semaphores, events, conditions and channels belong to nobody: whoever has a reference to one, in a local
variable or in an attribute of one, could end the wait, and those are named.
"""

# A program may hold anything, so values are untyped here.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

import trio

from sim._run.libraries import SharedClass, is_of_library, shared_classes
from sim._run.looking import attributes_of, class_name, is_a, slots_of, text_of
from sim._run.trace import is_machinery, place, short_name
from sim._run.wait_graph import WaitingTask
from sim._world.locks import LockWait, ThreadLock
from sim._world.worker import Worker

_HELD, _NAMELY, _FROM, _KNOWN = "held by", "namely", "from", "known to"
_COLLECTIONS: Final[tuple[Any, ...]] = (list, tuple, set, frozenset)
_CHANNELS: Final = (trio.MemorySendChannel, trio.MemoryReceiveChannel)
_UNOWNED: Final = (trio.Event, trio.Semaphore, trio.Condition, trio.lowlevel.ParkingLot)


class _Wait(NamedTuple):
    what: str
    relation: str = ""
    others: Sequence[Any] = ()


def describe_waits(
    tasks: Sequence[Any],
    order: Callable[[Any], tuple[int, ...]],
    blocked: Mapping[Any, tuple[Sequence[tuple[FrameType, int]], ThreadLock]] | None = None,
) -> list[WaitingTask]:
    """For each remaining task, the object that it waits for.

    Args:
        tasks: all of them.
        order: the identity of a task, by which they are sorted.
        blocked: of tasks that wait for a lock of threads in the middle of a step, where, and for which.
    """
    tasks = sorted(tasks, key=order)
    blocked = blocked or {}
    frames = {task: blocked[task][0] if task in blocked else list(task.iter_await_frames()) for task in tasks}
    graph = _Graph(frames, order, {task: lock for task, (_, lock) in blocked.items()})
    return [graph.describe(task) for task in tasks]


class _Graph:
    def __init__(
        self,
        frames: Mapping[Any, Sequence[tuple[FrameType, int]]],
        order: Callable[[Any], tuple[int, ...]],
        blocked: Mapping[Any, ThreadLock],
    ) -> None:
        self._frames = frames
        self._blocked = blocked
        names = Counter(short_name(task.name) for task in frames)
        self._labels = {
            task: name if names[name] == 1 else f"{name} {'.'.join(map(str, order(task)))}"
            for task in frames
            for name in [short_name(task.name)]
        }

    def describe(self, task: Any) -> WaitingTask:
        wait = self._wait(task)
        others = [self._labels[other] for other in self._frames if other in wait.others]
        connected = f", {wait.relation} {', '.join(others)}" if others else ""
        return WaitingTask(
            name=short_name(task.name),
            waits_for=f"{wait.what}{connected}",
            where=tuple(
                place(frame, line)
                for frame, line in (*self._frames[task], *_frames_of_thread(self._frames[task]))
                if not is_machinery(frame) and not is_of_library(frame)
            ),
            label=self._labels[task],
            what=wait.what,
            relation=wait.relation,
            needs=() if wait.relation == _KNOWN else tuple(others),
        )

    def _wait(self, task: Any) -> _Wait:
        if task in self._blocked:
            return self._wait_for_lock(self._blocked[task])
        call = self._call(task)
        if call is None:
            return _Wait("a wake-up")
        target: Any = call.f_locals.get("self")
        what = call.f_code.co_qualname.replace("_LockImpl.", "Lock.")
        if what == "AsyncContextManagerMixin.__aenter__":
            kind: Any = type(target)
            what = f"{class_name(kind)}.acquire"
        if is_a(target, trio.CapacityLimiter):
            return _Wait(what, _HELD, target.statistics().borrowers)
        if is_a(target, _UNOWNED):
            return _Wait(what, _KNOWN, list(self._who_has(task, lambda value: value is target)))
        if is_a(target, _CHANNELS):
            return _Wait(what, _KNOWN, list(self._who_has(task, partial(_other_end, call.f_locals["self"]))))
        # The call is Trio's or of the standard library, and so is mostly what it is a method of.
        owner = attributes_of(target).get("_owner") or slots_of(target).get("_owner")
        if owner is not None:
            return _Wait(what, _HELD, [owner])
        nursery: Any = attributes_of(target).get("_nursery")
        if is_a(nursery, trio.Nursery):
            return _Wait("the tasks of its nursery", _NAMELY, list(nursery.child_tasks))
        if what == "to_thread_run_sync":
            threads = [other for other in self._frames if other.name.startswith("<thread:")]
            return _Wait("a thread", _NAMELY, threads)
        if what.startswith("ThreadSimulation."):
            return self._wait_of_thread(task)
        return self._server(task, call) or _Wait(what)

    def _wait_of_thread(self, task: Any) -> _Wait:
        """The request of a simulated thread."""
        for frame, _ in self._frames[task]:
            wait: Any = frame.f_locals.get("self")
            if is_a(wait, LockWait):
                return self._wait_for_lock(wait.lock)
        return _Wait("an answer of trio.from_thread")

    def _wait_for_lock(self, lock: ThreadLock) -> _Wait:
        if lock.private:
            return _Wait("another thread or task to wake it")
        holder = lock.owner
        return _Wait(
            lock.waited_for_as,
            lock.relation,
            [
                other
                for other in self._frames
                if holder is not None and (other is holder or _worker(self._frames[other]) is holder)
            ],
        )

    def _call(self, task: Any) -> FrameType | None:
        """The call with which the task left the program's own code for the last time."""
        call = None
        ours = True
        for frame, _ in self._frames[task]:
            machinery = is_machinery(frame) or is_of_library(frame)
            if machinery and ours:
                call = frame
            ours = not machinery
        return call

    def _server(self, task: Any, call: FrameType) -> _Wait | None:
        """A server that waits for a message, or somebody who waits for a server."""
        if not is_of_library(call):
            return None
        declared = shared_classes()
        kinds = [(shared.owner, shared.server) for shared in declared if shared.server is not None]
        for value in call.f_locals.values():
            for owner, server_of in kinds:
                if is_a(value, owner):
                    process = server_of(value)
                    serving = [other for other in self._frames if self._has_self(other, process)]
                    if task in serving and self._is_in(task, _codes_of_task(process, declared)):
                        return _Wait("a message")
                    message = call.f_locals.get("message")
                    what = "a server" if message is None else f"the answer to {text_of(message)}"
                    return _Wait(what, _FROM, [other for other in serving if other is not task])
        return None

    def _has_self(self, task: Any, target: object) -> bool:
        return any(frame.f_locals.get("self") is target for frame, _ in self._frames[task])

    def _is_in(self, task: Any, codes: set[CodeType]) -> bool:
        return any(frame.f_code in codes for frame, _ in self._frames[task])

    def _who_has(self, but: Any, is_it: Callable[[Any], bool]) -> Iterator[Any]:
        for task, frames in self._frames.items():
            if task is not but and any(
                is_it(value) for frame, _ in frames if not is_machinery(frame) for value in _reachable(frame)
            ):
                yield task


def _codes_of_task(server: object, declared: Sequence[SharedClass]) -> set[CodeType]:
    """The code of what a server's own task runs."""
    return {
        inspect.unwrap(getattr(type(server), shared.task)).__code__
        for shared in declared
        if shared.task is not None and is_a(server, shared.owner)
    }


def _worker(frames: Sequence[tuple[FrameType, int]]) -> Worker | None:
    """The worker of a task that stands for a thread."""
    for frame, _ in frames:
        worker = frame.f_locals.get("worker")
        if is_a(worker, Worker):
            return worker
    return None


def _frames_of_thread(frames: Sequence[tuple[FrameType, int]]) -> Sequence[tuple[FrameType, int]]:
    """Where the thread itself is, if the task stands for one."""
    worker = _worker(frames)
    return [] if worker is None else worker.frames()


def _reachable(frame: FrameType) -> Iterator[Any]:
    """The values of local variables, and what is directly in them."""
    for value in list(frame.f_locals.values()):
        yield value
        for kind in _COLLECTIONS:
            if is_a(value, kind):
                yield from kind.__iter__(value)
        if is_a(value, dict):
            yield from dict[Any, Any].values(value)
        elif not is_a(value, type):
            yield from attributes_of(value).values()


def _other_end(end: Any, value: Any) -> bool:
    wanted = trio.MemoryReceiveChannel if is_a(end, trio.MemorySendChannel) else trio.MemorySendChannel
    return is_a(value, wanted) and bool(value._state is end._state and not value._closed)
