"""Failing runs, kept in a file, to be tried first next time.

While a bug is being mended, the schedule that shows it is worth more than a thousand new ones. The file
is JSON: for each scenario, by module and name (or a test's id), the tokens of its failing runs. A token
that no longer fails is forgotten, whether the bug is mended or the program has changed.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sim._run import arguments
from sim._run.errors import WrongUse


@dataclass(frozen=True)
class FailuresOf:
    """Where the failing runs of one scenario are kept that goes by another name than its function's.

    Attributes:
        path: the file.
        key: what the scenario goes by there.

    Raises:
        WrongType: one of them is of a wrong type.
    """

    path: str | os.PathLike[str]
    key: str

    def __post_init__(self) -> None:
        arguments.file_path("path", self.path)
        arguments.text("key", self.key)


class FailureDatabase:
    """The tokens of failing runs.

    Args:
        path: the file; it is made when there is something to be kept.

    Raises:
        WrongUse: the file is there and is none of this kind.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._tokens = self._read()
        self._changed: set[str] = set()

    def _read(self) -> dict[str, list[str]]:
        try:
            content: Any = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            content = None
        if not _is_database(content):
            raise WrongUse(f"{self._path} is not a file of failing runs; remove or rename it")
        found: dict[str, list[str]] = content
        return found

    def tokens(self, scenario: str) -> list[str]:
        """The failing runs known of a scenario, the last found first."""
        return list(self._tokens.get(scenario, ()))

    def add(self, scenario: str, token: str) -> None:
        """Keep a failing run."""
        tokens = self._tokens.setdefault(scenario, [])
        if token not in tokens:
            tokens.insert(0, token)
            self._changed.add(scenario)

    def remove(self, scenario: str, token: str) -> None:
        """Forget a run that no longer fails."""
        tokens = self._tokens.get(scenario, [])
        if token in tokens:
            tokens.remove(token)
            self._changed.add(scenario)
        if not tokens:
            self._tokens.pop(scenario, None)

    def save(self) -> None:
        """Write the file; it is whole at any time, also for another process that reads it.

        Keep what other processes have written about other scenarios meanwhile: several may be testing at
        once.
        """
        if not self._changed:
            return
        everything = self._read()
        for scenario in self._changed:
            everything.pop(scenario, None)
            if scenario in self._tokens:
                everything[scenario] = self._tokens[scenario]
        self._changed.clear()
        self._tokens = everything
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        fresh.write_text(json.dumps(self._tokens, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        fresh.replace(self._path)


def _is_database(content: Any) -> bool:
    if not isinstance(content, dict):
        return False
    entries: dict[Any, Any] = cast("Any", content)
    return all(_is_list_of_tokens(tokens) for tokens in entries.values())


def _is_list_of_tokens(tokens: Any) -> bool:
    if not isinstance(tokens, list):
        return False
    entries: list[Any] = cast("Any", tokens)
    return all(isinstance(token, str) for token in entries)
