"""Errors of a supervisor's administration, one class for each of OTP's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._errors import ServerError
from ._text import show

if TYPE_CHECKING:
    from ._ref import ServerRef

__all__ = [
    "ChildAlreadyPresent",
    "ChildAlreadyStarted",
    "ChildError",
    "ChildNotFound",
    "ChildRestarting",
    "ChildRunning",
    "ChildStartFailed",
    "MaxChildrenReached",
    "RestartIntensityExceeded",
]


class ChildError(ServerError):
    """A supervisor did not do what was asked of it with one of its children. The supervisor is not harmed.

    Attributes:
      server: the name of the supervisor.
      child: the id of the child; a dynamic supervisor's child is known by its name.
    """

    child: object

    def __init__(self, text: str, *, server: str, child: object) -> None:
        super().__init__(text, server=server)
        self.child = child


class ChildStartFailed(ChildError):
    """The child's start failed; what its ``__init__`` or `init` raised is the ``__cause__``."""

    def __init__(self, server: str, child: object, cause: BaseException) -> None:
        super().__init__(f"{server} could not start {show(child)}: {show(cause)}", server=server, child=child)
        self.__cause__ = cause


class ChildAlreadyStarted(ChildError):
    """There is a child of this id, and it runs (or is being restarted).

    Attributes:
      ref: that child.
    """

    ref: ServerRef[Any]

    def __init__(self, server: str, child: object, ref: ServerRef[Any]) -> None:
        super().__init__(
            f"{server} has a child {show(child)} that is already running; use "
            f"`child({show(child)})`, or give the new one another id: child_spec(...).replace(id=...)",
            server=server,
            child=child,
        )
        self.ref = ref


class ChildAlreadyPresent(ChildError):
    """There is a child of this id, and it does not run: `restart_child` starts it."""

    def __init__(self, server: str, child: object) -> None:
        super().__init__(
            f"{server} has a child {show(child)} that does not run; restart_child starts it, delete_child "
            f"forgets it",
            server=server,
            child=child,
        )


class ChildNotFound(ChildError):
    """There is no child of this id, or none behind this reference."""

    def __init__(self, server: str, child: object) -> None:
        super().__init__(f"{server} has no child {show(child)}", server=server, child=child)


class ChildRunning(ChildError):
    """The child runs; to restart or delete it, `terminate_child` it first."""

    def __init__(self, server: str, child: object) -> None:
        super().__init__(
            f"the child {show(child)} of {server} is running; end it with terminate_child",
            server=server,
            child=child,
        )


class ChildRestarting(ChildError):
    """The child is being restarted, its start has failed so far; `terminate_child` gives that up."""

    def __init__(self, server: str, child: object) -> None:
        super().__init__(
            f"the child {show(child)} of {server} is already being restarted; terminate_child cancels that",
            server=server,
            child=child,
        )


class MaxChildrenReached(ChildError):
    """A dynamic supervisor has as many children as it may have.

    Attributes:
      max_children: how many. One that is being restarted counts.
    """

    max_children: int

    def __init__(self, server: str, child: object, max_children: int) -> None:
        super().__init__(
            f"{server} already has max_children={max_children} children, so it did not start {show(child)}",
            server=server,
            child=child,
        )
        self.max_children = max_children


class RestartIntensityExceeded(ChildError):
    """Restarting did not help: the supervisor has ended all its children and itself.

    It leaves through the nursery, as a crash does. A supervisor above sees the end with reason
    ``"shutdown"``, and treats it as the end of any child. The last crash is the ``__cause__``; if
    the child was a supervisor that gave up itself, that is the error of the same class with its own cause.

    Attributes:
      child: the id of the child whose end was one too many.
      reason: why that child ended, or what its last start failed with.
      max_restarts, max_seconds: how many restarts within how many seconds would have been all right.
    """

    reason: object
    max_restarts: int
    max_seconds: float

    def __init__(
        self, server: str, child: object, reason: object, max_restarts: int, max_seconds: float
    ) -> None:
        super().__init__(
            f"{server} gave up: {show(child)} ended ({show(reason)}) after {max_restarts} restarts within "
            f"{max_seconds:g} s, the limit that max_restarts sets",
            server=server,
            child=child,
        )
        self.reason = reason
        self.max_restarts = max_restarts
        self.max_seconds = max_seconds
        if isinstance(reason, BaseException):
            self.__cause__ = reason
