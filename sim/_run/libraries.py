"""Declarations of libraries about themselves, so that the simulator knows no library by name.

Trio's objects are known here. An object that a library makes of its own (a mailbox that is a plain list, a
server whose handlers callers run) is not, unless the library declares it: its top-level module has a function
``__shared_state__``, which takes no arguments and returns one object for each class whose instances tasks
share. `SharedClass` has the attributes that such an object may have; `owner` and `kind` are the ones it must
have. A library needs no simulator for that, and imports none: a `typing.NamedTuple` of its own will do.

A library that declares this is also known as one: what its frames do is not the program's doing. They are
left out where reports show places, its scopes are not the program's to cancel, and its modules hold no state
of the program.

A library must be imported before an execution begins, since its classes are instrumented then. One that a
scenario may import later names itself by an entry point of the group ``sim.libraries``, whose value is the
module.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import importlib.metadata
import sys
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

from sim._run.errors import WrongType, WrongUse
from sim._run.looking import class_module, module_names
from sim._run.trace import is_machinery

ATTRIBUTE: Final = "__shared_state__"
GROUP: Final = "sim.libraries"

_NOTHING: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class SharedClass:
    """A class of a library whose instances tasks share: whoever looks at an attribute of one, or sets it,
    touches the object that it belongs to. Steps that touch the same object do not commute.

    Attributes:
        owner: the class; its subclasses are meant too.
        kind: what it is, in reports: ``"server"``, ``"registry"`` ...
        of: from an instance to the object that it belongs to. None: instances never change, and nothing is
            noted of them.
        is_it: whether an instance is that object, and is made with it.
        is_one: whether a Trio run has only one such object, which is made by whoever needs it first.
        fixed: attributes that never change after an instance was made, so that a look touches nothing.
        cells: attributes that are replaced and never changed in place, so that a look only reads.
        looks: methods and properties that only look: they change nothing, and call no code of the program
            that might.
        carries: attributes that hold what one task sends to another, such as the arguments of a message.
        task: the name of the method, an async function, that is the own task of a server. Each step of that
            task, and of the tasks that it starts, touches the server. None: instances have no task.
        server: from an instance to the server that a task waits for when it is in a function of the library
            that has the instance in a local variable. In reports the local variable ``message`` of that
            function, if it has one, is what it waits for an answer to.
        crash: from a server and an error: make the server fail with the error, as if a task of its own had
            raised it. A server without is not struck by the fault ``crash`` while it runs no code of the
            program.
        alive: from a server: false once it has begun to end, and there is nothing left to crash.
        supervises: from a server: whether it only supervises others and runs no code of the program.
    """

    owner: Any
    kind: str
    of: Callable[[Any], object] | None = None
    is_it: bool = False
    is_one: bool = False
    fixed: frozenset[str] = _NOTHING
    cells: frozenset[str] = _NOTHING
    looks: frozenset[str] = _NOTHING
    carries: frozenset[str] = _NOTHING
    task: str | None = None
    server: Callable[[Any], object] | None = None
    crash: Callable[[Any, BaseException], object] | None = None
    alive: Callable[[Any], bool] | None = None
    supervises: Callable[[Any], bool] | None = None


_FIELDS: Final = tuple(field.name for field in dataclasses.fields(SharedClass))


def shared_classes() -> tuple[SharedClass, ...]:
    """The classes that all libraries declare, those of a library in its order.

    Raises:
        WrongType: a declaration is not what it must be.
    """
    _import_registered()
    found: list[SharedClass] = []
    for name in declaring():
        declare = (module_names(sys.modules.get(name)) or {}).get(ATTRIBUTE)
        if declare is not None:
            found += _declared(name, declare)
    return tuple(found)


def declaring() -> list[str]:
    """The names of the libraries that are imported and declare what tasks share."""
    return sorted(name for name in list(sys.modules) if "." not in name and declares(name))


def declares(name: str) -> bool:
    """Whether a top-level module is a library that declares what tasks share."""
    return ATTRIBUTE in (module_names(sys.modules.get(name)) or ())


def is_of_library(frame: FrameType) -> bool:
    """Whether a frame is of a library that declares what tasks share."""
    return declares(str(frame.f_globals.get("__name__", "")).partition(".")[0])


def in_program(task: Any) -> bool:
    """Whether the task is in code of the program, and not only in that of Trio or of a declared library."""
    return any(not is_machinery(frame) and not is_of_library(frame) for frame, _ in task.iter_await_frames())


def carried_by(value: object) -> list[Any] | None:
    """The values that an object of a library carries from one task to another; None if it belongs to no such
    library."""
    kind = type(value)
    if not declares(class_module(kind).partition(".")[0]):
        return None
    names = {name for shared in shared_classes() if issubclass(kind, shared.owner) for name in shared.carries}
    return [getattr(value, name, None) for name in sorted(names)]


@contextlib.contextmanager
def no_newcomers() -> Generator[None]:
    """Refuse, at the end of the block, what was declared too late to be known in it.

    Raises:
        WrongUse: a library was imported meanwhile.
    """
    _import_registered()
    before = set(declaring())
    yield
    late = [name for name in declaring() if name not in before]
    if late:
        raise WrongUse(
            f"{late[0]} was imported during the exploration, and declares what tasks share ({ATTRIBUTE}), "
            "which must be known beforehand: import it outside of the scenario, or give it an entry point of "
            f"the group {GROUP!r}"
        )


@functools.cache
def _import_registered() -> None:
    for entry_point in importlib.metadata.entry_points(group=GROUP):
        # The program cannot use a module that cannot be imported.
        with contextlib.suppress(ImportError):
            importlib.import_module(entry_point.value)


def _declared(name: str, declare: Callable[[], Collection[object]]) -> list[SharedClass]:
    if not callable(declare):
        raise WrongType(f"{name}.{ATTRIBUTE} must be a function, not {declare!r}")
    return [_shared_class(f"{name}.{ATTRIBUTE}()", given) for given in declare()]


def _shared_class(where: str, given: Any) -> SharedClass:
    fields = {field: getattr(given, field) for field in _FIELDS if hasattr(given, field)}
    if not isinstance(fields.get("owner"), type) or not isinstance(fields.get("kind"), str):
        raise WrongType(f"what {where} returns must have a class as `owner` and a text as `kind`: {given!r}")
    return SharedClass(**fields)
