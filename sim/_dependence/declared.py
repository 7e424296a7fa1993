"""Objects that libraries declare (`sim._run.libraries`): steps that touch the same one do not commute.

Each look at an attribute of a declared class is noted. Noting calls of methods instead would forget whatever
is reached in another way: through a base class or a subclass, a coroutine that runs later than it is made, a
field of a helper.

A server is one object, however much belongs to it. Each step of its task, and of the tasks that it starts,
writes it, and so does each step that looks at an attribute of it, of its requests, of its children. Messages
to different servers commute, two to one server do not.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable, Generator, Iterable
from types import MemberDescriptorType
from typing import Any

from sim._dependence.footprint import Recorder
from sim._dependence.wrap import Wrapper
from sim._run.libraries import SharedClass, no_newcomers, shared_classes
from sim._run.looking import is_a, members_of, mro_of
from sim._run.step import Operation


def wrappers(recorder: Recorder) -> Iterable[Wrapper]:
    looking = _Looking()
    for shared in shared_classes():
        owner = shared.owner
        if shared.is_it or shared.is_one:
            give_name = recorder.made_once if shared.is_one else recorder.made
            for cls in _family(owner):
                if cls is owner or "__init__" in vars(cls):
                    yield cls, "__init__", _making(give_name, cls.__init__, shared.kind)
        if shared.task is not None:
            yield owner, shared.task, _task(recorder, getattr(owner, shared.task), shared.kind)
        for cls in _family(owner):
            for name in shared.looks:
                member = cls.__dict__.get(name)
                if member is not None:
                    yield cls, name, looking.within(member)
        if shared.of is not None:
            yield from _watching(recorder, shared, shared.of, looking)


def _family(owner: Any) -> list[Any]:
    """A class and all that are made of it."""
    family = [owner]
    for cls in family:
        family += [sub for sub in cls.__subclasses__() if sub not in family]
    return family


def _making(
    name: Callable[[Any, str], None], original: Callable[..., None], kind: str
) -> Callable[..., None]:
    @functools.wraps(original)
    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        name(self, kind)
        original(self, *args, **kwargs)

    return made


class _Looking:
    """Whether a method runs that only looks. Such a method has no checkpoint in it."""

    def __init__(self) -> None:
        self.depth = 0

    def within(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`original`, and while it runs it is known that it only looks."""

        @functools.wraps(original)
        def looks(*args: Any, **kwargs: Any) -> Any:
            self.depth += 1
            try:
                return original(*args, **kwargs)
            finally:
                self.depth -= 1

        return looks


def _watching(
    recorder: Recorder, shared: SharedClass, of: Callable[[Any], object], looking: _Looking
) -> Iterable[Wrapper]:
    """Note each look at an attribute, and each change of one, as an access of its object's stand-in."""
    owner: Any = shared.owner
    get, put = owner.__getattribute__, owner.__setattr__
    kind, fixed, cells = shared.kind, shared.fixed, shared.cells
    # By the class of an instance: what is no state of it.
    ignored: dict[type[object], set[str]] = {}

    def note(self: Any, operation: Operation) -> None:
        # Finding out what stands for it is no look at it.
        recorder.noting = False
        try:
            touched = of(self)
        except AttributeError:  # it is being made
            return
        finally:
            recorder.noting = True
        recorder.touched(touched, kind, operation)

    def used(self: Any, name: str) -> Any:
        if recorder.noting:
            cls = _class_of(self)
            names = ignored.get(cls)
            if names is None:
                names = ignored[cls] = _no_state(cls) | fixed
            if name not in names:
                note(self, Operation.READ if looking.depth or name in cells else Operation.WRITE)
        return get(self, name)

    def changed(self: Any, name: str, value: Any) -> None:
        if name not in fixed:
            names = ignored.get(_class_of(self))
            if names is not None:
                # It hides what its class has.
                names.discard(name)
            if recorder.noting:
                note(self, Operation.WRITE)
        put(self, name, value)

    yield owner, "__getattribute__", used
    yield owner, "__setattr__", changed


def _class_of(instance: object) -> type[object]:
    return type(instance)


def _no_state(cls: type[object]) -> set[str]:
    """Names that are found in the class and not in the instance: methods, properties, dunders."""
    names: set[str] = {"__class__", "__orig_class__", "__weakref__"}
    for base in mro_of(cls):
        for name, value in members_of(base).items():
            described = any("__get__" in members_of(kind) for kind in mro_of(_class_of(value)))
            if name != "__dict__" and described and not is_a(value, MemberDescriptorType):
                names.add(name)
    return names


def _task(recorder: Recorder, run: Callable[[Any], Awaitable[Any]], kind: str) -> Callable[[Any], Any]:
    @functools.wraps(run)
    async def ran(self: Any) -> Any:
        recorder.belongs(self, kind)
        return await run(self)

    return ran


@contextlib.contextmanager
def noticed(notice: Callable[[Any, SharedClass], None]) -> Generator[None]:
    """Tell of each server that begins, in its task and before anything of it has run, until the block ends.

    Args:
        notice: called with what stands for the server, and the `SharedClass` that says what to do with it.
    """
    with no_newcomers(), contextlib.ExitStack() as stack:
        for shared in shared_classes():
            if shared.task is not None:
                run = getattr(shared.owner, shared.task)
                stack.callback(setattr, shared.owner, shared.task, run)
                setattr(shared.owner, shared.task, _telling(run, shared, notice))
        yield


def _telling(
    run: Callable[[Any], Awaitable[Any]], shared: SharedClass, notice: Callable[[Any, SharedClass], None]
) -> Callable[[Any], Any]:
    @functools.wraps(run)
    async def ran(self: Any) -> Any:
        notice(self, shared)
        return await run(self)

    return ran
