"""The commands and their options: what is asked for, and what is said of it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import inspect
import json
import math
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, NoReturn

import click

from sim._exploration.explore import DEFAULT_MAX_STEPS
from sim._public import (
    FaultKind,
    FaultPlan,
    Interrupted,
    Result,
    Scenario,
    SimError,
    WrongUse,
    explore,
    replay,
)
from sim.cli._console import end_stdout, replay_line, stdout_kept_clean, streams_kept
from sim.cli._document import document_of
from sim.cli._loading import load_module, load_scenario, ready_made, scenarios
from sim.report import describe_failure, describe_result
from sim.strategies import SCHEDULES, STRATEGIES

HELD, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
# The reader of the output has gone: as for a process that SIGPIPE has ended.
_NOBODY_READS: Final = 141

DISTRIBUTION: Final = "trio-genserver"

_FAULTS = click.Choice([kind.value for kind in FaultKind])
_STRICT = click.option(
    "--strict-exception-groups/--loose-exception-groups",
    default=True,
    show_default=True,
    help="As trio.run takes it: whether a nursery wraps one exception into a group, too.",
)


class _Sim(click.Group):
    """The command as a whole: whatever happens in it, only a failure of a scenario exits with 1."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        command = super().main
        if not standalone_mode:
            return command(args, prog_name, complete_var, standalone_mode=standalone_mode, **extra)
        try:
            code = command(args, prog_name, complete_var, standalone_mode=False, **extra)
            if sys.stdout is not None:
                sys.stdout.flush()
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            raise SystemExit(WRONG_USE) from None
        except click.ClickException as error:
            called = getattr(getattr(error, "ctx", None), "command_path", "sim")
            _fail(f"{error.format_message()} (see {called} --help)")
        except SimError as error:
            _fail(str(error))
        except (click.Abort, KeyboardInterrupt):
            _say("interrupted")
            raise SystemExit(INTERRUPTED) from None
        except BrokenPipeError:
            _nobody_reads()
        except SystemExit as end:
            # How click takes a pipe that nobody reads.
            if isinstance(end.__context__, BrokenPipeError):
                _nobody_reads()
            raise
        except OSError as error:
            _fail(str(error))
        except Exception as error:  # noqa: BLE001 - a traceback would exit with 1
            traceback.print_exc()
            _fail(f"this is a bug in sim, not in the scenario: {type(error).__name__}")
        raise SystemExit(code)


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if not asked:
        return
    try:
        version = importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        raise WrongUse(
            f"sim is not installed, so it has no version: install {DISTRIBUTION} for {sys.executable}"
        ) from None
    click.echo(f"sim, version {version}")
    ctx.exit(HELD)


@click.group(cls=_Sim, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Explore the interleavings of Trio programs, and replay the ones that fail.

    A scenario is named MODULE:FUNCTION or FILE.py:FUNCTION.
    """


@main.command("list")
@click.argument("modules", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_command(modules: tuple[str, ...], as_json: bool) -> int:
    """List the scenarios in MODULES; without any, those of the examples in this repository."""
    with _program_output(as_json):
        loaded = [(name, load_module(name)) for name in modules]
        loaded = loaded or [(module.__name__, module) for module in ready_made()]
    found = [
        {"scenario": f"{name}:{function}", "description": _first_line(scenario)}
        for name, module in loaded
        for function, scenario in scenarios(module)
    ]
    if as_json:
        _print_json(found)
        return HELD
    width = max((len(entry["scenario"]) for entry in found), default=0)
    for entry in found:
        click.echo(f"{entry['scenario']:{width}}  {entry['description']}".rstrip())
    return HELD


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
@click.option("--max-depth", type=click.IntRange(1), help="Stop each task after this many steps in a run.")
@click.option(
    "--max-seconds",
    type=click.FloatRange(0, min_open=True),
    default=math.inf,
    help="Start no run after this many seconds.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option(
    "--database",
    type=click.Path(dir_okay=False),
    envvar="SIM_DATABASE",
    help="Save failing runs in this file, and try those in it first.",
)
@click.option("--fault", type=_FAULTS, help="Let one fault of this kind strike, where the strategy chooses.")
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
@click.option("--self-check", is_flag=True, help="Repeat every run twice, and compare.")
@_STRICT
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
    strict_exception_groups: bool,
    as_json: bool,
) -> int:
    """Run SCENARIO many times, each time with other choices."""

    def run() -> Result:
        function = load_scenario(scenario)
        with click.progressbar(
            length=max_executions, label="exploring", file=sys.stderr, hidden=not _on_terminal()
        ) as bar:
            return explore(
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
                strict_exception_groups=strict_exception_groups,
            )

    result, interrupted = _run(run, as_json)
    options = _options_of_replay(max_steps, strict_exception_groups)
    return _show(result, scenario, options, as_json, interrupted)


@main.command("replay")
@click.argument("scenario")
@click.argument("token")
@click.option("--max-steps", type=click.IntRange(1), default=DEFAULT_MAX_STEPS, show_default=True)
@_STRICT
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def replay_command(
    scenario: str, token: str, max_steps: int, strict_exception_groups: bool, as_json: bool
) -> int:
    """Make the run of SCENARIO that TOKEN names once more, and print its interleaving."""

    def run() -> Result:
        return replay(
            load_scenario(scenario),
            token,
            max_steps=max_steps,
            strict_exception_groups=strict_exception_groups,
        )

    result, interrupted = _run(run, as_json)
    options = _options_of_replay(max_steps, strict_exception_groups)
    code = _show(result, scenario, options, as_json, interrupted)
    if code == HELD:
        _say(f"the run of {token} does not fail: the scenario has changed since then, or is fixed")
    return code


def _run(run: Callable[[], Result], as_json: bool) -> tuple[Result, bool]:
    """The result of an exploration, and whether Ctrl-C has ended it."""
    if not __debug__:
        _say("Python runs with -O, so the asserts of the scenario check nothing")
    with _program_output(as_json):
        try:
            return run(), False
        except Interrupted as interrupted:
            return interrupted.result, True


@contextlib.contextmanager
def _program_output(as_json: bool) -> Generator[None]:
    """Where the scenario's output goes: not between the lines of a JSON document. Its changes to the streams
    are undone afterwards."""
    with streams_kept(), stdout_kept_clean() if as_json else contextlib.nullcontext():
        yield


def _options_of_replay(max_steps: int, strict_exception_groups: bool) -> tuple[str, ...]:
    """The options needed to replay a run that was made with these."""
    bound = () if max_steps == DEFAULT_MAX_STEPS else ("--max-steps", str(max_steps))
    return bound if strict_exception_groups else (*bound, "--loose-exception-groups")


def _show(result: Result, scenario: str, options: tuple[str, ...], as_json: bool, interrupted: bool) -> int:
    if interrupted:
        code = INTERRUPTED
    elif result.failures:
        code = FAILED
    else:
        code = HELD if result.diverged is None else WRONG_USE
    try:
        if as_json:
            _print_json(document_of(result, interrupted=interrupted))
        else:
            _print_for_people(result, scenario, options)
    except BrokenPipeError:
        # The verdict stands, whether somebody reads all of it or not.
        _forget_stdout()
    if interrupted:
        _say("interrupted: this is what was found so far")
    return code


def _print_for_people(result: Result, scenario: str, options: tuple[str, ...]) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(describe_result(result))
    for failure in result.failures:
        click.echo()
        click.echo(describe_failure(failure, width))
        click.echo(f"see it again: {replay_line(scenario, failure.token, *options)}")
    sys.stdout.flush()


def _print_json(document: object) -> None:
    # No NaN and no Infinity, which are no JSON.
    click.echo(json.dumps(document, indent=2, allow_nan=False))
    end_stdout()


def _say(text: str) -> None:
    click.echo(f"sim: {text}", err=True)


def _fail(text: str) -> NoReturn:
    _say(text)
    raise SystemExit(WRONG_USE)


def _nobody_reads() -> NoReturn:
    _forget_stdout()
    raise SystemExit(_NOBODY_READS)


def _forget_stdout() -> None:
    """So that Python does not complain at its end that it could not write."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _plan(kind: str | None, tasks: str, count: int, anytime: bool) -> FaultPlan | None:
    return None if kind is None else FaultPlan((FaultKind(kind),), tasks, count, anytime=anytime)


def _on_terminal() -> bool:
    return sys.stderr.isatty()


def _first_line(scenario: Scenario) -> str:
    return (inspect.getdoc(scenario) or "").partition("\n")[0]


if __name__ == "__main__":
    main()
