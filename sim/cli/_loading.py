"""Finding a scenario by the name that a command line has for it: MODULE:FUNCTION or FILE.py:FUNCTION."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator
from types import ModuleType

from sim._exploration.exploration import Scenario
from sim._run.errors import WrongUse
from sim.scenarios import EXAMPLES, examples_folder


def load_scenario(name: str) -> Scenario:
    """The scenario of a name.

    Raises:
        WrongUse: there is none, or its module cannot be imported.
    """
    module_name, colon, function_name = name.rpartition(":")
    if not colon or not function_name or not module_name:
        raise WrongUse(f"{name!r} names no scenario: it must be MODULE:FUNCTION or FILE.py:FUNCTION")
    module = load_module(module_name)
    scenario: Scenario | None = getattr(module, function_name, None)
    if scenario is None:
        known = ", ".join(known_name for known_name, _ in scenarios(module)) or "none"
        raise WrongUse(f"there is no {function_name!r} in {module_name}; it has: {known}")
    if not inspect.iscoroutinefunction(scenario):
        raise WrongUse(f"{name} is not an async function, so it is not a scenario")
    return scenario


def load_module(name: str) -> ModuleType:
    """The module of a name, or in a file.

    Raises:
        WrongUse: it is not there, or importing it has failed.
    """
    try:
        here = os.getcwd()
    except FileNotFoundError:
        raise WrongUse("the current folder has been removed; change to another one") from None
    if here not in sys.path:
        # As `python -m` does: an installed command does not see the folder it is called in.
        sys.path.insert(0, here)
    if name.endswith(".py"):
        return _load_file(name)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise WrongUse(f"there is no module {name!r} here or in the environment") from error
        raise _failed(name, error) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # Any exception, even a sys.exit: no scenario has run, so nothing was found.
        raise _failed(name, error) from error


def ready_made() -> Iterator[ModuleType]:
    """The modules with the scenarios of the examples.

    Raises:
        WrongUse: there are no examples here.
    """
    folder = examples_folder()
    if folder is None:
        raise WrongUse("name a module: the examples are in the repository, and not installed with sim")
    for info in pkgutil.iter_modules([folder], f"{EXAMPLES}."):
        yield load_module(info.name)


def scenarios(module: ModuleType) -> Iterator[tuple[str, Scenario]]:
    """The scenarios that a module has: its async functions that need no arguments."""
    for name, value in vars(module).items():
        if (
            not name.startswith("_")
            and inspect.iscoroutinefunction(value)
            and getattr(value, "__module__", None) == module.__name__
            and _needs_no_arguments(value)
        ):
            yield name, value


def _needs_no_arguments(function: Callable[..., object]) -> bool:
    return all(
        parameter.default is not parameter.empty
        or parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
        for parameter in inspect.signature(function).parameters.values()
    )


def _load_file(path: str) -> ModuleType:
    if not os.path.isfile(path):
        raise WrongUse(f"there is no file {path!r}")
    folder, base = os.path.split(os.path.abspath(path))
    if folder not in sys.path:
        # As Python does for a script: what lies beside it can be imported.
        sys.path.insert(0, folder)
    name = os.path.splitext(base)[0]
    while name in sys.modules:
        # A file may be called as a module that is in use, or as another file.
        name = f"{name}_"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        del sys.modules[name]
        raise _failed(path, error) from error
    return module


def _failed(name: str, error: BaseException) -> WrongUse:
    """Why a module cannot be imported, in one line."""
    what = " ".join("".join(traceback.format_exception_only(error)[-1:]).split())
    if isinstance(error, SyntaxError):
        place = f"{error.filename}:{error.lineno}"
    else:
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if "importlib" not in frame.filename and frame.filename != __file__
        ]
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    hint = ""
    if isinstance(error, ImportError) and "relative import" in str(error):
        hint = "; name it as a module of its package, package.module:function"
    return WrongUse(f"{name} cannot be imported: {what}{f' ({place})' if place else ''}{hint}")
