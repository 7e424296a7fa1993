"""The README's code runs as it stands, each block in a process of its own, as a reader would run it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(
    r"^## (Thirty[^\n]*)|```python\n(.*?)```",
    (ROOT / "README.md").read_text("utf-8"),
    re.DOTALL | re.MULTILINE,
)


def _titled() -> list[tuple[str, str]]:
    title, found = "", list[tuple[str, str]]()
    for heading, code in BLOCKS:
        if heading:
            title = heading
        else:
            found.append((f"{title} {len(found) + 1}", code))
    return found


@pytest.mark.parametrize(("title", "code"), _titled(), ids=[title for title, _ in _titled()])
def test_every_block_of_the_readme_runs(title: str, code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{title}:\n{done.stderr}"
    assert done.stdout, f"{title} prints nothing"
