"""The formats: what was written comes back, and a bad line is named."""

from __future__ import annotations

import csv
import datetime
import json
import time
from datetime import date
from typing import Any

import icalendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from todo import BadInput, BadLine, Entry, InvalidListName
from todo.formats import READERS, WRITERS, Listed, format_of, todo_txt
from todo.formats.icalendar import write as write_icalendar
from todo.import_export import with_lists

words = st.one_of(
    st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=8),
    st.sampled_from(
        [
            "x",
            "(A)",
            "2023-12-19",
            "due:2023-12-19",
            "pri:B",
            "list:home",
            "created:2020-01-01",
            "\\x",
            "\\\\(A)",
            "\\due:1",
            "+project",
            '"',
            ",",
            "\\",
            "due:",
            "due:tomorrow",
            "due:2023-12-19T10:00",
            "\\due:tomorrow",
            "pri:b",
            "created:once",
            "\ufeff",
            "\ufefflist:home",
            "pri:low",
        ]
    ),
)
titles = st.lists(words, min_size=1, max_size=5).map(" ".join).filter(lambda title: title.strip())
dates = st.none() | st.dates()
names = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=10),
    st.sampled_from(["home", "at work", "100 %", "a+b", "c:d"]),
)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    done = draw(st.booleans())
    return Entry(
        title=draw(titles),
        date=draw(dates),
        done=done,
        priority=draw(st.none() | st.sampled_from("ABZ")),
        created_on=draw(dates),
        completed_on=draw(dates) if done else None,
    )


@pytest.mark.parametrize("name", sorted(READERS))
@given(listed=st.lists(st.builds(Listed, names, entries()), max_size=4))
def test_written_entries_are_read_back_unchanged(name: str, listed: list[Listed]) -> None:
    assert list(READERS[name](WRITERS[name](listed), "file")) == listed


def one(line: str) -> Listed:
    (listed,) = todo_txt.read(line)
    assert isinstance(listed, Listed), listed
    return listed


def test_todo_txt_reads_common_variants() -> None:
    assert one("(A) 2023-12-01 Call Mom +family @phone due:2023-12-19").entry == Entry(
        title="Call Mom +family @phone", priority="A", created_on=date(2023, 12, 1), date=date(2023, 12, 19)
    )
    assert one("x 2023-12-20 2023-12-01 Call Mom pri:B").entry == Entry(
        title="Call Mom",
        done=True,
        priority="B",
        completed_on=date(2023, 12, 20),
        created_on=date(2023, 12, 1),
    )
    assert one("x 2023-12-20 Call Mom").entry.completed_on == date(2023, 12, 20)
    assert one("xylophone lesson").entry == Entry(title="xylophone lesson")
    assert one("X marks the spot").entry.done is False
    assert one("(a) not a priority").entry.priority is None
    assert one("Really gotta call Mom (A) @phone").entry.priority is None
    assert one("(B)->Submit TPS report").entry.priority is None
    assert one("Email bob@example.com about 1+1=2").entry.projects == ()
    assert one("Buy milk list:at%20the%20shop") == Listed("at the shop", Entry(title="Buy milk"))


# As files from the wild are: written by hand and by several programs, on several systems.
WILD = (
    "\ufeff(A) Thank Anna for the soup @phone\r\n"
    "(B) 2013-12-01 private:false Outline chapter 5 +Novel +Work @Computer @home due:2014-02-17 Level:5 \r\n"
    "x 2014-01-02 (B) 2013-12-30 Priority kept behind the day\r\n"
    "x (C) 2014-01-01 Priority kept before the day\r\n"
    "x 2014-01-03 Not known when it began\r\n"
    "x Only done  \r\n"
    "\r\n"
    "   \t \r\n"
    "   +Garden before  the   words @home\t\t\r\n"
    "2013-12-01 (A) no priority behind a day\r\n"
    "(A) (B) only the first is one\r\n"
    "(A)no blank\r\n"
    "(A) two of them pri:B\r\n"
    "Find it due:soon rec:+1w t:2017-06-09 http://example.com/a:b?c=d 10:30 :x: a: +\r\n"
    "Foo @foóbąr 買い物 ☕ \U0001f600 e\u0301 Not@Context Not+Project\r\n"
    'Say "it", \\back\\slash C:\\new 100% {braces}\r\n'
    "x\r\n"
    "due:2014-02-17 first\r\n"
    "last line without an end due:2014-02-17 due:2014-02-18"
)


def test_todo_txt_of_many_programs_is_read_and_written_without_loss() -> None:
    read = list(todo_txt.read(WILD))
    entries = [item.entry for item in read if isinstance(item, Listed)]
    assert len(entries) == len(read) == 17
    assert entries[1] == Entry(
        title="private:false Outline chapter 5 +Novel +Work @Computer @home Level:5",
        priority="B",
        created_on=date(2013, 12, 1),
        date=date(2014, 2, 17),
    )
    assert (entries[1].projects, entries[1].contexts) == (("Novel", "Work"), ("Computer", "home"))
    assert entries[2] == Entry(
        title="Priority kept behind the day",
        done=True,
        priority="B",
        completed_on=date(2014, 1, 2),
        created_on=date(2013, 12, 30),
    )
    assert entries[3] == Entry(
        title="Priority kept before the day", done=True, priority="C", completed_on=date(2014, 1, 1)
    )
    assert entries[5] == Entry(title="Only done", done=True)
    assert entries[6].title == "+Garden before  the   words @home"
    assert entries[7] == Entry(title="(A) no priority behind a day", created_on=date(2013, 12, 1))
    assert entries[8] == Entry(title="(B) only the first is one", priority="A")
    assert entries[10] == Entry(title="two of them pri:B", priority="A")
    assert entries[11].title.startswith("Find it due:soon rec:+1w t:2017-06-09 http://example.com/a:b?c=d")
    assert entries[11].date is None
    assert entries[13].title == 'Say "it", \\back\\slash C:\\new 100% {braces}'
    assert entries[14] == Entry(title="x")
    assert entries[15] == Entry(title="first", date=date(2014, 2, 17))
    assert entries[16].title == "last line without an end due:2014-02-18"
    for name, reader in READERS.items():
        assert list(reader(WRITERS[name](item for item in read if isinstance(item, Listed)), "file")) == read


def test_a_word_that_only_looks_like_ours_is_written_as_it_is() -> None:
    lines = ["Ask due:tomorrow pri:high created:once", "(A) Ask due:", "x Ask due:2014-02-17T10:00 pri:b"]
    assert todo_txt.write([one(line) for line in lines]).splitlines() == lines


def test_csv_reads_the_output_of_spreadsheets() -> None:
    entry = Entry(title="Milk, bread; eggs", date=date(2023, 12, 19), done=True)
    for text in (
        '\ufeffTitle;Date;Done\r\n"Milk, bread; eggs";2023-12-19;TRUE\r\n;;\r\n',
        'sep=;\r\ntitle;date;done\r\n"Milk, bread; eggs";2023-12-19;yes\r\n',
        "title\tdate\tdone\nMilk, bread; eggs\t2023-12-19\t1\n",
        'title, date, done\n"Milk, bread; eggs", 2023-12-19, x\n\n',
    ):
        assert list(READERS["csv"](text, "file")) == [Listed(None, entry)]


def test_an_unknown_column_is_one_bad_line() -> None:
    bad, *read = READERS["csv"]("title,colour\nMilk,red\nBread,brown\n", "file")
    assert isinstance(bad, BadLine)
    assert bad.line == 1
    assert "unknown field 'colour'" in str(bad)
    assert read == [Listed(None, Entry(title="Milk")), Listed(None, Entry(title="Bread"))]


@pytest.mark.parametrize(
    ("kind", "text", "line", "unit"),
    [
        ("todo.txt", "one\n\nbuy +\u202ex\n", 3, "line"),
        ("csv", 'title\none\n"buy\t+\u202ex"\n', 3, "line"),
        ("json", '[{"title": "one"}, {"title": "buy +\u202ex"}]', 2, "entry"),
    ],
)
def test_a_project_that_names_no_list_is_a_bad_line_in_each_format(
    kind: str, text: str, line: int, unit: str
) -> None:
    read = list(READERS[kind](text, "file"))
    assert all(isinstance(item, Listed) for item in read)
    good, bad = with_lists(read, by_project=True, default_list="default")
    assert isinstance(good, Listed)
    assert good == Listed("default", Entry(title="one"))
    assert isinstance(bad, BadLine)
    assert (bad.source, bad.line, bad.unit) == ("file", line, unit)
    assert "cannot be the name of a list" in bad.why
    # Nobody is asked for the project where it means nothing.
    assert [type(item) for item in with_lists(read)] == [Listed, Listed]
    with pytest.raises(InvalidListName):
        list(with_lists(read, default_list=""))
    with pytest.raises(InvalidListName):
        list(with_lists([Listed(None, Entry(title="buy +\u202ex"))], by_project=True))


def test_a_bad_row_of_several_lines_is_named_by_its_first() -> None:
    read = list(READERS["csv"]('title\none\n"two\nlines"\nthree\n\n"four\n\nfive\n', "file"))
    assert [item.line for item in read if isinstance(item, BadLine)] == [3, 7]
    assert [item.entry.title for item in read if isinstance(item, Listed)] == ["one", "three"]


def test_todo_txt_passes_over_empty_lines_and_names_bad_ones() -> None:
    text = "\ufeffone\r\n\r\n   \ntwo due:2023-02-30\nthree list:%20\nfour\n"
    read = list(todo_txt.read(text, "my.txt"))
    assert [item.entry.title for item in read if isinstance(item, Listed)] == ["one", "four"]
    bad = [item for item in read if isinstance(item, BadLine)]
    assert [(item.source, item.line) for item in bad] == [("my.txt", 4), ("my.txt", 5)]
    assert "not a calendar date: 2023-02-30" in str(bad[0])
    assert "my.txt, line 4" in str(bad[0])


@pytest.mark.parametrize(
    ("name", "text", "line", "why"),
    [
        ("csv", "", 1, "no header"),
        ("csv", "a,b\n1,2\n", 1, "no header"),
        ("csv", "title,done\nMilk,maybe\n", 2, "done must be yes or no, not 'maybe'"),
        ("csv", "title,date\nMilk,tomorrow\n", 2, "date is not a calendar date"),
        ("csv", "sep=;\ntitle;date\nMilk;soon\n", 3, "date is not a calendar date"),
        ("csv", "title\tdate\nMilk\tsoon\n", 2, "date is not a calendar date"),
        ("csv", "title\nMilk,more\n", 2, "2 cells"),
        ("csv", 'title\n"Milk\n', 2, "no CSV"),
        ("csv", "list,title\nhome,\n", 2, "not empty"),
        ("json", "{", 1, "not valid JSON"),
        ("json", "{}", 1, "not an array"),
        ("json", "[5]", 1, "not an object"),
        ("json", '[{"title": "a"}, {"done": true}]', 2, "no title"),
        ("json", '[{"title": "a", "done": 1}]', 1, "True or False"),
        ("json", '[{"title": "a", "list": ""}]', 1, "it is empty"),
    ],
)
def test_bad_row_is_named_with_its_place_and_why(name: str, text: str, line: int, why: str) -> None:
    (bad,) = [item for item in READERS[name](text, "file") if isinstance(item, BadLine)]
    assert bad.line == line
    assert why in str(bad)


def test_icalendar_has_a_todo_for_each_entry() -> None:
    listed = [
        Listed("home", Entry(title="Milk; eggs, bread", date=date(2023, 12, 19), priority="B", id=1)),
        Listed(None, Entry(title="Done", done=True, completed_on=date(2023, 12, 20), id=2)),
    ]
    calendar: Any = icalendar.Calendar
    first, second = calendar.from_ical(WRITERS["icalendar"](listed)).walk("VTODO")
    assert str(first["SUMMARY"]) == "Milk; eggs, bread"
    assert first.decoded("DUE") == date(2023, 12, 19)
    assert first["STATUS"] == "NEEDS-ACTION"
    assert first["PRIORITY"] == 2
    assert second["STATUS"] == "COMPLETED"
    # Noon, here: the same day for who reads it half a world away.
    assert second.decoded("COMPLETED").astimezone() == datetime.datetime(2023, 12, 20, 12).astimezone()
    again = calendar.from_ical(WRITERS["icalendar"](listed)).walk("VTODO")
    assert again[0]["UID"] == first["UID"] != second["UID"]


def test_ending_names_the_format() -> None:
    assert [format_of(f"a/b.{end}") for end in ("txt", "CSV", "json", "ics")] == [
        "todo.txt",
        "csv",
        "json",
        "icalendar",
    ]
    with pytest.raises(BadInput, match="--format"):
        format_of("notes")


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Pacific/Auckland", "Asia/Kolkata"])
def test_icalendar_says_the_day_on_which_it_was_done_to_a_reader_where_it_was_done(
    monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        day = date(2026, 3, 8)
        entry = Entry(title="Done", done=True, created_on=day, completed_on=day, id=2)
        calendar: Any = icalendar.Calendar
        (todo,) = calendar.from_ical(WRITERS["icalendar"]([Listed("home", entry)])).walk("VTODO")
        for hours in (-11, 0, 11):
            near = datetime.timedelta(hours=hours)
            assert (todo.decoded("COMPLETED").astimezone() + near).date() == day
            assert (todo.decoded("CREATED").astimezone() + near).date() == day
    finally:
        monkeypatch.undo()
        time.tzset()


def test_an_icalendar_uid_is_stable_over_edits_and_unique_over_folders() -> None:
    def uid(entry: Entry, name: str = "home", origin: str = "a") -> str:
        calendar: Any = icalendar.Calendar
        (todo,) = calendar.from_ical(write_icalendar([Listed(name, entry)], origin)).walk("VTODO")
        return str(todo["UID"])

    entry = Entry(title="Milk", id=1)
    assert uid(entry) == uid(entry.with_title("Bread").with_date(date(2026, 1, 1)).as_done())
    assert len({uid(entry), uid(entry.with_id(2)), uid(entry, "work"), uid(entry, origin="b")}) == 4


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '[{"title": ' + "[" * 900 + "]" * 900 + "}]", "[" * 900 + "]" * 900]
)
def test_json_that_is_nested_deeply_is_a_bad_line(text: str) -> None:
    (bad,) = READERS["json"](text, "deep.json")
    assert isinstance(bad, BadLine)
    assert len(str(bad)) < 400


def test_an_unknown_field_is_one_bad_line_in_each_format_and_ids_are_assigned_anew() -> None:
    rows = {
        "json": '[{"id": 7, "title": "one", "notes": "x"}, {"id": 8, "title": "two", "notes": "y"}]',
        "csv": "id,title,notes\n7,one,x\n8,two,y\n",
    }
    for kind, text in rows.items():
        bad, *good = READERS[kind](text, "file")
        assert isinstance(bad, BadLine)
        assert "notes" in bad.why
        assert [(one.entry.title, one.entry.id) for one in good if isinstance(one, Listed)] == [
            ("one", 0),
            ("two", 0),
        ]


@pytest.mark.parametrize("text_format", ["todo.txt", "csv", "json"])
def test_a_title_can_begin_with_a_byte_order_mark(text_format: str) -> None:
    listed = [Listed("inbox", Entry(title="\ufefflist:a")), Listed(None, Entry(title="\ufeff b"))]
    for some in (listed, listed[::-1]):
        assert list(READERS[text_format](WRITERS[text_format](some), "file")) == some


@pytest.mark.parametrize("length", [140_000, 3_000_000])
@pytest.mark.parametrize("text_format", ["todo.txt", "csv", "json"])
def test_a_title_that_is_far_too_long_is_one_bad_row(text_format: str, length: int) -> None:
    limit = csv.field_size_limit()
    long = "x" * length
    text = {
        "todo.txt": f"one\n{long}\nthree\n",
        "csv": f'title\none\n"{long}"\nthree\n',
        "json": json.dumps([{"title": "one"}, {"title": long}, {"title": "three"}]),
    }[text_format]
    one, bad, three = READERS[text_format](text, "file")
    assert isinstance(one, Listed)
    assert isinstance(three, Listed)
    assert (one.entry.title, three.entry.title) == ("one", "three")
    assert isinstance(bad, BadLine)
    assert "title" in bad.why
    # Others rely on it.
    assert csv.field_size_limit() == limit


def test_a_long_cell_of_an_unknown_column_is_ignored() -> None:
    long = "x" * 200_000
    found = list(READERS["csv"](f"title,{long}\none,{long}\ntwo,\n", "file"))
    assert [item.entry.title for item in found if isinstance(item, Listed)] == ["one", "two"]
    assert len(found) == 3  # and one line that says that there is no such field


def test_a_malformed_csv_row_is_one_bad_row() -> None:
    text = 'title,list\none,a\n"two"2,a\nthree,a\n"four\n4"4,a\nfive,a\n"six,a\nseven,a\n'
    found = list(READERS["csv"](text, "file"))
    assert [item.entry.title for item in found if isinstance(item, Listed)] == ["one", "three", "five"]
    bad = [(item.line, item.why) for item in found if isinstance(item, BadLine)]
    assert [line for line, _ in bad] == [3, 5, 8]
    assert "from here on" in bad[2][1]
    assert "from here on" not in bad[0][1]
