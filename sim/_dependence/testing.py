"""Objects of `trio.testing` that tasks share: memory streams, the sequencer, and the unbounded queue.

All of it counts as written whenever it is used, a stream also where its methods go on after a wait and
look again whether it was closed meanwhile. A stream is used by one task at each end, so there is little to
be gained by telling more apart; and a sequencer makes its events when they are first needed, by whoever
that is. The unbounded queue, which Trio has deprecated, is no better off.
"""

from __future__ import annotations

from collections.abc import Iterable

import trio.testing

from sim._dependence.footprint import Recorder
from sim._dependence.wrap import Wrapper, making, using
from sim._trio import ByteQueues, ConflictDetector


def wrappers(recorder: Recorder) -> Iterable[Wrapper]:
    for owner, kind in (
        *((queue, "byte queue") for queue in ByteQueues),
        (trio.testing.MemorySendStream, "stream"),
        (trio.testing.MemoryReceiveStream, "stream"),
        (ConflictDetector, "conflict detector"),
        (trio.lowlevel.UnboundedQueue, "queue"),
        (trio.testing.Sequencer, "sequencer"),
    ):
        yield making(recorder, owner, kind)
        yield from using(recorder, owner, kind)
