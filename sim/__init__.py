"""A simulator for Trio programs: it decides every interleaving, and can make any run again.

The public names are listed in `sim._public`. Everything is imported when the first of them is asked for:
pytest loads `sim.pytest_plugin`, and so this package, also for tests that have nothing to do with either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim._public import *  # noqa: F403 - that module is the list of them
    from sim._public import __all__ as __all__
else:

    def __getattr__(name):
        # A private name is a module of this package that is being imported.
        if name == "__all__" or not name.startswith("_"):
            _load()
            if name in globals():
                return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        _load()
        return sorted(globals())

    def _load():
        # Everything at once: in a run, modules would be imported under the clock and the locks of the run.
        from sim import _public

        globals().update({name: getattr(_public, name) for name in _public.__all__}, __all__=_public.__all__)
