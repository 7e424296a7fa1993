"""Things that go wrong, at points that a strategy chooses: a task is cancelled, a task crashes."""

from sim.faults._plan import EVERYONE, OF_THREADS, FaultKind, FaultPlan, InjectedCrash, InjectedFailure

__all__ = ["EVERYONE", "OF_THREADS", "FaultKind", "FaultPlan", "InjectedCrash", "InjectedFailure"]
