"""Programs that mean the same here and in OTP: how servers are made, and what clients do at which time.

A program is made of tuples, strings and numbers, so that it can be handed over as an Elixir term. Times and
durations are in units. They are chosen so that no two things happen at the same time: each client acts at
tenths of its own, and what lasts, lasts odd hundredths.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple, TypeAlias

Term: TypeAlias = "str | int | float | tuple[Term, ...] | None"
"""A str is an atom."""

REASONS: tuple[Term, ...] = ("normal", "shutdown", ("shutdown", "why"), "bad")
LASTING = (0.55, 1.55, 3.55)
STEPS = 6
"""How many times each client may act, once a unit."""


class Child(NamedTuple):
    """How a child of the supervisor is made.

    Attributes:
        id: its name.
        restart: as in OTP.
        shutdown: units, ``"infinity"`` or ``"brutal_kill"``.
        starts: what its first, second ... start comes to: ``"ok"``, ``"stop"``, ``"raise"`` or ``"ignore"``;
            all that come later are good.
        lasts: how long its `terminate` takes,
        end: and how that ends: ``"ok"``, ``"raise"``, or with a reason of its own, ``"stop"``.
    """

    id: str
    restart: str
    shutdown: str | float
    starts: tuple[str, ...]
    lasts: float
    end: str


class Program(NamedTuple):
    """A program.

    Attributes:
        strategy: of its only supervisor,
        max_restarts: likewise, for the whole time.
        children: those that the supervisor starts.
        clients: of each what it does, and when at the earliest.
    """

    strategy: str
    max_restarts: int
    children: tuple[Child, ...]
    clients: tuple[tuple[tuple[float, Term], ...], ...]

    def term(self) -> str:
        """It as an Elixir term."""
        return "".join(_term(self))

    def stretched(self, by: float) -> Program:
        """The same where all that lasts, lasts so many units longer."""
        return self._replace(
            children=tuple(
                child._replace(
                    lasts=child.lasts and child.lasts + by,
                    shutdown=child.shutdown if isinstance(child.shutdown, str) else child.shutdown + by,
                )
                for child in self.children
            ),
            clients=tuple(
                tuple((time, _stretched(action, by)) for time, action in client) for client in self.clients
            ),
        )


def generated(seed: int) -> Program:
    """A program.

    In half of them handlers take time. Then nobody ends a server from outside: here that cancels the handler
    at once, in OTP it waits for its turn in the mailbox. In the other half nobody counts children: here that
    looks at them at once, in OTP it waits for the supervisor.
    """
    random = Random(seed)
    busy = random.random() < 0.5
    names = [f"s{number}" for number in range(random.choice((1, 2, 2, 3)))]
    children = tuple(_child(random, name) for name in names)
    return Program(
        "one_for_one"
        if busy
        else random.choice(("one_for_one", "one_for_one", "one_for_all", "rest_for_one")),
        1_000 if busy else random.choice((0, 1, 2, 5)),
        children,
        tuple(_client(random, number, names, busy) for number in range(random.choice((1, 2, 2, 3)))),
    )


def _stretched(term: Term, by: float) -> Term:
    if isinstance(term, tuple):
        return tuple(_stretched(each, by) for each in term)
    return term + by if isinstance(term, float) else term


def _child(random: Random, name: str) -> Child:
    later = random.choices(("ok", "stop", "raise", "ignore"), (6, 1, 1, 1), k=3)
    return Child(
        name,
        random.choice(("permanent", "transient", "transient", "temporary")),
        random.choice(("infinity", "infinity", "brutal_kill", 1.05, 2.05)),
        ("ok", *later),
        random.choice((0.0, 0.0, *LASTING)),
        random.choices(("ok", "raise", "stop"), (5, 1, 1))[0],
    )


def _client(random: Random, number: int, names: list[str], busy: bool) -> tuple[tuple[float, Term], ...]:
    times = sorted(random.sample(range(STEPS), random.randint(1, 4)))
    return tuple(
        (time + (0.1, 0.4, 0.7)[number], _action(random, random.choice(names), busy)) for time in times
    )


def _action(random: Random, name: str, busy: bool) -> Term:
    kind = random.choices(
        ("call", "cast", "stop", "monitor", "end", "restart", "delete", "count"),
        (8, 4, 4, 3, 0, 1, 1, 1) if busy else (6, 3, 3, 3, 3, 2, 1, 0),
    )[0]
    if kind in ("call", "cast"):
        return kind, name, _message(random, busy)
    return (kind, name, random.choice(REASONS)) if kind == "stop" else (kind, name)


def _message(random: Random, busy: bool) -> Term:
    kind = random.choices(
        ("get", "crash", "stop", "reply_stop", "continue", "later", "work"),
        (3, 3, 3, 2, 2, 2, 4 if busy else 0),
    )[0]
    if kind in ("stop", "reply_stop"):
        return kind, random.choice(REASONS)
    if kind == "continue":
        return kind, random.choice(("get", "crash", ("stop", random.choice(REASONS))))
    if kind in ("later", "work"):
        return kind, random.choice(LASTING)
    return (kind,)


def _term(value: Term) -> Iterator[str]:
    if isinstance(value, tuple):
        yield "{"
        for number, each in enumerate(value):
            if number:
                yield ", "
            yield from _term(each)
        yield "}"
    elif isinstance(value, str):
        yield f":{value}"
    else:
        yield repr(value)
