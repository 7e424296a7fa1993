"""What CI tries is what the package declares, and what the package imports is declared."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
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


def imported_at_run_time(tree: ast.AST) -> Iterator[str]:
    """The packages that ``tree`` imports, wherever it does so, but not those for type checkers alone."""
    match tree:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return
        case ast.Import(names=names):
            yield from (name.name.partition(".")[0] for name in names)
        case ast.ImportFrom(module=str(module), level=0):
            yield module.partition(".")[0]
        case _:
            for below in ast.iter_child_nodes(tree):
                yield from imported_at_run_time(below)


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = {"trio_genserver", "todo", "sim"}
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *(line for lines in extras.values() for line in lines)]
    names = {re.split("[<>=]", line)[0].removesuffix("-api").replace("-", "_") for line in declared}
    for package in own:
        for file in (ROOT / package).rglob("*.py"):
            imported = set(imported_at_run_time(ast.parse(file.read_text(encoding="utf-8"))))
            assert imported - own - sys.stdlib_module_names <= names, file
