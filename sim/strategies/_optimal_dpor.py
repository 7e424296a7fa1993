"""Optimal dynamic partial-order reduction: each Mazurkiewicz trace of a program, exactly once.

Two executions that differ only in the order of adjacent independent steps are the same to everybody
inside; all that are the same in this sense form a trace. A depth-first search over schedules that
runs one execution of each trace sees every behaviour. The search runs an execution to its end,
finds the races in it, and for each plans, at the state before it, the steps that reverse it; a
*sleep set* at each state holds the steps whose continuations are explored already, and a sequence
is planned only if no sleeping step could be its beginning. So what is planned is new, and no
execution is ever started and then found to be a repetition.

This module knows nothing of Trio: it is told which processes can run and what a step has used.

Source: Abdulla, Aronis, Jonsson, Sagonas: "Source Sets: A Foundation for Optimal Dynamic Partial
Order Reduction", Journal of the ACM 64(4), 2017: the algorithm Optimal-DPOR. Its assumption that a
process which can run stays able to until it does, Trio fulfils by itself: a runnable task is never
taken from the run queue but to run. Blocking is a step too, one that ends without rescheduling. So
the algorithm's extension for blocking operations is not needed: in its place, a step never races
with one that made it runnable. Ours is what concerns steps that use several objects, and which
objects depends on what they find (see `_reversal`); and choices inside a step. All outcomes of
those are explored, and after such a step nothing sleeps: sound, but a trace may then be met twice.

An execution costs in proportion to what is new in it. The beginning that it shares with the one before keeps
its events. So do the steps of a plan: they are run in another order, but after the same past. Both together
are the *script* of the execution, known before it starts, of which nothing needs to be told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from sim._run.strategy import RepetitionDiverged
from sim.strategies._footprints import Footprint
from sim.strategies._happens_before import Event, HappensBefore, Process
from sim.strategies._reversal import PartlyKnown, Reversal, Step
from sim.strategies._wakeup_tree import Branch, insert

_NOBODY: Mapping[Process, Step] = {}


@final
class _Choices:
    """The choices inside a step.

    Attributes:
        made: of each its outcome, and those that are still to be explored.
        has: what the step used when it was run with other outcomes of them,
        against: likewise.
        ends_run: whether with all of these it has ended the execution at once.
    """

    __slots__ = ("against", "ends_run", "has", "made")

    def __init__(self) -> None:
        self.made: list[tuple[int, list[int]]] = []
        self.has = 0
        self.against = 0
        self.ends_run = True

    def make_next(self) -> bool:
        """Makes the next combination of outcomes the one to be explored, if there is one."""
        while self.made:
            _, left = self.made.pop()
            if left:
                self.made.append((left[0], left[1:]))
                return True
        return False


@final
class _State:
    """The state before a step of the current execution.

    Attributes:
        branch: the step that is taken, and what is planned after it.
        branches: what is still to be explored from this state besides, in this order.
        asleep: steps that need no exploration here: all that they lead to is explored. Those explored
            from this very state are added when they are done.
        asleep_against: what conflicts with one of those.
        choices: those inside the step; None as long as there are none.
        besides: who is to take the step, after all that is planned: a step that ended an execution at once
            has raced with what they would have done, but what that is has not been seen.
    """

    __slots__ = ("asleep", "asleep_against", "besides", "branch", "branches", "choices")

    def __init__(
        self, branch: Branch, branches: list[Branch], asleep: Mapping[Process, Step], asleep_against: int
    ) -> None:
        self.branch = branch
        self.branches = branches
        self.asleep = asleep
        self.asleep_against = asleep_against
        self.choices: _Choices | None = None
        self.besides: list[Process] = []

    def next_branch(self) -> Branch | None:
        """The next branch to explore from here; None if there is none."""
        if self.branches:
            return self.branches.pop(0)
        while self.besides:
            process = self.besides.pop(0)
            if process not in self.asleep:
                return Branch(process, None)
        return None

    def add_asleep(self, step: Step) -> None:
        """Lets a step sleep that was explored from here."""
        self.asleep = {**self.asleep, step.process: step}
        self.asleep_against |= step.against


@final
class OptimalDpor:
    """The search. For each execution: `begin`, then the script, then for each further step `choose`
    and `ran`, then `end`.

    Attributes:
        script: who takes the first steps of the execution begun, in order. They must be run, and
            `choose` and `ran` are not called for them.
        executions: executions run to their end.
        redundant: executions given up because everything that could run was asleep. Zero, as long
            as no step draws and what it is told of steps is the truth.
        drawn: whether any step has drawn.
    """

    def __init__(self) -> None:
        self.script: list[Process] = []
        self.executions = 0
        self.redundant = 0
        self.drawn = False
        # Invariant between executions: path[:len(order)] is what the next one repeats; if path is one
        # longer, its last state's branch is the step taken next.
        self._order = HappensBefore()
        self._path: list[_State] = []
        # How much of it is repeated from the execution before.
        self._known = 0
        # The outcomes of the choices in the script, the last first, and whether the script is over.
        self._scripted: list[int] = []
        self._scripting = False
        self._place = 0
        self._exhausted = False
        self._blocked = False
        self._unplanned = False

    @property
    def exhausted(self) -> bool:
        """Whether every trace was explored."""
        self._plan_next()
        return self._exhausted

    def footprint(self, uses: Sequence[tuple[object, int]]) -> Footprint:
        """The arguments of `ran`.

        Args:
            uses: what a step did to objects, in its own order.
        """
        return self._order.footprints.of(uses)

    def begin(self) -> bool:
        """Prepares the next execution.

        Returns:
            Whether there is one; if not, all traces were explored.
        """
        if self.exhausted:
            return False
        path, order = self._path, self._order
        if self.drawn:
            repeated = path[: len(order)]
            outcomes = [outcome for state in repeated if state.choices for outcome, _ in state.choices.made]
            self._scripted = outcomes[::-1]
        self._scripting = True
        self._blocked = False
        self._place = 0
        if path:
            # Of a plan, all is known except, perhaps, what its last step does.
            if len(path) == len(order):
                self._follow_plan(path[-1])
            while len(path) > len(order):
                state = path[-1]
                step = state.branch.step
                if state.choices is not None or not isinstance(step, Event) or step.draws:
                    break
                order.push(step)
                self._follow_plan(state)
        self.script = order.processes.copy()
        return True

    def choose(self, runnable: Sequence[Process]) -> int | None:
        """The task that takes the next step.

        Args:
            runnable: the processes that can, in an order that is the same in every repetition.

        Returns:
            The index of one of them, or None if the execution is redundant and has to be given up.

        Raises:
            RepetitionDiverged: who is to run cannot.
        """
        self._scripting = False
        path = self._path
        depth = len(self._order)
        if self._scripted:
            raise RepetitionDiverged(depth, None, runnable)
        if depth == len(path) and not (path and self._follow_plan(path[-1])) and not self._go_on(runnable):
            self._blocked = True
            return None
        process = path[depth].branch.process
        try:
            return runnable.index(process)
        except ValueError:
            raise RepetitionDiverged(depth, process, runnable) from None

    def draw(self, alternatives: int) -> int:
        """The outcome of a choice inside the step.

        Args:
            alternatives: how many outcomes there are.

        Raises:
            RepetitionDiverged: the step made no such choice in an earlier execution.
        """
        self.drawn = True
        if self._scripting:
            if not self._scripted:
                raise RepetitionDiverged(len(self.script), None, ())
            return self._scripted.pop()
        state = self._path[len(self._order)]
        choices = state.choices
        if choices is None:
            choices = state.choices = _Choices()
        place = self._place
        self._place += 1
        if place == len(choices.made):
            step = state.branch.step
            foreseen = step.draws if step is not None else ()
            # A value that it drew after other steps may not be available now.
            outcome = foreseen[place] if place < len(foreseen) and foreseen[place] < alternatives else 0
            choices.made.append((outcome, [other for other in range(alternatives) if other != outcome]))
        return choices.made[place][0]

    def ran(self, footprint: Footprint, wakes: Sequence[Process], *, after_all: bool = False) -> None:
        """Tells what the chosen process's step did.

        Args:
            footprint: what it did to objects.
            wakes: which processes it made runnable, or started.
            after_all: it could run only because nothing else could; the clock's step.
        """
        order = self._order
        state = self._path[len(order)]
        branch = state.branch
        choices = state.choices
        draws = tuple(outcome for outcome, _ in choices.made) if choices is not None else ()
        branch.step = order.append(branch.process, footprint, wakes, after_all=after_all, draws=draws)
        self._place = 0
        if branch.deferred is not None:
            self._reconsider(state, branch.deferred)

    def end(self, scripted: int | None = None, left: Sequence[Process] = ()) -> None:
        """Ends the execution.

        Args:
            scripted: how many steps of the script were run, if not all.
            left: who could have taken the last step, and now takes none because that ended the execution.
        """
        if scripted is not None and scripted < len(self.script):
            self._order.truncate(scripted)
            del self._path[scripted:]
            self._known = min(self._known, scripted)
        if self._blocked:
            self.redundant += 1
        else:
            self.executions += 1
        if left and len(self._order):
            self._order.events[-1].ends_run = True
            self._path[len(self._order) - 1].besides.extend(left)
        self._unplanned = True

    def _plan_next(self) -> None:
        """Plans what the races of the last execution call for, and goes to the next branch.

        Only once that is asked for: in a run of many steps there are many races, and after one that has
        failed mostly nothing is explored any more.
        """
        if self._unplanned:
            self._unplanned = False
            self._plan()
            self._backtrack()

    def _follow_plan(self, parent: _State) -> bool:
        """Goes to the next state if something is planned after the step that leads there."""
        planned = parent.branch.children
        if not planned:
            return False
        branch = planned.pop(0)
        self._path.append(_State(branch, planned, *self._still_asleep(parent)))
        return True

    def _go_on(self, runnable: Sequence[Process]) -> bool:
        """Goes to the next state and chooses a step there freely, if not all that can run sleep."""
        path = self._path
        asleep, against = _NOBODY, 0
        if path:
            parent = path[-1]
            asleep, against = self._still_asleep(parent)
            previous = parent.branch.process
            if previous in runnable and previous not in asleep:
                path.append(_State(Branch(previous, None), [], asleep, against))
                return True
        for process in runnable:
            if process not in asleep:
                path.append(_State(Branch(process, None), [], asleep, against))
                return True
        return False

    def _still_asleep(self, parent: _State) -> tuple[Mapping[Process, Step], int]:
        """The sleep set after the last step, and its conflicts: tasks that slept before and do not conflict
        with the step."""
        if not parent.asleep or parent.choices is not None:
            return _NOBODY, 0
        has = self._order.events[-1].has
        if not parent.asleep_against & has:
            return parent.asleep, parent.asleep_against
        asleep: dict[Process, Step] = {}
        against = 0
        for process, step in parent.asleep.items():
            if not step.against & has:
                asleep[process] = step
                against |= step.against
        return asleep, against

    def _plan(self) -> None:
        """Plans the reversal of each race, together with all that does not need its early step.

        Races of the repeated part count again where steps have come that do not need the early
        one: what is planned for a race has to contain all of those. They count again, too, where a step
        that was in the plan may have drawn something else, and now needs the early one.
        """
        order, path = self._order, self._path
        events = order.events
        known = self._known
        # The event after which all that is new comes.
        common = 0 if self.drawn else -1
        for event in events[known:]:
            common &= event.history
        for late in events:
            for met in late.races:
                if late.depth < known and common & met.bit:
                    continue
                # A planned step may have met its past in another execution, in which that stood elsewhere.
                early = order.present[met.bit]
                state = path[early.depth]
                plan = Reversal(order, early, late)
                for step in state.asleep.values():
                    # One that ends the run leads to nothing of what is planned, but to itself.
                    if (not step.ends_run or step.bit == plan.late_bit) and plan.may_begin_with(step):
                        break
                else:
                    insert(state.branches, plan, order)

    def _reconsider(self, state: _State, deferred: list[Reversal]) -> None:
        """Plans what was held back until it was known what the step just taken uses."""
        step = state.branch.step
        assert step is not None
        held_back: list[Reversal] = []
        for plan in deferred:
            if plan.may_begin_with(step):
                held_back.append(plan)
            else:
                insert(state.branches, plan, self._order)
        state.branch.deferred = held_back if state.choices is not None else None

    def _backtrack(self) -> None:
        """Shortens the path to the last state with something left to explore, and goes there."""
        path, order = self._path, self._order
        while path:
            state = path[-1]
            depth = len(path) - 1
            choices = state.choices
            if choices is not None or state.branches or state.besides:
                event = order.events[depth] if depth < len(order) else None
                if choices is not None and event is not None:
                    choices.has |= event.has
                    choices.against |= event.against
                    choices.ends_run &= event.ends_run
                if choices is not None and choices.make_next():
                    state.branch.step = None
                    state.branch.children = []
                    break
                if state.branches or state.besides:
                    done: Step
                    process = state.branch.process
                    if event is None:
                        done = PartlyKnown(process, 0, 0, 0)
                    elif choices is None:
                        done = event
                    else:
                        done = PartlyKnown(
                            process,
                            event.bit,
                            choices.has,
                            choices.against,
                            key=event.key,
                            ends_run=choices.ends_run,
                        )
                    state.add_asleep(done)
                    state.choices = None
                    branch = state.next_branch()
                    if branch is not None:
                        state.branch = branch
                        break
            path.pop()
        order.truncate(max(0, len(path) - 1))
        self._known = len(order)
        self._exhausted = not path
