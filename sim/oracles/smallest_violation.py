"""Cuts a history that has no order down to the few operations that show why.

Leaving an operation out is not a fair cut: without the write, every read of its value is wrong. So an
operation is not left out but *forgotten*: it may have taken effect at any time after its call, or never. Any
order that explains the history also explains it with that operation forgotten, so if nothing explains what
remains, nothing explains the whole; and since "never" is among the possibilities, the operations that were
not forgotten have no order of their own either. They are
the failing part: no operation of it can be forgotten, and nothing outside of it helps.

The order of attempts is that of delta debugging (A. Zeller and R. Hildebrandt, "Simplifying and
isolating failure-inducing input", IEEE TSE 28(2), 2002): halves, quarters, ... single operations.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from sim.oracles.history import UNKNOWN
from sim.oracles.wing_gong_lowe import SearchBudgetExceeded, search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.oracles.history import Operation
    from sim.oracles.models import Model

# A forgotten operation makes a search larger. What all searches of one minimisation may cost
# together, and one of them: about a second, and a tenth of one. Beyond that the part found so far
# is given: it fails as it should, but something of it might still be left out.
_STEPS_TOGETHER: Final = 500_000
_STEPS_A_SEARCH: Final = 50_000


def failing_prefix(operations: Sequence[Operation], model: Model[Any], blocked_at: float) -> list[Operation]:
    """The shortest beginning of a history that has no order, in the order of the calls.

    Operations that had not returned by its end are forgotten, as it would be had the recording stopped there;
    so nothing that came later can explain it.

    Args:
        operations: a history (one partition of it) that `model` does not allow.
        model: the sequential specification.
        blocked_at: the first return that no order of the history gets past.
    """
    # It may end later than at `blocked_at`: perhaps an answer that was given later is what makes
    # that return impossible to get past. By the time all calls open then have returned, it fails.
    returns = sorted(op.returned for op in operations if blocked_at <= op.returned < math.inf)
    for end in returns[:-1]:
        prefix = _prefix(operations, end)
        try:
            result = search(prefix, model)
        except SearchBudgetExceeded:
            continue
        if not result.linearizable:
            return prefix
    return _prefix(operations, returns[-1])


def all_but_forgotten(operations: Sequence[Operation], kept: Sequence[Operation]) -> list[Operation]:
    """The history in which only the operations in `kept` have the outcomes they had."""
    keep = set(map(id, kept))
    return [op if id(op) in keep else op.forgotten() for op in operations]


def _prefix(operations: Sequence[Operation], end: float) -> list[Operation]:
    return sorted(
        (op if op.returned <= end else op.forgotten() for op in operations if op.called <= end),
        key=lambda op: op.called,
    )


def smallest_failing_part(operations: Sequence[Operation], model: Model[Any]) -> list[Operation]:
    """The operations of a history without an order that must be remembered for it to have none.

    Minimal (each one of them is needed) as long as that takes about a second to find out, which it
    does for some hundred operations; of a longer history perhaps a larger part.

    Args:
        operations: a history (one partition of it) that `model` does not allow, in the order of
            the calls.
        model: the sequential specification.
    """
    remembered = [op for op in operations if op.outcome is not UNKNOWN]
    budget = _STEPS_TOGETHER

    def still_fails(kept: Sequence[Operation]) -> bool:
        nonlocal budget
        try:
            result = search(all_but_forgotten(operations, kept), model, min(budget, _STEPS_A_SEARCH))
        except SearchBudgetExceeded as exceeded:
            budget -= exceeded.steps
            return False
        budget -= result.steps
        return not result.linearizable

    chunk = max(1, len(remembered) // 2)
    while budget > 0:
        before = len(remembered)
        start = 0
        while start < len(remembered) and budget > 0:
            fewer = remembered[:start] + remembered[start + chunk :]
            if still_fails(fewer):
                remembered = fewer
            else:
                start += chunk
        if chunk == 1 and len(remembered) == before:
            break
        chunk = max(1, chunk // 2)
    return remembered
