"""A to-do system to trust with one's data: a server a list, SQLite behind a fixed pool of workers.

The public names are listed in `todo._public`. Everything is imported when the first of them is asked for: the
`todo` command, a module of this package, hears of Ctrl-C before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._public import *  # noqa: F403 - that module is the list of them
    from ._public import __all__ as __all__
else:
    import importlib
    import os
    import pkgutil

    _MODULES = frozenset(module.name for module in pkgutil.iter_modules([os.path.dirname(__file__)]))

    def __getattr__(name):
        if name in _MODULES:
            return importlib.import_module(f"{__name__}.{name}")
        if name == "__all__" or not name.startswith("_"):
            _load()
            if name in globals():
                return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        _load()
        return sorted(globals())

    def _load():
        from . import _public

        globals().update({name: getattr(_public, name) for name in _public.__all__}, __all__=_public.__all__)
