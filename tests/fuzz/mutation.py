"""Changes an input: at the level of its bytes, of its lines, and of the words that its format knows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

MAX_BYTES: Final = 64 * 1024
"""Bytes of a mutated input: most faults need few, and a small input makes many runs a second."""
_MAX_CHANGES: Final = 6
_MAX_COPIES: Final = 400
"""Copies of a piece: enough for what is quadratic, or nested too deep, to show."""
_NUMBER: Final = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")
_WORD: Final = re.compile(rb"[A-Za-z_][\w.-]*")
NUMBERS: Final = (
    b"9" * 400,
    b"9" * 5000,
    *b"0 -0 -1 1 1e-9 1e309 -1e309 NaN +Inf -Inf 9007199254740993 18446744073709551616 1e300 0x10 1_0 .5 5. 1e".split(),
)
_STRANGE_CHARS: Final = "\0\r\n\x85\u2028\ufeff\ud800\u00e9\x1f\x7f\u0663\U0001f600\"'\\#{}[(:, "
STRANGE: Final = (
    *(char.encode("utf-8", "surrogatepass") for char in _STRANGE_CHARS),
    b"\r\n", b"\n\n", b"\xff", b"\xc3", b"\x1f\x8b\x08",
)  # fmt: skip


class Mutator:
    """Mutates inputs of one format, whose words are `words`; the same random numbers give the same inputs."""

    def __init__(self, random: Random, words: Sequence[bytes]) -> None:
        self._random = random
        self._words = tuple(words) or (b"a",)
        self._changes: tuple[Callable[[bytes], bytes], ...] = (
            self._insert_word, self._insert_word, self._insert_strange, self._delete, self._flip, self._repeat,
            self._move, self._change_number, self._change_word, self._duplicate_line, self._delete_line,
            self._swap_lines,
        )  # fmt: skip

    def mutate(self, content: bytes, other: bytes) -> bytes:
        """Return a changed input; a piece of `other` may be put into it."""
        if self._random.random() < 0.2:
            content = self._splice(content, other)
        for _ in range(self._random.randint(1, _MAX_CHANGES)):
            content = self._random.choice(self._changes)(content)[:MAX_BYTES]
        return content

    def _position(self, content: bytes) -> int:
        return self._random.randint(0, len(content))

    def _piece(self, content: bytes, max_length: int = 200) -> tuple[int, int]:
        start = self._position(content)
        return start, min(len(content), start + self._random.randint(1, max_length))

    def _insert(self, content: bytes, piece: bytes) -> bytes:
        position = self._position(content)
        return content[:position] + piece + content[position:]

    def _splice(self, content: bytes, other: bytes) -> bytes:
        start, end = self._piece(other, 2_000)
        return self._insert(content, other[start:end])

    def _insert_word(self, content: bytes) -> bytes:
        return self._insert(content, self._random.choice(self._words))

    def _insert_strange(self, content: bytes) -> bytes:
        return self._insert(content, self._random.choice(STRANGE))

    def _delete(self, content: bytes) -> bytes:
        start, end = self._piece(content, 40)
        return content[:start] + content[end:]

    def _flip(self, content: bytes) -> bytes:
        position = self._position(content)
        return content[:position] + bytes([self._random.randrange(256)]) + content[position + 1 :]

    def _repeat(self, content: bytes) -> bytes:
        start, end = self._piece(content, 30)
        copies = self._random.choice((1, 2, 9, 100, _MAX_COPIES))
        return content[:end] + content[start:end] * copies + content[end:]

    def _move(self, content: bytes) -> bytes:
        start, end = self._piece(content)
        return self._insert(content[:start] + content[end:], content[start:end])

    def _replace_match(self, content: bytes, pattern: re.Pattern[bytes], replacement: bytes) -> bytes:
        match = pattern.search(content, self._position(content)) or pattern.search(content)
        return content if match is None else content[: match.start()] + replacement + content[match.end() :]

    def _change_number(self, content: bytes) -> bytes:
        return self._replace_match(content, _NUMBER, self._random.choice(NUMBERS))

    def _change_word(self, content: bytes) -> bytes:
        return self._replace_match(content, _WORD, self._random.choice(self._words))

    def _lines(self, content: bytes) -> tuple[list[bytes], int, int]:
        lines = content.split(b"\n")
        return lines, self._random.randrange(len(lines)), self._random.randrange(len(lines))

    def _duplicate_line(self, content: bytes) -> bytes:
        lines, source, destination = self._lines(content)
        lines.insert(destination, lines[source])
        return b"\n".join(lines)

    def _delete_line(self, content: bytes) -> bytes:
        lines, index, _ = self._lines(content)
        del lines[index]
        return b"\n".join(lines)

    def _swap_lines(self, content: bytes) -> bytes:
        lines, first, second = self._lines(content)
        lines[first], lines[second] = lines[second], lines[first]
        return b"\n".join(lines)
