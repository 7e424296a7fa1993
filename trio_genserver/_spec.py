"""How a server is to be made, run and ended: one value, for `open_server` and for supervisors alike.

OTP's child specification. A class carries its own defaults (class attributes of `GenServer`), a use may
override them with `ChildSpec.replace`, and nothing else takes options. That keeps ``open_server(Counter,
10)`` checked against ``Counter.__init__`` by the type checker, which a list of options among the arguments
would not.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeAlias, TypeVar, cast, get_origin

from ._declarations import check_not_frozen
from ._mailbox import OVERFLOWS, Overflow, check_capacity
from ._portable import PortableError
from ._text import show

if TYPE_CHECKING:
    from ._registry import ServerName
    from ._server import GenServer

__all__ = ["ChildSpec", "Restart", "Shutdown", "child_spec"]

P = ParamSpec("P")
S = TypeVar("S", bound="GenServer")
# Without the bound, which `Startable`, of which type checkers have a `ChildSpec`, does not keep.
S_co = TypeVar("S_co", covariant=True)

Restart: TypeAlias = Literal["permanent", "transient", "temporary"]
"""When a supervisor starts a child again: always, only after an abnormal end, or never."""

Shutdown: TypeAlias = float | Literal["brutal_kill"]
"""How long a server has for its end, in seconds (`math.inf`: as long as it takes); ``"brutal_kill"``: no
time at all, its `terminate` is not run."""

RESTARTS: tuple[Restart, ...] = ("permanent", "transient", "temporary")


class InvalidSpec(PortableError, ValueError):
    """A child specification, or a supervisor, has an option that makes no sense.

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
    """A server that is not started yet. Made by `child_spec`, changed by `replace`; never one that makes no
    sense.

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
    via: ServerName[Any] | None = None

    def _shown(self) -> str:
        """For texts of errors and the log: what a child is given may be secret."""
        return f"<child_spec of {self.server_class.__name__}, id {show(self.id)}>"

    def replace(self, **changes: Any) -> ChildSpec[S_co]:
        """A copy with `changes` made to the fields named in `ChildSpec`.

        Raises:
          TypeError: there is no such field.
          InvalidSpec: a value makes no sense; the error names the field.
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
            raise InvalidSpec("shutdown", shutdown, "seconds from 0, math.inf or 'brutal_kill'")
        if self.overflow not in OVERFLOWS:
            raise InvalidSpec("overflow", self.overflow, f"one of {', '.join(OVERFLOWS)}")
        if not isinstance(self.name, str) or not self.name:
            raise InvalidSpec("name", self.name, "a text that is not empty")
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
        if self.via is not None:
            from ._registry import ServerName

            if not isinstance(self.via, ServerName):
                raise InvalidSpec("via", self.via, "made by Registry.via, or None")
        try:
            check_capacity(self.mailbox_size)
        except ValueError:
            raise InvalidSpec(
                "mailbox_size", self.mailbox_size, "a whole number from 1, or math.inf"
            ) from None


def child_spec(server_class: Callable[P, S], /, *args: P.args, **kwargs: P.kwargs) -> ChildSpec[S]:
    """How to start a `server_class` with these arguments; with the options that the class declares.

    Args:
      server_class: a subclass of `GenServer`.
      args, kwargs: for its ``__init__``, at each start and restart.

    Raises:
      TypeError: `server_class` is none.
      InvalidSpec: an option that the class declares makes no sense.
    """
    return _spec(server_class, args, kwargs)


def _spec(server_class: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ChildSpec[Any]:
    from ._server import GenServer, prepare

    # Which types a generic class is used with, only the type checker needs to know.
    server_class = unsubscripted(server_class)
    if not (isinstance(server_class, type) and issubclass(server_class, GenServer)):
        given = cast("Any", server_class)
        raise TypeError(f"a subclass of GenServer is needed, not {show(given)}")
    if "_handlers" not in vars(server_class):
        # Some base has an `__init_subclass__` that does not call that of its own base.
        prepare(server_class)
    plain = not args and not kwargs
    if plain:
        spec = server_class._plain_spec
        # Most servers of a kind are alike; but the options of a class may be changed, in a test for one.
        if (
            spec is not None
            and spec.shutdown == server_class.shutdown
            and spec.mailbox_size == server_class.mailbox_size
            and spec.restart == server_class.restart
            and spec.overflow == server_class.overflow
        ):
            return spec
    check_not_frozen(server_class)
    name = server_class.__name__
    spec = ChildSpec(
        server_class,
        args,
        kwargs,
        name,
        name,
        server_class.restart,
        server_class.shutdown,
        False,
        server_class.mailbox_size,
        server_class.overflow,
    )
    if plain:
        server_class._plain_spec = spec
    return spec


def unsubscripted(server_class: Any) -> Any:
    """``Cache`` of ``Cache[str, int]``; anything else is returned as it is."""
    if isinstance(server_class, type):
        return server_class
    origin = get_origin(server_class)
    return origin if isinstance(origin, type) else server_class


def as_spec(
    server: ChildSpec[S] | Callable[..., S], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> ChildSpec[Any]:
    """What `open_server` and its like were given, as a specification."""
    if isinstance(server, ChildSpec):
        if args or kwargs:
            raise TypeError("a ChildSpec has its arguments already; give it alone")
        return cast("ChildSpec[Any]", server)
    return _spec(server, args, kwargs)
