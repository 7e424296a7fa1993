"""A simulator for Trio programs: it decides every interleaving, and can make any run again."""

from sim._errors import (
    Deadlock,
    Escape,
    InvalidToken,
    LeakedTasks,
    Nondeterminism,
    ReplayDiverged,
    ScenarioFailure,
    SimError,
    StepBudgetExceeded,
    SystemTaskCrashed,
    UnsupportedTrio,
    WaitingTask,
    WrongUse,
)
from sim._explore import Failure, Result, explore, replay
from sim._shared import Shared
from sim._trace import TracedStep

__all__ = [
    "Deadlock",
    "Escape",
    "Failure",
    "InvalidToken",
    "LeakedTasks",
    "Nondeterminism",
    "ReplayDiverged",
    "Result",
    "ScenarioFailure",
    "Shared",
    "SimError",
    "StepBudgetExceeded",
    "SystemTaskCrashed",
    "TracedStep",
    "UnsupportedTrio",
    "WaitingTask",
    "WrongUse",
    "explore",
    "replay",
]
