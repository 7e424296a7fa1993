"""Things that go wrong, at points that a strategy chooses: a task is cancelled, a task crashes."""

from sim.faults._plan import EVERYONE, FaultKind, FaultPlan, InjectedCrash

__all__ = ["EVERYONE", "FaultKind", "FaultPlan", "InjectedCrash"]
