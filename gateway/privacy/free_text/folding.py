"""A text in the form that is searched, with the way back to the text as written.

Full-width digits, accents, invisible characters and case must not hide a name: what is compared is folded, what
is cut is the original. Unicode annex 15 (NFC, NFKD).
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

_HIDDEN = frozenset({"Cf", "Cc"})
_KEPT_CONTROLS = frozenset("\t\n\r")


class _Shape(dict[int, str]):
    """Character to what stands for it in a search that heeds case: compatibility forms and foreign digits folded."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        made = unicodedata.normalize("NFKC", char)
        if unicodedata.category(char) in _HIDDEN and char not in _KEPT_CONTROLS:
            made = ""
        elif unicodedata.category(char) == "Nd":
            made = str(unicodedata.decimal(char))
        elif unicodedata.category(char) == "Zs":
            made = " "
        self[code] = made
        return made


class _Bare(dict[int, str]):
    """Character to its base letters in upper case, without marks."""

    def __missing__(self, code: int) -> str:
        letters = [
            part
            for part in unicodedata.normalize("NFKD", _SHAPE[code])
            if not unicodedata.category(part).startswith("M")
        ]
        self[code] = unicodedata.normalize("NFC", "".join(letters)).upper()
        return self[code]


_SHAPE = _Shape()
_BARE = _Bare()


@dataclass(frozen=True)
class Folded:
    """`text` is searched; `span` gives the place in the text as written. `starts` is None where both are alike."""

    text: str
    starts: list[int] | None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The original characters that made [start, end)."""
        if self.starts is None or end <= start:
            return start, end
        return bisect_right(self.starts, start) - 1, bisect_right(self.starts, end - 1)


def shape(text: str) -> Folded:
    """`text` (in NFC) with compatibility characters, digits and blanks folded; case and accents stay."""
    return _folded(text, _SHAPE)


def bare(text: str) -> Folded:
    """`text` (in NFC) in upper case, without accents or invisible characters."""
    return _folded(text, _BARE)


def bare_text(text: str) -> str:
    """What `bare` searches, without the way back."""
    return unicodedata.normalize("NFC", text).translate(_BARE)


def _folded(text: str, table: dict[int, str]) -> Folded:
    if text.isascii() and table is _BARE and text.isprintable():
        return Folded(text.upper(), None)
    parts = [table[ord(char)] for char in text]
    made = "".join(parts)
    if len(made) == len(text) and all(map(len, parts)):
        return Folded(made, None)
    return Folded(made, [0, *accumulate(map(len, parts))][:-1])
