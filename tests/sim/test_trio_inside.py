"""Everything relied on inside Trio is in one list, and is checked before a run."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import trio

import sim
from sim._trio import RELIED_ON, check_trio, missing_of

SIM: Final = Path(sim.__file__).parent

# Private attributes that are not Trio's: of the simulator's own classes, of `sys`, of named tuples and enums.
NOT_TRIOS: Final = {"_in_order", "_current_frames", "_getframe", "_replace", "_name_", "_exit"}


def test_installed_trio_has_what_is_relied_on() -> None:
    check_trio()
    assert not missing_of(RELIED_ON)


@pytest.mark.parametrize(
    "name",
    ["trio._threads._send_message_to_trio", "trio._core._run.setup_runner", "trio.CancelScope._close"],
)
def test_trio_without_an_internal_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delattr(name)

    async def scenario() -> None: ...

    with pytest.raises(sim.UnsupportedTrio, match=rf"{name.rpartition('.')[2]}\b"):
        sim.explore(scenario)


@pytest.mark.parametrize(
    "name",
    [
        "trio._threads._ParentTaskData",
        "trio._util.ConflictDetector",
        "trio._core._run.CONTEXT_RUN_TB_FRAMES",
        "trio._core._instrumentation.Instruments",
    ],
)
def test_trio_without_an_internal_is_refused_also_when_sim_is_imported_after(name: str) -> None:
    module, _, member = name.rpartition(".")
    program = (
        f"import sys, trio, trio.testing\ndel sys.modules[{module!r}].{member}\nimport sim\n"
        "async def scenario(): ...\n"
        "try:\n    sim.explore(scenario)\nexcept sim.UnsupportedTrio as error:\n    print(error)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=SIM.parent, capture_output=True, text=True, check=False)
    assert member in done.stdout, done.stderr


def test_an_attribute_that_only_the_constructor_sets_is_found_missing() -> None:
    assert not missing_of({trio.Nursery: ("_children",)})
    assert missing_of({trio.Nursery: ("_no_children",)}) == ["Nursery._no_children"]


def test_only_one_module_imports_what_is_private_of_trio() -> None:
    importing = {
        path.relative_to(SIM).as_posix()
        for path in SIM.rglob("*.py")
        for name in imported(ast.parse(path.read_text(encoding="utf-8")))
        if name.startswith("trio.") and "._" in name
    }
    assert importing == set()
    assert '_inside("trio._core._run"' in (SIM / "_trio.py").read_text(encoding="utf-8")


def test_every_private_attribute_that_is_used_of_trios_objects_is_in_the_list() -> None:
    listed = {name for names in RELIED_ON.values() for name in names}
    used = {
        name
        for room in ("_kernel", "_dependence")
        for path in sorted((SIM / room).glob("*.py"))
        for name in foreign_attributes(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert {"_cancel_status", "_parent_waiting_in_aexit", "_next_send"} <= used
    assert used - listed - NOT_TRIOS == set()


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def foreign_attributes(node: ast.AST, in_class: bool = False, own_self: bool = True) -> Iterator[str]:
    """Private attributes of anything but the object whose method it is. (A function with a self that is in
    another function stands for a method of Trio's.)"""
    if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
        of_self = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        if not (of_self and own_self):
            yield node.attr
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        takes_self = any(argument.arg == "self" for argument in node.args.args[:1])
        own_self = in_class if takes_self else own_self
    child: Any
    for child in ast.iter_child_nodes(node):
        yield from foreign_attributes(child, isinstance(node, ast.ClassDef), own_self)
