"""Promises about the states a run goes through: `always`, `eventually`, `sometimes`.

The kernel looks at them after every step: see `sim._kernel.invariants`.
"""

from sim._kernel.invariants import NotAlways, NotEventually, always, eventually, sometimes

__all__ = ["NotAlways", "NotEventually", "always", "eventually", "sometimes"]
