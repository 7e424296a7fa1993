"""The schedules that a partial-order reduction still owes a state, as a tree without repetition.

Reversing a race yields a sequence of steps that has to be run from the state before the race.
Several such sequences may begin alike, and some are only another spelling of a beginning that is
planned already, with independent steps swapped. A *wakeup tree* holds them so that neither is ever
run twice: a path from the root is a sequence to run, a new sequence is added only as far as it is
not equivalent to one that the tree holds, and no two branches lead to a common continuation.

Source: Abdulla, Aronis, Jonsson, Sagonas: "Source Sets: A Foundation for Optimal Dynamic Partial
Order Reduction", Journal of the ACM 64(4), 2017, the section on wakeup trees (definition of the
tree, and the insert operation with its three properties).
"""

from __future__ import annotations

from typing import final

from sim.strategies._happens_before import HappensBefore, Process
from sim.strategies._reversal import PartlyKnown, Reversal, Step


@final
class Branch:
    """A step to take, and what is to follow it.

    Attributes:
        process: who takes the step.
        step: what is known of it; None if nothing is.
        children: what follows. A branch without children is a leaf: after its step the exploration
            is free.
        deferred: plans that need not be in the tree if the step turns out to use no more than is
            known of it.
    """

    __slots__ = ("children", "deferred", "process", "step")

    def __init__(self, process: Process, step: Step | None) -> None:
        self.process = process
        self.step = step
        self.children: list[Branch] = []
        self.deferred: list[Reversal] | None = None


def insert(branches: list[Branch], plan: Reversal, order: HappensBefore) -> None:
    """Adds a plan to the tree whose root has these branches, in the order of exploration.

    Nothing is added if the tree already leads to every continuation of the plan.

    Args:
        branches: the root's branches; changed in place.
        plan: used up by this.
        order: knows of which steps it is certain what they use.
    """
    # Most of what the search does beyond making steps is done here, a few times for each execution and
    # once for each step of a plan; so this is `Reversal.may_begin_with`, and taking the step out, by hand.
    left, events = plan.left, plan.events
    while True:
        for branch in branches:
            step = branch.step
            assert step is not None  # only a branch that is not planned has none
            bit = step.bit
            if bit & left:
                if events[bit].history & left == bit:
                    break
            elif step.draws:
                # Its accesses with other outcomes are unknown: they may conflict with the plan.
                continue
            elif not step.against & (plan.has if plan.has >= 0 else plan.uses()) and plan.late_permits(step):
                break
        else:
            for step in plan.rest():
                branch = Branch(step.process, step)
                branches.append(branch)
                branches = branch.children
            return
        if step.draws:
            return  # what follows a step that draws is explored without regard to the past
        children = branch.children
        if not children:
            if isinstance(step, PartlyKnown) and step.mark:
                if order.was_whole(step.mark):
                    step.mark = 0
                    branch.deferred = None
                else:
                    plan.settle()
                    if branch.deferred is None:
                        branch.deferred = []
                    branch.deferred.append(plan)
            return
        if bit & left:
            left -= bit
            plan.left = left
            plan.has = -1
        elif bit == plan.late_bit:
            plan.late_bit = 0
        branches = children
