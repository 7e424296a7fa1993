"""The state and the messages of a server, as its class wants to show them."""

from __future__ import annotations

from typing import Any

from ._awaiting import close_awaitable, is_awaitable
from ._host import Host
from ._text import CallbackName, hidden, show

__all__ = ["attributes", "shown_message", "shown_state"]

_NO_STATE = frozenset(("_process", "__dict__", "__weakref__"))


def attributes(instance: object) -> dict[str, Any]:
    """The state of a server: what it has put into itself, in slots or not."""
    state: dict[str, Any] = {}
    for base in type(instance).__mro__:
        slots: Any = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in _NO_STATE and hasattr(instance, name):
                state[name] = getattr(instance, name)
    state.update(getattr(instance, "__dict__", {}))
    return state


def shown_state(process: Host) -> object:
    """The state as `format_status` shows it; if that raises, what it raised."""
    instance = process.instance
    if instance is None:
        return None
    try:
        shown = instance.format_status(attributes(instance))
        if is_awaitable(shown):
            close_awaitable(shown)
            return "<format_status is an async function, and must be a plain one>"
        return shown
    except Exception as error:  # noqa: BLE001 - it must not hide the crash that is being reported
        return f"<format_status raised {show(error)}>"


def shown_message(process: Host, message: object) -> object:
    """A message as `format_message` shows it; if that raises, what it raised."""
    if message is None or isinstance(message, CallbackName):
        return message
    instance = process.instance
    if instance is None:
        return hidden(message) if process.spec.server_class._hides_arguments else message
    try:
        return instance.format_message(message)
    except Exception as error:  # noqa: BLE001 - it must not hide the crash that is being reported
        return CallbackName(f"<format_message raised {show(error)}>")
