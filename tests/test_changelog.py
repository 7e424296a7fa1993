"""The changelog is made of fragments, and a release loses none and nothing that was there before."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from textwrap import indent

import pytest

ROOT = Path(__file__).resolve().parents[1]
FRAGMENTS = ROOT / "newsfragments"


def towncrier(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "towncrier", "build", "--version", "98.7.6", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What towncrier reads and writes, outside of the repository."""
    for name in ("pyproject.toml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(FRAGMENTS, tmp_path / "newsfragments")
    return tmp_path


def test_fragments_are_named_as_contributing_says_and_hold_one_entry_each() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["towncrier"]
    types = "|".join(kind["directory"] for kind in settings["type"])
    for fragment in FRAGMENTS.iterdir():
        if fragment.name == "README.md":
            continue
        assert re.fullmatch(rf"\+[a-z0-9]+(-[a-z0-9]+)*\.({types})\.md", fragment.name), fragment.name
        text = fragment.read_text("utf-8")
        assert text.strip(), fragment.name
        assert not re.search(r"^\s*[-*#] |^\s", text, re.MULTILINE), f"{fragment.name} is one plain paragraph"


def test_a_release_loses_nothing(copy: Path) -> None:
    before = (copy / "CHANGELOG.md").read_text("utf-8")
    (copy / "newsfragments/+first.bugfix.md").write_text("todo: a line\nand another.\n", "utf-8")
    (copy / "newsfragments/+second.feature.md").write_text("sim: `code`.\n", "utf-8")
    texts = [file.read_text("utf-8") for file in (copy / "newsfragments").glob("+*")]
    ended = towncrier(copy, "--yes")
    assert ended.returncode == 0, ended.stderr
    after = (copy / "CHANGELOG.md").read_text("utf-8")
    mark = "<!-- towncrier release notes start -->\n\n"
    kept, earlier = before.split(mark)
    assert after.startswith(f"{kept}{mark}## 98.7.6 (")
    assert after.endswith(earlier)
    for text in texts:
        assert indent(text.strip(), "  ").replace("  ", "- ", 1) in after
    assert [file.name for file in (copy / "newsfragments").iterdir()] == ["README.md"]


@pytest.mark.parametrize("name", ["+no-type.md", "+some.novelty.md", "name-without-plus.bugfix.md", "notes"])
def test_a_misnamed_fragment_is_refused(copy: Path, name: str) -> None:
    assert towncrier(copy, "--draft").returncode == 0
    (copy / "newsfragments" / name).write_text("todo: something.\n", "utf-8")
    ended = towncrier(copy, "--draft")
    assert ended.returncode != 0
    assert name.removesuffix(".bugfix.md") in ended.stderr
