"""A task that catches whatever would end its step, and tries again for ever, is ended all the same.

Each scenario of these hung the process before: so each runs in a process of its own, which is killed if
it does not end.
"""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# A test whose process hangs fails by this; nothing that passes depends on it.
_HANGS = 300

PROGRAM = """
import contextlib, os, queue, signal, sys, threading, time
from concurrent.futures import Future
import trio, sim

receive, send = os.pipe()

def for_ever(block):
    while True:
        try:
            block()
        except:
            pass

def suppressing(block):
    while True:
        with contextlib.suppress(BaseException):
            block()

def nested(block):
    while True:
        try:
            for_ever(block)
        except BaseException:
            continue

class Dropped:
    def __init__(self, block):
        self.block = block

    def __del__(self):
        for_ever(self.block)

async def generator(block):
    try:
        yield 1
    finally:
        for_ever(block)

def held():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

def wait():
    condition = threading.Condition()
    with condition:
        condition.wait()

def get():
    queue.Queue().get()

def get_simple():
    queue.SimpleQueue().get()

def again_and_again():
    with contextlib.suppress(queue.Empty):
        queue.Queue().get(timeout=1)

def sleep():
    time.sleep(1)

def read():
    os.read(receive, 1)

def compute():
    pass

def explored(scenario, **options):
    (failure,) = sim.explore(scenario, max_executions=3, max_steps=1_000, **options).failures
    print(type(failure.error).__name__, flush=True)
"""


def ended(program: str) -> tuple[int, list[str], str]:
    """What a program comes to: its exit code, the lines of its output, its standard error."""
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path.cwd(),
        timeout=_HANGS,
    )
    return process.returncode, process.stdout.split(), process.stderr


@pytest.mark.parametrize(
    ("block", "error"),
    [
        ("held", "Deadlock"),
        ("wait", "Deadlock"),
        ("get", "Deadlock"),
        ("get_simple", "Deadlock"),
        ("threading.Event().wait", "Deadlock"),
        ("threading.Barrier(2).wait", "Deadlock"),
        ("threading.Semaphore(0).acquire", "Deadlock"),
        ("Future().result", "Deadlock"),
        ("again_and_again", "StepBudgetExceeded"),
        ("sleep", "Escape"),
        ("read", "TaskBlocked"),
    ],
)
def test_task_that_catches_everything_around_what_blocks(block: str, error: str) -> None:
    program = f"""
    async def scenario():
        block = {block}
        for_ever(block)

    explored(scenario)
    assert sys.gettrace() is None
    """
    code, lines, said = ended(program)
    assert (code, lines) == (0, [error]), said


@pytest.mark.parametrize(
    "body",
    [
        "suppressing(block)",
        "nested(block)",
        "dropped = Dropped(block); del dropped",
        "try: block()\nfinally: for_ever(block)",
        "async for _ in generator(block): break",
        "sim.always(lambda: for_ever(block), 'a promise'); await trio.sleep(1)",
        "try: await trio.sleep_forever()\nfinally: for_ever(block)",
    ],
)
def test_wherever_a_task_catches_everything(body: str) -> None:
    program = (
        f"async def task():\n    block = held\n{textwrap.indent(body, '    ')}\n"
        "async def scenario():\n"
        "    async with trio.open_nursery() as nursery:\n"
        "        nursery.start_soon(task)\n"
        "        await trio.sleep(1)\n"
        "        raise ValueError\n"
        "result = sim.explore(scenario, max_executions=2)\n"
        "print(result.executions)\n"
    )
    code, lines, said = ended(program)
    assert (code, lines) == (0, ["1"]), said


@pytest.mark.parametrize("block", ["compute", "threading.Lock().locked"])
def test_time_is_up_for_a_task_that_catches_everything(block: str) -> None:
    program = f"""
    async def scenario():
        block = {block}
        for_ever(block)

    explored(scenario, max_seconds=0.1)
    """
    code, lines, said = ended(program)
    assert (code, lines) == (0, ["TaskBlocked"]), said


def test_tracer_of_the_host_is_given_back() -> None:
    program = """
    def tracer(frame, event, argument):
        return tracer

    async def scenario():
        for_ever(held)

    sys.settrace(tracer)
    explored(scenario)
    print(sys.gettrace() is tracer)
    """
    code, lines, said = ended(program)
    assert (code, lines) == (0, ["Deadlock", "True"]), said


def test_process_in_which_ctrl_c_is_ignored_hears_of_a_blocked_task_too() -> None:
    """As in the background of a shell, and in the processes of `jobs`."""
    program = """
    async def scenario():
        read()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    explored(scenario)
    explored(scenario, jobs=2)
    print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
    """
    code, lines, said = ended(program)
    assert (code, lines) == (0, ["TaskBlocked", "TaskBlocked", "True"]), said


def test_task_outside_of_the_main_thread_ends_with_the_time() -> None:
    program = """
    async def scenario():
        for_ever(compute)

    thread = threading.Thread(target=explored, args=(scenario,), kwargs={"max_seconds": 0.1})
    thread.start()
    thread.join()
    """
    code, lines, said = ended(program)
    assert (code, lines) == (0, ["TaskBlocked"]), said


def test_process_ends_with_the_stack_of_what_nothing_can_interrupt() -> None:
    program = """
    async def scenario():
        read()

    thread = threading.Thread(target=explored, args=(scenario,))
    thread.start()
    thread.join()
    """
    code, lines, said = ended(program)
    assert (code, lines) == (2, [])
    assert "this process ends here, without a result" in said
    assert "in read" in said
