"""Random programs whose threads and tasks wait for each other with the means of the standard library.

A program is a function of its seed. Everything that threads share and that is no lock is read and written
with a lock held, for only locks are seen by a simulator; what it comes to is what each thread and task saw.
"""

from __future__ import annotations

import concurrent.futures
import queue
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from random import Random
from typing import Any, Final

import outcome
import trio

from tests.sim.strategies.outcomes import Program, described

Action = tuple[str, int]

#: What belongs together: what a thread does, and of it what a task does in the middle of a step. Where a task
#: would often have to wait, everything would stop too often to be of interest.
FAMILIES: Final[tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = (
    (("lock", "add", "try lock", "lock in time", "sleep"), ("lock", "try lock", "locked", "add")),
    (("nested", "lock", "add"), ("nested", "lock")),
    (("reentrant", "call", "call async"), ("reentrant", "lock")),
    (("wait", "wait in time", "set", "clear", "is set", "callback"), ("set", "is set", "clear")),
    (("put", "get", "get in time", "try get"), ("try put", "try get")),
    (("put", "try get", "size", "unfinished"), ("try put", "try get", "size", "unfinished")),
    (("simple put", "simple get", "simple size"), ("simple put", "simple size", "simple size")),
    (("barrier", "abort", "broken"), ("abort", "broken", "waiting")),
    (("release", "try semaphore", "show semaphore"), ("release", "show semaphore")),
    (("condition", "condition in time", "notify", "notify"), ("notify",)),
    (("semaphore", "release", "try semaphore"), ("release", "try semaphore")),
    (("future", "result", "done"), ("result", "done")),
    (("barrier", "sleep", "lock"), ("lock",)),
)


class World:
    """What the threads and tasks of one run share.

    Attributes:
        log: what each of them saw.
    """

    def __init__(self) -> None:
        self.locks = [threading.Lock() for _ in range(2)]
        self.reentrant = threading.RLock()
        self.event = threading.Event()
        self.queue: queue.Queue[str] = queue.Queue(1)
        self.simple: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.changed = threading.Condition()
        self.semaphore = threading.Semaphore(0)
        self.barrier = threading.Barrier(2)
        self.future: concurrent.futures.Future[str] = concurrent.futures.Future()
        # Of each lock, and of the reentrant one, what only who has it uses.
        self.balances = [0, 0, 0]
        self.log: dict[str, list[Hashable]] = {}
        self.token = trio.lowlevel.current_trio_token()

    def perform(self, name: str, actions: Sequence[Action]) -> None:
        """What one of them does, until a wait of it is over before it has got what it waited for."""
        seen = self.log.setdefault(name, [])
        for action, which in actions:
            try:
                seen.append(self._act(name, action, which))
            except (queue.Empty, queue.Full, TimeoutError, threading.BrokenBarrierError) as error:
                seen.append(type(error).__name__)
            except concurrent.futures.InvalidStateError:
                seen.append("had a result")

    def _act(self, name: str, action: str, which: int) -> Hashable:
        lock = self.locks[which]
        match action:
            case "lock":
                with lock:
                    return self._add(which)
            case "try lock":
                return self._with(lock.acquire(blocking=False), which)
            case "lock in time":
                return self._with(lock.acquire(timeout=1), which)
            case "nested":
                with lock, self.locks[1 - which]:
                    return self._add(which)
            case "reentrant":
                with self.reentrant, self.reentrant:
                    return self._add(2)
            case "locked":
                return lock.locked()
            case "add":
                with lock:
                    before = self.balances[which]
                with lock:
                    self.balances[which] = before + 100
            case "set":
                self.event.set()
            case "is set":
                return self.event.is_set()
            case "clear":
                self.event.clear()
            case "wait":
                return self.event.wait()
            case "wait in time":
                return self.event.wait(1)
            case "put":
                self.queue.put(name, timeout=2)
            case "try put":
                self.queue.put_nowait(name)
            case "get":
                return self.queue.get()
            case "get in time":
                return self.queue.get(timeout=1)
            case "try get":
                return self.queue.get_nowait()
            case "size":
                return self.queue.qsize(), self.queue.full()
            case "unfinished":
                return self.queue.unfinished_tasks
            case "simple put":
                self.simple.put(name)
            case "simple get":
                return self.simple.get(timeout=1)
            case "simple size":
                return self.simple.qsize(), self.simple.empty()
            case "abort":
                self.barrier.abort()
            case "broken":
                return self.barrier.broken
            case "waiting":
                return self.barrier.n_waiting
            case "show semaphore":
                return repr(self.semaphore).rpartition(" ")[2]
            case "notify":
                with self.changed:
                    self.changed.notify()
            case "condition":
                with self.changed:
                    return self.changed.wait()
            case "condition in time":
                with self.changed:
                    return self.changed.wait(1)
            case "release":
                self.semaphore.release()
            case "semaphore":
                return self.semaphore.acquire()
            case "try semaphore":
                return self.semaphore.acquire(blocking=False)
            case "barrier":
                return self.barrier.wait(2)
            case "result":
                self.future.set_result(name)
            case "future":
                return self.future.result(2)
            case "done":
                return self.future.done()
            case "sleep":
                time.sleep(which)
            case "call":
                return trio.from_thread.run_sync(self._look, trio_token=self.token)
            case "call async":
                return trio.from_thread.run(self._look_again, trio_token=self.token)
            case _:
                self.token.run_sync_soon(self.event.set)
        return action

    def _with(self, taken: bool, which: int) -> Hashable:
        if not taken:
            return False
        balance = self._add(which)
        self.locks[which].release()
        return balance

    def _add(self, which: int) -> int:
        self.balances[which] += 1
        return self.balances[which]

    def _look(self) -> Hashable:
        with self.locks[0]:
            return self.balances[0]

    async def _look_again(self) -> Hashable:
        await trio.lowlevel.checkpoint()
        return self._look()

    def outcome(self) -> Hashable:
        return tuple(self.balances), tuple((name, tuple(seen)) for name, seen in sorted(self.log.items()))


async def _borrowed(world: World, name: str, actions: Sequence[Action]) -> None:
    await trio.to_thread.run_sync(world.perform, name, actions, limiter=trio.CapacityLimiter(1))


async def _bare(world: World, name: str, actions: Sequence[Action]) -> None:
    """In a thread that is started without a limiter."""
    ended = trio.Event()

    def over(result: outcome.Outcome[object]) -> None:
        result.unwrap()
        world.token.run_sync_soon(ended.set)

    trio.lowlevel.start_thread_soon(partial(world.perform, name, actions), over)
    await ended.wait()


async def _own(world: World, name: str, actions: Sequence[Action]) -> None:
    """In a thread of its own, which a task joins."""
    thread = threading.Thread(target=world.perform, args=(name, actions))
    thread.start()
    await trio.lowlevel.checkpoint()
    thread.join()


async def _executor(world: World, name: str, actions: Sequence[Action]) -> None:
    """In an executor, and another thread waits for it."""
    executor = concurrent.futures.ThreadPoolExecutor(1)
    job = executor.submit(world.perform, name, actions)
    await trio.to_thread.run_sync(job.result, limiter=trio.CapacityLimiter(1))
    executor.shutdown()


async def _task(world: World, name: str, actions: Sequence[Action]) -> None:
    for action in actions:
        world.perform(name, [action])
        await trio.lowlevel.checkpoint()


Role = Callable[[World, str, Sequence[Action]], Any]

ROLES: Final[tuple[Role, ...]] = (_borrowed, _bare, _bare, _own, _executor, _task, _task)


def generated(seed: int) -> Program:
    """The program of a seed: two or three threads and tasks that do one to three things each."""
    random = Random(seed)
    families = random.sample(FAMILIES, random.choice((1, 1, 2)))
    plans: list[tuple[Role, list[Action]]] = []
    for _ in range(random.choice((2, 2, 2, 3))):
        role = random.choice(ROLES)
        usable = [
            kind for in_threads, in_tasks in families for kind in (in_tasks if role is _task else in_threads)
        ]
        if role is _own:
            # A task joins it, so that what it asks of Trio is never answered.
            usable = [kind for kind in usable if not kind.startswith("call")]
        actions = [(random.choice(usable), random.randrange(2)) for _ in range(random.randint(1, 2))]
        plans.append((role, actions))

    async def program() -> Hashable:
        world = World()
        ended: Hashable = None
        try:
            async with trio.open_nursery() as nursery:
                for number, (role, actions) in enumerate(plans):
                    nursery.start_soon(role, world, f"{number}", actions)
        except ExceptionGroup as group:
            ended = described(group)
        return ended, world.outcome()

    return program
