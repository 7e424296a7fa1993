"""What CI tries is what the package declares."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def pinned(requirements: str, package: str) -> str:
    text = (ROOT / "requirements" / requirements).read_text(encoding="utf-8")
    (version,) = re.findall(rf"^{package}==(\S+)", text, re.MULTILINE)
    return str(version)


def test_oldest_trio_that_is_tried_is_the_oldest_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (declared,) = (line for line in project["dependencies"] if line.startswith("trio"))
    oldest = pinned("trio-oldest.txt", "trio").removesuffix(".0")
    assert declared == f"trio>={oldest}"
    assert pinned("run.txt", "trio") != pinned("trio-oldest.txt", "trio")


def test_pins_name_packages_and_no_place_to_get_them_from() -> None:
    for file in (ROOT / "requirements").rglob("*.txt"):
        text = file.read_text(encoding="utf-8")
        assert "://" not in text, file
        assert set(re.findall(r"^[^#]*?(?<!\S)(-[-\w]+)", text, re.MULTILINE)) == {"--hash"}, file
        assert text.count("--hash=sha256:") >= text.count("=="), file
