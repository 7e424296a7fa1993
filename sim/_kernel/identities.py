"""Which task is which: the same in all executions that choose the same, and in every process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim._run.step import ROOT, TaskId


class Identities:
    """Names the tasks of an execution: each is called by who has started it, and as which of its children.

    Attributes:
        ids: of each task, which it is.
        tasks: the other way round.
        on_birth: is told of each task that has come into being and has made no step.
    """

    def __init__(self) -> None:
        self.ids: dict[Any, TaskId] = {}
        self.tasks: dict[TaskId, Any] = {}
        self.on_birth: Callable[[Any], None] | None = None
        # How many children each identity has made.
        self._children: dict[TaskId, int] = {}

    def begin(self) -> None:
        """There is no task yet."""
        self.ids = {}
        self.tasks = {}
        self._children = {}

    def forget(self) -> None:
        """Release all tasks."""
        self.ids = {}
        self.tasks = {}

    def name_root(self, task: Any) -> None:
        """Give the task that runs the scenario its identity."""
        self.ids[task] = ROOT
        self.tasks[ROOT] = task
        if self.on_birth is not None:
            self.on_birth(task)

    def name_child(self, parent: TaskId, task: Any) -> TaskId:
        """Give a task the identity of its parent's next child."""
        number = self._children.get(parent, 0)
        self._children[parent] = number + 1
        identity = (*parent, number)
        self.ids[task] = identity
        self.tasks[identity] = task
        if self.on_birth is not None:
            self.on_birth(task)
        return identity

    def name_new(self, runq: list[Any], start: int, creator: Any) -> int:
        """Name the tasks that were created in a step, and bring what it made runnable into an order
        that is the same in every process: Trio keeps waiting tasks in sets.

        Args:
            runq: who can run.
            start: where in it those begin that the step made runnable.
            creator: the task that made the step.

        Returns:
            how many tasks were created.
        """
        ids = self.ids
        made = 0
        for task in runq[start:]:
            if task not in ids:
                self.name_child(ids[creator], task)
                made += 1
        if len(runq) - start > 1:
            runq[start:] = sorted(runq[start:], key=lambda task: (task is creator, ids[task]))
        return made

    def last_children(self, parent: TaskId, count: int) -> tuple[TaskId, ...]:
        """So many of a task's children, those that were named last."""
        children = self._children[parent]
        return tuple((*parent, number) for number in range(children - count, children))
