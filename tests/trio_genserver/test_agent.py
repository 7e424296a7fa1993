"""Agents: state behind a server, read and changed by functions."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio
import trio.testing

from trio_genserver import ServerCrashed, ServerNotRunning, open_supervisor
from trio_genserver.agents import AgentRef, agent_spec, open_agent


async def test_an_agent_is_read_and_changed_by_functions() -> None:  # OTP 154
    async with open_agent(lambda: 10) as agent:
        assert await agent.get(lambda state: state) == 10
        await agent.update(lambda state: state + 1)
        assert await agent.get(str) == "11"
        assert await agent.get_and_update(lambda state: (state, state * 2)) == 11
        assert await agent.get(lambda state: state) == 22
        await agent.cast_update(lambda state: state + 1)
        assert await agent.get(lambda state: state) == 23
    with pytest.raises(ServerNotRunning):
        await agent.get(lambda state: state)


async def test_what_many_tasks_change_at_once_is_all_there() -> None:  # OTP 154
    async with open_agent(lambda: 0) as agent:
        taken: list[int] = []

        async def work() -> None:
            for _ in range(10):
                await agent.update(lambda state: state + 1)
                taken.append(await agent.get_and_update(lambda state: (state, state + 1)))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(work)
        assert await agent.get(lambda state: state) == 400
        assert len(set(taken)) == 200


async def test_a_function_that_raises_crashes_the_agent_which_starts_again_under_a_supervisor() -> None:
    # OTP 154
    async with open_supervisor([agent_spec(list[int], id="numbers")]) as supervisor:
        agent = cast("AgentRef[list[int]]", supervisor.child("numbers"))
        await agent.update(lambda state: [*state, 1])
        with pytest.raises(ServerCrashed) as caught:
            await agent.get(lambda state: state[5])
        assert isinstance(caught.value.__cause__, IndexError)
        await trio.testing.wait_all_tasks_blocked()
        assert await agent.get(len) == 0


def not_a_pair(state: int) -> Any:
    return state


async def test_get_and_update_wants_a_pair_and_says_so() -> None:  # OTP 154
    with pytest.raises(TypeError, match=r"must return a pair .*, not 0"):
        async with open_agent(lambda: 0) as agent:
            with pytest.raises(ServerCrashed):
                await agent.get_and_update(not_a_pair)


async def test_a_first_state_that_cannot_be_made_is_the_starters_error() -> None:  # OTP 154
    with pytest.raises(ZeroDivisionError):
        async with open_agent(lambda: 1 // 0):
            raise AssertionError("it must not start")
