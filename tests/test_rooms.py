"""A package is made of rooms with one direction of imports: a room imports what is above it in the list.

Every import counts: also one that is only for types, one inside of a function, and a module that is imported
by its name. Inside of a room, and between any modules, imports go in no circle.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]

ROOMS: Final = {
    "sim": (
        "sim._run",
        "sim._trio",
        "sim.faults",
        "sim._dependence",
        "sim._world",
        "sim._kernel",
        "sim.strategies",
        "sim._exploration",
        "sim.oracles",
        "sim.report",
        # The doors: what is public in the package itself.
        "sim",
        "sim.scenarios",
        "sim.cli",
        "sim.__main__",
    ),
}


FOREIGN: Final = re.compile(r"trio_genserver|(?<!\w)todo(?!\w)")
"""What `sim` knows nothing of, in code, comments and texts."""


def test_the_simulator_names_no_other_package_of_the_repository() -> None:
    naming = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted((ROOT / "sim").rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if FOREIGN.search(line)
    ]
    assert not naming, "\n".join(naming)


def modules_of(package: str) -> dict[str, Path]:
    modules: dict[str, Path] = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def imports_of(path: Path, modules: dict[str, Path]) -> Iterator[str]:
    """What of the package a module names in an import, wherever it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{path} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules else node.module for name in names]
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            names = [str(one.value) for one in node.args if isinstance(one, ast.Constant)]
        else:
            continue
        yield from (name for name in names if name in modules)


def room_of(module: str, rooms: tuple[str, ...]) -> int:
    """The number of the room; the longest name that fits, for the package itself is one too."""
    fitting = [room for room in rooms if module == room or module.startswith(f"{room}.")]
    return rooms.index(max(fitting, key=len))


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_imports_only_what_is_above_it(package: str) -> None:
    rooms, modules = ROOMS[package], modules_of(package)
    wrong = [
        f"{module} imports {name}"
        for module, path in modules.items()
        for name in imports_of(path, modules)
        if room_of(name, rooms) > room_of(module, rooms)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", ROOMS)
def test_no_imports_go_in_a_circle(package: str) -> None:
    modules = modules_of(package)
    try:
        TopologicalSorter({name: set(imports_of(path, modules)) for name, path in modules.items()}).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))
