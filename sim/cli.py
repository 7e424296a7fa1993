"""The `sim` command: list scenarios, explore one, replay a run of it.

Exit codes: 0 what was explored held, 1 a failure was found, 2 it was used wrongly, or the runs of the
scenario cannot be repeated.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import json
import math
import os
import pkgutil
import sys
from collections.abc import Generator, Iterator
from types import ModuleType
from typing import Any

import click

from sim._errors import SimError, WrongUse
from sim._exploration import Scenario
from sim._explore import DEFAULT_MAX_STEPS, explore, replay
from sim._result import Failure, Result
from sim.faults import FaultKind, FaultPlan
from sim.report import describe_failure, describe_result
from sim.strategies import SCHEDULES, STRATEGIES

HELD, FAILED, WRONG_USE = 0, 1, 2

_FAULTS = click.Choice([kind.value for kind in FaultKind])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Explore the interleavings of Trio programs, and replay the ones that fail.

    A scenario is named MODULE:FUNCTION or FILE.py:FUNCTION.
    """


@main.command("list")
@click.argument("modules", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_command(modules: tuple[str, ...], as_json: bool) -> None:
    """List the scenarios in MODULES; without any, those that come with sim."""
    with _wrong_use_exits():
        loaded = [_load_module(name) for name in modules] or list(_ready_made())
    found = [
        {"scenario": f"{module.__name__}:{name}", "description": _first_line(scenario)}
        for module in loaded
        for name, scenario in _scenarios(module)
    ]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    width = max((len(entry["scenario"]) for entry in found), default=0)
    for entry in found:
        click.echo(f"{entry['scenario']:{width}}  {entry['description']}".rstrip())


@main.command("explore")
@click.argument("scenario")
@click.option(
    "--strategy",
    default="random",
    show_default=True,
    metavar="NAME[:NUMBER]",
    help=f"One of {', '.join(sorted(STRATEGIES))}; delay, dpor, pct and preemption take a number.",
)
@click.option("--max-executions", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--max-failures", type=click.IntRange(1), default=1, show_default=True)
@click.option("--max-steps", type=click.IntRange(1), default=DEFAULT_MAX_STEPS, show_default=True)
@click.option("--max-depth", type=click.IntRange(1), help="Let no task make more steps in a run.")
@click.option(
    "--max-seconds",
    type=click.FloatRange(0, min_open=True),
    default=math.inf,
    help="Begin no run once so many seconds have passed.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option(
    "--database",
    type=click.Path(dir_okay=False),
    envvar="SIM_DATABASE",
    help="Keep failing runs in this file, and try those in it first.",
)
@click.option("--fault", type=_FAULTS, help="Let one such fault strike, where the strategy chooses.")
@click.option("--sweep", type=_FAULTS, help="Let one strike at every point, one execution for each.")
@click.option("--fault-tasks", default="*", show_default=True, help="Names of tasks to strike.")
@click.option("--fault-count", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--fault-anytime/--fault-at-own-steps",
    default=True,
    show_default=True,
    help="After each step of any task, or only where the victim itself gives up control.",
)
@click.option(
    "--schedules",
    type=click.IntRange(1),
    help=f"Schedules of a sweep, from --seed on.  [default: {SCHEDULES}]",
)
@click.option("--self-check", is_flag=True, help="Make every run twice more, and compare.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def explore_command(
    scenario: str,
    strategy: str,
    max_executions: int,
    max_failures: int,
    max_steps: int,
    max_depth: int | None,
    max_seconds: float,
    seed: int,
    jobs: int,
    database: str | None,
    fault: str | None,
    sweep: str | None,
    fault_tasks: str,
    fault_count: int,
    fault_anytime: bool,
    schedules: int | None,
    self_check: bool,
    as_json: bool,
) -> None:
    """Run SCENARIO many times, each time with other choices."""
    with _wrong_use_exits():
        function = _load_scenario(scenario)
        with click.progressbar(
            length=max_executions, label="exploring", file=sys.stderr, hidden=not _on_terminal()
        ) as bar:
            result = explore(
                function,
                strategy,
                max_executions,
                seed,
                max_failures=max_failures,
                max_steps=max_steps,
                max_depth=max_depth,
                max_seconds=max_seconds,
                jobs=jobs,
                database=database,
                faults=_plan(fault, fault_tasks, fault_count, fault_anytime),
                sweep=_plan(sweep, fault_tasks, fault_count, fault_anytime),
                schedules=schedules,
                progress=lambda executions: bar.update(executions - bar.pos),
                self_check=self_check,
            )
    _show(result, scenario, as_json)


@main.command("replay")
@click.argument("scenario")
@click.argument("token")
@click.option("--max-steps", type=click.IntRange(1), default=DEFAULT_MAX_STEPS, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def replay_command(scenario: str, token: str, max_steps: int, as_json: bool) -> None:
    """Make the run of SCENARIO that TOKEN names once more, and print its interleaving."""
    with _wrong_use_exits():
        result = replay(_load_scenario(scenario), token, max_steps=max_steps)
    _show(result, scenario, as_json)


@contextlib.contextmanager
def _wrong_use_exits() -> Generator[None]:
    """Turn what the simulator says about its use into a message and the exit code 2."""
    try:
        yield
    except SimError as error:
        click.echo(f"sim: {error}", err=True)
        raise SystemExit(WRONG_USE) from None


def _show(result: Result, scenario: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_to_json(result), indent=2))
    else:
        click.echo(describe_result(result))
        for failure in result.failures:
            click.echo()
            click.echo(describe_failure(failure))
            click.echo(f"see it again: sim replay {scenario} {failure.token}")
    if result.failures:
        raise SystemExit(FAILED)
    raise SystemExit(WRONG_USE if result.diverged is not None else HELD)


def _to_json(result: Result) -> dict[str, Any]:
    return {
        "scenario": result.scenario,
        "strategy": result.strategy,
        "seed": result.seed,
        "executions": result.executions,
        "abandoned": result.abandoned,
        "never": list(result.never),
        "complete": result.complete,
        "coverage": result.coverage,
        "diverged": None if result.diverged is None else str(result.diverged),
        "steps": result.steps,
        "seconds": result.seconds,
        "failures": [_failure_to_json(failure) for failure in result.failures],
    }


def _failure_to_json(failure: Failure) -> dict[str, Any]:
    return {
        "error": {"type": type(failure.error).__name__, "message": str(failure.error)},
        "token": failure.token,
        "choices": failure.choices,
        "preemptions": failure.preemptions,
        "logged": [{"step": step, "line": line} for step, line in failure.logged],
        "steps": [
            {
                "task": list(step.task),
                "name": step.name,
                "time": step.time,
                "from": step.start,
                "to": step.end,
                "enabled": step.enabled,
                "preempts": step.preempts,
                "fault": step.fault,
                "drew": list(step.drew),
            }
            for step in failure.steps
        ],
    }


def _plan(kind: str | None, tasks: str, count: int, anytime: bool) -> FaultPlan | None:
    return None if kind is None else FaultPlan((FaultKind(kind),), tasks, count, anytime=anytime)


def _on_terminal() -> bool:
    return sys.stderr.isatty()


def _ready_made() -> Iterator[ModuleType]:
    package = importlib.import_module("sim.scenarios")
    for info in pkgutil.iter_modules(package.__path__):
        if not info.name.startswith("_"):
            yield importlib.import_module(f"{package.__name__}.{info.name}")


def _scenarios(module: ModuleType) -> Iterator[tuple[str, Scenario]]:
    for name, value in vars(module).items():
        if (
            not name.startswith("_")
            and inspect.iscoroutinefunction(value)
            and value.__module__ == module.__name__
            and all(
                parameter.default is not parameter.empty
                or parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
                for parameter in inspect.signature(value).parameters.values()
            )
        ):
            yield name, value


def _first_line(scenario: Scenario) -> str:
    return (inspect.getdoc(scenario) or "").partition("\n")[0]


def _load_scenario(name: str) -> Scenario:
    module_name, colon, function_name = name.rpartition(":")
    if not colon or not function_name or not module_name:
        raise WrongUse(f"{name!r} names no scenario: it must be MODULE:FUNCTION")
    module = _load_module(module_name)
    scenario: Scenario | None = getattr(module, function_name, None)
    if scenario is None:
        known = ", ".join(known_name for known_name, _ in _scenarios(module)) or "none"
        raise WrongUse(f"there is no {function_name!r} in {module_name}; it has: {known}")
    if not inspect.iscoroutinefunction(scenario):
        raise WrongUse(f"{name} is not an async function, and so no scenario")
    return scenario


def _load_module(name: str) -> ModuleType:
    here = os.getcwd()
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
        raise


def _load_file(path: str) -> ModuleType:
    if not os.path.exists(path):
        raise WrongUse(f"there is no file {path!r}")
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
