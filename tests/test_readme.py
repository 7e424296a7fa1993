"""The code of the README and of the manual runs as it stands, each block in a process of its own.

A block that does not begin with its imports is an excerpt.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def _blocks() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for page in PAGES:
        codes = re.findall(r"```python\n((?:import|from) .*?)```", page.read_text("utf-8"), re.DOTALL)
        found += [(f"{page.stem} {number}", code) for number, code in enumerate(codes, 1)]
    return found


@pytest.mark.parametrize(("title", "code"), _blocks(), ids=[title for title, _ in _blocks()])
def test_every_block_of_the_manual_runs(title: str, code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{title}:\n{done.stderr}"
    assert done.stdout, f"{title} prints nothing"
