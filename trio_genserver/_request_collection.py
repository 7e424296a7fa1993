"""Many calls in flight: wait for all of their replies, or for each as it comes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Generic, Self, TypeVar

import trio
import trio.lowlevel

from ._cycle import AnyOf, current_execution, waiting_for
from ._errors import CallCycle
from ._request import Countdown, Request

__all__ = ["as_completed", "wait_all"]

R = TypeVar("R")


async def wait_all(requests: Iterable[Request[R]]) -> list[R]:
    """Wait for all replies, with one wait for the lot. A checkpoint.

    Cancelling it leaves the requests in flight, and so does a failure of one of them.

    Returns:
      the replies, in the order of `requests`.

    Raises:
      ServerError: as `Request.wait`, as soon as one of them fails.
      CallCycle: waiting for one of them would be for ever.
    """
    handles = list(requests)
    try:
        with waiting_for(*handles):
            countdown = Countdown(handles)
            await countdown.wait()
    except CallCycle:
        await trio.lowlevel.checkpoint()
        raise
    if countdown.failed is not None:
        countdown.failed.check()
    return [request._answer for request in handles]


class as_completed(Generic[R]):  # noqa: N801 - used like a function, as asyncio's and concurrent.futures'
    """The requests in the order in which they are answered; each is `done` when it comes out.

    ``async for request in as_completed(requests)``. It starts no task, so the loop may be left at any
    time; what is in flight then stays so. An async iterator and no async generator: there is nothing
    to close.

    Args:
      requests: any number of handles, of one server or of many; `Request.label` tells them apart.
    """

    def __init__(self, requests: Iterable[Request[R]]) -> None:
        self._done: deque[Request[R]] = deque()
        self._requests = list(requests)
        self._left = len(self._requests)
        self._busy = False
        self._task: trio.lowlevel.Task | None = None
        for request in self._requests:
            if request.done:
                self._done.append(request)
            else:
                request.on_done(self._answered)

    def _answered(self, request: Request[R]) -> None:
        self._done.append(request)
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Request[R]:
        if self._left == 0:
            raise StopAsyncIteration
        if self._busy:
            raise trio.BusyResourceError("another task iterates over these requests")
        self._busy = True
        try:
            if self._done:
                await trio.lowlevel.checkpoint()
            else:
                await self._wait()
        finally:
            self._busy = False
        self._left -= 1
        return self._done.popleft()

    async def _wait(self) -> None:
        if current_execution() is None:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
            return
        in_flight = [request for request in self._requests if request.unanswered]
        try:
            with waiting_for(AnyOf(in_flight)):
                self._task = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._abort)
        except CallCycle:
            await trio.lowlevel.checkpoint()
            raise

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED
