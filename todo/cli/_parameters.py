"""Convert command line arguments to values."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import click

__all__ = ["DAY", "ID", "LIST", "NO_PRIORITY", "PRIORITY", "today"]

if TYPE_CHECKING:
    _DayType = click.ParamType[datetime.date]
    _PriorityType = click.ParamType[str]
else:
    # Not generic at run time in every version that we take.
    _DayType = _PriorityType = click.ParamType

NO_PRIORITY = "none"


def today() -> datetime.date:
    """The day that it is where this computer is."""
    return datetime.datetime.now().astimezone().date()


class _Day(_DayType):
    """A day: ``2023-12-19``, ``today``, ``tomorrow``, ``yesterday``."""

    name = "DAY"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, datetime.date):
            return value
        match str(value).lower():
            case "today":
                return today()
            case "tomorrow":
                return today() + datetime.timedelta(days=1)
            case "yesterday":
                return today() - datetime.timedelta(days=1)
            case text:
                try:
                    return datetime.date.fromisoformat(text)
                except ValueError:
                    self.fail(
                        f"{value!r} is not a date; write it as 2023-12-19, today, tomorrow or yesterday",
                        param,
                        ctx,
                    )


class _Priority(_PriorityType):
    """A letter, large or small, or ``none``."""

    name = "LETTER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = str(value)
        if text.lower() == NO_PRIORITY:
            return NO_PRIORITY
        if not (len(text) == 1 and text.isascii() and text.isalpha()):
            self.fail(f"{value!r} is not a priority; give a letter from A to Z, or none", param, ctx)
        return text.upper()


DAY = _Day()
PRIORITY = _Priority()
LIST = click.argument("name", metavar="LIST")
ID = click.argument("id", type=click.IntRange(1))
