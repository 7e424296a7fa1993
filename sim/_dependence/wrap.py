"""The shapes that nearly every wrapper has: note the making, a call, a look at an attribute."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from sim._dependence.footprint import Recorder
from sim._run.step import Operation

Wrapper: TypeAlias = tuple[Any, str, Any]


def making(recorder: Recorder, owner: Any, kind: str) -> Wrapper:
    """Name each object of a class when it is made."""
    original: Callable[..., None] = owner.__init__

    @functools.wraps(original)
    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        recorder.made(self, kind)
        original(self, *args, **kwargs)

    return owner, "__init__", made


def calling(recorder: Recorder, owner: Any, name: str, kind: str, operation: Operation) -> Wrapper:
    """Note each call of a method as one operation on its object."""
    original: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(original)
    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        if recorder.noting:
            recorder.touched(self, kind, operation)
        return original(self, *args, **kwargs)

    return owner, name, called


def reading(recorder: Recorder, owner: Any, name: str, kind: str) -> Wrapper:
    """Note each look at a property as a read."""
    original: property = getattr(owner, name)
    get, put = original.fget, original.fset
    assert get is not None

    def read(self: Any) -> Any:
        if recorder.noting:
            recorder.touched(self, kind, Operation.READ)
        return get(self)

    def written(self: Any, value: Any) -> None:
        recorder.touched(self, kind, Operation.WRITE)
        assert put is not None
        put(self, value)

    return owner, name, property(read, written if put is not None else None)


def looking(recorder: Recorder, owner: Any, name: str, kind: str) -> Wrapper:
    """Note each look at an attribute that is a slot as a read. Changes are noted elsewhere."""
    slot = getattr(owner, name)

    def read(self: Any) -> Any:
        if recorder.noting:
            recorder.touched(self, kind, Operation.READ)
        return slot.__get__(self)

    return owner, name, property(read, slot.__set__)


def using(recorder: Recorder, owner: Any, kind: str) -> Iterator[Wrapper]:
    """Note whatever is done with an object of a class as a write, also what its own methods do between two
    waits: each begins with an attribute that is looked at or set. (The end of a `with` block is no look: it
    only sets.)"""
    look: Callable[..., Any] = owner.__getattribute__
    put: Callable[..., None] = owner.__setattr__

    def used(self: Any, name: str) -> Any:
        if recorder.noting:
            recorder.touched(self, kind, Operation.WRITE)
        return look(self, name)

    def changed(self: Any, name: str, value: Any) -> None:
        if recorder.noting:
            recorder.touched(self, kind, Operation.WRITE)
        put(self, name, value)

    yield owner, "__getattribute__", used
    yield owner, "__setattr__", changed
