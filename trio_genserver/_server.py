"""`GenServer`, the class to subclass: state, handlers, and the callbacks around them.

This module is what the author of a server sees. `Process` runs a server; an instance holds it in one private
slot, so that every other attribute name is free for the state, and a subclass needs no
``super().__init__()``.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Self, TypeVarTuple, Unpack, cast

from ._behaviour import Behaviour
from ._declarations import check_declarations, resolve
from ._empty import left_empty
from ._errors import UnhandledMessage
from ._log import admits, report
from ._message import Handler
from ._monitor import Monitor
from ._process import Process
from ._ref import ServerRef, ref_of
from ._shown import shown_message
from ._signals import Ignore, Refuse, Stop
from ._spec import ChildSpec, Overflow, Restart, Shutdown
from ._text import LOGGED, hidden, show

__all__ = ["GenServer", "Ignore", "Refuse", "Stop"]

Ts = TypeVarTuple("Ts")


class GenServer(Behaviour):
    """A server: a task that owns some state and handles messages one by one.

    Subclass it; keep the state in attributes; mark methods with `handle_call` and `handle_cast`; start it
    with `open_server`, `start_server` or as a child of a supervisor. All callbacks run in the server's own
    task (a sync call handler possibly in its caller's step, in the server's context, while the server is
    idle), so none of them can race with another.

    The class attributes are the defaults of its `ChildSpec`:

    Attributes:
      restart: ``"permanent"`` (always restarted by its supervisor), ``"transient"`` or ``"temporary"``.
      shutdown: seconds that an end may take, `math.inf`, or ``"brutal_kill"``.
      mailbox_size: how many messages may wait.
      overflow: what happens to one more: ``"wait"``, ``"raise"``, ``"drop_oldest"``, ``"drop_newest"``.
    """

    restart: ClassVar[Restart] = "permanent"
    shutdown: ClassVar[Shutdown] = 5.0
    mailbox_size: ClassVar[float] = 1000
    overflow: ClassVar[Overflow] = "wait"

    # The one slot keeps `vars(self)` to what the subclass itself put there: the state.
    __slots__ = ("_process",)

    _process: Process
    _plain_spec: ClassVar[ChildSpec[Any] | None] = None
    # The classes that run a server of this class and refer to it, if they are not the usual ones.
    _process_class: ClassVar[type[Process] | None] = None
    _ref_class: ClassVar[type[ServerRef[Any]] | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        prepare(cls)

    # Callbacks, to be overridden.

    @left_empty
    async def init(self) -> None:
        """Called first, in the server's task; whoever starts the server waits for it.

        Raise `Stop` or `Ignore` to have no server, any other exception to fail; the starter gets it. For work
        that nobody should wait for, call `continue_with` here.

        A nursery or cancel scope that is entered in a callback must be left in it, as Trio's nest. To keep
        one open for as long as the server runs, use a task: `start_task`.
        """

    async def handle_continue(self, argument: Any) -> None:
        """Called with what `continue_with` was given, before the next message."""
        raise UnhandledMessage(
            self._process.name, type(self), f"continue_with({show(shown_message(self._process, argument))})"
        )

    async def handle_info(self, message: object) -> None:
        """Called with a message that was sent with `ServerRef.send`. Logs it, unless overridden."""
        process = self._process
        if admits(process.ref, "message"):
            report(
                process.ref,
                "message",
                "%s got %s, which it does not handle; define handle_info",
                process.name,
                show(shown_message(process, message), LOGGED),
            )

    async def handle_timeout(self) -> None:
        """Called when the time given to `set_timeout` went by without a message."""
        raise UnhandledMessage(self._process.name, type(self), "a timeout")

    @left_empty
    async def terminate(self, reason: object) -> None:
        """Called last, once, whichever way the server ends after its `init`.

        It runs shielded from cancellation. A server that ends by itself has all the time it needs; a
        supervisor that ends it, or a cancellation, leaves it as long as `shutdown` says. By then, no child
        task of the server is left and it takes no more calls; callers that wait are told of the end after it.
        If it raises, that becomes the reason. With ``shutdown="brutal_kill"``, a supervisor that ends the
        server does not have it called.

        Args:
          reason: ``"normal"`` or what `stop` was given; ``"shutdown"`` if the nursery or the supervisor ended
            it; the exception if it crashed.
        """

    def format_status(self, state: dict[str, Any]) -> object:
        """The state as logs and `trio_genserver.sys.get_status` show it; override this to hide secrets.

        A class that has one is taken to have secrets in its messages as well; see `format_message`.

        Args:
          state: the instance's attributes, a copy.
        """
        return state

    def format_message(self, message: object) -> object:
        """A message as logs and the events of `trio_genserver.sys` show it; override this to hide secrets.

        Unless overridden, it is the message; but in logs, where `format_status` is overridden, what the
        message carries is left out, and ``Login.enter(...)`` is shown. Errors have no server to ask: where
        either is overridden by the class that declares the handler, their texts leave that out as well.

        Args:
          message: what one of the handler methods builds; what `ServerRef.send` was given; an argument of
            `continue_with`.
        """
        return hidden(message) if self._hides_arguments else message

    # To be called in callbacks.

    @property
    def ref(self) -> ServerRef[Self]:
        """This server's own reference."""
        return ref_of(self._process)

    def stop(self, reason: object = "normal") -> None:
        """Stop after this callback; what it returns is still sent as the reply."""
        self._process.stop_now(reason)

    def continue_with(self, argument: Any) -> None:
        """Have `handle_continue` called with `argument` after this callback, before the next message.

        It is a part of the callback: no stop comes between the two. A cancellation of the server (by its
        supervisor or nursery) cancels a running callback, and `handle_continue` starts anyway. A callback
        that raises, even `Stop`, is not continued.
        """
        self._process.continue_with(argument)

    def set_timeout(self, seconds: float | None) -> None:
        """Have `handle_timeout` called if no message comes within `seconds`. Any message cancels it.

        Args:
          seconds: from when the server is idle again; None cancels it.
        """
        self._process.set_timeout(seconds)

    def monitor(self, server: ServerRef[Any]) -> Monitor:
        """Have a `Down` sent to this server's `handle_info` when `server` has ended.

        Exactly one comes, after all that `server` sent before, also if the mailbox is full. If `server` has
        ended already, it comes at once, with the reason ``"noproc"``. `Monitor.demonitor` takes it back.
        """
        return Monitor(server, self._process)

    def start_task(self, async_fn: Callable[[Unpack[Ts]], Awaitable[object]], *args: *Ts) -> None:
        """Run ``async_fn(*args)`` in a child task of this server.

        It ends with the server at the latest (cancelled before `terminate`), and if it raises, the server
        crashes. Calling the server itself from it is fine.
        """
        self._process.start_task(async_fn, args)


def _is_ours(method: object) -> bool:
    return getattr(method, "__module__", "").startswith(_PACKAGE)


_PACKAGE = f"{__name__.rpartition('.')[0]}."


def prepare(server_class: type[GenServer]) -> None:
    """Look through a new class.

    Raises:
      InvalidServerClass: it cannot work.
    """
    server_class._formats_messages = not _is_ours(server_class.format_message)
    server_class._hides_arguments = server_class._formats_messages or not _is_ours(server_class.format_status)
    # First, as a class that has its handlers is taken to be a checked one.
    check_declarations(server_class)
    server_class._handlers = {}
    # Not when a message first needs it: what a call does must not depend on earlier calls, for whoever
    # replays a run.
    for base in server_class.__mro__:
        for attribute in vars(base).values():
            if isinstance(attribute, Handler):
                resolve(server_class, attribute)
    server_class._plain_spec = None
    _see_subclasses(server_class)


def _see_subclasses(server_class: type[GenServer]) -> None:
    """Have those of a class looked through that has an `__init_subclass__` of its own.

    It may not call ours, and they would be looked through only when one is to be started.
    """
    own: Any = vars(server_class).get("__init_subclass__")
    if not isinstance(own, classmethod):
        return

    @functools.wraps(cast("Any", own).__func__)
    def init_subclass(subclass: type[GenServer], **kwargs: Any) -> None:
        cast("Any", own).__get__(None, subclass)(**kwargs)
        if "_handlers" not in vars(subclass):
            prepare(subclass)

    type.__setattr__(server_class, "__init_subclass__", classmethod(cast("Any", init_subclass)))
