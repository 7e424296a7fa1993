"""Programs of a few tasks, and whether `dpor` meets all that they come to."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from random import Random

import trio

from tests.sim.strategies.outcomes import Program, explored
from tests.sim.strategies.trio_grammar import exchange, structure, synchronization, tasks
from tests.sim.strategies.trio_grammar.promises import SUBJECTS, Promise, changing, promised, promising
from tests.sim.strategies.trio_grammar.world import Kind, Maker, World, described

STATEMENTS: tuple[Kind, ...] = tuple(
    dict.fromkeys(synchronization.STATEMENTS + exchange.STATEMENTS + structure.STATEMENTS + tasks.STATEMENTS)
)


S, E, T, A = synchronization, exchange, structure, tasks
THEMES: tuple[tuple[Kind, ...], ...] = (
    (S.event, S.event_wait, T.scope, T.scope_entered, T.timeout),
    (S.lock, S.lock_nowait, S.lock_kept, S.lock_look, T.scope, T.scope_entered),
    (S.semaphore, S.semaphore_wait, T.scope, T.scope_entered, S.branch),
    (S.limiter, S.limiter_wait, A.thread, T.scope, T.scope_entered),
    (S.condition, S.condition_nowait, T.scope, T.scope_entered),
    (S.lot, S.lot_park, S.lot_breaker, A.show_task, T.scope_entered),
    (E.channel, E.channel_wait, E.channel_clone, E.channel_look, E.channel_branch, E.channel_loop, T.scope),
    (E.channel, E.channel_wait, E.channel_aclose, T.scope, T.scope_entered, T.nursery),
    (E.stream, E.stream_nowait, T.scope, T.scope_entered),
    (E.queue, E.queue_wait, T.scope_entered, T.scope),
    (T.scope, T.scope_entered, T.scope_look, T.shielded, T.cleanup, T.timeout, T.sleep),
    (T.nursery, T.nursery_raw, T.fail, T.caught, T.cleanup, T.scope, T.scope_entered),
    (T.nursery, T.nursery_of_another, T.fail, T.start, T.start_status, A.look_at_task, A.show_task),
    (T.start, T.start_status, T.scope, T.scope_entered, T.nursery_of_another, T.nursery),
    (A.thread, A.callback, A.threads_completed, T.scope, T.scope_entered, S.cell),
    (A.generator, S.cell, S.cell_later, T.scope_entered, T.scope),
    (A.statistics, A.look_at_task, T.nursery, A.system_task, A.show_task),
    (A.sequence, S.cell, T.scope_entered, T.scope),
    (S.variable, S.variable_for_a_while, S.cell, S.branch),
    (T.settle, T.sleep, S.cell, S.branch, T.timeout, T.scope),
)


def generated(seed: int) -> Program:
    """A program of two or three tasks, of few kinds of statements, so that they meet."""
    random = Random(seed)
    shape = random.choice(((2, 1), (2, 2), (2, 2), (3, 1)))
    if random.random() < 0.3:
        kinds = random.sample(STATEMENTS, random.randint(2, 5))
    else:
        # One theme, so that tasks meet, and a little of the rest.
        theme = random.choice(THEMES)
        kinds = random.sample(theme, min(len(theme), random.randint(2, 4))) + random.sample(STATEMENTS, 1)
    return _made_of(random, kinds, shape, depth=random.randint(1, 2))


def with_promises(seed: int) -> Program:
    """Such a program about few things, with promises about those: the root's, or in the middle of a task."""
    random = Random(seed)
    subjects = random.sample(SUBJECTS, random.choice((1, 2, 2)))
    kinds = [changing(subjects), changing(subjects)]
    kinds += [random.choice(subject.kinds) for subject in subjects]
    promises = [promised(random, subjects) for _ in range(random.choice((1, 1, 2)))]
    return _made_of(random, kinds, random.choice(((2, 1), (2, 2), (3, 1))), depth=1, promises=promises)


def _made_of(
    random: Random,
    kinds: Sequence[Kind],
    shape: tuple[int, int],
    *,
    depth: int,
    promises: Sequence[Promise] = (),
) -> Program:
    maker = Maker(random, kinds, depth=depth)
    bodies = [maker.body(random.randint(1, shape[1])) for _ in range(shape[0])]
    shown, cancels = random.random() < 0.3, random.random() < 0.15
    root = maker.body(random.randint(0, 1))
    at_once: list[Promise] = []
    for promise in promises:
        if random.random() < 0.2:
            acts = random.choice(bodies).acts
            acts.insert(random.randint(0, len(acts)), promising(promise))
        else:
            at_once.append(promise)

    async def program() -> Hashable:
        world = World()
        ended: Hashable = None
        try:
            with trio.move_on_after(9) as limit:
                async with trio.open_nursery() as nursery:
                    if shown:
                        world.nurseries[0].set(nursery)
                    for promise in at_once:
                        promise(world)
                    for body in bodies:
                        nursery.start_soon(body.run, world)
                    await root.run(world)
                    if cancels:
                        nursery.cancel_scope.cancel()
            ended = limit.cancelled_caught
        except BaseExceptionGroup as group:
            ended = described(group)
        return ended, world.outcome()

    return program


@dataclass(frozen=True)
class Comparison:
    """What came of comparing a program's traces with its interleavings.

    Attributes:
        interleavings: how many were looked at.
        exhausted: whether those were all.
        traces: how many there are; 0 if there were too many to meet them all.
        outcomes: how many there are.
        missed: those that no trace came to, and what `sometimes` has named and was seen in none.
        trouble: what the exploration ended with, if it did not end as it should.
    """

    interleavings: int
    exhausted: bool
    traces: int
    outcomes: int
    missed: frozenset[Hashable]
    trouble: str = ""


def compare(program: Program, most_interleavings: int, most_traces: int) -> Comparison:
    """See whether every outcome of a program's interleavings is one of its traces.

    Args:
        program: it.
        most_interleavings: of one that has more, so many at random are looked at in place of all.
        most_traces: a program that has more is not compared.
    """
    traces = explored(program, "dpor", most_traces)
    if not traces.result.complete:
        trouble = str(traces.result.diverged or "")
        return Comparison(0, False, 0, len(traces.seen), frozenset(), trouble)
    everything = explored(program, "dfs", most_interleavings)
    if not everything.result.complete:
        everything = explored(program, "random", most_interleavings)
    return Comparison(
        everything.result.executions,
        everything.result.complete,
        traces.result.executions,
        len(everything.seen),
        (everything.seen - traces.seen) | (traces.never - everything.never),
        "" if not traces.result.abandoned else f"{traces.result.abandoned} abandoned",
    )


def programs_agree(
    programs: Iterable[Program], bound: int, *, compared: float, with_choice: float, met_twice: bool = False
) -> None:
    """See that `dpor` meets whatever each of them comes to, and that they are worth it.

    Args:
        programs: to be compared; told by their place if one is not met.
        bound: `most_interleavings` and `most_traces` of `compare`.
        compared: in which part of them all traces must be met,
        with_choice: and which part must have more than one outcome.
        met_twice: whether runs may be given up because a trace was met before.
    """
    count = n_compared = n_with_choice = 0
    for count, program in enumerate(programs, 1):
        found = compare(program, bound, bound)
        assert not found.missed, f"program {count - 1}"
        excused = met_twice and found.trouble.endswith("abandoned")
        assert not found.trouble or excused, f"program {count - 1}: {found.trouble}"
        n_compared += found.traces > 0
        n_with_choice += found.outcomes > 1
    assert n_compared > count * compared, "the programs are too large"
    assert n_with_choice > count * with_choice, "the programs are too tame"
