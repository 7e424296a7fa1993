"""What the type checkers must reject, at each marked line and nowhere else: see test_typing.py."""

# pyright: strict
from __future__ import annotations

from trio_genserver import From, GenServer, ServerRef, child_spec, handle_call, handle_cast, open_server


class Counter(GenServer):
    def __init__(self, start: int = 0) -> None:
        self.value = start

    @handle_call
    def increment(self, by: int = 1) -> int:
        self.value += by
        return self.value

    @handle_call(noreply=True)
    def later(self, from_: From[bytes], size: int) -> None:
        from_.reply("no bytes")  # rejected: the reply that was promised is another

    @handle_cast
    def reset(self) -> None:
        self.value = 0


class Wider(Counter):
    @handle_call
    def history(self) -> list[int]:
        return [self.value]


class Other(GenServer):
    @handle_call
    def get(self) -> str:
        return ""

    @handle_cast
    def put(self) -> None: ...


async def misuse(counter: ServerRef[Counter]) -> None:
    await counter.call(Other.get())  # rejected: a message of another server
    await counter.cast(Other.put())  # rejected: a cast of another server
    counter.cast_nowait(Other.put())  # rejected: the same, without waiting
    counter.send_request(Other.get())  # rejected: the same, for a handle
    await counter.call(Wider.history())  # rejected: only the subclass has it
    await counter.cast(Counter.increment(5))  # rejected: a call given to cast
    await counter.call(Counter.reset())  # rejected: a cast given to call
    await counter.call("increment")  # rejected: no message at all
    await counter.call(Counter.increment("x"))  # rejected: a wrong argument
    await counter.call(Counter.increment(1, 2))  # rejected: an argument too many
    await counter.call(Counter.increment(to=1))  # rejected: no such argument
    await counter.call(Counter.later(b"", 1))  # rejected: `from_` is not the caller's to give
    text: str = await counter.call(Counter.increment(1))  # rejected: the reply is an int
    wait: str = await counter.send_request(Counter.increment(1)).wait()  # rejected: here as well
    wider: ServerRef[Wider] = counter  # rejected: a Counter need not be a Wider
    open_server(Counter, "x")  # rejected: a wrong argument of __init__
    child_spec(Counter, start="x")  # rejected: the same, by name
    print(text, wait, wider)
