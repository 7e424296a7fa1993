"""Fair scheduling: a task that only repeats itself lets the others go first.

Trio's loop runs every task that can run in each of its rounds, and so ends
``while not done: await trio.sleep(0)``. A strategy may choose the same task for ever. That is no run of the
program that anybody will see, and no livelock.

A task *spins* when it comes back to a checkpoint as it was there before (see `_suspension`), for the
`REPETITIONS`-th time without having been blocked, in a step that has changed nothing that it can reach; or,
whatever it holds and does, to the same checkpoint for the `VISITS`-th. It then stands back until each of
those who could have run has made a step. This is the priority relation of fair stateless model checking
(Musuvathi, Qadeer, "Fair Stateless Model Checking", PLDI 2008), where a spinning task is one that yields, in
the form in which only every k-th yield counts.

When all tasks that can run spin, a *round* is over. They all may go on. If in a whole round nobody did
anything else, only time can change something: it passes, by `FIRST_PAUSE` seconds at first, then by twice as
much each time, but not beyond the next deadline.

A strategy that reduces by partial order must not see that the order of steps which have nothing to do with
each other decides who stands back. For it a spinning task waits until the round is over, which is a
step of the clock. That a task spins depends on its own past alone, and when a round is over on no order
either: to the strategy, the program is one whose loops are unrolled a few times and then wait. Every other
strategy may make the same choices, so its runs are replayed like any others.

A run in which no task spins has the choices that it would have without all of this.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

from sim._kernel.suspension import Suspensions, calls_of, place_of
from sim._run.step import TaskId

REPETITIONS: Final = 3
"""How often a task may come back to a checkpoint as it was there before: the last of them counts."""

UNSEEN: Final = 5
"""From which checkpoint in a row on a task is looked at: most are blocked before."""

VISITS: Final = 100
"""The same for a checkpoint, with whatever the task holds: a loop that counts its turns."""

FIRST_PAUSE: Final = 0.001
"""How much time passes after the first round in which nobody did anything new, in seconds."""

LONGEST_PAUSE: Final = 3_600.0
"""How much at most."""


class Fairness:
    """Which tasks stand back in an execution.

    Attributes:
        spinning: whose last step was a repetition, since the last round was over.
        turns: how many checkpoints in a row each task has come to since it was last blocked.
        streaks: of those who have come to `UNSEEN`: which.
        has_limited: whether anybody had to stand back for others, in any execution.
        aside: of those who stand back, for whom; they are not in the run queue.
    """

    def __init__(self) -> None:
        self._suspensions = Suspensions()
        self.has_limited = False
        self.spinning: dict[Any, None] = {}
        self.turns: dict[Any, int] = {}
        self.streaks: dict[Any, _Streak] = {}
        self.aside: dict[Any, set[Any]] = {}
        self._quiet = False
        self._pause = FIRST_PAUSE

    def begin(self) -> None:
        """No task has made a step."""
        self.turns.clear()
        if self.streaks:
            self.streaks.clear()
            self._suspensions.forget()
        self.spinning.clear()
        self.aside.clear()
        self._quiet = False
        self._pause = FIRST_PAUSE

    def repeats(self, task: Any) -> bool:
        """Whether a step that ended at a checkpoint, the `UNSEEN`-th in a row or later, has brought its task
        nowhere new."""
        streak = self.streaks.get(task)
        if streak is None:
            streak = self.streaks[task] = _Streak()
        calls = calls_of(task)
        place = place_of(calls)
        visits = _count(streak.places, place)
        if visits == 1:
            streak.unsettled += 1
            return False
        if visits == VISITS:
            streak.unsettled -= 1
        if not streak.unsettled:
            # At none of its places does it matter any more what it holds: looking is most of the cost of a
            # run without an end.
            streak.is_close, streak.before = False, None
            return True
        repetitions = _count(streak.states, (place, self._suspensions.state(calls)))
        before, streak.before = streak.before, None
        if repetitions >= REPETITIONS and before != self._suspensions.reach(calls):
            # It takes one of many messages, say, and looks the same each time.
            streak.has_changed_something()
            repetitions = 0
        streak.is_close = streak.is_close or repetitions >= REPETITIONS - 1
        return repetitions >= REPETITIONS or visits >= VISITS

    def begins(self, task: Any, streak: _Streak) -> None:
        """A task goes on that may be about to repeat itself: note what a step could change."""
        streak.before = self._suspensions.reach(calls_of(task))

    def stepped(self, task: Any, runq: list[Any], *, repeated: bool) -> None:
        """Note a step after its effect on the queue; change the queue if a task must stand back, or no longer
        has to.

        Args:
            task: who made it; the first in the queue if it can go on.
            repeated: it was a repetition.
        """
        if repeated:
            self.spinning[task] = None
        else:
            self.spinning.pop(task, None)
            self._quiet = False
            self._pause = FIRST_PAUSE
        aside = self.aside
        if aside:
            for other in [other for other, waits_for in aside.items() if _is_done(waits_for, task, runq)]:
                del aside[other]
                runq.append(other)
        if repeated:
            if len(runq) > 1 or aside:
                self.has_limited = True
            if len(runq) > 1:
                aside[task] = set(runq[1:])
                del runq[0]

    def is_round_over(self, runq: list[Any]) -> bool:
        """Whether all that can run spin."""
        spinning = self.spinning
        return all(task in spinning for task in runq)

    def end_round(self, runq: list[Any], ids: dict[Any, TaskId]) -> float:
        """Let all tasks go on that spin.

        Returns:
            how much time is to pass, in seconds.
        """
        runq.extend(self.aside)
        self.aside.clear()
        runq.sort(key=ids.__getitem__)
        self.spinning.clear()
        if not self._quiet:
            self._quiet = True
            return 0.0
        pause = self._pause
        self._pause = min(2 * pause, LONGEST_PAUSE)
        return pause

    def release(self, runq: list[Any]) -> None:
        """No task stands back."""
        runq.extend(self.aside)
        self.aside.clear()
        self.spinning.clear()


class _Streak:
    """The checkpoints of a task since it was last blocked."""

    __slots__ = ("before", "is_close", "places", "states", "unsettled")

    def __init__(self) -> None:
        # Whether the next suspension may be a repetition; then what could be reached before the step.
        self.is_close = False
        self.before: Hashable = None
        # How often it was at a place, and as often in a state there.
        self.places: dict[Hashable, int] = {}
        self.states: dict[Hashable, int] = {}
        # At how many of the places it was less than `VISITS` times.
        self.unsettled = 0

    def has_changed_something(self) -> None:
        """Only how often it has come to a place counts on."""
        self.is_close = False
        self.states.clear()


def _count(counts: dict[Hashable, int], what: Hashable) -> int:
    count = counts[what] = counts.get(what, 0) + 1
    return count


def _is_done(waits_for: set[Any], stepped: Any, runq: list[Any]) -> bool:
    waits_for.discard(stepped)
    # One may also have made its step in the middle of another's.
    waits_for.intersection_update(runq)
    return not waits_for
