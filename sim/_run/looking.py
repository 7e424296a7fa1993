"""Looking at what a program holds without running any of its code.

An object may say anything of itself: a proxy raises where it is asked for its class outside of a request, a
metaclass hides the names of its classes. So it is never asked. Its type is what `type` says, and its
attributes are what lies in its dictionary and in the slots of its classes.
"""

# A program may hold anything, so values are untyped here.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import threading
import types
from collections.abc import Mapping, Sequence
from typing import Any, Final

_DICT: Final[Any] = vars(type)["__dict__"]
_MRO: Final[Any] = vars(type)["__mro__"]
_NAME: Final[Any] = vars(type)["__name__"]
_MODULE: Final[Any] = vars(type)["__module__"]

_derives: Final[Any] = type.__subclasscheck__
_LOCAL: Final = threading.local
_BASIC: Final[tuple[Any, ...]] = (bool, int, float, complex, str, bytes, type(None))


def is_a(value: object, classes: type | tuple[type, ...]) -> bool:
    """Like `isinstance`, without asking the value or a metaclass."""
    return derives(type(value), classes)


def derives(kind: type, classes: type | tuple[type, ...]) -> bool:
    """Like `issubclass`, without asking a metaclass."""
    if type(classes) is tuple:
        return any(_derives(cls, kind) for cls in classes)
    derived: bool = _derives(classes, kind)
    return derived


def attributes_of(value: Any) -> dict[str, Any]:
    """The dictionary of an object, empty if it has none."""
    try:
        # That of a thread's own attributes is another one in each thread.
        look = _LOCAL.__getattribute__ if issubclass(type(value), _LOCAL) else object.__getattribute__
        attributes = look(value, "__dict__")
    except Exception:  # noqa: BLE001 - a descriptor of the program's; mostly an AttributeError
        return {}
    return attributes if type(attributes) is dict else {}


def slots_of(value: object) -> dict[str, Any]:
    """The values in the slots of an object's classes."""
    held: dict[str, Any] = {}
    for cls in mro_of(type(value)):
        for name, member in list(members_of(cls).items()):
            if type(member) is types.MemberDescriptorType:
                try:
                    held[name] = member.__get__(value)
                except AttributeError:  # it is empty
                    continue
    return held


def members_of(cls: type) -> Mapping[str, Any]:
    """Like `vars` of a class, without asking its metaclass."""
    members: Mapping[str, Any] = _DICT.__get__(cls)
    return members


def mro_of(cls: type) -> tuple[type, ...]:
    """The bases of a class in the order in which they are asked, itself first."""
    order: tuple[type, ...] = _MRO.__get__(cls)
    return order


def class_name(cls: type) -> str:
    """The name of a class."""
    name: str = _NAME.__get__(cls)
    return name


def class_module(cls: type) -> str:
    """The name of the module of a class; "" if it does not tell."""
    try:
        name = _MODULE.__get__(cls)
    except AttributeError:
        return ""
    return name if type(name) is str else ""


def module_name_of(value: Any) -> str:
    """The module of a class or a function; of another object that of its class; "" if there is no telling."""
    kind: Any = type(value)
    if issubclass(kind, type):
        return class_module(value)
    if kind is types.MethodType:
        return module_name_of(value.__func__)
    if kind is types.FunctionType or kind is types.BuiltinFunctionType:
        name = value.__module__
    else:
        name = attributes_of(value).get("__module__")
    return name if type(name) is str else class_module(kind)


def kinds_of(values: Sequence[object]) -> set[type]:
    """The types of values. Those are left out that their metaclass lets nobody put into a set."""
    try:
        return set(map(type, values))
    except Exception:  # noqa: BLE001 - of the program's
        return {kind for kind in map(type, values) if _is_hashable(kind)}


def _is_hashable(kind: type) -> bool:
    try:
        hash(kind)
    except Exception:  # noqa: BLE001 - of the program's
        return False
    return True


def basic_text(value: object) -> str | None:
    """How a number, a text or None is written, also one of a class derived from these; None for others."""
    kind = type(value)
    for basic in _BASIC:
        if issubclass(kind, basic):
            text: str = basic.__repr__(value)
            return text
    return None


def text_of(value: object) -> str:
    """The `repr` of an object of the program's, or what it has raised in its place."""
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - of the program's
        return f"<a {class_name(type(value))} whose repr raised {class_name(type(error))}>"


def module_names(module: object) -> dict[str, Any] | None:
    """The names of a module, that is not asked; None of what is in `sys.modules` and no module."""
    return attributes_of(module) if is_a(module, types.ModuleType) else None
