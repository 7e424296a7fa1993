"""Routing by key: the same worker for a key, in every process, for ever."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from trio_genserver import GenServer, child_spec, handle_call, open_supervisor
from trio_genserver.pools import STABLE_HASH, KeyedPool, stable_hash


class Worker(GenServer):
    def __init__(self, number: int) -> None:
        self.number = number

    @handle_call
    def which(self) -> int:
        return self.number


def test_the_stable_hash_is_the_one_that_its_name_stands_for() -> None:
    # Known answers (coreutils' `b2sum -l 64` gives the same for the bytes that the docstring says). Were one
    # of them to change, so must the name: data sharded by the old ones would be looked for elsewhere.
    assert STABLE_HASH == "blake2b-64-v1"
    assert stable_hash("") == 0xE64984C3AACF6EDE
    assert stable_hash("groceries") == 0xF9D9B3E7CFBB7739
    assert stable_hash("Ährenfeld") == 0x630B52E9AFC4A9BA
    assert stable_hash(b"groceries") == 0x6030E49FF2EEB7A3
    assert stable_hash(7) == 0x283A6B3A9638EA55
    assert stable_hash(-7) == 0xAF5038E1B53DC008


def test_the_stable_hash_is_the_same_whatever_the_hash_seed() -> None:
    program = "import trio_genserver.pools as t; print(t.stable_hash('groceries') % 8, t.stable_hash(7) % 8)"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {f"{stable_hash('groceries') % 8} {stable_hash(7) % 8}\n"}


def test_keys_that_python_holds_equal_have_one_hash_and_others_differ() -> None:
    assert stable_hash(True) == stable_hash(1)
    assert len({stable_hash(1), stable_hash("1"), stable_hash(b"1")}) == 3


@pytest.mark.parametrize("key", [1.5, None, ("a", 1)])
def test_a_key_without_a_stable_form_is_refused(key: Any) -> None:
    with pytest.raises(TypeError, match="str, bytes or an int"):
        stable_hash(key)


def test_a_pool_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one worker"):
        KeyedPool[Worker]([])


async def test_a_key_has_one_worker_and_the_keys_are_spread_evenly() -> None:
    specs = [child_spec(Worker, n).replace(id=n) for n in range(8)]
    async with open_supervisor(specs) as sup:
        pool = KeyedPool(sup.child(n, Worker) for n in range(8))
        assert len(pool) == 8
        counts: Counter[int] = Counter()
        for number in range(4000):
            key = f"list {number}"
            worker = pool.worker_for(key)
            assert worker is pool.workers[pool.index_for(key)]
            counts[await worker.call(Worker.which())] += 1
        # 500 each on average; the keys are fixed, so this cannot fail now and then.
        assert set(counts) == set(range(8))
        assert all(430 < count < 570 for count in counts.values())
