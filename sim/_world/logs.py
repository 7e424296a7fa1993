"""The log of a program during an exploration: kept for the report of a failing run, and shown nowhere else.

A thousand runs would print a thousand times what one does. So for as long as an exploration lasts, no handler
that was there before it gets what is logged in a run; one that the program itself adds does.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Generator, Iterator
from functools import partial
from typing import Any

from sim._run.looking import text_of
from sim._world.escapes import belongs_to_the_run


class _Keeper(logging.Handler):
    """Hands records of the run on."""

    def __init__(self, keep: Callable[[str], None]) -> None:
        super().__init__()
        self._keep = keep

    def emit(self, record: logging.LogRecord) -> None:
        if belongs_to_the_run():
            self._keep(_in_one_line(record))


def _not_of_the_run(record: logging.LogRecord) -> bool:
    del record
    return not belongs_to_the_run()


@contextlib.contextmanager
def gathered(keep: Callable[[str], None]) -> Generator[None]:
    """Give ``keep``, and no handler that is there now, what is logged in a run, until the block ends."""
    handlers = list(_handlers())
    keeper = _Keeper(keep)
    for handler in handlers:
        handler.addFilter(_not_of_the_run)
    logging.root.addHandler(keeper)
    try:
        yield
    finally:
        logging.root.removeHandler(keeper)
        for handler in handlers:
            handler.removeFilter(_not_of_the_run)


def heard_by(
    handler: logging.Handler, begin: Callable[[], None], scenario: Callable[[], Awaitable[object]]
) -> Callable[[], Awaitable[object]]:
    """A scenario whose own log a handler gets, although it was there before.

    Args:
        handler: the handler.
        begin: called when a run begins.
        scenario: the scenario.
    """

    async def heard() -> None:
        begin()
        handler.removeFilter(_not_of_the_run)
        try:
            await scenario()
        finally:
            handler.addFilter(_not_of_the_run)

    function: Any = scenario.func if isinstance(scenario, partial) else scenario
    heard.__name__, heard.__qualname__ = function.__name__, function.__qualname__
    heard.__module__ = function.__module__
    return heard


def _handlers() -> Iterator[logging.Handler]:
    yield from logging.root.handlers
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            yield from logger.handlers


def _in_one_line(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    caused = "" if error is None else f": {text_of(error)}"
    try:
        message = record.getMessage()
    except Exception as wrong:  # noqa: BLE001 - of the program's; a handler would tell of it, and go on
        message = f"{text_of(record.msg)}, whose message could not be formatted: {text_of(wrong)}"
    return f"{record.levelname} {record.name}: {message}{caused}"
