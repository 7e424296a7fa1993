"""The files that come with the demo can be read, and its first half finds everything again."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def demo() -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / "demo.py"))


@pytest.mark.parametrize(("file", "least", "lists"), [("todo.txt", 200, 10), ("allotment.csv", 10, 3)])
def test_every_entry_of_an_example_comes_back_after_a_restart(
    demo: dict[str, Any],
    file: str,
    least: int,
    lists: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    demo["store_and_restart"](EXAMPLES / file, tmp_path / "db")
    said = capsys.readouterr().out
    assert "skipped" not in said
    listed = demo["read"](EXAMPLES / file)
    assert len(listed) >= least
    assert len({name for name, _ in listed}) >= lists
    assert f"{len(listed)} of {len(listed)} entries came back" in said


def test_a_file_that_cannot_be_used_is_exit_code_2(
    demo: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.txt").write_text("")
    for file in ("empty.txt", "missing.txt", "what.xls"):
        assert demo["main"]([str(tmp_path / file)]) == 2
        assert file in capsys.readouterr().err
