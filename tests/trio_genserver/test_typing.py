"""Both type checkers accept the right use of servers, and reject the wrong use, line by line.

The samples are no tests: they are never run. `wrong_use.py` marks each line that must be rejected.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = ("right_use.py", "wrong_use.py")


def marked(sample: str) -> set[int]:
    text = (ROOT / "tests" / "typing" / sample).read_text("utf-8")
    return {number for number, line in enumerate(text.splitlines(), 1) if "# rejected: " in line}


def _run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    # 1 is "there are errors"; everything else is a checker that did not do its work.
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def mypy(_folder: Path) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {sample: set() for sample in SAMPLES}
    paths = [f"tests/typing/{sample}" for sample in SAMPLES]
    output = _run("mypy", "--strict", "--no-error-summary", "--hide-error-context", *paths)
    for path, line in re.findall(r"^(.+?):(\d+): error: ", output, re.MULTILINE):
        found.setdefault(Path(path).name, set()).add(int(line))
    return found


def pyright(folder: Path) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {sample: set() for sample in SAMPLES}
    # A project of its own: that of the repository leaves the samples out, since they are to fail.
    for sample in SAMPLES:
        shutil.copy(ROOT / "tests" / "typing" / sample, folder)
    project = folder / "pyrightconfig.json"
    settings = {"include": list(SAMPLES), "extraPaths": [str(ROOT)], "typeCheckingMode": "strict"}
    project.write_text(json.dumps(settings), "utf-8")
    command = ("pyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(project))
    report = json.loads(_run(*command))
    assert report["summary"]["filesAnalyzed"] == len(SAMPLES)
    for problem in report["generalDiagnostics"]:
        line = int(problem["range"]["start"]["line"]) + 1
        found.setdefault(Path(problem["file"]).name, set()).add(line)
    return found


@pytest.mark.parametrize("check", [mypy, pyright])
def test_wrong_messages_arguments_and_replies_are_rejected_and_nothing_else(  # OTP 177
    check: Callable[[Path], dict[str, set[int]]], tmp_path: Path
) -> None:
    assert len(marked("wrong_use.py")) > 15
    assert check(tmp_path) == {"right_use.py": set[int](), "wrong_use.py": marked("wrong_use.py")}
