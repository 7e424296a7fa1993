"""Observing servers: instruments are told of each event.

The one interface on which logging, tracing, a live page and a simulation stand, after the pattern of
`trio.abc.Instrument`: a class with empty methods, of which a subclass overrides those that it wants. Only
overridden methods are ever called, so an instrument that looks at crashes costs nothing at each message, and
none installed costs one test of a flag.

Instruments belong to a Trio run, not to the process: two runs in two threads do not see each other's.
"""

from __future__ import annotations

from typing import Any

from ._empty import left_empty
from ._hooks import current_hooks, installed_by_default
from ._log import admits, report, say_left_out
from ._ref import ServerRef
from ._request import Envelope
from ._restart import is_orderly
from ._shown import shown_message
from ._task import Task
from ._text import LOGGED, cut, logged, show

__all__ = ["Instrument", "LoggingInstrument", "add_instrument", "remove_instrument"]


class Instrument:
    """Base class of instruments; every method may be left as it is, and then costs nothing.

    The methods are called synchronously, in the task in which the event happens, and must not raise:
    an instrument that does is removed, and its error logged.

    `envelope` is one object for the whole way of one message (`Envelope.message` is the message,
    `Envelope.data` a dict for the instrument's own use), so that what was sent can be told from what
    was received and answered.
    """

    @left_empty
    def server_started(self, server: ServerRef[Any]) -> None:
        """`server` has finished its `init` and takes messages."""

    @left_empty
    def message_sent(self, server: ServerRef[Any], envelope: Envelope) -> None:
        """A message is handed over to `server`: it goes into the mailbox, or waits for room there."""

    @left_empty
    def message_received(self, server: ServerRef[Any], envelope: Envelope) -> None:
        """`server` begins to handle a message: in its main task, or in a child task whose turn has come.

        Called in the context (`contextvars`) in which the handler is going to run, be it in the main task
        or in a child task: a variable that is set here has this value there. In the main task it keeps it
        until it is set again; `message_handled` is the place for that.
        """

    @left_empty
    def message_handled(self, server: ServerRef[Any], envelope: Envelope) -> None:
        """The handler of a message has ended, in the main task or in a child task, and did not crash.

        Comes after `message_replied` for a call that is answered by what its handler returns, possibly
        before it for one that is answered later. It does not come for a handler that crashed or was
        cancelled.
        """

    @left_empty
    def message_replied(self, server: ServerRef[Any], envelope: Envelope) -> None:
        """A call to `server` was answered, with a value or with an error."""

    @left_empty
    def message_abandoned(self, server: ServerRef[Any], envelope: Envelope) -> None:
        """The caller of a call to `server` gives up: it was cancelled, or called `Request.abandon`.

        There will be no `message_replied`. If the call was not begun, it is dropped as ``"withdrawn"``; if it
        was, its reply is dropped as a ``"late reply"``, should there be one.
        """

    @left_empty
    def message_dropped(self, server: ServerRef[Any], envelope: Envelope, why: str) -> None:
        """A message to `server` will not be handled, or its reply is wanted by nobody.

        `why` is one of ``"not running"``, ``"mailbox full"``, ``"stopped"``, ``"withdrawn"`` (its sender gave
        up), ``"late reply"`` (handled, but its caller gave up) and ``"refused"`` (a cast whose handler raised
        `Refuse`). A message to a server that is not running was never sent, and its envelope is new.

        A call that the server's end left unhandled is not dropped: it is answered, with an error.
        """

    @left_empty
    def server_crashed(
        self, server: ServerRef[Any], error: BaseException, message: object, state: object
    ) -> None:
        """A callback of `server` raised `error` while it handled `message` (None: outside of one).

        `message` is shown as its `GenServer.format_message` gives it, `state` as its `format_status`.
        """

    @left_empty
    def server_restarted(self, server: ServerRef[Any], reason: object, restarts: int) -> None:
        """A supervisor started `server` again, the `restarts`-th time within its period."""

    @left_empty
    def server_restart_failed(self, server: ServerRef[Any], error: BaseException, restarts: int) -> None:
        """A supervisor tried to start `server` again, the `restarts`-th time within its period; `error` came.

        `error` is what its ``__init__`` or `init` raised. It is tried again, until the supervisor gives up.
        """

    @left_empty
    def task_crashed(self, task: Task[Any], error: BaseException) -> None:
        """A task of a `TaskSupervisor` raised `error`."""

    @left_empty
    def server_stopped(self, server: ServerRef[Any], reason: object) -> None:
        """`server` has ended, `terminate` included: ``"normal"``, ``"shutdown"``, or what it crashed with."""


@installed_by_default
class LoggingInstrument(Instrument):
    """Logs failures through the standard `logging` module; installed by default.

    A crash, a restart, a restart that failed, a task that crashed, and an end for an abnormal reason each
    leave a record, in the logger ``trio_genserver``. They also carry their data as attributes, so that a
    structured formatter needs no parsing: ``server``, and ``message_handled``, ``state``, ``reason``,
    ``restarts``, ``task``. A value that would make a long text is there as that text, cut short.

    All of it is bounded. Of each kind, a server has at most 10 records within 10 seconds of Trio's clock, and
    the children of one supervisor have 50 together; how many more there were is logged afterwards, with the
    attribute ``left_out``. No record is longer than some thousands of characters.
    """

    def server_crashed(
        self, server: ServerRef[Any], error: BaseException, message: object, state: object
    ) -> None:
        if admits(server, "crash"):
            report(
                server,
                "crash",
                "%s crashed handling %s, its state was %s",
                server.name,
                show(message, LOGGED),
                show(state, LOGGED),
                error=error,
                extra={"message_handled": logged(message), "state": logged(state)},
            )

    def task_crashed(self, task: Task[Any], error: BaseException) -> None:
        if admits(task.process.ref, "task"):
            shown = shown_message(task.process, task.message)
            report(
                task.process.ref,
                "task",
                "the task %s of %s crashed; it was started by %s",
                show(shown, LOGGED),
                task.process.name,
                cut(" in ".join(task.callers), LOGGED),
                error=error,
                extra={
                    "task": task.name,
                    "task_args": logged(task.args) if shown is task.message else show(shown, LOGGED),
                    "task_callers": logged(task.callers),
                },
            )

    def server_restarted(self, server: ServerRef[Any], reason: object, restarts: int) -> None:
        if admits(server, "restart"):
            say_left_out(server, "failed restart")
            report(
                server,
                "restart",
                "%s was restarted (%s), restart %d within the period",
                server.name,
                show(reason, LOGGED),
                restarts,
                extra={"restarts": restarts},
            )

    def server_restart_failed(self, server: ServerRef[Any], error: BaseException, restarts: int) -> None:
        if admits(server, "failed restart"):
            report(
                server,
                "failed restart",
                "%s could not be restarted (%s), restart %d within the period",
                server.name,
                show(error, LOGGED),
                restarts,
                error=error,
                extra={"restarts": restarts},
            )

    def server_stopped(self, server: ServerRef[Any], reason: object) -> None:
        if is_orderly(reason):
            return
        lifecycle = server._process.lifecycle
        # A crash was logged when it came. A start that failed is told to the starter. And who was given no
        # time for its end was not to have any.
        if lifecycle.crash is not None or lifecycle.start_error is not None or lifecycle.out_of_time:
            return
        if admits(server, "end"):
            report(
                server,
                "end",
                "%s ended abnormally (%s)",
                server.name,
                show(reason, LOGGED),
                error=reason if isinstance(reason, BaseException) else None,
                extra={"reason": logged(reason)},
            )


def add_instrument(instrument: Instrument) -> None:
    """Install `instrument` in this Trio run; it sees what happens from now on.

    Raises:
      RuntimeError: outside of Trio.
    """
    hooks = current_hooks()
    if not any(installed is instrument for installed in hooks.instruments):
        hooks.instruments.append(instrument)
        hooks.sort()


def remove_instrument(instrument: Instrument | type[Instrument]) -> None:
    """Remove `instrument`, or every one of that class (`LoggingInstrument` removes the default).

    Raises:
      KeyError: it is not installed.
      RuntimeError: outside of Trio.
    """
    hooks = current_hooks()
    if isinstance(instrument, type):
        gone = [i for i in hooks.instruments if isinstance(i, instrument)]
    else:
        gone = [i for i in hooks.instruments if i is instrument]
    if not gone:
        raise KeyError(f"{show(instrument)} is not installed in this run")
    for each in gone:
        hooks.discard(each)
