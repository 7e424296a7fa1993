"""Names and words as people write them, in any script and in any form."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner

from todo import BadInput, Entry, InvalidListName, TodoServer, check_list_name, open_system
from todo.cli import main
from todo.folder import Folder
from todo.operations import AddEntries
from todo.text import MAX_WORDS
from trio_genserver.pools import stable_hash

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


@pytest.mark.parametrize(
    "name",
    [FAMILY, SCOTLAND, "\u2764\ufe0f", "\U0001fae8", "می\u200cکنم", "क्\u200dष", "ไทย\u200bไทย", "東京"],
)
def test_names_can_have_the_characters_that_people_write(name: str) -> None:
    assert check_list_name(name) == name


@pytest.mark.parametrize("wrong", ["\u202e", "\u2066", "\u2028", "\x07", "\x1b", "\n", "\ud83d", "\ufeff"])
def test_characters_that_change_how_a_line_reads_are_refused(wrong: str) -> None:
    with pytest.raises(InvalidListName, match="a name cannot have") as caught:
        check_list_name(f"a{wrong}b")
    assert wrong not in str(caught.value)


def test_names_are_compared_in_one_form() -> None:
    assert check_list_name("Ka\u0308se") == "Käse"
    assert check_list_name("a\u00a0b") == "a b"


async def test_lists_are_the_same_in_each_form_and_those_stored_in_another_are_found(tmp_path: Path) -> None:
    old = unicodedata.normalize("NFD", "Käse")
    with Folder.open(tmp_path / "db", workers=3) as folder:
        for stored in (old, unicodedata.normalize("NFD", "Zoë"), "Zoë"):
            with folder.open_shard(stable_hash(stored) % 3) as shard:
                entry = Entry(id=1, title=f"{len(stored)} characters")
                assert shard.apply([AddEntries(stored, (entry,))]) == [None]
    for _ in range(2):
        async with open_system(tmp_path / "db") as system:
            for form in (old, "Käse"):
                assert (await system.call(form, TodoServer.entry(1))) == Entry(id=1, title="5 characters")
            await system.call("Käse", TodoServer.add_entry(Entry(title="more")))
            # Two that are told apart by nothing else stay two.
            assert (await system.call("Zoë", TodoServer.entry(1))) == Entry(id=1, title="3 characters")
            other = await system.call(unicodedata.normalize("NFD", "Zoë"), TodoServer.entry(1))
            assert other == Entry(id=1, title="4 characters")
            assert await system.database.has_list("Käse")
            await system.call("Ma\u0308use", TodoServer.add_entry(Entry(title="new")))
            assert "Mäuse" in [summary.name for summary in await system.database.lists()]
    async with open_system(tmp_path / "db") as system:
        assert len(await system.database.lists()) == 4


TITLES = [
    "明日東京に行く",
    "買い物リスト",
    "ไปตลาดพรุ่งนี้",
    f"plan {FAMILY} trip",
    "हिन्दी सीखना",
    "Cafe\u0301 au lait",
    "한국어 공부",
    "Urgent\u203c\ufe0f call \u2049 10\u2030 \u00a7 12 \u2022",
]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("東京", 0),
        ("行", 0),
        ("リスト", 1),
        ("ตลาด", 2),
        ("พรุ่งนี้", 2),
        (FAMILY, 3),
        (f"{FAMILY} plan", 3),
        ("हिन्दी", 4),
        ("Café", 5),
        ("cafe lai", 5),
        (unicodedata.normalize("NFD", "한국"), 6),
        ("\u203c", 7),
        ("\u203c\ufe0f", 7),
        ("\u2049", 7),
        ("\u2030", 7),
        ("\u00a7 12", 7),
        ("\u2022", 7),
        ("urgent !!", 7),
        ("京東", None),
        ("!!", None),
        ("\ufe0f", None),
        ("\U0001f468\u200d\U0001f467", None),
    ],
)
async def test_words_are_found_inside_of_scripts_without_spaces(
    tmp_path: Path, words: str, found: int | None
) -> None:
    async with open_system(tmp_path / "db", workers=2) as system:
        for number, title in enumerate(TITLES):
            await system.call(f"list {number}", TodoServer.add_entry(Entry(title=title)))
        titles = [one.entry.title for one in await system.database.search(words)]
        assert titles == ([] if found is None else [TITLES[found]])


def test_a_limit_that_cuts_says_so_and_overrides_are_shown_by_number(tmp_path: Path) -> None:
    def todo(*words: str) -> tuple[str, str]:
        result = CliRunner().invoke(main, ["--folder", str(tmp_path / "db"), *words])
        return result.stdout, result.stderr

    for number in range(3):
        todo("add", "list", f"milk {number} \u202etxt")
    shown, said = todo("search", "milk", "--limit", "2")
    assert len(shown.splitlines()) == 2
    assert "more than 2" in said
    assert todo("search", "milk", "--limit", "3")[1] == ""
    assert "\\u202etxt" in shown
    assert "\u202e" not in shown


def test_punctuation_alone_is_nothing_to_search_for(tmp_path: Path) -> None:
    CliRunner().invoke(main, ["--folder", str(tmp_path / "db"), "add", "list", "milk!!"])
    for words in ("!!", '"', "- \u2014", "\ufe0f"):
        result = CliRunner().invoke(main, ["--folder", str(tmp_path / "db"), "search", "--", words])
        assert (result.exit_code, result.stdout) == (0, "")
        assert "nothing to search for" in result.stderr
    for words in ("milk !!", "nowhere"):
        result = CliRunner().invoke(main, ["--folder", str(tmp_path / "db"), "search", "--", words])
        assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("word", ["w", "\u6771", "\u00a7"])
async def test_as_many_words_as_there_may_be_are_searched_and_no_more(tmp_path: Path, word: str) -> None:
    words = [word * length for length in range(1, MAX_WORDS + 2)]
    async with open_system(tmp_path / "db", workers=2) as system:
        await system.call("list", TodoServer.add_entry(Entry(title=words[MAX_WORDS - 1])))
        most = " ".join(words[:MAX_WORDS])
        assert len(await system.database.search(most)) == 1
        # The same ones again are no more.
        assert len(await system.database.search(f"{most} {most}")) == 1
        with pytest.raises(BadInput, match=f"at most {MAX_WORDS} words.*not {MAX_WORDS + 1}"):
            await system.database.search(" ".join(words))


@pytest.mark.parametrize("words", ["\udcff", "milk a\udcff"])
async def test_search_words_that_are_not_text_are_refused_at_once(tmp_path: Path, words: str) -> None:
    async with open_system(tmp_path / "db", workers=2) as system:
        with pytest.raises(BadInput, match="half a surrogate"):
            await system.database.search(words)
