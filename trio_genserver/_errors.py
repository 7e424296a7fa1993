"""Errors between a caller and a server, one class for each kind.

Every error carries what a program needs to decide what to do next (the server's name, the request, the
reason), and a text that a person can act on. `ServerError` is the base of them all, so that
``except ServerError`` means: the server did not do it.

The names in brackets are the exit reasons under which OTP reports the same thing.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from ._portable import PortableError
from ._text import brief, show

__all__ = [
    "AlreadyReplied",
    "BadReturnValue",
    "CallCycle",
    "CallbackNotAsync",
    "InitIgnored",
    "InitStopped",
    "MailboxFull",
    "NeverReplied",
    "NotRegistered",
    "PoolFull",
    "RequestAbandoned",
    "ServerCrashed",
    "ServerError",
    "ServerNotRunning",
    "ServerStopped",
    "TaskStopped",
    "UnhandledMessage",
]


class ServerError(PortableError, Exception):
    """A server did not do what was asked of it.

    Attributes:
      server: the name of the server, as in its `ServerRef`.
      request: the message that was sent, or None where there was none.
    """

    server: str
    request: object

    def __init__(self, text: str, *, server: str, request: object = None) -> None:
        super().__init__(text)
        self.server = server
        self.request = request


class ServerNotRunning(ServerError):
    """There is no server behind the reference: not started yet, or ended (OTP's ``noproc``)."""

    def __init__(self, server: str, request: object) -> None:
        super().__init__(
            f"{server} is not running, so {brief(request)} was not sent to it",
            server=server,
            request=request,
        )


class ServerStopped(ServerError):
    """The server stopped before it answered.

    Attributes:
      reason: why it stopped, as given to `ServerRef.stop`; ``"shutdown"`` when its nursery or its
        supervisor ended it.
    """

    reason: object

    def __init__(self, server: str, request: object, reason: object) -> None:
        super().__init__(
            f"{server} stopped ({show(reason)}) before it answered {brief(request)}",
            server=server,
            request=request,
        )
        self.reason = reason


class ServerCrashed(ServerError):
    """The server crashed before it answered. Its exception is the ``__cause__``."""

    def __init__(self, server: str, request: object, cause: BaseException) -> None:
        super().__init__(
            f"{server} crashed before it answered {brief(request)}: {brief(cause)}",
            server=server,
            request=request,
        )
        self.__cause__ = cause


class CallCycle(ServerError):
    """The call would wait forever: who is to answer it waits, over some calls, for the caller.

    Attributes:
      cycle: the names of the servers, each waiting for the next; the last is the first again.
    """

    cycle: tuple[str, ...]

    def __init__(self, server: str, request: object, cycle: Sequence[str]) -> None:
        shown = cycle if len(cycle) <= 12 else [*cycle[:6], f"({len(cycle) - 12} more)", *cycle[-6:]]
        waits = " waits for ".join(shown)
        advice = (
            "a server cannot call itself; call the method on self instead"
            if len(cycle) <= 2
            else "let one of them cast, or reply later from a child task"
        )
        super().__init__(
            f"calling {brief(request)} would wait forever: {waits} ({advice})",
            server=server,
            request=request,
        )
        self.cycle = tuple(cycle)


class MailboxFull(ServerError):
    """The mailbox was at its bound and the message was not taken.

    Attributes:
      capacity: how many messages the mailbox holds.
    """

    capacity: float

    def __init__(self, server: str, request: object, capacity: float) -> None:
        super().__init__(
            f"the mailbox of {server} is full ({capacity} messages), so {brief(request)} was rejected; "
            f"to wait for room, use `await ref.cast(...)`; for more room, raise its mailbox_size",
            server=server,
            request=request,
        )
        self.capacity = capacity


class AlreadyReplied(ServerError):
    """A request was answered twice; the caller has the first answer.

    Attributes:
      first: the answer that was given, a value or an exception.
      second: the answer that was refused.
    """

    first: object
    second: object

    def __init__(self, server: str, request: object, first: object, second: object) -> None:
        super().__init__(
            f"{brief(request)} to {server} already has the reply {brief(first)}, "
            f"so the second reply {brief(second)} is dropped; reply to a call once",
            server=server,
            request=request,
        )
        self.first = first
        self.second = second


class NeverReplied(ServerError):
    """The reply can never come: the handler left it to others, and the last reference to its `From` is gone.

    It comes at once where Python counts references; where the `From` is part of a reference cycle, when the
    garbage collector finds it.
    """

    def __init__(self, server: str, request: object) -> None:
        super().__init__(
            f"{server} dropped its `from_` for {brief(request)}, so it will never reply; keep it "
            f"until you call from_.reply(...), or raise Refuse",
            server=server,
            request=request,
        )


class RequestAbandoned(ServerError):
    """The handle was given up with `Request.abandon`; there is no reply to wait for."""

    def __init__(self, server: str, request: object) -> None:
        super().__init__(
            f"{brief(request)} to {server} was abandoned; its reply is dropped",
            server=server,
            request=request,
        )


class BadReturnValue(ServerError):
    """A callback returned what it must not return (OTP's ``bad_return_value``).

    Attributes:
      value: what it returned.
    """

    value: object

    def __init__(self, server: str, callback: str, request: object, value: object) -> None:
        super().__init__(
            f"{callback} of {server} must return None, but it returned {brief(value)}",
            server=server,
            request=request,
        )
        self.value = value


class CallbackNotAsync(BadReturnValue, TypeError):
    """A callback is a plain function, and has to be an async one.

    Attributes:
      value: what it returned, which cannot be awaited.
    """

    def __init__(self, server: str, callback: str, value: object) -> None:
        ServerError.__init__(
            self,
            f"{callback} of {server} must be an async function (`async def`), "
            f"but it returned {brief(value)}, which cannot be awaited",
            server=server,
        )
        self.value = value


class UnhandledMessage(ServerError):
    """A message reached a server that has no handler for it."""

    def __init__(self, server: str, server_class: type, request: object) -> None:
        super().__init__(
            f"{server} is a {server_class.__name__}, which has no handler for {brief(request)}",
            server=server,
            request=request,
        )


class InitIgnored(ServerError):
    """`init` raised `Ignore`: there is no server, which is not a failure (OTP's ``ignore``)."""

    def __init__(self, server: str) -> None:
        super().__init__(f"{server} chose not to start", server=server)


class InitStopped(ServerError):
    """`init` stopped the server before it ran (OTP's ``{stop, Reason}``).

    Attributes:
      reason: why.
    """

    reason: object

    def __init__(self, server: str, reason: object) -> None:
        super().__init__(f"{server} stopped in its init: {show(reason)}", server=server)
        self.reason = reason


class NotRegistered(ServerError):
    """No server has this key, or not the one that was given.

    Attributes:
      key: the key.
    """

    key: Hashable

    def __init__(self, registry: str, key: Hashable, server: str | None = None) -> None:
        super().__init__(
            f"{'no server is' if server is None else f'{server} is not'} registered "
            f"under {show(key)} in {registry}",
            server=server or str(key),
        )
        self.key = key


class TaskStopped(ServerError):
    """A task was ended before it finished: by `Task.shutdown`, or with its supervisor.

    Attributes:
      reason: why its supervisor ended; ``"shutdown"`` if it did not.
    """

    reason: object

    def __init__(self, server: str, request: object, reason: object) -> None:
        super().__init__(
            f"the task {show(request)} was stopped ({show(reason)}) before it finished",
            server=server,
            request=request,
        )
        self.reason = reason


class PoolFull(ServerError):
    """All workers of a checkout pool are in use, and the client did not want to wait.

    Attributes:
      size, max_overflow: how many there may be, together.
    """

    size: int
    max_overflow: int

    def __init__(self, server: str, size: int, max_overflow: int) -> None:
        super().__init__(
            f"all workers of {server} are in use (size {size}, max_overflow {max_overflow}); "
            f"wait for one with `checkout()`",
            server=server,
            request="checkout()",
        )
        self.size = size
        self.max_overflow = max_overflow
