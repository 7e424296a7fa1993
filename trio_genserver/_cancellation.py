"""Tells a cancellation from a crash.

A callback that is cancelled while it has a nursery open does not raise `trio.Cancelled`: the nursery raises a
group of them, one for each of its tasks. For whoever looks at how a callback ended, that is the same thing. A
group in which there is anything else is a crash, and keeps its cancellations inside: the scope that they
belong to takes them out when the group comes by.
"""

from __future__ import annotations

from typing import cast

import trio

__all__ = ["is_cancellation"]


def is_cancellation(error: BaseException) -> bool:
    """Whether `error` says only that its task was cancelled."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_cancellation, cast("BaseExceptionGroup[BaseException]", error).exceptions))
    return isinstance(error, trio.Cancelled)
