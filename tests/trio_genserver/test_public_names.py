"""What is public: few names at the top, the others in modules, and old paths that work with a warning."""

from __future__ import annotations

import ast
import importlib
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trio

import trio_genserver
from trio_genserver import GenServer, ServerError, child_spec
from trio_genserver.agents import Agent, open_agent
from trio_genserver.supervision import open_partition_supervisor
from trio_genserver.tasks import open_task_supervisor

ROOT = Path(__file__).parents[2]

MODULES = ["agents", "errors", "instruments", "pools", "registry", "supervision", "sys", "tasks"]

# Where each name of the top level went.
MOVED = {
    "agents": "Agent AgentRef agent_spec open_agent",
    "errors": "AlreadyReplied BadReturnValue CallbackNotAsync InvalidServerClass RequestAbandoned "
    "UnhandledMessage",
    "instruments": "Envelope Instrument LoggingInstrument SharedState add_instrument remove_instrument "
    "shared_state",
    "pools": "STABLE_HASH CheckoutOrder CheckoutPool CheckoutPoolRef KeyedPool LeastLoadedPool PoolFull "
    "PoolStatus RoundRobinPool checkout_pool_spec open_checkout_pool stable_hash",
    "registry": "AlreadyRegistered AlreadyStarted DuplicateRegistry Entry NotRegistered Registered Registry "
    "ServerName Unregistered",
    "supervision": "AutoShutdown ChildAlreadyPresent ChildAlreadyStarted ChildCounts ChildError ChildInfo "
    "ChildNotFound ChildRestarting ChildRunning ChildStartFailed ChildStatus MaxChildrenReached NoPartitions "
    "PartitionSupervisor PartitionSupervisorRef RestartIntensityExceeded Strategy open_partition_supervisor "
    "partition_supervisor_spec",
    "tasks": "Settled Task TaskStopped TaskSupervisor TaskSupervisorRef amap amap_nolink "
    "open_task_supervisor poll_many task_supervisor_spec",
}
OLD_PATHS = [(name, module) for module, names in MOVED.items() for name in names.split()]
OLD_NAMES = {"amap_nolink": "amap_isolated"}

# What has stayed.
TOP = [
    "Call",
    "CallCycle",
    "CallOrCast",
    "Cast",
    "ChildSpec",
    "Down",
    "DynamicSupervisor",
    "DynamicSupervisorRef",
    "From",
    "GenServer",
    "Ignore",
    "InitIgnored",
    "InitStopped",
    "InvalidSpec",
    "MailboxFull",
    "Monitor",
    "NeverReplied",
    "Overflow",
    "Refuse",
    "Request",
    "Restart",
    "ServerCrashed",
    "ServerError",
    "ServerNotRunning",
    "ServerRef",
    "ServerStopped",
    "Shutdown",
    "Stop",
    "Supervisor",
    "SupervisorRef",
    "as_completed",
    "child_spec",
    "dynamic_supervisor_spec",
    "handle_call",
    "handle_cast",
    "monitor",
    "open_dynamic_supervisor",
    "open_server",
    "open_supervisor",
    "run_server",
    "start_server",
    "supervisor_spec",
    "wait_all",
]


def module_of(name: str) -> ModuleType:
    return importlib.import_module(f"trio_genserver.{name}")


def run(program: str) -> str:
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_top_level_is_what_a_first_program_needs() -> None:
    assert trio_genserver.__all__ == TOP
    assert len(TOP) <= 45


@pytest.mark.parametrize(("name", "module"), OLD_PATHS)
def test_an_old_path_works_and_its_warning_names_the_new_one(name: str, module: str) -> None:
    new_name = OLD_NAMES.get(name, name)
    there = getattr(module_of(module), new_name)
    assert new_name in module_of(module).__all__
    new_path = re.escape(f"from trio_genserver.{module} import {new_name}")
    with pytest.warns(DeprecationWarning, match=f"trio_genserver.{name} has moved.*{new_path}$") as got:
        assert getattr(trio_genserver, name) is there
    assert [each.filename for each in got] == [__file__]
    namespace: dict[str, Any] = {}
    code = compile(f"\nfrom trio_genserver import {name}", "user.py", "exec")
    with pytest.warns(DeprecationWarning, match=new_path) as got:
        exec(code, namespace)
    assert namespace[name] is there
    # At the line of the import, though Python asks the package from within its own import system.
    assert {(each.filename, each.lineno) for each in got} == {("user.py", 2)}


def test_a_new_name_has_no_path_at_the_top() -> None:
    for name in OLD_NAMES.values():
        assert not hasattr(trio_genserver, name)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("run", "get"),
        ("replace", "update"),
        ("run_and_replace", "get_and_update"),
        ("replace_later", "cast_update"),
    ],
)
async def test_a_message_of_an_agent_has_its_old_name_for_one_release(old: str, new: str) -> None:
    def function(state: Any) -> Any:
        return (state, state) if "_and_" in old else state

    async with open_agent(lambda: 1) as agent:
        with pytest.warns(DeprecationWarning, match=f"Agent.{old} is now Agent.{new}") as got:
            message = getattr(Agent, old)(function)
        assert [each.filename for each in got] == [__file__]
        assert message == getattr(Agent, new)(function)
        await (agent.cast(message) if old == "replace_later" else agent.call(message))
        assert await agent.get(lambda state: state) == 1


async def test_a_partition_and_an_isolated_task_have_their_old_names_for_one_release() -> None:
    async with open_partition_supervisor(child_spec(GenServer), 2) as partitions:
        with pytest.warns(DeprecationWarning, match="PartitionSupervisorRef.worker is now .*child") as got:
            assert partitions.worker(1) is partitions.child(1)
        assert [each.filename for each in got] == [__file__]
    async with open_task_supervisor() as tasks:
        with pytest.warns(DeprecationWarning, match="TaskSupervisorRef.start_nolink is now .*start_isolated"):
            task = tasks.start_nolink(trio.sleep, 0)
        assert task.is_isolated
        with pytest.warns(DeprecationWarning, match="is_linked is now not Task.is_isolated"):
            assert not task.is_linked
        await task.wait()


def test_an_old_path_that_warns_as_an_error_raises_the_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DeprecationWarning, match="KeyedPool has moved"):
            exec("from trio_genserver import KeyedPool", {})


def test_a_star_import_gives_the_new_names_without_a_warning() -> None:
    namespace: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec("from trio_genserver import *", namespace)
    assert sorted(namespace.keys() - {"__builtins__"}) == sorted(TOP)


def test_dir_shows_the_new_names_and_the_modules() -> None:
    assert [name for name in dir(trio_genserver) if not name.startswith("__")] == sorted([*TOP, *MODULES])
    assert {"__all__", "__doc__", "__shared_state__"} <= set(dir(trio_genserver))


def test_importing_the_package_is_enough_for_its_modules() -> None:
    used = ", ".join(f"trio_genserver.{name}.__name__" for name in MODULES)
    assert run(f"import trio_genserver; print({used})").split() == [
        f"trio_genserver.{name}" for name in MODULES
    ]
    used = ", ".join(f"{name}.__name__" for name in MODULES)
    assert run(f"from trio_genserver import {', '.join(MODULES)}; print({used})")


def test_importing_the_package_loads_no_module_that_only_passes_names_on() -> None:
    program = (
        "import sys, trio_genserver; print(*(n for n in sys.modules if n.startswith('trio_genserver.')))"
    )
    loaded = {name.removeprefix("trio_genserver.") for name in run(program).split()}
    assert {name for name in loaded if not name.startswith("_")} == {"sys"}


def test_what_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'trio_genserver' has no attribute 'GenServre'") as caught:
        getattr(trio_genserver, "GenServre")  # noqa: B009 - type checkers know it too
    assert caught.value.name == "GenServre"
    with pytest.raises(ImportError):
        exec("from trio_genserver import GenServre", {})


def test_each_name_has_one_place() -> None:
    places: dict[str, list[str]] = {}
    for module in MODULES:
        for name in module_of(module).__all__:
            places.setdefault(name, []).append(module)
    assert {name: places for name, places in places.items() if len(places) > 1} == {}
    # The catalogue of errors has those of the top level again.
    twice = set(TOP) & set(places)
    assert {place for name in twice for place in places[name]} == {"errors"}
    errors = module_of("errors")
    assert twice == {name for name in TOP if isinstance(getattr(trio_genserver, name), type)} & set(
        errors.__all__
    )
    assert all(getattr(errors, name) is getattr(trio_genserver, name) for name in twice)


def test_an_error_that_was_pickled_before_its_path_changed_is_loaded() -> None:
    # Classes are pickled by where they are written, and that has not changed.
    pickled = b"ctrio_genserver._errors\nServerError\n."
    assert pickle.loads(pickled) is ServerError
    for name, module in OLD_PATHS:
        thing = getattr(module_of(module), OLD_NAMES.get(name, name))
        if isinstance(thing, type):
            assert thing.__module__.startswith("trio_genserver._")
            assert pickle.loads(pickle.dumps(thing)) is thing


def old_paths_in(tree: ast.AST) -> list[str]:
    moved = {name for name, _ in OLD_PATHS}
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "trio_genserver" and not node.level:
            # A bare `sys` is the standard library's, to whoever reads the file.
            old = [alias.name for alias in node.names if alias.name in moved or alias.name == "sys"]
            found += [f"line {node.lineno}: {name}" for name in old]
    return found


def test_nothing_here_uses_an_old_path_or_takes_the_name_of_the_standard_sys() -> None:
    old: dict[str, list[str]] = {}
    folders = ("benchmarks", "examples", "sim", "tests", "todo", "tools", "trio_genserver")
    for path in (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))):
        if path.name != "accepted_old_paths.py":
            old[str(path)] = old_paths_in(ast.parse(path.read_text("utf-8")))
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for block in re.findall(r"^```python\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.MULTILINE):
            old.setdefault(str(path), []).extend(old_paths_in(ast.parse(block)))
    assert {path: names for path, names in old.items() if names} == {}
