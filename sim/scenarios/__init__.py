"""Where the scenarios that came with `sim` were. They are in `examples`, a folder of the repository.

For one release, `sim.scenarios.NAME` is another name of the module `examples.NAME`, and importing it warns.
The folder is not part of an installed package: without a checkout, there is nothing to import.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Final

__all__ = ["EXAMPLES", "examples_folder"]

EXAMPLES: Final = "examples"
"""The name of the package."""

_FOLDER: Final = Path(__file__).resolve().parents[2] / EXAMPLES


def examples_folder() -> str | None:
    """Where the examples are; None if they cannot be imported, or another package of the name would be."""
    spec = importlib.util.find_spec(EXAMPLES)
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    return next((place for place in places if Path(place).resolve() == _FOLDER), None)


class _OldNames(MetaPathFinder, Loader):
    """Makes an old name one more name of the same module, so that there are no two of anything in it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{__name__}."):
            return None
        new = _new_name(fullname)
        if examples_folder() is None:
            raise ModuleNotFoundError(
                f"{fullname} is now {new}, which is not installed with sim but lies in its repository, in "
                f"the folder {EXAMPLES}; run this in a checkout",
                name=new,
            )
        return None if importlib.util.find_spec(new) is None else ModuleSpec(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        new = _new_name(old)
        # Shown to who types the name on a command line, too, which a DeprecationWarning is not.
        warnings.warn(
            f"{old} is now {new}; the old name goes with the next release", FutureWarning, stacklevel=2
        )
        sys.modules[old] = importlib.import_module(new)


def _new_name(old: str) -> str:
    return f"{EXAMPLES}{old.removeprefix(__name__)}"


# First in the list: else a module of a package with an old name would be found in that, and loaded again.
sys.meta_path.insert(0, _OldNames())
