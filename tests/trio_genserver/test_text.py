"""What is shown of a value: its repr while that is short, never more than the bound, and always something."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any

import pytest

from trio_genserver import GenServer, handle_call
from trio_genserver._text import LOGGED, TRACEBACK, brief, hidden, logged, show, traceback_of

BIG = 3_000_000


class Broken:
    def __repr__(self) -> str:
        raise ZeroDivisionError("repr")


class Loud:
    def __repr__(self) -> str:
        return "x" * BIG


class Mute(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError("str")


class Named(tuple[int, ...]):
    pass


class Strange(dict[str, int]):
    def items(self) -> Any:
        raise OSError("not to be called")


class Desk(GenServer):
    @handle_call
    def ask(self, text: object, *, often: int = 1) -> None: ...


class Secretive(Desk):
    def format_status(self, state: dict[str, Any]) -> object:
        return "..."

    @handle_call
    def login(self, password: str) -> None: ...

    @handle_call
    def ping(self) -> None: ...


EMPTY: list[Any] = [[], (), {}, set[int](), frozenset[int]()]


SHORT: list[Any] = [
    *EMPTY,
    *(None, True, 7, -(10**30), 1.5, "text", "it's", b"bytes", bytearray(b"ab"), 2j, ...),
    *([1, [2, ["3"]]], (1,), (1, 2), {"a": {1: (2,)}}, {1}, frozenset({1})),
    *(deque([1, 2]), deque([1], maxlen=3), OrderedDict(a=1), Named((1,)), Strange(a=1)),
    *(ValueError("x"), KeyError("a", 1), ExceptionGroup("several", [ValueError("x")])),
    *(Desk.ask("x"), Desk.ask(["x"], often=2), range(3), Desk),
]


@pytest.mark.parametrize("value", SHORT, ids=lambda value: type(value).__name__)
def test_a_short_value_is_shown_by_its_repr(value: object) -> None:
    assert show(value) == repr(value)
    assert logged(value) is value


def cyclic() -> list[Any]:
    value: list[Any] = ["x"]
    value.append(value)
    return value


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        *("x" * BIG, b"x" * BIG, bytearray(b"x" * BIG), [0] * BIG, ("x" * BIG,), {"k": "x" * BIG}),
        *(dict.fromkeys(range(9999), "x" * 99), set(range(9999)), frozenset(range(9999)), deque([0] * BIG)),
        *(10**100_000, [10**100_000] * 99, Loud(), [Loud()], ValueError("x" * BIG), ValueError(Loud())),
        *(Desk.ask("x" * BIG), Desk.ask("x", often=10**99_999), ["\x00" * BIG], deep(), cyclic()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_value_makes_a_long_text(value: object) -> None:
    assert len(show(value)) <= 203
    assert len(brief(value)) <= 203
    shown = logged(value)
    assert shown is value or len(shown) <= LOGGED + 3


def test_the_begin_of_a_long_value_is_shown() -> None:
    assert show(["abc", "x" * BIG], 20) == "['abc', 'xxxxxxxxxxx..."
    assert show(Desk.ask("x" * BIG), 20).startswith("Desk.ask('xxx")


@pytest.mark.parametrize("value", [Broken(), [1, Broken()], {"k": Broken()}, ValueError(Broken()), Mute()])
def test_a_repr_that_raises_is_survived(value: object) -> None:
    assert show(value)
    assert brief(value)
    assert isinstance(logged([Broken()]), str)


def test_a_str_of_an_error_that_raises_is_survived() -> None:
    assert brief(Mute()) == "Mute: <its __str__ raised ZeroDivisionError>"
    assert "Mute" in traceback_of(Mute())


def test_a_long_traceback_has_its_begin_and_its_end() -> None:
    def raises(depth: int) -> None:
        if not depth:
            raise ValueError("the reason")
        raises_again(depth)

    def raises_again(depth: int) -> None:
        raises(depth - 1)

    for error in (ValueError("x" * BIG), _raised(raises, 200)):
        text = traceback_of(error)
        assert TRACEBACK <= len(text) <= TRACEBACK + 100
        assert "characters left out" in text
    assert text.endswith("ValueError: the reason")
    assert text.startswith("Traceback (most recent call last)")


def _raised(function: Any, *args: Any) -> BaseException:
    with pytest.raises(ValueError, match="the reason") as caught:
        function(*args)
    return caught.value


def test_what_a_message_to_a_server_with_secrets_carries_is_left_out() -> None:
    assert show(Secretive.login("s3cret")) == "Secretive.login(...)"
    assert show([Secretive.login("s3cret")]) == "[Secretive.login(...)]"
    assert show(Secretive.login("s3cret"), secrets=True) == "Secretive.login('s3cret')"
    assert show(Secretive.ping()) == "Secretive.ping()"
    assert repr(hidden(Desk.ask("s3cret", often=2))) == "Desk.ask(...)"
    assert hidden(Secretive.ping()) == Secretive.ping()
    assert hidden("s3cret") == "<str>"
