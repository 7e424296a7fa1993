"""Calling an async function with each of many items, a bounded number at a time.

Elixir's ``Task.async_stream``. Both variants are blocks that give an async iterator, so that there is a
place where the calls end: none is running after the block, however it ends.

- `amap` gives the values. A call that fails fails the block, at once, as in a nursery.
- `amap_isolated` gives each item with the outcome of its call, and no failure stops the others.

The same number limits the calls that run and the results that wait to be taken. So the items, which may be
endless, are read only as fast as the results are taken. If order is kept, one slow call lets at most that
many others get ahead of it.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Self, TypeVar, cast

import trio
from outcome import Error, Outcome, Value

from ._awaiting import await_callback
from ._blocks import block, raise_alone
from ._start import sole_exception
from ._text import name_of, show

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

__all__ = ["Settled", "amap", "amap_isolated"]

T = TypeVar("T")
R = TypeVar("R")
Out = TypeVar("Out")


class Settled(NamedTuple, Generic[T, R]):
    """One item of `amap_isolated`, and what came of it.

    Attributes:
      item: what the function was called with.
      outcome: its value or its exception, as in `outcome`; `trio.TooSlowError` if it took too long.
    """

    item: T
    outcome: Outcome[R]


def amap(
    async_fn: Callable[[T], Awaitable[R]],
    items: Iterable[T] | AsyncIterable[T],
    /,
    *,
    max_concurrency: int = 10,
    ordered: bool = True,
    timeout: float = math.inf,
) -> AbstractAsyncContextManager[AsyncIterator[R]]:
    """Call `async_fn` with each item, and iterate over what it returns::

        async with amap(fetch, urls, max_concurrency=20) as pages:
            async for page in pages:
                ...

    If a call fails, or `items` does, the block is cancelled, with the calls that run, and raises that
    exception, whatever the block is doing. Leaving the block early cancels the calls that run.

    Args:
      items: what to call it with; read as the results are taken.
      max_concurrency: how many calls may run at a time, and how many results may wait to be taken.
      ordered: give the results in the order of the items; else as they come.
      timeout: how many seconds one call may take.

    Raises:
      ValueError: an argument is invalid.
      trio.TooSlowError: a call took longer than `timeout`.
      Exception: what a call has raised; a group, if several have at once.
    """
    _check(max_concurrency, timeout)

    async def call(item: T) -> R:
        if timeout == math.inf:
            return cast("R", await await_callback("amap", async_fn, name_of(async_fn), item))
        with trio.fail_after(timeout):
            return cast("R", await await_callback("amap", async_fn, name_of(async_fn), item))

    return _mapped(call, items, max_concurrency, ordered)


def amap_isolated(
    async_fn: Callable[[T], Awaitable[R]],
    items: Iterable[T] | AsyncIterable[T],
    /,
    *,
    max_concurrency: int = 10,
    ordered: bool = True,
    timeout: float = math.inf,
) -> AbstractAsyncContextManager[AsyncIterator[Settled[T, R]]]:
    """`amap`, but each result is a `Settled`: a call that fails or takes too long stops no other.

    Only a `BaseException` that is not an `Exception`, or a failure of `items`, ends the block.
    """
    _check(max_concurrency, timeout)

    async def call(item: T) -> Settled[T, R]:
        with trio.move_on_after(timeout) as scope:
            try:
                value = await await_callback("amap_isolated", async_fn, name_of(async_fn), item)
                return Settled(item, Value(cast("R", value)))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this item's outcome
                return Settled(item, Error(error))
        assert scope.cancelled_caught
        return Settled(item, Error(trio.TooSlowError(f"{show(item)} took longer than {timeout:g} s")))

    return _mapped(call, items, max_concurrency, ordered)


def _check(max_concurrency: int, timeout: float) -> None:
    if not isinstance(max_concurrency, int) or isinstance(max_concurrency, bool) or max_concurrency < 1:
        raise ValueError(f"max_concurrency must be a whole number of at least 1, not {show(max_concurrency)}")
    if not timeout > 0:
        raise ValueError(f"timeout must be a positive number of seconds, not {show(timeout)}")


class _Slot(Generic[Out]):
    """The place of one result; `result` is there when `done` is set."""

    __slots__ = ("done", "result")

    result: Out

    def __init__(self) -> None:
        self.done = trio.Event()


class _Results(Generic[Out]):
    """The async iterator that the block gets."""

    def __init__(self, slots: trio.MemoryReceiveChannel[_Slot[Out]], places: trio.Semaphore) -> None:
        self._slots = slots
        self._places = places
        # The next to give. Kept here while it is waited for: who gives up waiting may come back.
        self._next: _Slot[Out] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Out:
        slot = self._next
        if slot is None:
            try:
                slot = self._next = await self._slots.receive()
            except trio.EndOfChannel:
                raise StopAsyncIteration from None
            except trio.ClosedResourceError:
                raise trio.ClosedResourceError("the block of this amap has ended") from None
        await slot.done.wait()
        self._next = None
        self._places.release()
        return slot.result


@block
async def _mapped(
    call: Callable[[Any], Awaitable[Out]],
    items: Iterable[Any] | AsyncIterable[Any],
    max_concurrency: int,
    ordered: bool,
) -> AsyncGenerator[AsyncIterator[Out]]:
    running = trio.Semaphore(max_concurrency)
    places = trio.Semaphore(2 * max_concurrency)  # those that run, and those whose result waits
    # In the order of the results: with order kept a slot is sent when its call begins, else when it is over.
    send, receive = trio.open_memory_channel[_Slot[Out]](math.inf)

    async def run(item: Any, slot: _Slot[Out], send: trio.MemorySendChannel[_Slot[Out]]) -> None:
        with send:
            slot.result = await call(item)
            slot.done.set()
            running.release()
            if not ordered:
                send.send_nowait(slot)

    async def feed() -> None:
        with send:
            async for item in _each(items, running, places):
                slot: _Slot[Out] = _Slot()
                if ordered:
                    send.send_nowait(slot)
                nursery.start_soon(run, item, slot, send.clone())

    failure: BaseException
    raised: Exception | None = None
    try:
        # The channel is closed last, when nobody is left who would send.
        with receive:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(feed)
                try:
                    yield _Results(receive, places)
                except Exception as error:  # noqa: BLE001 - it is raised below; why, see open_server
                    raised = error
                nursery.cancel_scope.cancel(reason="the block of an amap has ended")
    except BaseExceptionGroup as group:
        # One failure comes out as itself: the user need not know about the nursery.
        failure = sole_exception(group, raised)
    else:
        if raised is None:
            return
        failure = raised
    raised = None
    try:
        raise_alone(failure)
    finally:
        # This frame is in its traceback.
        del failure


async def _each(
    items: Iterable[Any] | AsyncIterable[Any], running: trio.Semaphore, places: trio.Semaphore
) -> AsyncGenerator[Any]:
    """Each item, when there is room for its call. No item is read before."""

    async def room() -> None:
        await places.acquire()
        await running.acquire()

    if isinstance(items, AsyncIterable):
        iterator = aiter(items)
        try:
            while True:
                await room()
                try:
                    item = await anext(iterator)
                except StopAsyncIteration:
                    return
                yield item
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                with trio.CancelScope(shield=True):
                    await close()
    else:
        for_sync = iter(items)
        while True:
            await room()
            try:
                item = next(for_sync)
            except StopIteration:
                return
            yield item
