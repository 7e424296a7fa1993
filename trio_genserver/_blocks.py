"""`asynccontextmanager` without its reference cycle.

That of the standard library keeps what the block raised in a variable of a frame through which another
exception may leave: the crash of a server, which is the cause of what the block has raised. The crash would
then lead to itself, over its traceback, that frame and what the block raised.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from functools import wraps
from types import TracebackType
from typing import Generic, NoReturn, ParamSpec, TypeVar

__all__ = ["block", "raise_alone"]

P = ParamSpec("P")
T = TypeVar("T")


class _Block(AbstractAsyncContextManager[T], Generic[T]):
    __slots__ = ("_generator",)

    def __init__(self, generator: AsyncGenerator[T]) -> None:
        self._generator = generator

    async def __aenter__(self) -> T:
        return await anext(self._generator)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        generator = self._generator
        if error is None:
            async for _ in generator:
                raise RuntimeError(f"{generator!r} yields twice")
            return False
        try:
            await generator.athrow(error)
        except StopAsyncIteration as ended:
            # Raised by the block itself, or its exception is taken care of.
            return ended is not error
        except BaseException as raised:
            # Python makes another exception of these two, where they leave a generator.
            renamed = isinstance(error, StopIteration | StopAsyncIteration) and raised.__cause__ is error
            if raised is not error and not renamed:
                raise
            # As it left the block: the user need not know about the way through the generator.
            error.__traceback__ = traceback
            return False
        finally:
            # This frame is in the traceback of what is raised here.
            del error, traceback, generator
        raise RuntimeError("the generator yielded again after its block raised")


def block(function: Callable[P, AsyncGenerator[T]]) -> Callable[P, AbstractAsyncContextManager[T]]:
    """Make a context manager of an async generator that yields once, as `asynccontextmanager` does."""

    @wraps(function)
    def opened(*args: P.args, **kwargs: P.kwargs) -> AbstractAsyncContextManager[T]:
        return _Block(function(*args, **kwargs))

    return opened


def raise_alone(error: BaseException) -> NoReturn:
    """Raise `error` with the context that it has, and not the exception that is being handled: that may lead
    to `error`, as a call that has failed leads to the crash.
    """
    context = error.__context__
    try:
        raise error
    finally:
        error.__context__ = context
        # This frame is in its traceback.
        del error, context
