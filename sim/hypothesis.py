"""Schedules drawn by Hypothesis, from the same data as a test's other arguments.

Hypothesis shrinks all that was drawn together: a failing test ends up with the fewest operations
*and* the fewest preemptions, and its database tries that first next time. Alternative 0 of every
choice is the quiet one, so what Hypothesis shrinks towards is the plainest run there is.

Needs the package `hypothesis`.
"""

from __future__ import annotations

from typing import final

from hypothesis import note
from hypothesis import strategies as st

from sim._exploration.explore import DEFAULT_MAX_STEPS
from sim._public import Result, Scenario, explore
from sim.strategies import ChoiceKind, Strategy

__all__ = ["Schedule", "schedules"]


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """A schedule whose choices are drawn when they come up.

    ::

        @given(amounts=st.lists(st.integers(1, 9), max_size=3), schedule=sim.hypothesis.schedules())
        def test_no_payment_is_lost(amounts: list[int], schedule: sim.hypothesis.Schedule) -> None:
            async def scenario() -> None:
                ...

            schedule.run(scenario)
    """
    return Schedule(draw)


@final
class Schedule:
    """One way to run one scenario; `schedules` makes it."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._made: str | None = None

    def run(self, scenario: Scenario, *, max_steps: int = DEFAULT_MAX_STEPS) -> Result:
        """Run the scenario once, under this schedule.

        Args:
            scenario: an async function without arguments.
            max_steps: steps it may take before it counts as a livelock.

        Raises:
            BaseException: what the scenario raised, or what the simulator found.
            WrongUse: the schedule was used before, or a Trio run is under way.
        """
        strategy = _Drawn(self._draw)
        result = explore(scenario, strategy, max_executions=1, shrink_failures=False, max_steps=max_steps)
        self._made = f"choices {strategy.choices}"
        if result.failures:
            note(f"schedule: {len(strategy.choices)} choices, {result.failures[0].preemptions} preemptions")
        result.check()
        return result

    def __repr__(self) -> str:
        return f"<schedule, {self._made or 'drawn as it goes'}>"


class _Drawn(Strategy):
    """Answers each choice with an integer that Hypothesis draws."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._begun = False
        self.choices: list[int] = []

    def begin_execution(self) -> bool:
        again, self._begun = self._begun, True
        return not again

    def choose(self, kind: ChoiceKind, alternatives: int) -> int:
        del kind
        # One object a bound: Hypothesis checks a strategy when it is first drawn from.
        choice = self._draw(_integers_below(alternatives))
        self.choices.append(choice)
        return choice


_below: dict[int, st.SearchStrategy[int]] = {}


def _integers_below(bound: int) -> st.SearchStrategy[int]:
    strategy = _below.get(bound)
    if strategy is None:
        strategy = _below[bound] = st.integers(0, bound - 1)
    return strategy
