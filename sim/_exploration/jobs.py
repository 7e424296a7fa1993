"""Several processes for one exploration.

Each takes its share of the executions, with a seed of its own, so this is for strategies that sample. A
process returns counts and tokens, which are enough: the parent repeats each failing run itself. The processes
are forked, for a scenario may be a closure that no other process could import.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import signal
import warnings
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from sim._run.errors import Nondeterminism, SimError, StateOutlivesRun, WrongUse

SAMPLING: Final = ("random", "pct", "pos")
"""The strategies that may be divided: what they do next does not depend on what they did."""

# Far enough apart that jobs of one exploration and those of its neighbours have nothing in common.
_SEED_STEP: Final = 1_000_003

# Seconds that a process has to end its run once Ctrl-C was pressed.
_GRACE: Final = 3.0


@dataclass(frozen=True)
class Share:
    """The findings of one process."""

    executions: int
    steps: int
    abandoned: int
    found: tuple[tuple[str, str], ...]
    """Of each failing run its token, and what it failed with."""
    never: tuple[str, ...]
    coverage: str
    unnamed: tuple[str, ...] | None
    """The names of its tasks, if the fault plan names none of them."""
    differing: tuple[Differing, ...] = ()
    fair_only: bool = False
    """See `Result`."""


class Differing(NamedTuple):
    """A run that was another when it was made again, as one process tells it to another.

    Attributes:
        outlives: whether other runs had left something behind.
        step, first, second, stack, changed: as in `Nondeterminism`.
        own: what the program itself raised, "" if nothing.
        token: of the run.
        choices: how many choices were made in it.
    """

    outlives: bool
    step: int
    first: str
    second: str
    stack: tuple[str, ...]
    changed: tuple[str, ...]
    own: str
    token: str
    choices: int

    @classmethod
    def of(cls, error: Nondeterminism, token: str, choices: int) -> Differing:
        """Take an error apart."""
        cause = error.__cause__
        own = "" if cause is None else f"{type(cause).__name__}: {cause}"
        outlives = isinstance(error, StateOutlivesRun)
        return cls(
            outlives, error.step, error.first, error.second, error.stack, error.changed, own, token, choices
        )

    def error(self) -> Nondeterminism:
        """Put it together again. The program's own error has only its text left."""
        kind = StateOutlivesRun if self.outlives else Nondeterminism
        cause = SimError(self.own) if self.own else None
        return kind(self.step, self.first, self.second, self.stack, cause=cause, changed=self.changed)


def held_here(said: str) -> StateOutlivesRun:
    """The report of a run that failed in a process after other runs, and holds in a fresh one.

    Args:
        said: what it failed with there.
    """
    return StateOutlivesRun(
        0, f"it failed with {said}", "it held", cause=SimError(said), which="a run of another process"
    )


Work: TypeAlias = Callable[[int, int, Callable[[], bool]], Share]
"""Explores: (executions, seed, whether to stop) -> what it found."""


def run_jobs(work: Work, jobs: int, max_executions: int, seed: int) -> tuple[list[Share], bool]:
    """Divide the work; the first process to find a failure stops the others.

    Args:
        work: called once in each process.
        jobs: how many processes.
        max_executions: of all of them together.
        seed: of the exploration.

    Returns:
        what they have found, and whether Ctrl-C has ended it. Then the findings of processes that are still
        busy with the same run seconds later are missing.

    Raises:
        WrongUse: this system cannot fork.
        SimError: a process has failed; with what it said.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        raise WrongUse("several jobs need a system that can fork processes; leave out jobs")
    context: Any = multiprocessing.get_context("fork")
    stop = context.Event()
    processes: list[Any] = []
    ends: list[multiprocessing.connection.Connection] = []
    answered = interrupted = False
    try:
        try:
            with _ctrl_c_held():
                for number in range(jobs):
                    share = max_executions // jobs + (number < max_executions % jobs)
                    if share == 0:
                        continue
                    end, other_end = context.Pipe(duplex=False)
                    arguments = (other_end, work, share, seed + number * _SEED_STEP, stop)
                    process = context.Process(target=_run, args=arguments, daemon=True)
                    with warnings.catch_warnings():
                        # Python warns of locks that other threads may hold. The child takes none: it
                        # steps coroutines, writes to its pipe, and exits.
                        warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
                        process.start()
                    other_end.close()
                    processes.append(process)
                    ends.append(end)
        except KeyboardInterrupt:
            interrupted = True
        shares, interrupted = _gather(ends, stop, interrupted)
        answered = len(shares) == len(processes)
        return shares, interrupted
    finally:
        stop.set()
        for process in processes:
            if not answered:
                # It may be busy with a run that has no end.
                process.terminate()
                process.join(_GRACE)
                process.kill()
            process.join()
        for end in ends:
            end.close()


@contextlib.contextmanager
def _ctrl_c_held() -> Generator[None]:
    """Let Ctrl-C wait until the block ends: a process that is just being started has no handler for it, and
    half an answer is none."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(
    end: multiprocessing.connection.Connection, work: Work, executions: int, seed: int, stop: Any
) -> None:
    # Ctrl-C reaches every process of a terminal; the parent says when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        share = work(executions, seed, stop.is_set)
        if share.found or share.differing:
            stop.set()
        end.send(share)
    except SimError as error:
        end.send(str(error))


def _gather(
    ends: list[multiprocessing.connection.Connection], stop: Any, interrupted: bool
) -> tuple[list[Share], bool]:
    shares: list[Share] = []
    if interrupted:
        stop.set()
    for end in ends:
        answered = False
        while not answered:
            try:
                # Waited for without taking it: what is taken when Ctrl-C comes in would be lost.
                if not end.poll(_GRACE if interrupted else None):
                    break
                with _ctrl_c_held():
                    shares.append(_receive(end))
                    answered = True
            except KeyboardInterrupt:
                if interrupted:
                    raise
                interrupted = True
                stop.set()
    return shares, interrupted


def _receive(end: multiprocessing.connection.Connection) -> Share:
    try:
        share: Share | str = end.recv()
    except EOFError:
        raise SimError("a process of the exploration has died; run it with jobs=1") from None
    if isinstance(share, str):
        raise SimError(share)
    return share
