"""The child spec: how to start, run and end a server; one value for `open_server` and for supervisors.

OTP's child specification. A class carries its own defaults (class attributes of `GenServer`), a use may
override them with `ChildSpec.replace`, and nothing else takes options. That keeps ``open_server(Counter,
10)`` checked against ``Counter.__init__`` by the type checker, which a list of options among the arguments
would not.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from ._portable import PortableError
from ._text import show

__all__ = ["ChildSpec", "InvalidSpec", "Name", "Overflow", "Restart", "Shutdown", "check_capacity"]

# Without the bound `GenServer`, which `Startable`, of which type checkers have a `ChildSpec`, does not keep.
S_co = TypeVar("S_co", covariant=True)

Restart: TypeAlias = Literal["permanent", "transient", "temporary"]
"""When a supervisor starts a child again: always, only after an abnormal end, or never."""

Shutdown: TypeAlias = float | Literal["brutal_kill"]
"""How long a server has for its end, in seconds (`math.inf`: as long as it takes); ``"brutal_kill"``: no
time at all, its `terminate` is not run."""

Overflow: TypeAlias = Literal["wait", "raise", "drop_oldest", "drop_newest"]
"""Decides about a message when the mailbox is full.

``"wait"``: `cast` and `call` wait for room, in order (backpressure); `cast_nowait` raises `MailboxFull`.
``"raise"``: everything raises `MailboxFull`.
``"drop_oldest"``: the message that has waited longest makes room; if it was a call, its caller gets
`MailboxFull`.
``"drop_newest"``: the new message is dropped, silently for a cast, with `MailboxFull` for a call.
"""

OVERFLOWS: tuple[Overflow, ...] = ("wait", "raise", "drop_oldest", "drop_newest")

RESTARTS: tuple[Restart, ...] = ("permanent", "transient", "temporary")


class Name:
    """A name that a server takes before its `init`, and has until it has ended; `Registry.via` makes one.

    Attributes:
      key: what it is a name by.
      name: what the server is called in errors and logs, if nothing else is said.
    """

    __slots__ = ()

    key: Hashable
    name: str

    def claim(self, process: Any) -> Any:
        """Give the name to a process that starts; or return the one because of which that cannot be."""
        raise NotImplementedError

    def taken(self, server: str, holder: Any) -> Exception:
        """The error for who starts `server`: `holder` has the name, and keeps it."""
        raise NotImplementedError


class InvalidSpec(PortableError, ValueError):
    """A child specification, or a supervisor, has an invalid option.

    Attributes:
      field: which one.
      value: what it was.
    """

    def __init__(self, field: str, value: object, wanted: str, *, of: str = "a child specification") -> None:
        super().__init__(f"{field} of {of} must be {wanted}, not {show(value)}")
        self.field = field
        self.value = value


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class ChildSpec(Generic[S_co]):
    """A server that is not started yet. Made by `child_spec`, changed by `replace`; never an invalid one.

    Attributes:
      server_class, args, kwargs: what to call for a new instance, at each start.
      id: what its supervisor knows it by; the class's name by default.
      name: what it is called in errors and logs; the id by default, and if it is replaced by None. To be
        found by others, it needs a `via`.
      restart: ``"permanent"``, ``"transient"`` or ``"temporary"``.
      shutdown: seconds for a graceful end, `math.inf`, or ``"brutal_kill"``.
      significant: whether its own end may shut its supervisor down (`auto_shutdown`).
      mailbox_size: how many messages may wait, `math.inf` for no bound.
      overflow: what happens to one more: ``"wait"``, ``"raise"``, ``"drop_oldest"``, ``"drop_newest"``.
      via: the name under which others find it, as `Registry.via` makes one; None: it has none. It is
        taken before `init` at each start and restart, and given back in the end.
    """

    server_class: type[S_co]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    id: object
    name: str
    restart: Restart
    shutdown: Shutdown
    significant: bool
    mailbox_size: float
    overflow: Overflow
    via: Name | None = None

    def _shown(self) -> str:
        """For texts of errors and the log: what a child is given may be secret."""
        return f"<child_spec of {self.server_class.__name__}, id {show(self.id)}>"

    def replace(self, **changes: Any) -> ChildSpec[S_co]:
        """A copy with `changes` made to the fields named in `ChildSpec`.

        Raises:
          TypeError: there is no such field.
          InvalidSpec: a value is invalid; the error names the field.
        """
        if "name" in changes:
            if changes["name"] is None:
                changes["name"] = str(changes.get("id", self.id))
        elif self.name == str(self.id):
            if "id" in changes:
                changes["name"] = str(changes["id"])
            elif changes.get("via") is not None:
                changes["name"] = getattr(changes["via"], "name", self.name)
        return dataclasses.replace(self, **changes)

    def __post_init__(self) -> None:
        if self.restart not in RESTARTS:
            raise InvalidSpec("restart", self.restart, f"one of {', '.join(RESTARTS)}")
        shutdown = self.shutdown
        if shutdown != "brutal_kill" and not (
            isinstance(shutdown, int | float) and shutdown >= 0 and not math.isnan(shutdown)
        ):
            raise InvalidSpec("shutdown", shutdown, "seconds (at least 0), math.inf or 'brutal_kill'")
        if self.overflow not in OVERFLOWS:
            raise InvalidSpec("overflow", self.overflow, f"one of {', '.join(OVERFLOWS)}")
        if not isinstance(self.name, str) or not self.name:
            raise InvalidSpec("name", self.name, "a str that is not empty")
        if not isinstance(self.significant, bool):
            raise InvalidSpec("significant", self.significant, "True or False")
        if self.significant and self.restart == "permanent":
            raise InvalidSpec("significant", True, "False for a permanent child, which never ends")
        if self.id is None:
            raise InvalidSpec("id", None, "anything but None")
        try:
            hash(self.id)
        except TypeError:
            raise InvalidSpec("id", self.id, "hashable") from None
        if self.via is not None and not isinstance(self.via, Name):
            raise InvalidSpec("via", self.via, "made by Registry.via, or None")
        try:
            check_capacity(self.mailbox_size)
        except ValueError:
            raise InvalidSpec(
                "mailbox_size", self.mailbox_size, "a whole number of at least 1, or math.inf"
            ) from None


def check_capacity(capacity: float) -> float:
    """`capacity` if it can bound a mailbox.

    Raises:
      ValueError: it is not `math.inf` and not a whole number of at least 1.
    """
    if capacity == math.inf or (isinstance(capacity, int) and capacity >= 1):
        return capacity
    raise ValueError(f"mailbox_size must be a whole number of at least 1, or math.inf, not {show(capacity)}")
