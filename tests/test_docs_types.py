"""Every block of Python in the README and the manual passes both type checkers, as strict as they are.

All blocks are checked in one run of a checker. Whether those that are whole run is what test_readme asks.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

SETTINGS = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT)]}


def write_blocks(folder: Path) -> int:
    """Each block in a file of its own, on the lines that it has on its page; how many there are."""
    count = 0
    for page in PAGES:
        text = page.read_text("utf-8")
        for number, block in enumerate(
            re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE), 1
        ):
            name = f"{page.stem.replace('-', '_')}_{number}.py"
            lines_before = "\n" * text.count("\n", 0, block.start(1))
            (folder / name).write_text(lines_before + block[1], "utf-8")
            count += 1
    return count


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )


def test_every_block_passes_mypy(tmp_path: Path) -> None:
    assert write_blocks(tmp_path) > 15
    done = run("mypy", "--strict", *map(str, sorted(tmp_path.glob("*.py"))))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.torture
def test_every_block_passes_pyright(tmp_path: Path) -> None:
    assert write_blocks(tmp_path) > 15
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(SETTINGS), "utf-8")
    done = run("pyright", "--project", str(tmp_path), "--pythonpath", sys.executable)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_block_that_is_wrong_fails(tmp_path: Path) -> None:
    write_blocks(tmp_path)
    page = next(tmp_path.glob("supervision_1.py"))
    wrong = page.read_text("utf-8").replace("100 / self.port", "str(self.port)")
    page.write_text(wrong, "utf-8")
    done = run("mypy", "--strict", str(page))
    assert done.returncode == 1
    line = wrong.splitlines().index("        return str(self.port)") + 1
    assert f"supervision_1.py:{line}: error" in done.stdout
    assert (
        "str(self.port)" not in (ROOT / "docs" / "supervision.md").read_text("utf-8").splitlines()[line - 1]
    )
    assert "100 / self.port" in (ROOT / "docs" / "supervision.md").read_text("utf-8").splitlines()[line - 1]
