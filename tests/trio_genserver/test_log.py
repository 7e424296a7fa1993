"""The log: every failure is in it, in a bounded number of records that say what they leave out."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trio_genserver
from trio_genserver import (
    Call,
    Cast,
    ChildSpec,
    From,
    GenServer,
    ServerCrashed,
    ServerError,
    ServerRef,
    Stop,
    child_spec,
    handle_call,
    handle_cast,
    open_dynamic_supervisor,
    open_server,
    open_supervisor,
    supervisor_spec,
)
from trio_genserver._log import MOST, MOST_OF_ALL, SECONDS
from trio_genserver.instruments import Instrument, LoggingInstrument, add_instrument, remove_instrument
from trio_genserver.supervision import RestartIntensityExceeded
from trio_genserver.tasks import open_task_supervisor

BIG = 1_000_000
ALWAYS = 10**9


class World:
    """How often a server is to fail, and how often it has."""

    def __init__(self, fails: float = math.inf) -> None:
        self.fails = fails
        self.starts = 0


class Fails(GenServer):
    """Starts well the first time, and then not until it has failed often enough."""

    def __init__(self, world: World) -> None:
        world.starts += 1
        if 1 < world.starts <= world.fails + 1:
            raise ConnectionError("refused")

    @handle_cast
    def die(self) -> None:
        raise ValueError("died")


class Desk(GenServer):
    @handle_call
    def crash(self, what: object = None) -> None:
        raise ValueError("boom")

    @handle_cast
    def die(self) -> None:
        raise ValueError("boom")

    @handle_cast
    def stop_for(self, reason: object) -> None:
        raise Stop(reason)


def texts(caplog: pytest.LogCaptureFixture, part: str = "") -> list[str]:
    return [record.getMessage() for record in caplog.records if part in record.getMessage()]


def left_out(caplog: pytest.LogCaptureFixture, what: str) -> int:
    return sum(
        vars(record)["left_out"]
        for record in caplog.records
        if hasattr(record, "left_out") and what in record.getMessage()
    )


# Failing restarts.


async def test_every_failing_restart_is_logged_with_its_error(caplog: pytest.LogCaptureFixture) -> None:
    world = World(fails=3)
    async with open_supervisor([child_spec(Fails, world)], max_restarts=10) as root:
        await root.child("Fails").cast(Fails.die())
        await wait_all_tasks_blocked()
        assert root.child("Fails").is_running
    failed = [record for record in caplog.records if "could not be restarted" in record.getMessage()]
    assert [vars(record)["restarts"] for record in failed] == [1, 2, 3]
    assert {record.levelno for record in failed} == {logging.ERROR}
    assert all(record.exc_info and isinstance(record.exc_info[1], ConnectionError) for record in failed)
    assert failed[0].getMessage() == (
        "Fails could not be restarted (ConnectionError('refused')), restart 1 within the period"
    )
    assert len(texts(caplog, "Fails was restarted")) == 1


@pytest.mark.parametrize("how", ["recovers", "terminate_child", "supervisor ends"])
async def test_a_storm_of_failing_restarts_leaves_a_few_records_and_an_exact_count(
    how: str, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    world = World(fails=500 if how == "recovers" else math.inf)
    async with open_supervisor([child_spec(Fails, world)], max_restarts=ALWAYS) as root:
        await root.child("Fails").cast(Fails.die())
        while world.starts <= 501:
            await trio.lowlevel.checkpoint()
        if how == "terminate_child":
            await root.terminate_child("Fails")
            assert left_out(caplog, "failed restarts of Fails") == world.starts - 1 - MOST
    failures = world.starts - 1 - (how == "recovers")
    assert failures > 100
    assert len(texts(caplog, "could not be restarted")) == MOST
    assert left_out(caplog, "failed restarts of Fails") == failures - MOST
    assert len(caplog.records) <= MOST + 3


async def test_after_the_time_there_are_records_again_and_the_count_before_them(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    crashes = 0
    async with open_supervisor([Desk], max_restarts=ALWAYS) as root:
        for _ in range(3):
            for _ in range(MOST + 5):
                with pytest.raises(ServerCrashed):
                    await root.child("Desk").call(Desk.crash())
                crashes += 1
                await wait_all_tasks_blocked()
            await trio.sleep(SECONDS)
    crashed = texts(caplog, "Desk crashed")
    assert len(crashed) == 3 * MOST
    assert [vars(r)["left_out"] for r in caplog.records if "more crashes" in r.getMessage()] == [5, 5, 5]
    restarted = texts(caplog, "was restarted")
    assert len(restarted) + left_out(caplog, "more restarts") == crashes
    # The count comes before the first of the next.
    assert "5 more crashes of Desk were left out" in texts(caplog, "crash")[MOST]


async def test_one_child_that_fails_again_and_again_does_not_hide_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, other = (child_spec(Desk).replace(id=name) for name in ("one", "other"))
    async with open_supervisor([one, other], max_restarts=ALWAYS) as root:
        for _ in range(MOST_OF_ALL * 2):
            await root.child("one").cast(Desk.die())
            await wait_all_tasks_blocked()
        await root.child("other").cast(Desk.die())
        await wait_all_tasks_blocked()
        assert len(texts(caplog, "one crashed")) == MOST
        assert len(texts(caplog, "other crashed")) == 1
    assert left_out(caplog, "crashes of one") == MOST_OF_ALL * 2 - MOST


async def test_a_storm_of_children_that_each_crash_once_is_bounded_as_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    children = 3 * MOST_OF_ALL
    async with open_dynamic_supervisor(name="Crowd") as crowd:
        for _ in range(children):
            desk = await crowd.start_child(child_spec(Desk).replace(restart="temporary"))
            await desk.cast(Desk.die())
            await wait_all_tasks_blocked()
    assert len(texts(caplog, "Desk crashed")) == MOST_OF_ALL
    assert left_out(caplog, "crashes of children of Crowd") == children - MOST_OF_ALL


async def test_what_a_supervisor_that_is_restarted_has_left_out_is_not_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    below = supervisor_spec([Desk], max_restarts=20, id="below")
    crashes = 100
    async with open_supervisor([below], max_restarts=ALWAYS) as root:
        for _ in range(crashes):
            supervisor: Any = root.child("below")
            await supervisor.child("Desk").cast(Desk.die())
            await wait_all_tasks_blocked()
    counted = left_out(caplog, "crashes of Desk") + left_out(caplog, "crashes of children of below")
    assert len(texts(caplog, "Desk crashed")) + counted == crashes
    assert len(texts(caplog, "Desk crashed")) < crashes
    assert len(texts(caplog, "below crashed")) == crashes // 21


async def test_a_supervisor_that_gives_up_says_what_was_left_out_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    with pytest.raises(RestartIntensityExceeded):
        async with open_supervisor([child_spec(Fails, world)], max_restarts=30) as root:
            await root.child("Fails").cast(Fails.die())
            await trio.sleep_forever()
    assert left_out(caplog, "failed restarts of Fails") == 30 - MOST


# Abnormal ends.


@pytest.mark.parametrize("reason", ["boom", 7, ("down", 1), ValueError("reason"), {"a": 1}])
@pytest.mark.parametrize("how", ["raised", "stop", "sys"])
async def test_an_abnormal_end_is_logged_once(
    reason: object, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_supervisor([child_spec(Desk).replace(restart="temporary")]) as root:
        desk: ServerRef[Any] = root.child("Desk")
        if how == "raised":
            await desk.cast(Desk.stop_for(reason))
        elif how == "stop":
            await desk.stop(reason)
        else:
            await trio_genserver.sys.terminate(desk, reason)
        await wait_all_tasks_blocked()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == f"Desk ended abnormally ({reason!r})"
    assert (vars(record)["server"], vars(record)["reason"]) == ("Desk", reason)
    assert (record.exc_info is not None) == isinstance(reason, Exception)


async def test_a_crash_is_not_logged_as_an_end_too(caplog: pytest.LogCaptureFixture) -> None:
    async with open_supervisor([child_spec(Desk).replace(restart="temporary")]) as root:
        with pytest.raises(ServerCrashed):
            await root.child("Desk").call(Desk.crash())
    assert len(caplog.records) == 1


async def test_a_start_that_failed_is_told_to_the_starter_and_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Never(GenServer):
        async def init(self) -> None:
            raise Stop("no")

    with pytest.raises(ServerError):
        async with open_server(Never):
            pass
    async with open_dynamic_supervisor() as crowd:
        with pytest.raises(ServerError):
            await crowd.start_child(Never)
    assert caplog.records == []


async def test_a_brutal_kill_leaves_no_record(caplog: pytest.LogCaptureFixture) -> None:
    spec = child_spec(Desk).replace(shutdown="brutal_kill")
    async with open_supervisor([spec]) as root:
        await root.terminate_child("Desk")
    assert caplog.records == []


# What is in a record.


class Login(GenServer):
    def __init__(self, password: str) -> None:
        self.password = password

    def format_status(self, state: dict[str, Any]) -> object:
        return {**state, "password": "***"}

    @handle_call
    def enter(self, user: str, password: str) -> None:
        raise ValueError("wrong")

    @handle_call(child=True)
    async def enter_slowly(self, user: str, password: str) -> None:
        raise ValueError("wrong")

    @handle_cast
    async def enter_unseen(self, *, password: str) -> None:
        raise ValueError("wrong")

    @handle_cast
    def go_on(self, password: str) -> None:
        self.continue_with(password)

    async def handle_info(self, message: object) -> None:
        raise ValueError("wrong")

    async def handle_continue(self, argument: Any) -> None:
        raise ValueError("wrong")

    @handle_call(noreply=True)
    def keep(self, from_: From[None], password: str) -> None:
        raise ValueError("wrong")


def everything(caplog: pytest.LogCaptureFixture) -> str:
    """What any formatter could print of the records, but for one that makes the traceback by itself."""
    fields = [
        f"{name}={value!r}"
        for record in caplog.records
        for name, value in vars(record).items()
        if name != "exc_info"
    ]
    return caplog.text + "\n".join(fields)


SECRET = {
    "a call": Login.enter("bob", "s3cret"),
    "a child task": Login.enter_slowly("bob", "s3cret"),
    "a cast": Login.enter_unseen(password="s3cret"),
    "a continue": Login.go_on("s3cret"),
    "a late reply": Login.keep("s3cret"),
    "an info": "the password is s3cret",
}


def kind(message: Any) -> object:
    return message.__class__


async def hand_over(server: ServerRef[Any], message: Any) -> None:
    """Have `server` crash with it."""
    if kind(message) is Call:
        with pytest.raises(ServerCrashed):
            await server.call(message)
    elif kind(message) is Cast:
        await server.cast(message)
    else:
        await server.send(message)
    await wait_all_tasks_blocked()


@pytest.mark.parametrize("long_way", [False, True])
@pytest.mark.parametrize("what", SECRET)
async def test_a_password_in_a_message_is_not_logged(
    what: str, long_way: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if long_way:
        add_instrument(Ear())
    async with open_supervisor([child_spec(Login, "s3cret").replace(restart="temporary")]) as root:
        await hand_over(root.child("Login"), SECRET[what])
    assert len(caplog.records) == 1
    assert "s3cret" not in everything(caplog)


async def test_a_password_in_a_message_is_not_in_the_crash_of_its_sender(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Client(GenServer):
        @handle_cast
        async def log_in(self, login: ServerRef[Login]) -> None:
            message: Any = SECRET["a call"]
            await login.call(message)

    specs: list[ChildSpec[Any]] = [child_spec(Client), child_spec(Login, "s3cret")]
    async with open_supervisor([spec.replace(restart="temporary") for spec in specs]) as root:
        await root.child("Client").cast(Client.log_in(root.child("Login")))
        await wait_all_tasks_blocked()
    assert [text.split()[0] for text in texts(caplog, "crashed handling")] == ["Login", "Client"]
    assert "s3cret" not in caplog.text


async def test_format_message_says_what_is_shown_of_a_message(caplog: pytest.LogCaptureFixture) -> None:
    class Shy(Login):
        def format_message(self, message: Any) -> object:
            return message._replace(args=("bob", "***"))

    async with open_supervisor([child_spec(Shy, "s3cret").replace(restart="temporary")]) as root:
        await hand_over(root.child("Shy"), Login.enter("bob", "s3cret"))
    assert texts(caplog) == ["Shy crashed handling Login.enter(...), its state was {'password': '***'}"]
    assert vars(caplog.records[0])["message_handled"] == Login.enter("bob", "***")
    assert "s3cret" not in everything(caplog)


async def test_a_broken_format_message_does_not_hide_the_crash(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Desk):
        def format_message(self, message: object) -> object:
            raise RuntimeError("broken")

    async with open_supervisor([child_spec(Broken).replace(restart="temporary")]) as root:
        await hand_over(root.child("Broken"), Desk.crash())
    assert "format_message raised RuntimeError('broken')" in caplog.text
    assert "boom" in caplog.text


async def test_a_message_without_a_handler_is_shown_as_format_message_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Shy(GenServer):
        def format_message(self, message: object) -> object:
            return "***"

    async with open_server(Shy) as shy:
        for _ in range(MOST + 3):
            await shy.send("s3cret" * BIG)
            await wait_all_tasks_blocked()
    assert texts(caplog)[0] == "Shy got '***', which it does not handle; define handle_info"
    assert left_out(caplog, "messages without a handler of Shy") == 3
    assert "s3cret" not in everything(caplog)


class Unprintable:
    def __repr__(self) -> str:
        raise ZeroDivisionError("no repr")


@pytest.mark.parametrize("value", ["x" * BIG, ["x"] * BIG, {"k": b"x" * BIG}, Unprintable()], ids=type)
async def test_no_record_is_long_whatever_a_server_is_given(
    value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Big(GenServer):
        def __init__(self) -> None:
            self.value = value

        @handle_call
        def crash(self, what: object) -> None:
            raise ValueError(what)

        @handle_cast
        def stop_for(self, what: object) -> None:
            raise Stop(what)

    async def fail(what: object) -> None:
        raise ValueError(what)

    async with open_supervisor([child_spec(Big).replace(restart="permanent")], max_restarts=9) as root:
        big: ServerRef[Any] = root.child("Big")
        await hand_over(big, Big.crash(value))
        await hand_over(big, Big.stop_for(value))
        await big.send(value)
        await big.stop(value)
        await wait_all_tasks_blocked()
    async with open_task_supervisor() as tasks:
        task = tasks.start_isolated(fail, value)
        assert len(repr(task)) < 1000
        with pytest.raises(ValueError):  # noqa: PT011 - its text is megabytes long
            await task.wait()
    kinds = {text.split()[1] for text in texts(caplog)}
    assert {"crashed", "ended", "got", "was"} <= kinds
    assert len(everything(caplog)) < 60_000 * len(caplog.records)


async def test_what_an_error_says_is_bounded() -> None:
    async with open_supervisor([child_spec(Desk).replace(restart="temporary")]) as root:
        desk: ServerRef[Any] = root.child("Desk")
        with pytest.raises(ServerCrashed) as caught:
            await desk.call(Desk.crash("x" * BIG))
        assert len(str(caught.value)) < 1000
        with pytest.raises(ServerError) as missing:
            root.child("x" * BIG)
        assert len(str(missing.value)) < 1000


# Instruments.


class Ear(Instrument):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def message_sent(self, server: ServerRef[Any], envelope: object) -> None: ...

    def server_restart_failed(self, server: ServerRef[Any], error: BaseException, restarts: int) -> None:
        self.heard.append(f"{server.name} {error!r} {restarts}")


class Deaf(Instrument):
    """Written before there was such a hook."""

    def server_restarted(self, server: ServerRef[Any], reason: object, restarts: int) -> None: ...


class Foreign:
    """Looks like an instrument, and has not even the methods that it does not want."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def server_started(self, server: ServerRef[Any]) -> None:
        self.started.append(server.name)


async def test_an_instrument_is_told_of_a_restart_that_fails_and_needs_not_know_of_it() -> None:
    ear, foreign = Ear(), Foreign()
    for instrument in (ear, Deaf(), foreign):
        add_instrument(instrument)  # type: ignore[arg-type]  # a foreign one
    remove_instrument(LoggingInstrument)
    async with open_supervisor([child_spec(Fails, World(fails=2))], max_restarts=10) as root:
        await root.child("Fails").cast(Fails.die())
        await wait_all_tasks_blocked()
    assert ear.heard == [f"Fails ConnectionError('refused') {number}" for number in (1, 2)]
    assert foreign.started == ["Fails", "Supervisor", "Fails"]


async def test_nothing_is_made_of_what_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    class Watched:
        def __repr__(self) -> str:
            seen.append("made")
            return "watched"

    with caplog.at_level(logging.CRITICAL, "trio_genserver"):
        async with open_server(GenServer) as server:
            await server.send(Watched())
            await wait_all_tasks_blocked()
    assert seen == []
