"""Messages: built on the class, checked where they are built, and plain values."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from trio_genserver import Call, Cast, GenServer, ServerCrashed, handle_call, handle_cast, open_server
from trio_genserver.errors import UnhandledMessage


class Shapes(GenServer):
    @handle_call
    def plain(self, a: int, b: int = 2) -> int:
        return a * 10 + b

    @handle_call
    def positional(self, a: int, /, b: int) -> int:
        return a * 10 + b

    @handle_call
    def keyword(self, a: int, *, b: int = 5) -> int:
        return a * 10 + b

    @handle_call
    def star(self, /, *args: int, **kwargs: int) -> tuple[tuple[int, ...], dict[str, int]]:
        return args, kwargs

    @handle_call
    def everything(self, a: int, /, b: int, *c: int, d: int, **e: int) -> tuple[Any, ...]:
        return a, b, c, d, e

    @handle_cast
    def note(self, what: list[int]) -> None:
        pass


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (Shapes.plain(1), 12),
        (Shapes.plain(1, 3), 13),
        (Shapes.plain(b=3, a=1), 13),
        (Shapes.positional(1, b=3), 13),
        (Shapes.keyword(1), 15),
        (Shapes.keyword(1, b=7), 17),
        (Shapes.star(1, 2, x=3), ((1, 2), {"x": 3})),
        (Shapes.everything(1, 2, 3, 4, d=5, f=6), (1, 2, (3, 4), 5, {"f": 6})),
    ],
)
async def test_every_kind_of_parameter_arrives(
    message: Call[Shapes, Any], expected: object, path: str
) -> None:
    async with open_server(Shapes) as shapes:
        assert await shapes.call(message) == expected


anything: Any = Shapes


@pytest.mark.parametrize(
    "build",
    [
        lambda: anything.plain(),
        lambda: anything.plain(1, 2, 3),
        lambda: anything.plain(1, c=3),
        lambda: anything.positional(a=1, b=2),
        lambda: anything.keyword(1, 2),
    ],
)
def test_wrong_arguments_fail_where_the_message_is_built(build: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match=r"\(\)"):
        build()


def test_messages_are_values() -> None:
    assert Shapes.plain(1) == Shapes.plain(a=1, b=2)
    assert Shapes.plain(1) != Shapes.plain(2)
    assert hash(Shapes.plain(1)) == hash(Shapes.plain(a=1))
    assert len({Shapes.plain(1), Shapes.plain(1, 2), Shapes.plain(3)}) == 2
    assert repr(Shapes.plain(1)) == "Shapes.plain(1, 2)"
    assert repr(Shapes.keyword(1, b=2)) == "Shapes.keyword(1, b=2)"
    assert isinstance(Shapes.plain(1), Call)
    assert isinstance(Shapes.note([]), Cast)
    assert Shapes.plain(1) != tuple(Shapes.plain(1))
    with pytest.raises(AttributeError):
        Shapes.plain(1).args = ()  # type: ignore[misc]  # the point of the test


def test_message_survives_pickle_and_copy() -> None:
    for message in (Shapes.plain(1), Shapes.keyword(1, b=2), Shapes.note([1])):
        assert pickle.loads(pickle.dumps(message)) == message
        assert copy.deepcopy(message) == message


class Loud(Shapes):
    @handle_call
    def plain(self, a: int, b: int = 2) -> int:
        return -super().plain(a, b)


async def test_subclass_overrides_a_handler_like_a_method(path: str) -> None:
    async with open_server(Loud) as loud:
        assert await loud.call(Shapes.plain(1)) == -12
        assert await loud.call(Loud.plain(1)) == -12
        assert await loud.call(Shapes.keyword(1)) == 15


async def test_message_of_the_subclass_is_none_for_the_base() -> None:
    async with open_server(Shapes) as shapes:
        message: Any = Loud.plain(1)
        with pytest.raises(UnhandledMessage):
            await shapes.call(message)


class Mixin:
    @handle_call
    def mixed(self) -> str:
        return "mixed"


class Mixed(Mixin, GenServer):
    pass


@dataclasses.dataclass
class Account(GenServer):
    owner: str
    balance: int = 0

    @handle_call
    def whose(self) -> str:
        return f"{self.owner}: {self.balance}"


class Slotted(GenServer):
    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = value

    @handle_call
    def get(self) -> int:
        return self.value

    @handle_call
    def crash(self) -> None:
        raise ValueError("slotted")


async def test_handlers_of_mixins_and_dataclasses_and_slotted_classes(path: str) -> None:
    async with open_server(Mixed) as mixed:
        assert await mixed.call(Mixed.mixed()) == "mixed"
    async with open_server(Account, "Ada", balance=3) as account:
        assert await account.call(Account.whose()) == "Ada: 3"
    async with open_server(Slotted, 4) as slotted:
        assert await slotted.call(Slotted.get()) == 4


async def test_crash_of_a_slotted_server_shows_its_state(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="slotted"):
        async with open_server(Slotted, 4) as slotted:
            with pytest.raises(ServerCrashed) as caught:
                await slotted.call(Slotted.crash())
            assert isinstance(caught.value.__cause__, ValueError)
            raise caught.value.__cause__
    assert "its state was {'value': 4}" in caplog.text


def no_self() -> None:
    pass


def only_self(self: GenServer) -> None:
    pass


without_types: Any = handle_call


@pytest.mark.parametrize(
    ("declare", "match"),
    [
        (lambda: without_types(child=True)(only_self), "must be an async function"),
        (lambda: without_types(no_self), "must take self first"),
        (lambda: without_types(noreply=True)(only_self), "must take self and from_ first"),
        (lambda: without_types(5), "must be a method"),
        (lambda: without_types(max_children=3), "child=True"),
        (lambda: without_types(child=True, noreply=True), "not both"),
    ],
)
def test_handler_that_cannot_be_is_refused_where_it_is_declared(
    declare: Callable[[], object], match: str
) -> None:
    with pytest.raises(TypeError, match=match):
        declare()


def test_bound_below_one_is_refused() -> None:
    async def work(self: GenServer) -> None:
        pass

    with pytest.raises(ValueError, match="at least 1"):
        handle_call(child=True, max_children=0)(work)
