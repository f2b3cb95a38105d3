"""Looks for one patient's known identity in what was left: names in every spelling, numbers, dates of birth.

The identifiers are harvested here anew from the vault's copy of the identity, so that what the engine overlooked
in one object's header is still known from the study's. PS3.15 E.1.1; it fails closed: what cannot be searched is
a problem.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

from gateway.domain.identity import StudyIdentity, Unprintable
from gateway.privacy.checker.read import Found

_PARTS: Final = re.compile(r"[\s^,.;/()]+")
_CODECS: Final = (
    "utf-8", "utf-16-le", "utf-16-be", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr", "iso2022_jp",
    "latin-1", "iso8859_2", "iso8859_5", "iso8859_6", "iso8859_7", "iso8859_8", "iso8859_9", "cp874",
)  # fmt: skip
_LONGEST_TEXT: Final = 1 << 20
_LONGEST_BYTES: Final = 1 << 26
_UMLAUTS: Final = str.maketrans({"Ä": "AE", "Ö": "OE", "Ü": "UE", "Å": "AA", "Ø": "OE", "Æ": "AE"})
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_LONG_NUMBER: Final = 6
_SHORTEST_BYTES: Final = 4
_SHORT_VALUE: Final = 1 << 12
_LEAST_IN_SAMPLES: Final = 6
_MOST_CLEAR: Final = 4096
_LONGEST_CLEAR: Final = 256


class Residue(Unprintable):
    """The search for one study's identity; holds compiled patterns and values found clear, and has no text form."""

    def __init__(self, identity: StudyIdentity) -> None:
        words = {word for word in map(normal, _words(identity)) if _telling(word)}
        self._numbers = frozenset(word.encode() for word in words if word.isascii() and len(word) >= _LONG_NUMBER)
        self._pattern = _pattern(words)
        self._encoded = _encoded(_words(identity))
        day = identity.study_date.replace(".", "").strip()
        self.study_date = day.encode("ascii", "replace") if len(day) == 8 else b""
        self._clear: set[tuple[str, bytes, tuple[str, ...]]] = set()

    def unsearched(self, texts: Iterable[Found]) -> list[Found]:
        """Those whose like was not searched before: the objects of one study say nearly the same."""
        return [found for found in texts if (found.vr, found.value or b"", found.charset) not in self._clear]

    def remember(self, texts: Iterable[Found]) -> None:
        """These hold no identifier; long ones are searched anew each time."""
        if len(self._clear) >= _MOST_CLEAR:
            self._clear.clear()
        self._clear.update(
            (found.vr, found.value, found.charset)
            for found in texts
            if found.value and len(found.value) <= _LONGEST_CLEAR
        )

    def text_shows(self, text: str) -> bool:
        """Whether a text names the patient; a text that is too long to search counts as if it did."""
        return len(text) > _LONGEST_TEXT or any(self._pattern.search(form) for form in _forms(text))

    def bytes_show(self, value: bytes) -> bool:
        """Whether bytes of unknown meaning hold an identifier in any of the usual encodings.

        Samples are left to chance hits where the needle is short, so long values are searched for long ones alone.
        """
        least = _SHORTEST_BYTES if len(value) <= _SHORT_VALUE else _LEAST_IN_SAMPLES
        return len(value) > _LONGEST_BYTES or any(len(one) >= least and one in value for one in self._encoded)

    def shows(self, found: Found) -> bool:
        """Whether one element holds an identifier; values in a foreign character set are looked at as bytes too."""
        value = found.value or b""
        if found.vr in ("IS", "DS"):
            return any(one.strip(b" \0").upper() in self._numbers for one in value.split(b"\\"))
        if found.vr not in ("OB", "OW", "UN") and self.text_shows(found.text()):
            return True
        return (found.vr in ("OB", "OW", "UN") or not value.isascii()) and self.bytes_show(value)


def normal(text: str) -> str:
    """Compatibility characters folded, accents off, upper case: spellings of one word meet."""
    if text.isascii():
        return text.upper()
    folded = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold().upper())
    return unicodedata.normalize("NFC", "".join(char for char in folded if not unicodedata.combining(char)))


def _forms(text: str) -> Iterator[str]:
    yield normal(text)
    if not text.isascii():
        yield normal(unicodedata.normalize("NFKC", text).upper().translate(_UMLAUTS))


def _words(identity: StudyIdentity) -> Iterator[str]:
    for name in (identity.patient_name, identity.referring_physician):
        yield from _name_words(name)
    for number in (identity.patient_id, identity.accession_number, identity.study_id, identity.study_instance_uid):
        yield from (part.strip() for part in number.split("\\"))
        yield from (number.lstrip("0"),) if number.isdigit() and len(number.lstrip("0")) >= _LONG_NUMBER else ()
    yield from (part.strip() for part in identity.institution.split("\\"))
    yield from _days(identity.birth_date)


def _name_words(name: str) -> Iterator[str]:
    """Parts of all component groups, hyphenated parts too, and, where no blank divides a name, the parts joined."""
    for group in re.split(r"[=\\]", name):
        parts = [part for part in _PARTS.split(group) if part]
        for word in (word for part in parts for word in (part, *part.split("-"))):
            yield word
            yield word.upper().translate(_UMLAUTS)
        if len(parts) > 1 and not group.isascii():
            yield parts[0] + parts[1]
            yield parts[1] + parts[0]


def _days(date: str) -> Iterator[str]:
    digits = date.replace(".", "").strip()
    if len(digits) != 8 or not digits.isdigit():
        return
    year, month, day = digits[:4], digits[4:6], digits[6:]
    for first, second, third in ((year, month, day), (day, month, year), (month, day, year)):
        yield from (sign.join((first, second, third)) for sign in ("", "-", "/", ".", " "))
    yield f"{year}年{int(month)}月{int(day)}日"
    if 1 <= int(month) <= len(_MONTHS):
        name = _MONTHS[int(month) - 1]
        yield from (f"{day}-{name}-{year}", f"{day} {name} {year}", f"{int(day)} {name} {year}")


def _telling(word: str) -> bool:
    """Long enough that finding it says something; one ideograph alone does not, two do."""
    return len(word) >= (3 if word.isascii() else 2)


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    ordered = sorted(words, key=lambda word: (-len(word), word))
    return re.compile("|".join(map(_bounded, ordered)) if ordered else r"(?!)")


def _bounded(word: str) -> str:
    """Scripts that are written without blanks are found anywhere, others between non-letters."""
    if not any(char.isupper() or char.isdigit() or char.islower() for char in word):
        return re.escape(word)
    return rf"(?<![^\W_]){re.escape(word)}(?![^\W_])"


def _encoded(words: Iterable[str]) -> tuple[bytes, ...]:
    """Words as bytes in the usual encodings; short ones are left out, which chance would hit."""
    found: set[bytes] = set()
    for word in words:
        for spelling in {word, word.upper(), word.lower(), word.title(), normal(word)} if _telling(word) else ():
            for codec in _CODECS:
                try:
                    found.add(spelling.encode(codec))
                except UnicodeEncodeError:
                    continue
    return tuple(sorted(value for value in found if len(value) >= _SHORTEST_BYTES))
