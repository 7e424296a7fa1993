"""Run-local variables: read and written like a shared cell."""

from __future__ import annotations

from collections.abc import Iterable

import trio

from sim._dependence.footprint import Recorder
from sim._dependence.wrap import Wrapper, calling, making
from sim._run.step import Operation

_KIND = "run variable"


def wrappers(recorder: Recorder) -> Iterable[Wrapper]:
    yield making(recorder, trio.lowlevel.RunVar, _KIND)
    yield calling(recorder, trio.lowlevel.RunVar, "get", _KIND, Operation.READ)
    yield calling(recorder, trio.lowlevel.RunVar, "set", _KIND, Operation.WRITE)
    yield calling(recorder, trio.lowlevel.RunVar, "reset", _KIND, Operation.WRITE)
