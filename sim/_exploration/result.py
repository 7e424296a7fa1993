"""The result of an exploration: the values that `explore` and `replay` return."""

from __future__ import annotations

from dataclasses import dataclass, field

from sim._run.portable import PortableError
from sim._run.strategy import RepetitionDiverged
from sim._run.trace import TracedStep


@dataclass(frozen=True)
class Failure:
    """One failing run of a scenario.

    Attributes:
        error: what went wrong: the exception the scenario raised, out of the groups that nurseries
            wrap around it if there is just one in them, or a finding of the simulator (`Deadlock`,
            `StepBudgetExceeded`, `Escape` ...).
        raised: the same as it left the scenario, groups and all.
        token: replays this run: ``sim.replay(scenario, token)``.
        scenario: the name of the scenario.
        steps: the run, step by step.
        choices: how many choices were made in it.
        logged: what the program logged in it: the number of the step, and the line.
    """

    error: BaseException
    raised: BaseException
    token: str
    scenario: str
    steps: tuple[TracedStep, ...] = field(repr=False)
    choices: int
    logged: tuple[tuple[int, str], ...] = ()

    @property
    def preemptions(self) -> int:
        """How often a task was made to wait that could have gone on."""
        return sum(step.preempts for step in self.steps)


@dataclass(frozen=True)
class Result:
    """The result of an exploration.

    Attributes:
        scenario: the name of the scenario.
        strategy: the name of the strategy.
        executions: how many runs were made, those of `abandoned` not counted.
        complete: whether nothing is left to be explored: every interleaving was, up to what the
            strategy takes for equivalent.
        coverage: the same in words: "sampled", "all 1,680 interleavings".
        failures: the failing runs; at most ``max_failures`` of them.
        seconds: how long it took, in real seconds.
        steps: steps of all runs together.
        abandoned: runs that the strategy dropped half-way.
        seed: what the strategy was seeded with.
        never: what `sim.sometimes` named and was true in no run.
        diverged: what ended the exploration early, if it did: a run that could not be repeated up to where it
            was to go on otherwise, so that what follows is not known. Then it is not complete.
        fair_only: whether tasks that only repeated themselves had to let others go first, so that `complete`
            is said of fair schedules.
    """

    scenario: str
    strategy: str
    executions: int
    complete: bool
    coverage: str
    failures: tuple[Failure, ...]
    seconds: float
    steps: int
    abandoned: int
    seed: int
    never: tuple[str, ...] = ()
    diverged: RepetitionDiverged | None = None
    fair_only: bool = False

    @property
    def executions_per_second(self) -> float:
        return self.executions / self.seconds if self.seconds else 0.0

    def check(self) -> None:
        """Raise the error of the first failure, if there is one; else what ended the exploration early.

        The token is in a note on it, so that a test's log is all one needs to replay it.
        """
        if self.failures:
            failure = self.failures[0]
            failure.error.add_note(
                f"found by sim in execution {self.executions}; "
                f"replay it with sim.replay({failure.scenario}, {failure.token!r})"
            )
            if failure.logged:
                lines = "\n".join(f"  step {step}: {line}" for step, line in failure.logged)
                failure.error.add_note(f"logged in that run:\n{lines}")
            raise failure.error
        if self.diverged is not None:
            raise self.diverged


class Interrupted(PortableError, KeyboardInterrupt):
    """Ctrl-C has ended an exploration.

    Attributes:
        result: what it had found by then.
    """

    def __init__(self, result: Result) -> None:
        super().__init__(f"interrupted after {result.executions:,} executions")
        self.result = result
