"""Pykka: a thread an actor. No supervision. The clients are threads as well."""

from __future__ import annotations

import gc
import importlib
import threading
from typing import Any

from .timing import Stopwatch, resident_bytes

pykka: Any = importlib.import_module("pykka")

DISTRIBUTION = "pykka"
# Threads all living at a time; more and many machines refuse.
MOST = {"start_stop": 1_000, "memory": 500}


class Counter(pykka.ThreadingActor):  # type: ignore[misc]  # pykka is in no type checker's environment
    def __init__(self) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]  # the same
        self.value = 0

    def on_receive(self, message: tuple[str, int]) -> int | None:
        match message:
            case ("increment", by):
                self.value += by
                return self.value
            case ("add", by):
                self.value += by
                return None
            case _:
                raise ValueError(message)


def call(count: int, clients: int) -> float:
    ref = Counter.start()

    def client() -> None:
        for _ in range(count // clients):
            ref.ask(("increment", 1))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    watch = Stopwatch(count)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    each = watch.each
    assert ref.ask(("increment", 0)) == count
    ref.stop()
    return each


def cast(count: int) -> float:
    ref = Counter.start()
    watch = Stopwatch(count)
    for _ in range(count):
        ref.tell(("add", 1))
    assert ref.ask(("increment", 0)) == count
    each = watch.each
    ref.stop()
    return each


def start_stop(count: int) -> float:
    watch = Stopwatch(count)
    refs = [Counter.start() for _ in range(count)]
    for stopped in [ref.stop(block=False) for ref in refs]:
        stopped.get()
    return watch.each


def memory(count: int) -> float:
    refs = [Counter.start()]
    gc.collect()
    before = resident_bytes()
    for _ in range(count):
        ref = Counter.start()
        ref.ask(("increment", 1))
        refs.append(ref)
    gc.collect()
    after = resident_bytes()
    pykka.ActorRegistry.stop_all()
    return (after - before) / count
