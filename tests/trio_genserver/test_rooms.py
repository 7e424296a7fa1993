"""Who may import whom in `trio_genserver`: the rooms, from the ground up, and one direction of imports."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path
from types import FunctionType

import pytest

import trio_genserver
from trio_genserver._host import Host
from trio_genserver._parts import Parts
from trio_genserver._process import Process

# A module imports from its own room and from those above its row, for type checkers and in functions as well.
ROOMS = {
    "ground": "_moved _portable _text _kept _cancellation _interrupt _blocks _emit _empty",
    "values": "_errors _awaiting _message _signals _spec _restart _behaviour _hooks",
    # They know neither each other nor what has them.
    "parts of a process": "_lifecycle _turn _mailbox",
    "machinery": "_host _cycle _log _request _request_collection _decorators _declarations _children "
    "_system_request _agenda _shown _parts _delivery _handling _loop _life _process _ends",
    "servers": "_ref _system _monitor _server _child_spec _startable _start",
    "names and pools": "_registry_errors _registry _pool _agent _checkout_pool",
    "supervision": "_supervisor_errors _supervision _supervisor _dynamic_supervisor _partition_supervisor",
    "tasks": "_task _task_supervisor _amap",
    "observation": "_instrument _debug _shared_state sys opentelemetry",
    "doors": "agents errors instruments pools registry supervision tasks",
    "the package": "__init__",
}
FLOOR = {module: floor for floor, modules in enumerate(ROOMS.values()) for module in modules.split()}
# A method of every named tuple; and what a value has for texts, as it has a `__repr__`.
AGREED = {"_replace", "_shown"}
PACKAGE = Path(trio_genserver.__file__).parent
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))


def imported(module: str) -> set[str]:
    """What of the package `module` imports: at run time, for type checkers only, or in a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            found |= {node.module} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("trio_genserver"):
            found.add((node.module or "").partition(".")[2] or "__init__")
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("trio_genserver")]
            found |= {name.partition(".")[2] or "__init__" for name in names}
    return found


def test_every_module_has_a_room() -> None:
    assert sorted(FLOOR) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_nothing_from_a_room_below_its_own(module: str) -> None:
    assert not {f"{module} -> {each}" for each in imported(module) if FLOOR[each] > FLOOR[module]}


def test_no_modules_import_each_other_in_a_circle() -> None:
    # Raises a `CycleError` that names them, if they do.
    order = list(TopologicalSorter({module: imported(module) for module in MODULES}).static_order())
    assert order[-1] == "__init__"


def test_imports_of_every_shape_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        "from ._a import x\nfrom . import _b\nimport trio_genserver._c\nfrom trio_genserver._d import y\n"
        "if TYPE_CHECKING:\n    from ._e import z\ndef f():\n    from ._f import g\n    import trio_genserver"
    )
    (tmp_path / "module.py").write_text(lines, "utf-8")
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    assert imported("module") == {"_a", "_b", "_c", "_d", "_e", "_f", "__init__"}


def private_calls(module: str) -> set[str]:
    """The private methods that `module` calls on another object, and that are not its own business."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text("utf-8"))
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {
        ast.unparse(each)
        for each in called
        if isinstance(each, ast.Attribute) and each.attr.startswith("_") and not each.attr.startswith("__")
        if ast.unparse(each.value) not in ("self", "cls", "super()") and each.attr not in own | AGREED
    }


@pytest.mark.parametrize("part", ROOMS["parts of a process"].split())
def test_a_part_of_a_process_knows_no_other(part: str) -> None:
    assert {each for each in imported(part) if FLOOR[each] >= FLOOR[part]} == set()


@pytest.mark.parametrize("module", MODULES)
def test_nobody_calls_a_private_method_of_another_module(module: str) -> None:
    assert private_calls(module) == set()


def test_a_process_has_all_that_is_declared_of_it() -> None:
    declared = {
        name: member.fget if isinstance(member, property) else member
        for base in (Parts, Host)
        for name, member in vars(base).items()
    }
    abstract = {
        name
        for name, function in declared.items()
        if isinstance(function, FunctionType) and "NotImplementedError" in function.__code__.co_names
    }
    assert len(abstract) > 10
    assert {name for name in abstract if name not in vars(Process)} == set()
