"""A server class that cannot work is refused when it is made, and the error says what to write."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import pytest

import trio_genserver
from trio_genserver import (
    From,
    GenServer,
    child_spec,
    handle_call,
    handle_cast,
    open_server,
    open_supervisor,
)
from trio_genserver.errors import CallbackNotAsync, InvalidServerClass
from trio_genserver.supervision import ChildStartFailed
from trio_genserver.tasks import open_task_supervisor

K = TypeVar("K")
V = TypeVar("V")


class Base(GenServer):
    @handle_call
    def ask(self, x: int = 1) -> str:
        return f"base {x}"

    @handle_cast
    def tell(self, x: int = 1) -> None: ...


class Plain:
    def ask(self, x: int = 1) -> str:
        return f"plain {x}"


class Mixin:
    @handle_call
    def ping(self) -> str:
        return "pong"


class HidesPing:
    ping = None


def logged(function: Any) -> Any:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


def ask(self: Any, x: int = 1) -> str:
    return f"own {x}"


def replied(self: Any, from_: From[str], x: int = 5) -> None:
    from_.reply(f"later {x}")


def server_class(bases: tuple[type, ...], **attributes: Any) -> Any:
    return type(bases[0])("Made", bases, attributes)


@pytest.mark.parametrize(
    ("bases", "name", "attribute"),
    [
        ((Base,), "ask", ask),
        ((Base,), "ask", logged(ask)),
        ((Base,), "ask", staticmethod(ask)),
        ((Base,), "ask", classmethod(ask)),
        ((Base,), "ask", property(ask)),
        ((Base,), "ask", functools.cached_property(ask)),
        ((Base,), "ask", None),
        ((Base,), "ask", "a default of a dataclass"),
        ((Base,), "tell", ask),
        ((Mixin, GenServer), "ping", ask),
        ((GenServer, Mixin), "ping", ask),
    ],
)
def test_an_override_without_decorator_is_an_error_with_its_name(
    bases: tuple[type, ...], name: str, attribute: Any
) -> None:
    with pytest.raises(
        InvalidServerClass, match=rf"Made\.{name} .*(overrides|hides) .*{name}.* write @handle_"
    ):
        server_class(bases, **{name: attribute})


@pytest.mark.parametrize(
    "bases", [(Plain, Base), (HidesPing, Mixin, GenServer), (HidesPing, GenServer, Mixin)]
)
def test_a_mixin_that_hides_a_handler_is_an_error(bases: tuple[type, ...]) -> None:
    with pytest.raises(InvalidServerClass, match=r"(Plain.ask|HidesPing.ping) .*in Made hides the handler"):
        server_class(bases)


def test_what_is_behind_the_handler_hides_nothing() -> None:
    assert server_class((Base, Plain)).ask(2) == Base.ask(2)


def test_a_cast_over_a_call_and_a_call_over_a_cast_are_errors() -> None:
    without_types: Any = handle_cast
    with pytest.raises(InvalidServerClass, match=r"with @handle_cast and overrides Base.ask.* @handle_call"):
        server_class((Base,), ask=without_types(ask))
    with pytest.raises(InvalidServerClass, match=r"with @handle_call and overrides Base.tell.* @handle_cast"):
        server_class((Base,), tell=handle_call(ask))


async def test_what_may_be_cast_too_overrides_a_call_and_a_cast() -> None:
    either: Any = handle_call(cast=True)
    made = server_class((Base,), ask=either(ask), tell=either(ask))
    async with open_server(made) as server:
        assert await server.call(Base.ask(3)) == "own 3"
        await server.cast(Base.tell(3))
        assert await server.call(made.ask(4)) == "own 4"


async def test_overrides_with_their_decorator_are_what_they_were() -> None:
    noreply: Any = handle_call(noreply=True)
    for override, reply in ((handle_call(ask), "own 1"), (noreply(replied), "later 1")):
        async with open_server(server_class((Base,), ask=override)) as server:
            assert await server.call(Base.ask()) == reply


@pytest.mark.parametrize("wrap", [staticmethod, classmethod, property, logged, functools.cached_property])
def test_a_decorator_above_that_of_the_handler_is_an_error(wrap: Callable[[Any], Any]) -> None:
    with pytest.raises(InvalidServerClass, match=r"Made.ask .* a handler.* above all other decorators"):
        server_class((GenServer,), ask=wrap(handle_call(ask)))


@pytest.mark.parametrize("wrap", [staticmethod, classmethod])
def test_a_handler_that_is_not_a_method_is_an_error(wrap: Callable[[Any], Any]) -> None:
    for declare in (handle_call, handle_cast):
        with pytest.raises(TypeError, match=f"ask is a {wrap.__name__}, but it must be a method"):
            declare(wrap(ask))


class Above(GenServer, abc.ABC):
    @abc.abstractmethod
    @handle_call
    def ask(self) -> int: ...


class Below(GenServer, abc.ABC):
    @handle_call
    @abc.abstractmethod
    def ask(self) -> int: ...


class BelowAsync(GenServer, abc.ABC):
    @handle_call(child=True)
    @abc.abstractmethod
    async def ask(self) -> int: ...


@pytest.mark.parametrize("abstract", [Above, Below, BelowAsync])
async def test_an_abstract_handler_makes_the_class_abstract(abstract: Any) -> None:
    with pytest.raises(TypeError, match=r"abstract class \w+ with abstract method ask"):
        async with open_server(abstract):
            raise AssertionError("it must not start")

    def answer(self: Any) -> int:
        return 3

    async with open_server(server_class((abstract,), ask=handle_call(answer))) as server:
        assert await server.call(abstract.ask()) == 3


class SyncInit(GenServer):
    def init(self) -> None: ...  # type: ignore[override]  # that is what is tested


class SyncTerminate(GenServer):
    def terminate(self, reason: object) -> None: ...  # type: ignore[override]  # that is what is tested


class SyncCallbacks(GenServer):
    @handle_cast
    def go_on(self) -> None:
        self.continue_with(1)

    @handle_cast
    def wait(self) -> None:
        self.set_timeout(0)

    @handle_cast
    def work(self) -> None:
        self.start_task(self.no_task)

    def no_task(self) -> Any: ...

    def handle_info(self, message: object) -> None: ...  # type: ignore[override]  # as above
    def handle_continue(self, argument: object) -> None: ...  # type: ignore[override]  # as above
    def handle_timeout(self) -> None: ...  # type: ignore[override]  # as above


async def test_a_sync_init_is_named() -> None:
    with pytest.raises(CallbackNotAsync, match=r"init of SyncInit must be an async function \(`async def`\)"):
        async with open_server(SyncInit):
            raise AssertionError("it must not start")
    with pytest.raises(ChildStartFailed, match="init of SyncInit must be an async function"):
        async with open_supervisor([SyncInit]):
            raise AssertionError("it must not start")


async def test_a_sync_terminate_is_named() -> None:
    with pytest.raises(CallbackNotAsync, match="terminate of SyncTerminate must be an async function"):
        async with open_server(SyncTerminate):
            pass


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("info", "handle_info"),
        (SyncCallbacks.go_on(), "handle_continue"),
        (SyncCallbacks.wait(), "handle_timeout"),
        (SyncCallbacks.work(), "SyncCallbacks.no_task"),
    ],
)
async def test_another_sync_callback_is_named(message: Any, name: str) -> None:
    with pytest.raises(CallbackNotAsync, match=rf"^{name} of SyncCallbacks must be an async function"):
        async with open_server(SyncCallbacks) as server:
            await (server.send(message) if message == "info" else server.cast(message))
            await server.wait_stopped()


async def test_a_sync_function_as_a_task_is_named() -> None:
    def work(_: int) -> Any: ...

    async with open_task_supervisor() as tasks:
        with pytest.raises(CallbackNotAsync, match="work of TaskSupervisor must be an async function"):
            await tasks.start_isolated(work, 1).wait()


async def test_a_class_that_does_not_pass_on_the_making_of_subclasses_works() -> None:
    class Silent(Base):
        def __init_subclass__(cls) -> None: ...

    class Below(Silent):
        @handle_call
        def ask(self, x: int = 1) -> str:
            return f"below {x}"

    async with open_server(Below) as below, open_server(Silent) as silent:
        assert await below.call(Base.ask()) == "below 1"
        assert await silent.call(Base.ask()) == "base 1"

    for silent_one in (Silent, Below):
        with pytest.raises(InvalidServerClass, match=r"Made.ask"):
            server_class((silent_one,), ask=ask)


async def test_a_class_below_one_that_passes_nothing_on_has_the_arguments_of_the_class_statement() -> None:
    class Silent(Base):
        kinds: ClassVar[list[str]] = []

        def __init_subclass__(cls, *, kind: str) -> None:
            cls.kinds.append(f"{cls.__name__} {kind}")

    class Loud(Silent, kind="loud"):
        def __init_subclass__(cls, **kwargs: Any) -> None:
            super().__init_subclass__(**kwargs)

    class Below(Loud, kind="below"): ...

    assert Silent.kinds == ["Loud loud", "Below below"]
    async with open_server(Below) as below:
        assert await below.call(Base.ask()) == "base 1"


def test_what_only_a_start_can_see_is_refused_at_each_start() -> None:
    class Silent:
        def __init_subclass__(cls) -> None: ...

    class Wrong(Silent, Base):
        ask: Any = None

    for _ in range(2):
        with pytest.raises(InvalidServerClass, match=r"Wrong.ask"):
            child_spec(Wrong)
        with pytest.raises(InvalidServerClass, match=r"Wrong.ask"):
            open_server(Wrong)


async def test_a_handler_belongs_to_one_class() -> None:
    with pytest.raises(InvalidServerClass, match=r"Made.other is the handler Base.ask of another class"):
        server_class((GenServer,), other=vars(Base)["ask"])
    handler = handle_call(ask)
    twice = server_class((GenServer,), one=handler, two=handler)
    assert twice.one(2) == twice.two(2)
    async with open_server(Base) as base, open_server(twice) as server:
        assert await base.call(Base.ask()) == "base 1"
        assert await server.call(twice.two(3)) == "own 3"


class AsyncStatus(Base):
    async def format_status(self, state: dict[str, Any]) -> object:
        return "hidden"


async def test_an_async_format_status_is_named() -> None:
    async with open_server(AsyncStatus) as server:
        assert (await trio_genserver.sys.get_status(server)).state == (
            "<format_status is an async function, and must be a plain one>"
        )
