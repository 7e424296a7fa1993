"""The graph of waits: a call that would wait forever fails before it waits.

The graph is kept where it is used, not in a table beside it. Its nodes are *executions*: the main loop of
a server (it handles one message at a time), and each child task that handles one request. An execution
lists the requests that it waits for (`Execution.waiting`), a request names the execution that will
answer it (`Request.executor`). Following the two from the server that is about to be called either ends
somewhere, and then the call can be answered, or comes back to the caller, and then it never can.

- A request that waits in a mailbox waits for the main loop, whatever it handles now.
- A request that a child task handles waits for that child alone: the server itself is free. So a child
  may call its own server, and a reply that is deferred to a child is followed into the child.
- A request that waits for one of a bounded number of children is stuck only if all of them are. That edge
  appears without a call, when the server finds all places taken; so it is looked at then as well.
- A request whose handler is given a `From` waits for the main loop while that handler runs, and then for the
  task that the handler started with it, if there is one. Else it may be answered by anybody, which ends the
  search.
- Who waits for the start or the end of a server waits for that server as well: `open_server` in a handler,
  `stop`, `wait_stopped`, `Monitor.wait`, a supervisor, and one that is to have the name of another that ends.
- A server that runs in a nursery of another, or below it, ends before that: it never sees the other's end.
- A handler that waits for several calls at a time, in a nursery of its own, is assumed to need all of them,
  and one that waits with a time limit is assumed to wait for good. A cancellation could free either; but a
  cycle looks the same to those who run into one, and an error tells them more.

An edge appears only when somebody begins to wait, so looking there, each time, finds every cycle, and
finds it in the call that closes it. A call from outside of any server cannot close one and costs one look
at a context variable.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, Protocol

import trio.lowlevel

from ._errors import CallCycle
from ._host import Execution, Host

__all__ = [
    "AnyOf",
    "current_execution",
    "cycle_of_pending",
    "fail_waits_for",
    "refuse_cycle",
    "waiting_for",
    "waiting_for_end",
]


class Awaited(Protocol):
    """Something to wait for: a `Request`."""

    message: object
    waiter: Any

    @property
    def executor(self) -> Execution | None: ...
    @property
    def process(self) -> Host: ...
    @property
    def unanswered(self) -> bool: ...

    def fail(self, error: BaseException) -> None: ...


class AnyOf:
    """Some requests of which one is enough to go on."""

    __slots__ = ("requests",)

    def __init__(self, requests: Sequence[Awaited]) -> None:
        self.requests = requests


# Inherited by every task that is started from a handler; `_of_current_task` tells who still counts.
execution_var: ContextVar[Execution | None] = ContextVar("trio_genserver.execution", default=None)


def current_execution() -> Execution | None:
    """The execution that cannot go on while the current task waits, if there is one.

    That is the one whose handler runs in this task, or in a task that holds a nursery in which this one
    (or its parent, and so on) runs. A task that a handler put into somebody else's nursery inherits the
    context, but nobody waits for it.
    """
    execution = execution_var.get()
    if execution is None:
        return None
    task = trio.lowlevel.current_task()
    while True:
        if task is execution.task:
            return execution
        nursery = task.parent_nursery
        if nursery is None or nursery is execution.boundary:
            return None
        task = nursery.parent_task


def refuse_cycle(caller: Execution, awaited: Awaited | AnyOf) -> None:
    """Raise `CallCycle` if `awaited` cannot be answered before `caller` goes on."""
    way = _stuck(awaited, caller, set())
    if way is not None:
        cycle = [caller.name, *way]
        request: Awaited = awaited.requests[0] if isinstance(awaited, AnyOf) else awaited
        raise CallCycle(request.process.name, request.message, cycle)


def cycle_of_pending(child: Execution) -> list[str] | None:
    """The cycle in which `child`, that has to wait for its turn, waits for itself; None: there is none.

    The one edge that appears without a call: a request waited for the main loop, now it waits for children.
    """
    way: list[str] | None = None
    for blocker in child.blockers() or ():
        way = _through(blocker, child, set())
        if way is None:
            return None
    return None if way is None else [child.server.name, *way]


def fail_waits_for(execution: Execution, awaited: Execution) -> None:
    """`execution` is to wait for `awaited`, and is not to be refused: refuse what closes a cycle on that way.

    Those requests to `execution` for which `awaited` waits, over some calls, fail with `CallCycle`.
    """
    ways: list[tuple[Execution, list[str]]] = [(awaited, [execution.name, awaited.name])]
    seen = {awaited}
    while ways:
        waiter, names = ways.pop()
        for each in list(waiter.waiting or ()):
            # Of several of which one is enough, each fails by itself, and the last makes the wait fail.
            for request in each.requests if isinstance(each, AnyOf) else (each,):
                following = request.executor
                if following is execution:
                    # The stand-in for waiting for an end cannot be answered.
                    if request.unanswered and request.waiter is not None:
                        cycle = [*names, execution.name]
                        request.fail(CallCycle(request.process.name, request.message, cycle))
                elif following is not None and following not in seen:
                    seen.add(following)
                    ways.append((following, [*names, following.name]))


def _stuck(awaited: Awaited | AnyOf, caller: Execution, seen: set[Execution]) -> list[str] | None:
    """The names of the servers from `awaited` to `caller`, or None: it can be answered."""
    way: list[str] = []
    while True:
        if isinstance(awaited, AnyOf):
            rest: list[str] | None = None
            for request in awaited.requests:
                rest = _stuck(request, caller, set(seen)) if request.unanswered else None
                if rest is None:
                    return None
            return way + rest if rest else None
        execution = awaited.executor
        if execution is None or execution in seen:
            return None
        seen.add(execution)
        way.append(execution.name)
        if execution is caller:
            return way
        blockers = execution.blockers()
        if blockers is not None:
            rest = None
            for blocker in blockers:
                rest = _through(blocker, caller, seen)
                if rest is None:
                    return None
            return way + rest if rest else None
        waiting = execution.waiting
        if not waiting:
            return None
        if len(waiting) > 1:
            # A handler with a nursery: it ends only when each of its calls has.
            for each in waiting:
                rest = _stuck(each, caller, set(seen))
                if rest is not None:
                    return way + rest
            return None
        awaited = waiting[0]


def _through(execution: Execution, caller: Execution, seen: set[Execution]) -> list[str] | None:
    if execution is caller:
        return [execution.name]
    for awaited in execution.waiting or ():
        way = _stuck(awaited, caller, set(seen))
        if way is not None:
            return way
    return None


class waiting_for:  # noqa: N801 - used like a function, as contextlib's; a generator would cost a call as much again
    """While the body waits for all of `awaited`, say so; refuse if that would be for ever.

    Raises:
      CallCycle: the body is not run.
    """

    __slots__ = ("awaited", "execution")

    def __init__(self, *awaited: Awaited | AnyOf) -> None:
        self.awaited = awaited

    def __enter__(self) -> None:
        self.execution = execution = current_execution()
        if execution is None:
            return
        for each in self.awaited:
            if isinstance(each, AnyOf) or each.unanswered:
                refuse_cycle(execution, each)
        if execution.waiting is None:
            execution.waiting = []
        execution.waiting.extend(self.awaited)

    def __exit__(self, *_: object) -> None:
        if self.execution is not None:
            assert self.execution.waiting is not None
            for each in self.awaited:
                self.execution.waiting.remove(each)


class waiting_for_end(waiting_for):  # noqa: N801 - the same
    """The same for a request that stands for the end of its server."""

    __slots__ = ()

    def __enter__(self) -> None:
        execution = current_execution()
        for each in self.awaited:
            if (
                execution is not None
                and not isinstance(each, AnyOf)
                and execution.keeps_running(each.process)
            ):
                cycle = [execution.name, each.process.name, execution.name]
                raise CallCycle(each.process.name, each.message, cycle)
        super().__enter__()
