"""What mypy and pyright make of programs that use servers: of right ones nothing, of each mistake an error.

The samples are in tests/typing, and are not part of what `make check` checks: half of them are wrong. Each
checker reads them all in one process.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "typing"

# What a checker reported: file and line, and the codes or rules of the errors there.
Errors = dict[tuple[str, int], set[str]]


def marked(checker: str) -> dict[tuple[str, int], str]:
    """The lines that must fail under `checker`, each with the code of its error."""
    lines: dict[tuple[str, int], str] = {}
    for path in sorted(SAMPLES.glob("*.py")):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            found = re.search(rf"# error: .*\b{checker}\[([\w-]+)\]", line)
            if found is not None:
                lines[path.name, number] = found[1]
    return lines


def run(*command: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, encoding="utf-8"
    )
    # 1: there are errors. Anything else, and the checker itself has failed.
    assert finished.returncode == 1, finished.stdout + finished.stderr
    return finished.stdout


def mypy() -> Errors:
    errors: Errors = defaultdict(set)
    output = run(
        "mypy",
        "--strict",
        "--no-pretty",
        "--no-error-summary",
        "--hide-error-context",
        *(str(path) for path in sorted(SAMPLES.glob("*.py"))),
    )
    for line in output.splitlines():
        found = re.fullmatch(r"(.+):(\d+): (error|note): (?:.*\[([\w-]+)\])?.*", line)
        assert found is not None, line
        if found[3] == "error":
            errors[Path(found[1]).name, int(found[2])].add(found[4])
    return errors


def pyright() -> Errors:
    errors: Errors = defaultdict(set)
    # A project of its own, with its strictness: the settings of ours leave these files out.
    output = run("pyright", "--project", str(SAMPLES), "--pythonpath", sys.executable, "--outputjson")
    for diagnostic in json.loads(output)["generalDiagnostics"]:
        line = diagnostic["range"]["start"]["line"] + 1
        errors[Path(diagnostic["file"]).name, line].add(diagnostic["rule"])
    return errors


@pytest.mark.parametrize("check", [mypy, pyright])
def test_mistakes_with_servers_are_type_errors_and_nothing_else_is(check: Callable[[], Errors]) -> None:
    # OTP 177
    expected = marked(check.__name__)
    assert len(expected) > 30
    found = check()
    assert set(found) == set(expected)
    # An error has consequences, so there may be more than the one that was meant.
    wrong = {place: codes for place, codes in found.items() if expected[place] not in codes}
    assert not wrong
