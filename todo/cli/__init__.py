"""The `todo` command: every command is one call of the library, and says what came of it.

On a terminal it writes for people, with colours; in a pipe plain lines; with ``--json`` one JSON document
for programs. Errors go to standard error. Exit codes: 0 done, 1 it could not be done (no such entry, a
problem found, a bad line in an import), 2 used wrongly or the database cannot be used.
"""

from __future__ import annotations

from . import _entries, _files, _folder  # they add their commands to it
from ._main import main

__all__ = ["main"]

del _entries, _files, _folder
