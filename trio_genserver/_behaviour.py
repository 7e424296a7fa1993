"""The part of a server class that the machinery knows: its handlers, and how to show its state and messages.

`GenServer`, far above, is the only subclass. The modules that refer to a server, run it or name it need to
know this much of its class, and nothing about how a server is written.
"""

from __future__ import annotations

from typing import ClassVar

from ._message import Handler

__all__ = ["Behaviour"]


class Behaviour:
    """The base of `GenServer`. Not to be subclassed by users."""

    __slots__ = ()

    # Those of its messages that it has, by the one that is declared: a subclass may override a handler.
    _handlers: ClassVar[dict[Handler, Handler]] = {}
    # Whether texts are to leave out what messages to it carry.
    _hides_arguments: ClassVar[bool] = False
    _formats_messages: ClassVar[bool] = False
