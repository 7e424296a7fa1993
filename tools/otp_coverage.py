"""Which rows of docs/otp-conformance.md have a test: counted, so that nobody has to believe it.

A test names the rows whose promise it keeps in a comment, ``# OTP 24`` or ``# OTP 24, 25``, on or inside the
test function. This reads the table and the comments, prints the coverage, and exits with 1 if a **must** row
has no test, if a **should** row has neither a test nor a reason, or if a comment names a row that is not in
the table or stands in no test: such a comment looks like a promise and is none.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent

_ROW = re.compile(r"\|\s*(\d+)\s*\|")
_COMMENT = re.compile(r"#\s*OTP\s+(\d+(?:\s*,\s*(?:OTP\s+)?\d+)*)")
_MARKS = ("must", "should", "n-a")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
      mark: ``"must"``, ``"should"`` or ``"n-a"``.
      why_not: the reason for having no test; empty if there is none.
    """

    number: int
    promise: str
    mark: str
    why_not: str


@dataclass(slots=True)
class Coverage:
    """The table, and the tests that were found for it.

    Attributes:
      tests: for each row that has some, its tests as ``path::test``.
      misplaced: what is wrong with comments, one text each.
    """

    rows: dict[int, Row]
    tests: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    misplaced: list[str] = field(default_factory=list[str])

    def missing(self) -> list[Row]:
        """The rows that need a test, or a reason, and have none."""
        return [
            row
            for row in self.rows.values()
            if row.number not in self.tests
            and (row.mark == "must" or (row.mark == "should" and not row.why_not))
        ]

    @property
    def holds(self) -> bool:
        return not self.missing() and not self.misplaced


def read_rows(table: str) -> dict[int, Row]:
    """The rows of the Markdown tables in `table`.

    Raises:
      ValueError: a row has not six cells, a mark of its own, or the number of another.
    """
    rows: dict[int, Row] = {}
    for line in table.splitlines():
        if not _ROW.match(line):
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 6 or cells[4] not in _MARKS:
            raise ValueError(f"a row has number, suite, tests, promise, mark {_MARKS} and reason: {line!r}")
        number = int(cells[0])
        if number in rows:
            raise ValueError(f"row {number} is there twice")
        rows[number] = Row(number, cells[3], cells[4], cells[5])
    return rows


def read_tests(source: str) -> Iterator[tuple[int, str | None, list[int]]]:
    """The ``# OTP`` comments of one file: line, name of the test it belongs to (or None), row numbers."""
    spans: list[tuple[int, int, str]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            spans.append((first, node.end_lineno or first, node.name))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        found = _COMMENT.match(token.string)
        if found is None:
            continue
        line = token.start[0]
        test = next((name for first, last, name in spans if first <= line <= last), None)
        yield line, test, [int(number) for number in re.findall(r"\d+", found[1])]


def measure(table: str, files: Iterable[tuple[str, str]]) -> Coverage:
    """The coverage of `table` by `files`, each a name and a source text."""
    coverage = Coverage(read_rows(table))
    for name, source in files:
        for line, test, numbers in read_tests(source):
            if test is None:
                coverage.misplaced.append(f"{name}:{line}: the comment is on no test function")
                continue
            for number in numbers:
                if number not in coverage.rows:
                    coverage.misplaced.append(f"{name}:{line}: there is no row {number}")
                else:
                    coverage.tests.setdefault(number, []).append(f"{name}::{test}")
    return coverage


def report(coverage: Coverage, *, every_row: bool) -> Iterator[str]:
    """The lines to print."""
    if every_row:
        for row in coverage.rows.values():
            tests = coverage.tests.get(row.number, [])
            yield f"{row.number:>4} {row.mark:<7}{row.promise}"
            yield from (f"             {test}" for test in tests)
            if not tests and row.why_not:
                yield f"             no test: {row.why_not}"
    for mark in _MARKS[:2]:
        of_mark = [row for row in coverage.rows.values() if row.mark == mark]
        tested = sum(row.number in coverage.tests for row in of_mark)
        excused = sum(bool(row.why_not) and row.number not in coverage.tests for row in of_mark)
        text = f"{mark}: {tested} of {len(of_mark)} rows have a test"
        yield text + (f", {excused} a reason for having none" if excused and mark == "should" else "")
    for row in coverage.missing():
        yield f"missing: row {row.number} ({row.mark}): {row.promise}"
    yield from coverage.misplaced


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Which rows of docs/otp-conformance.md have a test.")
    parser.add_argument("--all", action="store_true", help="list every row with its tests")
    parser.add_argument("--table", type=Path, default=ROOT / "docs" / "otp-conformance.md")
    parser.add_argument("--tests", type=Path, default=ROOT / "tests", help="the folder to search")
    options = parser.parse_args(arguments)
    files = (
        (path.relative_to(options.tests).as_posix(), path.read_text("utf-8"))
        for path in sorted(options.tests.rglob("test_*.py"))
    )
    coverage = measure(options.table.read_text("utf-8"), files)
    for line in report(coverage, every_row=options.all):
        print(line)
    return 0 if coverage.holds else 1


if __name__ == "__main__":
    sys.exit(main())
