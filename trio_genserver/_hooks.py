"""Tells instruments about the events of servers.

The machinery tells (`Hooks.tell`), by the name of a method; what an instrument is, and what those methods are
given, is declared far above, in `_instrument`, since it is about references, messages and tasks.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import trio.lowlevel

from ._emit import emit
from ._empty import is_left_empty
from ._text import show

__all__ = ["HOOKS", "Hooks", "current_hooks", "installed_by_default"]

C = TypeVar("C", bound=type)

_defaults: list[Callable[[], Any]] = []


def installed_by_default(instrument_class: C) -> C:
    """Have one of this class in every Trio run from its beginning."""
    _defaults.append(instrument_class)
    return instrument_class


HOOKS = (
    "server_started",
    "message_sent",
    "message_received",
    "message_handled",
    "message_replied",
    "message_abandoned",
    "message_dropped",
    "server_crashed",
    "server_restarted",
    "server_restart_failed",
    "server_stopped",
    "task_crashed",
)
MESSAGE_HOOKS = (
    "message_sent",
    "message_received",
    "message_handled",
    "message_replied",
    "message_abandoned",
)


class Hooks:
    """The installed instruments of one run, sorted by what they override.

    `messages` is the flag that the path of a message tests: true if anyone looks at messages. A call
    is then never run inline by its caller, so that what an instrument sees is always the long way:
    sent, received, replied, handled.

    One server may have hooks of its own, with an instrument more (`of_one_server`; `trio_genserver.sys`
    puts one there).
    They follow what is installed in the run.
    """

    __slots__ = ("__weakref__", "derived", "instruments", "messages", "parent", *HOOKS)

    instruments: list[Any]
    parent: Hooks | None
    messages: bool
    server_started: tuple[Any, ...]
    message_sent: tuple[Any, ...]
    message_received: tuple[Any, ...]
    message_handled: tuple[Any, ...]
    message_replied: tuple[Any, ...]
    message_abandoned: tuple[Any, ...]
    message_dropped: tuple[Any, ...]
    server_crashed: tuple[Any, ...]
    server_restarted: tuple[Any, ...]
    server_restart_failed: tuple[Any, ...]
    server_stopped: tuple[Any, ...]
    task_crashed: tuple[Any, ...]

    def __init__(self, instruments: list[Any], parent: Hooks | None = None) -> None:
        self.instruments = instruments
        self.parent = parent
        # Weakly: a server that has ended takes its own with it.
        self.derived: weakref.WeakSet[Hooks] | None = None
        self.sort()

    def of_one_server(self, instrument: Any) -> Hooks:
        """These, and `instrument` after them."""
        hooks = Hooks([instrument], self)
        if self.derived is None:
            self.derived = weakref.WeakSet()
        self.derived.add(hooks)
        return hooks

    def sort(self) -> None:
        everyone = self.instruments if self.parent is None else self.parent.instruments + self.instruments
        for hook in HOOKS:
            # An instrument that does not derive from `Instrument` only needs the methods that it wants.
            wanted = [i for i in everyone if _overrides(i, hook)]
            setattr(self, hook, tuple(wanted))
        self.messages = any(getattr(self, hook) for hook in MESSAGE_HOOKS)
        for hooks in self.derived or ():
            hooks.sort()

    def tell(self, hook: str, *args: object) -> None:
        """Call `hook` on every instrument that overrides it; one that raises is removed."""
        # The tuple is the one of when it happened: who is installed or removed meanwhile changes nothing.
        for instrument in getattr(self, hook):
            try:
                getattr(instrument, hook)(*args)
            except Exception as error:  # noqa: BLE001 - whatever it is, no server is to be hurt by it
                emit(
                    logging.ERROR,
                    "%s of instrument %s raised; the instrument is removed",
                    hook,
                    show(instrument),
                    error=error,
                )
                self.discard(instrument)

    def discard(self, instrument: Any) -> None:
        """Remove `instrument`, if it is still there: it may raise twice at a time, or remove itself."""
        if any(installed is instrument for installed in self.instruments):
            self.instruments[:] = [i for i in self.instruments if i is not instrument]
            self.sort()
        elif self.parent is not None:
            self.parent.discard(instrument)


def _overrides(instrument: object, hook: str) -> bool:
    return not is_left_empty(getattr(type(instrument), hook, None))


_hooks: trio.lowlevel.RunVar[Hooks] = trio.lowlevel.RunVar("trio_genserver.hooks")


def current_hooks() -> Hooks:
    """The instruments of this Trio run; those `installed_by_default` are there from the beginning."""
    try:
        return _hooks.get()
    except LookupError:
        hooks = Hooks([make() for make in _defaults])
        _hooks.set(hooks)
        return hooks
