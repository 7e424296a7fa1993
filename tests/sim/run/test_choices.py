"""A token carries exactly the choices it was made from, and says when it cannot."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import InvalidToken, ReplayDiverged
from sim._run.choices import VERSION, ChoiceLog, TokenReader

choices = st.integers(2, 300).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n)))


def log_of(pairs: list[tuple[int, int]]) -> ChoiceLog:
    log = ChoiceLog()
    for index, alternatives in pairs:
        log.add(index, alternatives)
    return log


@given(st.lists(choices | st.tuples(st.just(0), st.integers(2, 5)), max_size=200))
def test_token_gives_back_the_choices_it_was_made_from(pairs: list[tuple[int, int]]) -> None:
    reader = TokenReader(log_of(pairs).token())
    assert [reader.next(alternatives) for _, alternatives in pairs] == [i for i, _ in pairs]
    reader.finish()


def test_token_answers_zero_after_its_last_choice() -> None:
    reader = TokenReader(log_of([(1, 2)]).token())
    assert [reader.next(2) for _ in range(50)] == [1] + [0] * 49
    reader.finish()


def test_token_of_a_quiet_run_is_four_characters_however_long_the_run() -> None:
    assert len(log_of([(0, 7)] * 10_000).token()) == 4


def test_token_with_few_choices_that_matter_stays_short_in_a_long_run() -> None:
    pairs = [(0, 3)] * 5_000
    pairs[17] = pairs[900] = pairs[4_500] = (2, 3)
    assert len(log_of(pairs).token()) <= 20


def test_token_of_a_random_walk_needs_one_character_for_six_bits_of_choice() -> None:
    rng = random.Random(1)
    pairs = [(rng.randrange(4), 4) for _ in range(300)]
    assert len(log_of(pairs).token()) <= 4 + 600 / 5.9


@pytest.mark.parametrize("token", ["", "1", "1r0", "1r-00", "nonsense at all", "1x000", "1rä00"])
def test_malformed_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken):
        TokenReader(token)


def test_token_of_another_version_is_refused_by_its_version() -> None:
    token = log_of([(1, 2)]).token()
    assert token.startswith(VERSION)
    with pytest.raises(InvalidToken, match="version 9"):
        TokenReader("9" + token[1:])


def test_cut_off_sparse_token_is_refused() -> None:
    pairs = [(0, 3)] * 2_000
    pairs[1_500] = (2, 3)
    token = log_of(pairs).token()
    assert token[1] == "s"
    with pytest.raises(InvalidToken, match="cut off"):
        TokenReader(token[:3] + token[-2:])


def test_replay_of_a_program_with_fewer_alternatives_says_where() -> None:
    pairs = [(0, 3)] * 100 + [(2, 3)]
    reader = TokenReader(log_of(pairs).token())
    for _ in range(100):
        reader.next(3)
    with pytest.raises(ReplayDiverged) as caught:
        reader.next(2)
    assert caught.value.choice == 100


def test_replay_of_a_program_with_other_alternatives_is_noticed_at_the_end() -> None:
    reader = TokenReader(log_of([(1, 2), (1, 2)]).token())
    reader.next(3)
    reader.next(3)
    with pytest.raises(ReplayDiverged):
        reader.finish()


def test_replay_that_ends_before_its_token_is_noticed() -> None:
    pairs = [(0, 3)] * 300 + [(2, 3)]
    reader = TokenReader(log_of(pairs).token())
    reader.next(3)
    with pytest.raises(ReplayDiverged):
        reader.finish()
