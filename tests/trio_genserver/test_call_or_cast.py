"""A handler declared with ``cast=True``: its message may be called or cast."""

from __future__ import annotations

import pytest
import trio

from trio_genserver import Call, Cast, From, GenServer, handle_call, handle_cast, open_server


class Register(GenServer):
    def __init__(self) -> None:
        self.seen: list[str] = []

    @handle_call(cast=True)
    def note(self, text: str) -> int:
        self.seen.append(text)
        return len(self.seen)

    @handle_call(cast=True)
    async def note_later(self, text: str) -> int:
        await trio.lowlevel.checkpoint()
        return self.note(text)

    @handle_call(noreply=True, cast=True)
    def note_and_defer(self, from_: From[int], text: str) -> None:
        from_.reply(self.note(text))

    @handle_call
    def all(self) -> tuple[str, ...]:
        return tuple(self.seen)

    @handle_cast
    def only_cast(self) -> None: ...


async def test_its_message_is_both_a_call_and_a_cast() -> None:
    message = Register.note("a")
    assert isinstance(message, Call)
    assert isinstance(message, Cast)
    assert message == Register.note(text="a")


async def test_it_can_be_called_and_cast_and_order_holds() -> None:
    async with open_server(Register) as register:
        assert await register.call(Register.note("1")) == 1
        await register.cast(Register.note("2"))
        await register.cast(Register.note_later("3"))
        register.cast_nowait(Register.note_and_defer("4"))
        assert await register.call(Register.note_and_defer("5")) == 5
        assert await register.call(Register.note_later("6")) == 6
        assert await register.call(Register.all()) == ("1", "2", "3", "4", "5", "6")


async def test_a_plain_call_is_still_refused_by_cast() -> None:
    async with open_server(Register) as register:
        with pytest.raises(TypeError, match="it is a call"):
            await register.cast(Register.all())  # type: ignore[arg-type]  # the point of the test
        with pytest.raises(TypeError, match="it is a cast"):
            await register.call(Register.only_cast())  # type: ignore[arg-type]  # the point of the test
