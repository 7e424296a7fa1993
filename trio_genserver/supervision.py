"""Supervision beyond the supervisors themselves: partitions, what a supervisor reports, and its errors.

`Supervisor` and `DynamicSupervisor`, with what starts them, are at the top level of the package.
"""

from __future__ import annotations

from ._partition_supervisor import (
    NoPartitions,
    PartitionSupervisor,
    PartitionSupervisorRef,
    open_partition_supervisor,
    partition_supervisor_spec,
)
from ._supervision import ChildCounts, ChildInfo, ChildStatus
from ._supervisor import AutoShutdown, Strategy
from ._supervisor_errors import (
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildError,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildStartFailed,
    MaxChildrenReached,
    RestartIntensityExceeded,
)

__all__ = [
    "AutoShutdown",
    "ChildAlreadyPresent",
    "ChildAlreadyStarted",
    "ChildCounts",
    "ChildError",
    "ChildInfo",
    "ChildNotFound",
    "ChildRestarting",
    "ChildRunning",
    "ChildStartFailed",
    "ChildStatus",
    "MaxChildrenReached",
    "NoPartitions",
    "PartitionSupervisor",
    "PartitionSupervisorRef",
    "RestartIntensityExceeded",
    "Strategy",
    "open_partition_supervisor",
    "partition_supervisor_spec",
]
