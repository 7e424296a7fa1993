"""Where a fault may strike, and how it does."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Mapping
from typing import Any

from sim._kernel._dependence import servers_noticed
from sim._kernel._trio import RUN_CONTEXT, crash, injected_crash
from sim._trace import in_program, short_name
from sim.faults import EVERYONE, OF_THREADS, FaultKind, FaultPlan
from sim.strategies import TaskId


class FaultInjector:
    """Strikes tasks of one execution after the other.

    Args:
        plan: what may strike, and whom.
        choose: makes the choice of a fault, among so many alternatives; 0 is none.
        ids: the identity of each task of the execution under way.
        move_clock: lets time pass until a moment.
    """

    def __init__(
        self,
        plan: FaultPlan,
        choose: Callable[[int], int],
        ids: Callable[[], Mapping[Any, TaskId]],
        move_clock: Callable[[float], None],
    ) -> None:
        self._plan = plan
        self._choose = choose
        self._ids = ids
        self._move_clock = move_clock
        # Of each server's own task: what stands for the server, and what can be done with it.
        self._servers: dict[TaskId, tuple[Any, Any]] = {}
        self.left = 0
        self.struck = False

    def begin_execution(self) -> None:
        """Nothing has struck yet."""
        self.left = self._plan.at_most
        self.struck = False
        self._servers.clear()

    @contextlib.contextmanager
    def watching(self) -> Generator[None]:
        """Learn of servers, if the plan has any use for that, until the block ends."""
        if FaultKind.CRASH in self._plan.kinds:
            with servers_noticed(self._noticed):
                yield
        else:
            yield

    def maybe_strike(self, task: Any, over: bool) -> str:
        """Let a fault strike after a step, if that is chosen.

        Args:
            task: who made it and has just given up control.
            over: it was its last.

        Returns:
            the name of the fault, and whose it is if not the task's; "" if none has struck.
        """
        exposed = [] if over else [task]
        if self._plan.anytime:
            exposed += self._waiting(task)
        strikes = [
            (kind, victim)
            for victim in exposed
            if self._may_strike(victim)
            for kind in self._plan.kinds
            if self._can(kind, victim)
        ]
        index = self._chosen(len(strikes))
        if index is None:
            return ""
        kind, victim = strikes[index]
        if kind is FaultKind.CANCEL:
            victim._cancel_status._scope.cancel("fault injected by sim")
        elif kind is FaultKind.EXPIRE:
            self._move_clock(_deadline(victim))
        else:
            self._crash(victim)
        return kind.value if victim is task else f"{kind.value} of {short_name(victim.name)}"

    def maybe_strike_thread(self, name: str) -> FaultKind | None:
        """Let a fault strike a thread that is about to begin, if that is chosen.

        Args:
            name: of the task that has started it.
        """
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
        self.left -= 1
        self.struck = True
        return index - 1

    def _may_strike(self, task: Any) -> bool:
        name = short_name(task.name)
        return not name.startswith("<") and self._plan.names(name)

    def _waiting(self, but: Any) -> list[Any]:
        """The tasks that wait, except one that has begun to just now; in an order that is always the same."""
        ids = self._ids()
        waiting = [task for task in ids if task._abort_func is not None and task is not but]
        return sorted(waiting, key=ids.__getitem__)

    def _noticed(self, server: Any, shared: Any) -> None:
        self._servers[self._ids()[RUN_CONTEXT.task]] = server, shared

    def _server_of(self, task: Any) -> tuple[Any, Any] | None:
        """The server for which a task acts: its own, or one that a task of it has started."""
        identity = self._ids()[task]
        for length in range(len(identity), -1, -1):
            found = self._servers.get(identity[:length])
            if found is not None:
                return found
        return None

    def _can(self, kind: FaultKind, task: Any) -> bool:
        if kind is FaultKind.CANCEL:
            return not task._cancel_status._scope._cancel_called
        if kind in OF_THREADS:
            return False
        if kind is FaultKind.EXPIRE:
            return _deadline(task) < math.inf
        if not self._servers:
            return True
        found = self._server_of(task)
        if found is None:
            return self._plan.tasks != EVERYONE
        server, shared = found
        if self._plan.tasks == EVERYONE and shared.supervises(server):
            return False
        return in_program(task) or shared.alive(server)

    def _crash(self, task: Any) -> None:
        found = self._server_of(task)
        if found is None or in_program(task):
            crash(task)
        else:
            # It waits for a message, say: no code that could have a bug is running. But a timer or a
            # connection of the server could have failed just now.
            server, shared = found
            shared.crash(server, injected_crash(task))


def _deadline(task: Any) -> float:
    """The innermost deadline that could cancel the task where it is; infinite if there is none."""
    status = task._cancel_status
    while status is not None:
        scope = status._scope
        if scope._cancel_called:
            return math.inf
        if scope.deadline < math.inf:
            return float(scope.deadline)
        if scope.shield:
            return math.inf
        status = status._parent
    return math.inf
