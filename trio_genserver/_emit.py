"""One record in the log of this package; who may write how many is decided in `_log`."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ._text import TRACEBACK, traceback_of

__all__ = ["emit", "logger"]

logger = logging.getLogger("trio_genserver")


def emit(
    level: int,
    text: str,
    *args: object,
    error: BaseException | None = None,
    extra: Mapping[str, object] | None = None,
) -> None:
    """One record, with a traceback that is not longer than it may be."""
    if not logger.isEnabledFor(level):
        return
    file, line, function, _ = logger.findCaller(stacklevel=2)
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    record = logger.makeRecord(
        logger.name, level, file, line, text, args, exc_info, function, None if extra is None else dict(extra)
    )
    if error is not None:
        shown = traceback_of(error)
        if len(shown) >= TRACEBACK:
            # Where formatters look first. One that does not still has the exception itself.
            record.exc_text = shown
    logger.handle(record)
