"""The log of a run is part of its report, and does not spray over the terminal."""

import logging
from collections.abc import Iterator

import pytest
import trio

import sim
from sim.report import describe_failure
from trio_genserver import GenServer, child_spec, handle_cast, open_supervisor

logger = logging.getLogger("program")


class Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    logging.root.addHandler(listener)
    logger.addHandler(listener)
    yield listener
    logging.root.removeHandler(listener)
    logger.removeHandler(listener)


async def racing() -> None:
    cell = sim.Shared(0)

    async def increment(name: str) -> None:
        value = cell.get()
        logger.warning("%s has read %d", name, value)
        await trio.lowlevel.checkpoint()
        cell.set(value + 1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(increment, "a")
        nursery.start_soon(increment, "b")
    assert cell.get() == 2


def test_log_of_the_failing_run_is_in_its_report_and_nowhere_else(listener: Listener) -> None:
    result = sim.explore(racing)
    (failure,) = result.failures
    assert listener.heard == []
    assert sorted(line for _, line in failure.logged) == [
        "WARNING program: a has read 0",
        "WARNING program: b has read 0",
    ]
    for step, line in failure.logged:
        assert failure.steps[step].name == "increment"
        assert f"{step:>5}  {line}" in describe_failure(failure)
    with pytest.raises(AssertionError) as raised:
        result.check()
    assert "a has read 0" in raised.value.__notes__[-1]


def test_crashes_of_servers_are_kept_and_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    class Server(GenServer):
        @handle_cast
        def fail(self) -> None:
            raise ValueError("a bug")

    async def scenario() -> None:
        async with open_supervisor([child_spec(Server).replace(id="server", name="server")]) as supervisor:
            await supervisor.child("server").cast(Server.fail())
            await trio.sleep(1)
        raise AssertionError

    (failure,) = sim.explore(scenario).failures
    assert [line.partition(":")[0] for _, line in failure.logged] == [
        "ERROR trio_genserver",
        "WARNING trio_genserver",
    ]
    assert "a bug" in failure.logged[0][1]
    assert capfd.readouterr() == ("", "")


def test_handler_of_the_program_itself_hears_and_afterwards_all_do_again(listener: Listener) -> None:
    own = Listener()

    async def scenario() -> None:
        logger.addHandler(own)
        logger.warning("in the run")
        logger.removeHandler(own)
        await trio.to_thread.run_sync(logger.warning, "in a thread")

    sim.explore(scenario, max_executions=2).check()
    assert own.heard == ["in the run"] * 4  # the first run is repeated twice
    logger.warning("afterwards")
    assert listener.heard == ["afterwards"] * 2  # its own, and the root's
