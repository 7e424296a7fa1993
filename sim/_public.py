"""The public names of this package, in one list; `sim` itself has them from here.

So do the modules from which a program explores, for whoever has one of these has all that a scenario may ask
`sim` for: nothing is imported in a run.
"""

from sim._dependence.shared import Shared
from sim._exploration.exploration import Scenario
from sim._exploration.explore import explore, replay
from sim._exploration.result import Failure, Interrupted, Result
from sim._run.draws import choose
from sim._run.errors import (
    Deadlock,
    Escape,
    ExplorationUnderWay,
    InvalidToken,
    LeakedTasks,
    Nondeterminism,
    ReplayDiverged,
    ScenarioFailure,
    SimError,
    StateOutlivesRun,
    StepBudgetExceeded,
    SystemTaskCrashed,
    TaskBlocked,
    ThreadBlocked,
    ThreadCrashed,
    UnsupportedTrio,
    WrongType,
    WrongUse,
)
from sim._run.trace import TracedStep
from sim._run.wait_graph import WaitingTask
from sim.faults import FaultKind, FaultPlan, InjectedCrash, InjectedFailure
from sim.oracles import models
from sim.oracles.history import ANY, History, Raised
from sim.oracles.invariants import NotAlways, NotEventually, always, eventually, sometimes
from sim.oracles.isolation import Interference, find_interference
from sim.oracles.linearizability import (
    NotLinearizable,
    assert_linearizable,
    check_linearizability,
)
from sim.oracles.models import BLOCKED, Model, Step

__all__ = [
    "ANY",
    "BLOCKED",
    "Deadlock",
    "Escape",
    "ExplorationUnderWay",
    "Failure",
    "FaultKind",
    "FaultPlan",
    "History",
    "InjectedCrash",
    "InjectedFailure",
    "Interference",
    "Interrupted",
    "InvalidToken",
    "LeakedTasks",
    "Model",
    "Nondeterminism",
    "NotAlways",
    "NotEventually",
    "NotLinearizable",
    "Raised",
    "ReplayDiverged",
    "Result",
    "Scenario",
    "ScenarioFailure",
    "Shared",
    "SimError",
    "StateOutlivesRun",
    "Step",
    "StepBudgetExceeded",
    "SystemTaskCrashed",
    "TaskBlocked",
    "ThreadBlocked",
    "ThreadCrashed",
    "TracedStep",
    "UnsupportedTrio",
    "WaitingTask",
    "WrongType",
    "WrongUse",
    "always",
    "assert_linearizable",
    "check_linearizability",
    "choose",
    "eventually",
    "explore",
    "find_interference",
    "models",
    "replay",
    "sometimes",
]
