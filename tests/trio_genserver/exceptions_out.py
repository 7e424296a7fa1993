"""Every public way in which an exception comes out, for the tests of what it leads to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, cast

import pytest
import trio
import trio.testing

from trio_genserver import (
    AlreadyReplied,
    CheckoutPool,
    From,
    GenServer,
    Ignore,
    Refuse,
    Registry,
    Request,
    ServerCrashed,
    ServerRef,
    Stop,
    TaskStopped,
    amap,
    amap_nolink,
    as_completed,
    child_spec,
    handle_call,
    handle_cast,
    monitor,
    open_agent,
    open_checkout_pool,
    open_dynamic_supervisor,
    open_partition_supervisor,
    open_server,
    open_supervisor,
    open_task_supervisor,
    run_server,
    start_server,
    sys,
    wait_all,
)


class Broken(Exception):
    pass


class Payload:
    """What was sent, and is not to outlive it."""


class Desk(GenServer):
    def __init__(self, log: list[From[None]] | None = None) -> None:
        self.kept: list[From[None]] = []

    @handle_call
    def refuse(self, sent: object) -> None:
        raise Refuse(Broken("refused"))

    @handle_call
    async def refuse_later(self, sent: object) -> None:
        await trio.lowlevel.checkpoint()
        try:
            raise KeyError("first")
        except KeyError as error:
            raise Refuse(Broken("refused")) from error

    @handle_call(child=True)
    async def refuse_in_a_child(self, sent: object) -> None:
        await trio.lowlevel.checkpoint()
        raise Refuse(Broken("refused"))

    @handle_call
    def refuse_what_was_raised(self, sent: object) -> None:
        try:
            raise Broken("raised")
        except Broken as error:
            raise Refuse(error) from None

    @handle_call
    def crash(self, sent: object) -> None:
        raise Broken("crashed")

    @handle_call
    async def crash_later(self, sent: object) -> None:
        await trio.lowlevel.checkpoint()
        try:
            raise KeyError("first")
        except KeyError as error:
            raise Broken("crashed") from error

    @handle_call(child=True)
    async def crash_in_a_child(self, sent: object) -> None:
        await trio.lowlevel.checkpoint()
        raise Broken("crashed")

    @handle_call(noreply=True)
    def crash_with_from(self, from_: From[None], sent: object) -> None:
        raise Broken("crashed")

    @handle_call(noreply=True)
    def reply_error(self, from_: From[None], sent: object) -> None:
        try:
            raise Broken("replied")
        except Broken as error:
            from_.reply_error(error)

    @handle_call(noreply=True)
    def keep(self, from_: From[None], sent: object) -> None:
        self.kept.append(from_)

    @handle_call
    def reply_twice(self) -> None:
        self.kept[0].reply_error(Broken("first"))
        try:
            self.kept[0].reply_error(Broken("second"))
        except AlreadyReplied as error:
            raise Refuse(error) from None

    @handle_call
    def stop_it(self, sent: object) -> None:
        raise Stop("enough")

    @handle_call
    def crash_below(self, sent: object) -> Any:
        return self.call_below(sent)

    async def call_below(self, sent: object) -> None:
        async with open_server(Desk) as below:
            await below.call(Desk.crash(sent))

    @handle_call
    def call_itself(self, sent: object) -> Any:
        return self.ref.call(Desk.refuse(sent))

    @handle_cast
    def crash_by_cast(self, sent: object) -> None:
        raise Broken("crashed")

    @handle_cast
    def go_on(self, sent: object) -> None:
        self.continue_with(sent)

    @handle_cast
    def start_failing(self, sent: object) -> None:
        self.start_task(fail, sent)

    async def handle_continue(self, argument: object) -> None:
        raise Broken("crashed")

    async def handle_info(self, message: object) -> None:
        raise Broken("crashed")


class Small(Desk):
    mailbox_size = 1
    overflow = "raise"


class DoesNotStart(GenServer):
    def __init__(self, how: str) -> None:
        self.how = how
        if how == "init":
            raise Broken("in __init__")

    async def init(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.how == "stop":
            raise Stop("no")
        if self.how == "ignore":
            raise Ignore
        raise Broken("in init")


class FailsInTerminate(GenServer):
    async def terminate(self, reason: object) -> None:
        raise Broken("in terminate")


class Caller(GenServer):
    @handle_call
    async def ask(self, desk: ServerRef[Desk], message: Any) -> None:
        with trio.fail_after(5):
            await desk.call(message)


async def fail(sent: object) -> None:
    await trio.lowlevel.checkpoint()
    raise Broken("failed")


async def given(sent: object) -> object:
    await trio.lowlevel.checkpoint()
    return sent


# Each way lets an exception out. What it is given is in the frames that the exception comes through.
Way = Callable[[Any], Awaitable[object]]
WAYS: list[Way] = []


def way(function: Way) -> Way:
    WAYS.append(function)
    return function


CALLS: list[Callable[[Any], Any]] = [
    Desk.refuse,
    Desk.refuse_later,
    Desk.refuse_in_a_child,
    Desk.refuse_what_was_raised,
    Desk.crash,
    Desk.crash_later,
    Desk.crash_in_a_child,
    Desk.crash_with_from,
    Desk.crash_below,
    Desk.reply_error,
    Desk.stop_it,
    Desk.call_itself,
]


def of_each_call(
    function: Callable[[Any, Any], Awaitable[object]],
) -> Callable[[Any, Any], Awaitable[object]]:
    for message in CALLS:

        def bound(sent: Any, message: Any = message) -> Awaitable[object]:
            return function(message, sent)

        bound.__name__ = f"{function.__name__}[{message.__name__}]"
        WAYS.append(bound)
    return function


@of_each_call
async def call_a_server(message: Any, sent: Any) -> None:
    async with open_server(Desk) as desk:
        await desk.call(message(sent))


@of_each_call
async def call_a_server_in_a_server_with_a_time_limit(message: Any, sent: Any) -> None:
    async with open_server(Desk) as desk, open_server(Caller) as caller:
        await caller.call(Caller.ask(desk, message(sent)))


@of_each_call
async def call_a_child(message: Any, sent: Any) -> None:
    async with open_supervisor([Desk]) as supervisor:
        desk = supervisor.child("Desk", Desk)
        await desk.call(message(sent))


@of_each_call
async def call_a_child_that_is_not_restarted(message: Any, sent: Any) -> None:
    async with open_supervisor([child_spec(Desk).replace(restart="temporary")]) as supervisor:
        desk = supervisor.child("Desk", Desk)
        try:
            await desk.call(message(sent))
        finally:
            await trio.testing.wait_all_tasks_blocked()


@of_each_call
async def wait_for_a_request(message: Any, sent: Any) -> None:
    async with open_supervisor([Desk]) as supervisor:
        request: Request[Any] = supervisor.child("Desk", Desk).send_request(message(sent))
        await request.wait()


@of_each_call
async def wait_for_a_request_several_times(message: Any, sent: Any) -> None:
    async with open_supervisor([Desk]) as supervisor:
        request: Request[Any] = supervisor.child("Desk", Desk).send_request(message(sent))
        for _ in range(2):
            with pytest.raises(Exception):  # noqa: B017, PT011 - what it is does not matter here
                await request.wait()
        request.check()


@of_each_call
async def wait_for_all(message: Any, sent: Any) -> None:
    async with open_supervisor([Desk]) as supervisor:
        desk = supervisor.child("Desk", Desk)
        requests: list[Request[Any]] = [desk.send_request(message(sent)) for _ in range(3)]
        await wait_all(requests)


@of_each_call
async def take_them_as_they_are_completed(message: Any, sent: Any) -> None:
    async with open_supervisor([Desk]) as supervisor:
        desk = supervisor.child("Desk", Desk)
        requests: list[Request[Any]] = [desk.send_request(message(sent)) for _ in range(3)]
        async for request in as_completed(requests):
            request.check()


@of_each_call
async def call_a_worker_of_a_checkout_pool(message: Any, sent: Any) -> None:
    async with open_checkout_pool(Desk, size=1) as pool, pool.checkout() as desk:
        await desk.call(message(sent))


@of_each_call
async def call_a_partition(message: Any, sent: Any) -> None:
    async with open_partition_supervisor(child_spec(Desk), 2) as partitions:
        await partitions.worker_for("key").call(message(sent))


@of_each_call
async def call_by_name(message: Any, sent: Any) -> None:
    names: Registry[Desk] = Registry()
    async with open_server(child_spec(Desk).replace(via=names.via("desk"))):
        await names["desk"].call(message(sent))


@way
async def wait_too_long(sent: Any) -> None:
    async with open_server(Desk) as desk:
        with trio.fail_after(0):
            await desk.call(Desk.keep(sent))


@way
async def abandon_it(sent: Any) -> None:
    async with open_server(Desk) as desk:
        request = desk.send_request(Desk.keep(sent))
        request.abandon()
        request.check()


@way
async def ask_before_it_is_there(sent: Any) -> None:
    async with open_server(Desk) as desk:
        desk.send_request(Desk.keep(sent)).check()


@way
async def reply_twice(sent: Any) -> None:
    async with open_server(Desk) as desk:
        request = desk.send_request(Desk.keep(sent))
        await trio.testing.wait_all_tasks_blocked()
        try:
            await desk.call(Desk.reply_twice())
        finally:
            with pytest.raises(Broken, match="first"):
                await request.wait()


@way
async def call_who_is_not_there(sent: Any) -> None:
    async with open_server(Desk) as desk:
        pass
    await desk.call(Desk.refuse(sent))


@way
async def call_who_has_crashed(sent: Any) -> None:
    async with open_supervisor([child_spec(Desk).replace(restart="temporary")]) as supervisor:
        desk = supervisor.child("Desk", Desk)
        with pytest.raises(ServerCrashed):
            await desk.call(Desk.crash(sent))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Exception):  # noqa: B017, PT011
            await desk.send_request(Desk.crash(sent)).wait()
        await desk.call(Desk.crash(sent))


@way
async def call_another_kind(sent: Any) -> None:
    async with open_server(Desk) as desk:
        message: Any = Caller.ask(desk, sent)
        await desk.call(message)


async def fill(desk: ServerRef[Small]) -> None:
    await sys.suspend(desk)
    desk.cast_nowait(Desk.go_on(None))


@way
async def cast_to_a_full_mailbox(sent: Any) -> None:
    async with open_supervisor([Small]) as supervisor:
        desk = supervisor.child("Small", Small)
        await fill(desk)
        await desk.cast(Desk.crash_by_cast(sent))


@way
async def cast_nowait_to_a_full_mailbox(sent: Any) -> None:
    async with open_supervisor([Small]) as supervisor:
        desk = supervisor.child("Small", Small)
        await fill(desk)
        desk.cast_nowait(Desk.crash_by_cast(sent))


@way
async def send_to_a_full_mailbox(sent: Any) -> None:
    async with open_supervisor([Small]) as supervisor:
        desk = supervisor.child("Small", Small)
        await fill(desk)
        await desk.send(sent)


@way
async def request_of_a_full_mailbox(sent: Any) -> None:
    async with open_supervisor([Small]) as supervisor:
        desk = supervisor.child("Small", Small)
        await fill(desk)
        desk.send_request(Desk.refuse(sent))


@way
async def call_to_a_full_mailbox(sent: Any) -> None:
    async with open_supervisor([Small]) as supervisor:
        desk = supervisor.child("Small", Small)
        await fill(desk)
        await desk.call(Desk.refuse(sent))


@way
async def call_that_is_dropped_for_a_newer_one(sent: Any) -> None:
    async with open_supervisor([child_spec(Small).replace(overflow="drop_oldest")]) as supervisor:
        desk = supervisor.child("Small", Small)
        await sys.suspend(desk)
        request = desk.send_request(Desk.refuse(sent))
        desk.cast_nowait(Desk.go_on(None))
        await request.wait()


@way
async def crash_by_a_cast(sent: Any) -> None:
    async with open_server(Desk) as desk:
        await desk.cast(Desk.crash_by_cast(sent))
        await trio.sleep_forever()


@way
async def crash_by_a_message(sent: Any) -> None:
    async with open_server(Desk) as desk:
        await desk.send(sent)
        await desk.wait_stopped()


@way
async def crash_in_a_continuation(sent: Any) -> None:
    async with open_server(Desk) as desk:
        await desk.cast(Desk.go_on(sent))
        await desk.wait_stopped()


@way
async def crash_in_a_task(sent: Any) -> None:
    async with open_server(Desk) as desk:
        await desk.cast(Desk.start_failing(sent))
        await trio.sleep_forever()


@way
async def crash_and_look_at_the_reason(sent: Any) -> None:
    reasons: list[str] = []
    async with open_server(Desk) as desk:
        await desk.cast(Desk.crash_by_cast(sent))
        with trio.CancelScope(shield=True):
            reasons.append(repr(await desk.wait_stopped()))
            reasons.append(repr(await desk.wait_stopped()))


@way
async def crash_and_stay_in_the_handler(sent: Any) -> None:
    async with open_server(Desk) as desk:
        try:
            await desk.call(Desk.crash(sent))
        except ServerCrashed:
            await trio.sleep_forever()


@way
async def crash_in_a_nursery(sent: Any) -> None:
    async with trio.open_nursery() as nursery:
        desk = await start_server(nursery, Desk)
        await desk.cast(Desk.crash_by_cast(sent))


@way
async def crash_in_a_task_of_its_own(sent: Any) -> None:
    async with trio.open_nursery() as nursery:
        desk: ServerRef[Desk] = await nursery.start(run_server, Desk)
        await desk.call(Desk.crash(sent))


@way
async def fail_in_terminate(sent: Any) -> None:
    async with open_server(FailsInTerminate) as server:
        await server.stop()


@way
async def stop_with_an_exception(sent: Any) -> None:
    async with open_supervisor([child_spec(FailsInTerminate).replace(restart="temporary")]) as supervisor:
        server = supervisor.child("FailsInTerminate", FailsInTerminate)
        await server.stop()


@way
async def stop_who_is_not_there(sent: Any) -> None:
    async with open_server(Desk) as desk:
        pass
    await desk.stop()


@way
async def terminate_by_sys(sent: Any) -> None:
    async with open_supervisor([child_spec(FailsInTerminate).replace(restart="temporary")]) as supervisor:
        await sys.terminate(supervisor.child("FailsInTerminate", FailsInTerminate), "now")


@way
async def replace_a_state_by_sys(sent: Any) -> None:
    def change(state: object) -> Any:
        raise Broken("changed")

    async with open_server(Desk) as desk:
        await sys.replace_state(desk, change)


def of_each_start(
    function: Callable[[Any, Any], Awaitable[object]],
) -> Callable[[Any, Any], Awaitable[object]]:
    for how in ("init", "async init", "stop", "ignore"):

        def bound(sent: Any, how: str = how) -> Awaitable[object]:
            return function(how, sent)

        bound.__name__ = f"{function.__name__}[{how}]"
        WAYS.append(bound)
    return function


@of_each_start
async def start_a_server(how: Any, sent: Any) -> None:
    async with open_server(DoesNotStart, how):
        pass


@of_each_start
async def start_a_server_in_a_nursery(how: Any, sent: Any) -> None:
    async with trio.open_nursery() as nursery:
        await start_server(nursery, DoesNotStart, how)


@of_each_start
async def run_a_server(how: Any, sent: Any) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(run_server, DoesNotStart, how)


@of_each_start
async def start_a_child(how: Any, sent: Any) -> None:
    async with open_supervisor() as supervisor:
        await supervisor.start_child(DoesNotStart, how)


@of_each_start
async def start_a_child_again(how: Any, sent: Any) -> None:
    async with open_supervisor() as supervisor:
        with pytest.raises(Exception):  # noqa: B017, PT011
            await supervisor.start_child(DoesNotStart, how)
        await supervisor.restart_child("DoesNotStart")


@of_each_start
async def start_a_dynamic_child(how: Any, sent: Any) -> None:
    async with open_dynamic_supervisor() as supervisor:
        await supervisor.start_child(DoesNotStart, how)


@way
async def start_a_tree(sent: Any) -> None:
    async with open_supervisor([Desk, child_spec(DoesNotStart, "init")]):
        pass


@way
async def start_partitions(sent: Any) -> None:
    async with open_partition_supervisor(child_spec(DoesNotStart, "init"), 3):
        pass


@way
async def start_a_pool(sent: Any) -> None:
    async with open_checkout_pool(child_spec(DoesNotStart, "init"), size=3):
        pass


@way
async def start_a_worker(sent: Any) -> None:
    spec = child_spec(DoesNotStart, "async init")
    async with open_checkout_pool(spec, size=3, lazy=True) as pool, pool.checkout():
        pass


@way
async def want_a_worker_at_once(sent: Any) -> None:
    async with open_checkout_pool(Desk, size=1) as pool, pool.checkout(), pool.checkout(wait=False):
        pass


@way
async def have_a_worker_of_a_pool_that_ends(sent: Any) -> None:
    async def end() -> None:
        await trio.testing.wait_all_tasks_blocked()
        pool._process.stop_now("enough")

    async with open_supervisor([child_spec(CheckoutPool[Desk], Desk, size=1)]) as supervisor:
        pool = supervisor.child("CheckoutPool", CheckoutPool[Desk])
        async with pool.checkout(), trio.open_nursery() as nursery:
            nursery.start_soon(end)
            async with pool.checkout():
                pass


@way
async def restart_too_often(sent: Any) -> None:
    async with open_supervisor([Desk], max_restarts=1) as supervisor:
        desk = supervisor.child("Desk", Desk)
        while True:
            with pytest.raises(ServerCrashed):
                await desk.call(Desk.crash(sent))
            await trio.testing.wait_all_tasks_blocked()


@way
async def restart_too_often_below(sent: Any) -> None:
    from trio_genserver import supervisor_spec

    below = supervisor_spec([Desk], max_restarts=0, id="below")
    async with open_supervisor([below], max_restarts=0) as supervisor:
        supervisor.child("below").child("Desk").cast_nowait(Desk.crash_by_cast(sent))
        await trio.sleep_forever()


@way
async def ask_a_supervisor_for_nothing(sent: Any) -> None:
    async with open_supervisor() as supervisor:
        await supervisor.terminate_child(sent)


@way
async def look_for_no_child(sent: Any) -> None:
    async with open_supervisor() as supervisor:
        supervisor.child(sent)


@way
async def look_up_nobody(sent: Any) -> None:
    names: Registry[Desk] = Registry()
    names["desk"]


@way
async def register_twice(sent: Any) -> None:
    names: Registry[Desk] = Registry()
    async with open_server(Desk) as desk, open_server(Desk) as other:
        names.register("desk", desk)
        names.register("desk", other)


@way
async def start_twice_under_a_name(sent: Any) -> None:
    names: Registry[Desk] = Registry()
    spec = child_spec(Desk).replace(via=names.via("desk"))
    async with open_server(spec), open_server(spec):
        pass


@way
async def call_a_name_that_nobody_has(sent: Any) -> None:
    names: Registry[Desk] = Registry()
    await names.via("desk").call(Desk.refuse(sent))


@way
async def wait_for_a_task(sent: Any) -> None:
    async with open_task_supervisor() as tasks:
        await tasks.start(fail, sent).wait()


@way
async def let_a_task_fail(sent: Any) -> None:
    async with open_task_supervisor() as tasks:
        task = tasks.start(fail, sent)
        await trio.sleep_forever()
        print(task)


@way
async def wait_for_a_task_that_is_not_linked(sent: Any) -> None:
    async with open_task_supervisor() as tasks:
        task = tasks.start_nolink(fail, sent)
        with pytest.raises(Broken):
            await task.wait()
        await task.wait()


@way
async def look_at_the_outcome_of_a_task(sent: Any) -> None:
    async with open_task_supervisor() as tasks:
        task = tasks.start_nolink(fail, sent)
        for outcome in (await task.poll(1), task.outcome):
            assert outcome is not None
            with pytest.raises(Broken):
                outcome.unwrap()
        del outcome
        await task.shutdown()


@way
async def wait_for_a_task_that_was_stopped(sent: Any) -> None:
    async with open_task_supervisor() as tasks:
        task = tasks.start_nolink(trio.sleep_forever)
        await task.shutdown()
        with pytest.raises(TaskStopped):
            task.check()
        await task.wait()


@way
async def map_over_what_fails(sent: Any) -> None:
    async with amap(fail, [sent, sent]) as results:
        async for result in results:
            print(result)


@way
async def map_over_items_that_fail(sent: Any) -> None:
    async def items() -> AsyncIterator[object]:
        yield sent
        raise Broken("no more")

    async with amap(given, items()) as results:
        async for result in results:
            print(result)


@way
async def map_too_slowly(sent: Any) -> None:
    async def slow(_: object) -> None:
        await trio.sleep_forever()

    async with amap(slow, [sent], timeout=0.001) as results:
        async for result in results:
            print(result)


@way
async def map_and_take_the_outcome(sent: Any) -> None:
    async with amap_nolink(fail, [sent, sent]) as results:
        async for settled in results:
            outcome = settled.outcome
            del settled
            try:
                outcome.unwrap()
            finally:
                # An outcome keeps what it raises: that is its user's.
                del outcome


@way
async def let_an_agent_fail(sent: Any) -> None:
    def wrong(state: object) -> None:
        raise Broken("agent")

    async with open_agent(list[object]) as agent:
        await agent.get(wrong)


@way
async def start_an_agent_that_fails(sent: Any) -> None:
    def wrong() -> None:
        raise Broken("agent")

    async with open_agent(wrong):
        pass


@way
async def let_the_block_fail(sent: Any) -> None:
    async with open_server(Desk), open_supervisor([Desk]), open_task_supervisor():
        raise Broken("the block")


@way
async def let_block_and_server_fail(sent: Any) -> None:
    async with open_server(Desk) as desk:
        try:
            await desk.call(Desk.crash(sent))
        finally:
            raise Broken("the block")


@way
async def remove_a_monitor(sent: Any) -> None:
    async with open_server(Desk) as desk:
        watch = monitor(desk)
        watch.demonitor()
        await watch.wait()


def family(error: BaseException) -> Iterator[BaseException]:
    """`error`, and all that it leads to."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            left += (each.__cause__, each.__context__)
            if isinstance(each, BaseExceptionGroup):
                left += cast("BaseExceptionGroup[BaseException]", each).exceptions
