"""Tasks: functions that run on their own and whose results are waited for; and maps over many values."""

from __future__ import annotations

from ._amap import Settled, amap, amap_isolated
from ._errors import TaskStopped
from ._task import Task, poll_many
from ._task_supervisor import TaskSupervisor, TaskSupervisorRef, open_task_supervisor, task_supervisor_spec

__all__ = [
    "Settled",
    "Task",
    "TaskStopped",
    "TaskSupervisor",
    "TaskSupervisorRef",
    "amap",
    "amap_isolated",
    "open_task_supervisor",
    "poll_many",
    "task_supervisor_spec",
]
