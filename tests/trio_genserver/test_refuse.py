"""A handler that raises `Refuse` answers its caller with an error, and the server goes on."""

from __future__ import annotations

import pytest

from trio_genserver import From, GenServer, Refuse, handle_call, open_server


class Account(GenServer):
    def __init__(self, balance: int = 10) -> None:
        self.balance = balance

    @handle_call(cast=True)
    def withdraw(self, amount: int) -> int:
        if amount > self.balance:
            raise Refuse(ValueError(f"only {self.balance} left"))
        self.balance -= amount
        return self.balance

    @handle_call
    async def withdraw_slowly(self, amount: int) -> int:
        return self.withdraw(amount)

    @handle_call(child=True)
    async def withdraw_in_child(self, amount: int) -> int:
        return self.withdraw(amount)

    @handle_call(noreply=True)
    def withdraw_deferred(self, from_: From[int], amount: int) -> None:
        from_.reply(self.withdraw(amount))


async def test_every_kind_of_handler_can_refuse_and_the_server_goes_on() -> None:
    async with open_server(Account) as account:
        for message in (
            Account.withdraw(11),
            Account.withdraw_slowly(11),
            Account.withdraw_in_child(11),
            Account.withdraw_deferred(11),
        ):
            with pytest.raises(ValueError, match="only 10 left"):
                await account.call(message)
        assert await account.call(Account.withdraw(4)) == 6


async def test_a_refused_cast_is_dropped_and_counted() -> None:
    async with open_server(Account) as account:
        await account.cast(Account.withdraw(11))
        assert await account.call(Account.withdraw_slowly(1)) == 9
        assert account.dropped == 1


async def test_a_refusal_after_the_answer_is_dropped() -> None:
    class Hasty(GenServer):
        @handle_call(noreply=True)
        def answer(self, from_: From[int]) -> None:
            from_.reply(1)
            raise Refuse(ValueError("too late"))

    async with open_server(Hasty) as hasty:
        assert await hasty.call(Hasty.answer()) == 1
        assert await hasty.call(Hasty.answer()) == 1


def test_what_it_is_given_must_be_an_exception() -> None:
    with pytest.raises(TypeError, match="exception"):
        Refuse("no")  # type: ignore[arg-type]  # the point of the test
