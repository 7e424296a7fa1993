"""The loop over the runs of an exploration, until one of its bounds is met."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sim._exploration.exploration import Exploration, module_of, real_seconds
from sim._exploration.reproduction import Reproduction, innermost
from sim._kernel import Ended, Kernel
from sim._run.choices import ChoiceLog
from sim._run.errors import StepBudgetExceeded, TaskBlocked, ThreadBlocked
from sim._run.strategy import Execution, RepetitionDiverged, Verdict
from sim._run.trace import Trace
from sim.strategies._replay import Prefix

# From so many steps on, a run is made again as seldom as can be once time is up.
_LONG: Final = 2_000


class Loop:
    """Makes the runs of an exploration.

    Args:
        exploration: their results are added to it.
        kernel: makes them.
        stopped: asked now and then; once it says so, no further run begins.
    """

    def __init__(
        self, exploration: Exploration, kernel: Kernel, stopped: Callable[[], bool] | None = None
    ) -> None:
        self._exploration = exploration
        self._kernel = kernel
        self._stopped = stopped
        self._reproduction = Reproduction(kernel, exploration.scenario)
        # Failing runs as they were found, and as they were reported: many a run shrinks to the same one.
        self._examined: set[str] = set()
        self._reported = set(exploration.options.known)
        # By the token of a run that was reported, the run that was found and shrank to it.
        self._found_as: dict[str, ChoiceLog] = {}

    def run(self) -> None:
        """Make them all."""
        exploration, kernel = self._exploration, self._kernel
        options = exploration.options
        began = real_seconds()
        try:
            package = module_of(exploration.scenario).partition(".")[0]
            with kernel.struck_by(options.faults, package) as faults, kernel.time_limited(options.until):
                try:
                    self._loop()
                except RepetitionDiverged as diverged:
                    # Earlier findings stand.
                    exploration.diverged = diverged
                else:
                    if options.compare and faults is not None and faults.picks and not faults.named:
                        exploration.unnamed = tuple(sorted(faults.others))
                self._compare()
        except KeyboardInterrupt:
            exploration.interrupted = True
        finally:
            exploration.seconds = real_seconds() - began
            exploration.unseen = kernel.unseen
            if options.compare:
                # Neither says anything of a single run that is made again.
                exploration.never = kernel.invariants.never
                exploration.fair_only = kernel.was_fair

    def _loop(self) -> None:
        exploration, kernel, stopped = self._exploration, self._kernel, self._stopped
        strategy, scenario, options = exploration.strategy, exploration.scenario, exploration.options
        reproduction, progress = self._reproduction, options.progress
        while exploration.executions < options.max_executions and not exploration.has_enough:
            if not strategy.begin_execution():
                exploration.exhausted = True
                return
            # However little time there is, the first run is made: of none, nothing can be said.
            if (exploration.executions or exploration.abandoned) and self._is_late():
                return
            trace = Trace() if options.compare and not exploration.executions else None
            ended = kernel.execute(scenario, strategy, trace)
            exploration.steps += ended.steps
            if ended.abandoned:
                exploration.abandoned += 1
                verdict = Verdict.ABANDONED
            else:
                exploration.executions += 1
                verdict = Verdict.HELD if ended.error is None else Verdict.FAILED
            without_end = isinstance(ended.error, StepBudgetExceeded)
            strategy.end_execution(
                Execution(verdict, ended.steps, len(kernel.log), ended.left, ended.outdated, without_end)
            )
            if not ended.abandoned:
                # Of the others those that are powers of two, to make again some of every age.
                if options.compare and not exploration.executions & (exploration.executions - 1):
                    reproduction.keep(kernel.log, ended, trace)
                if ended.error is not None:
                    self._examine(ended, trace)
                elif options.self_check:
                    self._check(ended)
            if stopped is not None and not exploration.executions & 63 and stopped():
                return
            if progress is not None and not exploration.executions & 63:
                progress(exploration.executions)
        # So that "all 1,680" is not reported as unfinished when the bound was 1,680.
        if not exploration.has_enough and strategy.exhaustive:
            exploration.exhausted = not strategy.begin_execution()

    def _examine(self, ended: Ended, seen: Trace | None) -> None:
        """Make a failing run twice more, traced, to draw it and to see that it can be replayed; report it,
        or the plainest one like it that was not reported yet.

        Args:
            ended: how it ended.
            seen: its steps, if it was traced.
        """
        exploration, kernel, reproduction = self._exploration, self._kernel, self._reproduction
        log, token = kernel.log.copy(), exploration.token(kernel.log)
        if token in self._reported:
            # If by another that shrank to it, it is now that one's turn: there are as many failures as runs.
            log = self._found_as.pop(token, log)
            if exploration.token(log) in self._reported:
                return
            ended, seen = kernel.execute(exploration.scenario, Prefix(log.indices)), None
        elif token in self._examined:
            return
        raised = ended.error
        if raised is None:
            return
        self._examined.add(token)
        found = log
        trace, error, besides = Trace(), innermost(raised), ""
        # Real time decides where a run is given up in which a thread or a task blocks: on a busy machine not
        # always at the same place. Each takes real time, too, and leaves a thread behind, so once is enough.
        blocked = isinstance(error, ThreadBlocked | TaskBlocked)
        try:
            late = ended.steps > _LONG and self._is_late()
            if late and seen is not None:
                trace, nondeterminism, told, own = seen, None, None, ""
            else:
                once = blocked or late
                trace, log, nondeterminism, told, own = reproduction.repeat(log, ended, compared=not once)
            raised = told or raised
            if nondeterminism is None and exploration.executions > 1 and not blocked:
                nondeterminism, besides = reproduction.left_behind(raised)
            besides = besides or own
            shrinks = exploration.options.shrink_failures and not blocked and not self._is_late()
            if nondeterminism is None and shrinks:
                shrunk_log, shrunk = reproduction.shrink(log, ended, self._is_reported, self._is_late)
                # A long run that did not become plainer was made often enough.
                if shrunk_log is not log or ended.steps <= _LONG:
                    trace, log, nondeterminism, told, _ = reproduction.repeat(shrunk_log, shrunk)
                    raised = told or shrunk.error or raised
            error = nondeterminism or innermost(raised)
            if besides:
                error.add_note(besides)
        finally:
            # Also when Ctrl-C has come in between: it is a failure, if not yet the plainest.
            self._report(error, raised, log, trace)
            if exploration.token(log) != exploration.token(found):
                self._found_as[exploration.token(log)] = found

    def _is_late(self) -> bool:
        """Whether time is up: then a failure is not made plainer, and a long run not made three times."""
        return real_seconds() >= self._exploration.options.until

    def _compare(self) -> None:
        """Check that the first run is still the same, and others too if the exploration is complete."""
        exploration = self._exploration
        all_made = exploration.exhausted and exploration.strategy.exhaustive
        if exploration.failures:
            return
        # Of a single run nothing was left for another. Two may already be different because of what the first
        # has left behind.
        if exploration.executions > 1 or all_made or exploration.diverged is not None:
            different = self._reproduction.different(others=all_made)
            if different is not None:
                outlives, log, trace = different
                self._report(outlives, outlives.__cause__ or outlives, log, trace)

    def _check(self, ended: Ended) -> None:
        """Make a run that held twice more, to see that it is a function of its choices."""
        log = self._kernel.log.copy()
        trace, log, nondeterminism, *_ = self._reproduction.repeat(log, ended, strictly=True)
        if nondeterminism is not None:
            self._report(nondeterminism, nondeterminism, log, trace)

    def _report(self, error: BaseException, raised: BaseException, log: ChoiceLog, trace: Trace) -> None:
        token = self._exploration.token(log)
        self._reported.add(token)
        self._exploration.add_failure(
            error, token, len(log), raised=raised, steps=trace.steps, logged=trace.logged
        )

    def _is_reported(self, log: ChoiceLog) -> bool:
        return bool(self._reported) and self._exploration.token(log) in self._reported
