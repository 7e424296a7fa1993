"""The choices of one run, and the token that names them.

The log does not know what a choice means: it holds, for each, the index that was picked and how many
alternatives there were. A choice with one alternative does not count and is not in it.

A token is short because it goes into commit messages and bug reports. It carries the indices up to
the last one that is not 0 (a replay answers 0 from there on), in the shorter of two codes:

``r`` radix
    The indices as the digits of one number, each in the base of its own choice. No code that takes
    the alternatives as equally likely is shorter: right for what a random walk produced.
``s`` sparse
    Pairs of (how many zeros, the index after them). Right for what shrinking leaves.

Then two characters of checksum over the numbers of alternatives, so that a token given to a
program that has changed is told apart from one that replays. A run with faults has the plan of
them behind a full stop, in plain text.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Final

from sim._run.errors import InvalidToken, ReplayDiverged

VERSION: Final = "1"

# Digits and letters only: a token is selected with a double click and never looks like an option.
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}
_BASE: Final = len(_DIGITS)
_CHECK_LENGTH: Final = 2
# A pair's number below this is one digit; a longer one is announced by how many digits follow.
_SHORT: Final = _BASE - 10


class ChoiceLog:
    """The choices of a run so far.

    ``indices`` and ``alternatives`` have the same length; the kernel appends to both.

    Attributes:
        seed_at: which of them was the choice of a seed for what is random; None if none was.
    """

    __slots__ = ("alternatives", "indices", "seed_at")

    def __init__(self) -> None:
        self.indices: list[int] = []
        self.alternatives: list[int] = []
        self.seed_at: int | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ChoiceLog):
            return NotImplemented
        return self.indices == other.indices and self.alternatives == other.alternatives

    __hash__ = None  # type: ignore[assignment]  # it changes

    def add(self, index: int, alternatives: int) -> None:
        self.indices.append(index)
        self.alternatives.append(alternatives)

    def add_seed(self, index: int, seeds: int) -> None:
        """Add the choice of a seed."""
        self.seed_at = len(self.indices)
        self.add(index, seeds)

    def without_seed(self) -> list[tuple[int, int]]:
        """Index and number of alternatives of all choices but that of a seed, of which a run has one if it
        happens to draw: the first run of a process may, to fill a cache."""
        choices = list(zip(self.indices, self.alternatives, strict=True))
        if self.seed_at is not None:
            del choices[self.seed_at]
        return choices

    def clear(self) -> None:
        self.indices.clear()
        self.alternatives.clear()
        self.seed_at = None

    def copy(self) -> ChoiceLog:
        other = ChoiceLog()
        other.seed_at = self.seed_at
        other.indices = self.indices.copy()
        other.alternatives = self.alternatives.copy()
        return other

    def token(self, faults: str = "") -> str:
        """The token that replays this run.

        Args:
            faults: the code of the fault plan it was made under, "" if there was none.
        """
        end = len(self.indices)
        while end and not self.indices[end - 1]:
            end -= 1
        indices, alternatives = self.indices[:end], self.alternatives[:end]
        code = min("r" + _to_radix(indices, alternatives), "s" + _to_sparse(indices), key=len)
        suffix = f".{faults}" if faults else ""
        return f"{VERSION}{code}{_checksum(alternatives)}{suffix}"


class TokenReader:
    """Gives back the choices of a token, one at a time, as the run asks for them.

    Args:
        token: as made by `ChoiceLog.token`.

    Attributes:
        faults: the code of the fault plan, "" if there was none.

    Raises:
        InvalidToken: it is not of that form, or of another version of it.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        token, _, self.faults = token.partition(".")
        if not token.isascii() or not token.isalnum() or len(token) < 2 + _CHECK_LENGTH:
            raise InvalidToken(token, "a token consists of digits and letters; it may be cut off")
        if token[0] != VERSION:
            raise InvalidToken(
                token,
                f"its format is version {token[0]}, this is version {VERSION}; replay it with "
                "the release that made it",
            )
        code, body, self._check = token[1], token[2:-_CHECK_LENGTH], token[-_CHECK_LENGTH:]
        self._number = 0
        self._pairs: Iterator[tuple[int, int]] | None = None
        if code == "r":
            self._number = _to_number(body)
        elif code == "s":
            # Read to the end here, so that a damaged token is refused before anything runs.
            self._pairs = iter(list(_from_sparse(token, body)))
            self._zeros, self._after = next(self._pairs, (-1, 0))
        else:
            raise InvalidToken(token, f"{code!r} is not a code of this version")
        self._seen: list[int] = []
        self._significant = 0

    def next(self, alternatives: int) -> int:
        """The index to take at a choice among ``alternatives``.

        Raises:
            ReplayDiverged: the recorded index is not among them.
        """
        index = self._next_radix(alternatives) if self._pairs is None else self._next_sparse()
        if index >= alternatives:
            raise ReplayDiverged(
                f"the token takes alternative {index} at choice {len(self._seen)}, where there "
                f"are now {alternatives}: the program has changed since the token was made",
                len(self._seen),
            )
        self._seen.append(alternatives)
        if index:
            self._significant = len(self._seen)
        return index

    def finish(self) -> None:
        """Check, at the end of the run, that it was the run of this token.

        Raises:
            ReplayDiverged: choices are left over, or the checksum differs.
        """
        left = self._number if self._pairs is None else self._zeros >= 0
        if left or _checksum(self._seen[: self._significant]) != self._check:
            raise ReplayDiverged(
                f"the choices of the run differ from those of the token {self._token!r}: the program "
                "has changed since, or depends on something else, such as the order of a set of "
                "strings (PYTHONHASHSEED)",
                None,
            )

    def _next_radix(self, alternatives: int) -> int:
        self._number, index = divmod(self._number, alternatives)
        return index

    def _next_sparse(self) -> int:
        if self._zeros < 0:
            return 0
        if self._zeros > 0:
            self._zeros -= 1
            return 0
        assert self._pairs is not None
        index = self._after
        self._zeros, self._after = next(self._pairs, (-1, 0))
        return index


def _to_radix(indices: Sequence[int], alternatives: Sequence[int]) -> str:
    number = 0
    for index, base in zip(reversed(indices), reversed(alternatives), strict=True):
        number = number * base + index
    return _to_digits(number)


def _to_sparse(indices: Sequence[int]) -> str:
    parts: list[str] = []
    zeros = 0
    for index in indices:
        if index:
            parts += [_pack(zeros), _pack(index)]
            zeros = 0
        else:
            zeros += 1
    return "".join(parts)


def _from_sparse(token: str, body: str) -> Iterator[tuple[int, int]]:
    numbers = list(_unpack(token, body))
    if len(numbers) % 2:
        raise InvalidToken(token, "its last choice is missing; the token may be cut off")
    yield from zip(numbers[::2], numbers[1::2], strict=True)


def _pack(number: int) -> str:
    if number < _SHORT:
        return _DIGITS[number]
    digits = _to_digits(number)
    # Ten digits of base 62 count further than any run makes choices.
    return _DIGITS[_SHORT + len(digits) - 1] + digits


def _unpack(token: str, body: str) -> Iterator[int]:
    position = 0
    while position < len(body):
        value = _VALUES[body[position]]
        position += 1
        if value >= _SHORT:
            digits = body[position : position + value - _SHORT + 1]
            if len(digits) != value - _SHORT + 1:
                raise InvalidToken(token, "a number in it is incomplete; the token may be cut off")
            position += len(digits)
            value = _to_number(digits)
        yield value


def _to_digits(number: int) -> str:
    digits: list[str] = []
    while number:
        number, digit = divmod(number, _BASE)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


def _to_number(digits: str) -> int:
    number = 0
    for digit in digits:
        number = number * _BASE + _VALUES[digit]
    return number


def _checksum(alternatives: Sequence[int]) -> str:
    crc = zlib.crc32(",".join(map(str, alternatives)).encode())
    return _DIGITS[crc % _BASE] + _DIGITS[crc // _BASE % _BASE]
