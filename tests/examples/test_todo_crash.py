"""What `todo` says about calls and casts in a crash is so."""

from __future__ import annotations

import sim
from examples.todo_crash import Lost, a_call_survives, a_cast_survives


def test_an_entry_whose_call_returned_is_never_lost() -> None:
    result = sim.explore(a_call_survives, "random", max_executions=200)
    result.check()
    assert result.executions == 200


def test_an_entry_that_was_cast_may_be_lost_and_the_loss_replays() -> None:
    (failure,) = sim.explore(a_cast_survives, "random", max_executions=500).failures
    assert isinstance(failure.error, Lost)
    (again,) = sim.replay(a_cast_survives, failure.token).failures
    assert isinstance(again.error, Lost)
