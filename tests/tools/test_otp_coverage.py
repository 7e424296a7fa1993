from __future__ import annotations

from pathlib import Path

import pytest

from tools.otp_coverage import main, measure, read_rows

TABLE = """
| # | suite | tests there | what it holds a server to | mark | why not |
|---|---|---|---|---|---|
| 1 | a_SUITE | start | it starts | must |  |
| 2 | a_SUITE | stop | it stops | must |  |
| 3 | a_SUITE | hop | it hops | should |  |
| 4 | a_SUITE | skip | it skips | should | it has no legs |
| 5 | a_SUITE | node | it is elsewhere | n-a | one place |
"""


def _numbers(source: str) -> tuple[list[int], list[int], bool]:
    coverage = measure(TABLE, [("test_it.py", source)])
    return sorted(coverage.tests), [row.number for row in coverage.missing()], coverage.holds


def test_must_rows_and_should_rows_without_a_reason_are_missing() -> None:
    assert _numbers("") == ([], [1, 2, 3], False)


def test_a_comment_may_name_several_rows_and_stand_on_or_inside_a_test() -> None:
    source = "def test_a():  # OTP 1, 2\n    pass\n\nasync def test_b():\n    # OTP 3: hops\n    pass\n"
    assert _numbers(source) == ([1, 2, 3], [], True)


def test_several_numbers_may_each_say_otp() -> None:
    assert _numbers("def test_a():  # OTP 1, OTP 2\n    pass\n")[0] == [1, 2]


def test_a_text_that_is_not_a_comment_covers_nothing() -> None:
    assert _numbers("def test_a():\n    return '# OTP 1'\n")[0] == []


def test_a_comment_outside_of_a_test_is_an_error() -> None:
    coverage = measure(TABLE, [("test_it.py", "# OTP 1\ndef helper():  # OTP 2\n    pass\n")])
    assert not coverage.tests
    assert coverage.misplaced == [
        "test_it.py:1: the comment is on no test function",
        "test_it.py:2: the comment is on no test function",
    ]


def test_a_number_that_is_in_no_row_is_an_error() -> None:
    source = "def test_a():  # OTP 1, 2, 3, 99\n    pass\n"
    coverage = measure(TABLE, [("test_it.py", source)])
    assert coverage.misplaced == ["test_it.py:1: there is no row 99"]
    assert not coverage.missing()
    assert not coverage.holds


@pytest.mark.parametrize(
    "row",
    [
        "| 6 | a | b | c | maybe |  |",
        "| 6 | a | b | c | must |",
        "| 1 | a | b | c | must |  |",
    ],
)
def test_a_row_that_cannot_be_read_is_an_error(row: str) -> None:
    with pytest.raises(ValueError, match="row"):
        read_rows(f"{TABLE}{row}\n")


@pytest.mark.parametrize(("rows", "status"), [("1, 2", 1), ("1, 2, 3", 0)])
def test_the_exit_status_says_whether_the_list_is_covered(
    rows: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "table.md").write_text(TABLE, "utf-8")
    (tmp_path / "test_it.py").write_text(f"def test_a():  # OTP {rows}\n    pass\n", "utf-8")
    assert main(["--table", str(tmp_path / "table.md"), "--tests", str(tmp_path), "--all"]) == status
    printed = capsys.readouterr().out
    assert "must: 2 of 2 rows have a test" in printed
    assert ("missing: row 3" in printed) == (status == 1)
    assert "no test: it has no legs" in printed


def test_the_list_of_this_repository_can_be_read_and_is_whole() -> None:
    rows = read_rows((Path(__file__).parents[2] / "docs" / "otp-conformance.md").read_text("utf-8"))
    assert list(rows) == list(range(1, 178))
    assert {row.mark for row in rows.values()} == {"must", "should", "n-a"}
    assert all(row.why_not for row in rows.values() if row.mark == "n-a")
