"""The JSON that the command prints of a result with ``--json``."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from sim._exploration.result import Failure, Result
from sim._run.errors import StepBudgetExceeded


def document_of(result: Result, *, interrupted: bool) -> dict[str, Any]:
    """A result as what JSON has: for programs that read the command's output.

    Args:
        interrupted: Ctrl-C has ended the exploration.
    """
    return {
        "scenario": result.scenario,
        "strategy": result.strategy,
        "seed": result.seed,
        "executions": result.executions,
        "abandoned": result.abandoned,
        "never": list(result.never),
        "complete": result.complete,
        "interrupted": interrupted,
        "coverage": result.coverage,
        "diverged": None if result.diverged is None else str(result.diverged),
        "fair_only": result.fair_only,
        "steps": result.steps,
        "seconds": result.seconds,
        "failures": [_failure(failure) for failure in result.failures],
    }


def _failure(failure: Failure) -> dict[str, Any]:
    cycle = failure.error.cycle if isinstance(failure.error, StepBudgetExceeded) else None
    # The cycle of a run without an end is reported once.
    steps = failure.steps if cycle is None else failure.steps[: cycle.first + cycle.length]
    return {
        "error": {"type": type(failure.error).__name__, "message": _text(failure.error)},
        "token": failure.token,
        "choices": failure.choices,
        "preemptions": failure.preemptions,
        "logged": [{"step": step, "line": line} for step, line in failure.logged],
        "cycle": None if cycle is None else dataclasses.asdict(cycle),
        "steps": [
            {
                "task": list(step.task),
                "name": step.name,
                "time": step.time if math.isfinite(step.time) else None,
                "from": step.start,
                "to": step.end,
                "enabled": step.enabled,
                "preempts": step.preempts,
                "fault": step.fault,
                "drew": list(step.drew),
            }
            for step in steps
        ],
    }


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as own:  # noqa: BLE001 - of a class of the program
        return f"<its __str__ raised {type(own).__name__}>"
