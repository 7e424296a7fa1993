from __future__ import annotations

import trio

from trio_genserver import GenServer, handle_call, open_server


async def test_the_first_call_of_a_class_takes_the_same_way_as_the_second() -> None:
    class Base(GenServer):
        @handle_call
        def get(self) -> int:
            return 1

    class Derived(Base):
        @handle_call
        def get(self) -> int:
            return 2

    class Steps(trio.abc.Instrument):
        def __init__(self) -> None:
            self.count = 0

        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            self.count += 1

    counts: list[int] = []
    async with open_server(Derived) as server:
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(2):
            steps = Steps()
            trio.lowlevel.add_instrument(steps)
            # Built from the base class: the message is the derived handler's all the same.
            assert await server.call(Base.get()) == 2
            trio.lowlevel.remove_instrument(steps)
            counts.append(steps.count)
    assert counts[0] == counts[1]
