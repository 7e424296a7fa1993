"""Where a fault may strike, and how it does."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from outcome import Error, Outcome, Value

from sim._dependence.footprint import Recorder
from sim._dependence.recording import servers_noticed
from sim._kernel.on_trio import crash, injected_crash, scope_around
from sim._kernel.scopes import Owner, Scopes, covers, seen_by
from sim._run.libraries import SharedClass, in_program
from sim._run.step import Operation, TaskId
from sim._run.trace import short_name
from sim._trio import RUN_CONTEXT
from sim.faults import EVERYONE, OF_THREADS, FaultKind, FaultPlan

_REASON: Final = "fault injected by sim"


class Strike(NamedTuple):
    """One fault that could strike."""

    name: str
    """As reports call it."""
    victim: object
    strike: Callable[[], None]


class FaultInjector:
    """Strikes tasks of one execution after the other.

    Args:
        plan: what may strike, and whom.
        package: the top-level package of the scenario.
        choose: makes the choice of a fault, among so many alternatives; 0 is none.
        ids: the identity of each task of the execution under way.
        clock: the time.
        move_clock: lets time pass until a moment.
        recorder: is told of what a strike depends on, if anybody asks.

    Attributes:
        left: how many faults may still strike in the execution.
        struck: whether one has.
        picks: whether the plan names tasks.
        named: the names of the tasks that the plan names, in all executions.
        others: the names of the tasks that it does not name.
    """

    def __init__(
        self,
        plan: FaultPlan,
        package: str,
        choose: Callable[[int], int],
        ids: Callable[[], Mapping[Any, TaskId]],
        clock: Callable[[], float],
        move_clock: Callable[[float], None],
        recorder: Recorder | None,
    ) -> None:
        self._plan = plan
        self._choose = choose
        self._ids = ids
        self._clock = clock
        self._move_clock = move_clock
        self._recorder = recorder
        self._scopes = Scopes(package)
        self.picks = plan.tasks != EVERYONE
        # Of each server's own task: what stands for the server, and what can be done with it.
        self._servers: dict[TaskId, tuple[Any, SharedClass]] = {}
        # The scopes that we have put around tasks, in the order in which these came into being.
        self._around: dict[Any, Any] = {}
        # The tasks and scopes that a fault could strike after the last step.
        self._exposed_last: tuple[object, ...] = ()
        self.left = 0
        self.struck = False
        self.named: set[str] = set()
        self.others: set[str] = set()

    def begin_execution(self) -> None:
        """Nothing has struck yet."""
        self.left = self._plan.at_most
        self.struck = False
        self._servers.clear()
        self._around.clear()
        self._exposed_last = ()
        self._scopes.begin_execution()

    def stop(self) -> None:
        """Nothing else will strike in this execution."""
        self.left = 0
        self._scopes.stop()

    @contextlib.contextmanager
    def watching(self) -> Generator[None]:
        """Learn of what the plan has any use for, until the block ends."""
        kinds = self._plan.kinds
        with contextlib.ExitStack() as stack:
            if FaultKind.CRASH in kinds:
                stack.enter_context(servers_noticed(self._noticed))
            if FaultKind.EXPIRE in kinds or (FaultKind.CANCEL in kinds and not self.picks):
                stack.enter_context(self._scopes.watched())
            yield

    def begins(self, task: Any) -> None:
        """A task has come into being, and has made no step."""
        if not self.picks:
            return
        name = short_name(task.name)
        if not self._may_strike(task):
            if not name.startswith("<"):
                self.others.add(name)
            return
        self.named.add(name)
        if FaultKind.CANCEL in self._plan.kinds:
            self._around[task] = scope_around(task)

    def ends(self, task: Any, outcome: Outcome[object]) -> Outcome[object]:
        """How a task has ended for those outside, if it has ended so in its own eyes."""
        scope = self._around.pop(task, None)
        if scope is None:
            return outcome
        raised = outcome.error if isinstance(outcome, Error) else None
        left = scope._close(raised)
        if left is raised:
            return outcome
        return Value(None) if left is None else Error(left)

    def maybe_strike(self, task: Any, over: bool) -> str:
        """Let a fault strike after a step, if that is chosen.

        Args:
            task: who made it and has just given up control.
            over: it was its last.

        Returns:
            the name of the fault, and whose it is if not the task's; "" if none has struck.
        """
        if self._recorder is not None:
            self._note_access(Operation.WRITE if self.look() else Operation.READ)
        if not self.left:
            return ""
        strikes = self._all_strikes(None if over else task)
        index = self._chosen(len(strikes))
        if index is None:
            return ""
        strike = strikes[index]
        strike.strike()
        return strike.name

    def look(self) -> bool:
        """Whether other things could be struck than when this was last asked.

        The possible strikes after a step depend on all tasks, and so do the choices made there: a step that
        changes it does not commute with any other.
        """
        if not self.left:
            return False
        if self._plan.anytime:
            exposed = tuple(strike.victim for strike in self._all_strikes(None))
        else:
            exposed = len(self._servers), *(scope for scope, opening in self._scopes if opening.is_given_out)
        before, self._exposed_last = self._exposed_last, exposed
        return exposed != before

    def maybe_strike_thread(self, name: str) -> FaultKind | None:
        """Let a fault strike a thread that is about to begin, if that is chosen.

        Args:
            name: of the task that has started it.
        """
        if self._recorder is not None:
            self._note_access(Operation.READ)
        if not self.left or not self._plan.names(name):
            return None
        kinds = [kind for kind in self._plan.kinds if kind in OF_THREADS]
        index = self._chosen(len(kinds))
        return None if index is None else kinds[index]

    @property
    def seconds(self) -> float:
        """How long a delay is."""
        return self._plan.seconds

    def _chosen(self, strikes: int) -> int | None:
        """Which of so many strikes it is to be; None: none of them."""
        index = self._choose(1 + strikes)
        if index == 0:
            return None
        if self._recorder is not None:
            self._note_access(Operation.WRITE)
        self.left -= 1
        self.struck = True
        if not self.left:
            self._scopes.stop()
        return index - 1

    def _note_access(self, operation: Operation) -> None:
        assert self._recorder is not None
        self._recorder.touched(self, "faults", operation)

    def _may_strike(self, task: Any) -> bool:
        name = short_name(task.name)
        return not name.startswith("<") and self._plan.names(name)

    def _all_strikes(self, stepped: Any) -> list[Strike]:
        return [strike for kind in self._plan.kinds for strike in self._strikes(kind, stepped)]

    def _strikes(self, kind: FaultKind, stepped: Any) -> Iterator[Strike]:
        """The faults that could strike now."""
        if kind is FaultKind.CANCEL:
            return self._cancellations_of_tasks(stepped) if self.picks else self._cancellations(stepped)
        if kind is FaultKind.EXPIRE:
            return self._expiries(stepped)
        if kind is FaultKind.CRASH:
            return self._crashes(stepped)
        return iter(())

    # Cancellations.

    def _cancellations(self, stepped: Any) -> Iterator[Strike]:
        """Of a scope of the program's: by somebody who holds it."""
        for scope, opening in self._scopes:
            if (
                opening.owner is Owner.PROGRAM
                and not opening.fails
                and not opening.unheld
                and not scope._shield
                and not scope._cancel_status.effectively_cancelled
                and (self._plan.anytime or (stepped is not None and covers(scope, stepped)))
                and opening.is_given_out
            ):
                if opening.nursery:
                    what = f"cancel of the nursery at {opening.where}"
                elif opening.task._cancel_status._scope is not scope:
                    what = f"cancel of the scope at {opening.where}"
                elif opening.task is stepped:
                    what = FaultKind.CANCEL.value
                else:
                    what = f"cancel of {short_name(opening.task.name)}"
                yield Strike(what, scope, partial(scope.cancel, _REASON))

    def _cancellations_of_tasks(self, stepped: Any) -> Iterator[Strike]:
        """Of a task that is named: by whoever has started it, and put a scope of ours around it."""
        for task, scope in self._around.items():
            if (
                (self._plan.anytime or task is stepped)
                and not scope._cancel_status.effectively_cancelled
                # A task that waits for it in `Nursery.start` would not be told that it has been given up.
                and task._eventual_parent_nursery is None
            ):
                yield Strike(_of(FaultKind.CANCEL, task, stepped), scope, partial(scope.cancel, _REASON))

    # Deadlines.

    def _expiries(self, stepped: Any) -> Iterator[Strike]:
        """Of each deadline that could cancel one of the tasks where it is."""
        now = self._clock()
        covered: dict[float, Any] = {}
        for task in self._exposed(stepped, lambda task: True):
            for scope in seen_by(task):
                if now < scope._registered_deadline < math.inf and (self.picks or self._is_timeout(scope)):
                    covered.setdefault(scope._registered_deadline, task)
        for deadline in sorted(covered):
            name = _of(FaultKind.EXPIRE, covered[deadline], stepped)
            yield Strike(name, deadline, partial(self._move_clock, deadline))

    def _is_timeout(self, scope: Any) -> bool:
        opening = self._scopes.opening(scope)
        return opening is not None and opening.owner is not Owner.MACHINERY

    # Crashes.

    def _crashes(self, stepped: Any) -> Iterator[Strike]:
        for task in self._exposed(stepped, lambda task: task._abort_func is not None):
            if self._can_crash(task):
                yield Strike(_of(FaultKind.CRASH, task, stepped), task, partial(self._crash, task))

    def _exposed(self, stepped: Any, also: Callable[[Any], bool]) -> Iterator[Any]:
        """The tasks that a fault may strike: the one that has just made a step and, if faults strike anytime,
        others that meet a condition; always in the same order."""
        if stepped is not None and self._may_strike(stepped):
            yield stepped
        if self._plan.anytime:
            ids = self._ids()
            others = [task for task in ids if task is not stepped and self._is_alive(task) and also(task)]
            for task in sorted(others, key=ids.__getitem__):
                if self._may_strike(task):
                    yield task

    def _is_alive(self, task: Any) -> bool:
        return task._cancel_status is not None

    def _noticed(self, server: Any, shared: SharedClass) -> None:
        self._servers[self._ids()[RUN_CONTEXT.task]] = server, shared

    def _server_of(self, task: Any) -> tuple[Any, SharedClass] | None:
        """The server for which a task acts: its own, or one that a task of it has started."""
        identity = self._ids()[task]
        for length in range(len(identity), -1, -1):
            found = self._servers.get(identity[:length])
            if found is not None:
                return found
        return None

    def _can_crash(self, task: Any) -> bool:
        if not self._servers:
            return True
        found = self._server_of(task)
        if found is None:
            return self.picks
        server, shared = found
        if not self.picks and shared.supervises is not None and shared.supervises(server):
            return False
        return in_program(task) or (
            shared.crash is not None and (shared.alive is None or shared.alive(server))
        )

    def _crash(self, task: Any) -> None:
        found = self._server_of(task)
        if found is None or in_program(task):
            crash(task)
        else:
            # It waits for a message, say: no code that could have a bug is running. But a timer or a
            # connection of the server could have failed just now.
            server, shared = found
            assert shared.crash is not None
            shared.crash(server, injected_crash(task))


def _of(kind: FaultKind, victim: Any, stepped: Any) -> str:
    return kind.value if victim is stepped else f"{kind.value} of {short_name(victim.name)}"
