"""`datetime.datetime.now` by the virtual clock.

The class is written in C and refuses to be given another `now`. A stand-in for it would be another class: it
cannot be pickled, derived from or dispatched on as the real one is. So the two methods that ask for the
present are replaced where the class itself looks them up, in its dictionary, and put back afterwards.
(`date.today` and `datetime.today` ask `time.time`, which is virtual anyway.)
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import gc
from collections.abc import Callable, Generator
from typing import Any, Final

from sim._world.escapes import belongs_to_the_run

_CLASS: Final[Any] = datetime.datetime


@contextlib.contextmanager
def virtual_now(now: Callable[[], float]) -> Generator[None]:
    """Until the block ends, the present of `datetime.datetime` is what `now` says, in what belongs to a run.

    Args:
        now: seconds since the epoch.
    """
    methods = _methods()
    originals = {name: methods[name] for name in ("now", "utcnow")}
    # Bound to the class that is asked, which may be derived.
    real_now, real_utcnow = (originals[name].__get__ for name in ("now", "utcnow"))

    def virtual(cls: Any, tz: datetime.tzinfo | None = None) -> Any:
        if not belongs_to_the_run():
            return real_now(None, cls)(tz)
        return cls.fromtimestamp(now(), tz)

    def virtual_utc(cls: Any) -> Any:
        if not belongs_to_the_run():
            return real_utcnow(None, cls)()
        return cls.fromtimestamp(now(), datetime.UTC).replace(tzinfo=None)

    try:
        methods["now"], methods["utcnow"] = classmethod(virtual), classmethod(virtual_utc)
        _forget_looked_up()
        yield
    finally:
        methods.update(originals)
        _forget_looked_up()


def _methods() -> dict[str, Any]:
    """The dictionary behind the view that is the class's ``__dict__``."""
    behind: list[Any] = [each for each in gc.get_referents(_CLASS.__dict__) if isinstance(each, dict)]
    methods: dict[str, Any] = behind[0]
    assert "utcnow" in methods
    return methods


def _forget_looked_up() -> None:
    """Tell the interpreter that what it has cached of the class is out of date."""
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(_CLASS))
