"""Things that go wrong, at points that a strategy chooses: a task is cancelled, a task crashes."""

from sim.faults._plan import FaultKind, FaultPlan, InjectedCrash

__all__ = ["FaultKind", "FaultPlan", "InjectedCrash"]
