"""Names in running text: behind the words that announce them, before a credential, or begun by a given name.

A name found once is looked for in the rest of the text as well. What is announced must still look like a name:
capitals in scripts that have them, and no word of radiology.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Final

from gateway.privacy.free_text import cues
from gateway.privacy.free_text.findings import Category, Find
from gateway.privacy.free_text.folding import Folded, bare_text
from gateway.privacy.vocabulary import is_technical

_TOKEN: Final = re.compile(r"[^\W\d_][^\W\d_'’\-]{0,40}(?:['’\-][^\W\d_]{1,40}){0,3}")
_GAP: Final = re.compile(r"(?:\.?,?[ \t]{1,3}|\.)")
_MOST_TOKENS: Final = 5
_LEAST_REPEATED: Final = 4  # letters of a name that is looked for again where nothing announces it
_MOST_REPEATED: Final = 64
_SPACELESS: Final = (
    *(cues.HAN_LABEL, cues.HAN_SIGNED, cues.HAN_TITLED, cues.HAN_ALONE, cues.HAN_PATIENT),
    *(cues.KANA_LABEL, cues.KANA_TITLED, cues.HANGUL_LABEL, cues.HANGUL_TITLED, cues.HANGUL_PATIENT),
)
_ABBREVIATED: Final = frozenset({"prof", "med", "dipl", "priv", "doz", "mrs"})
_NOT_NAMED: Final = frozenset(
    {"患者", "病人", "医师", "医生", "报告", "检查", "审核", "主治", "本院", "我院", "高血压", "方面", "常规"}
)
_SMALL_BEFORE: Final = re.compile(r"(?<=[a-z,])[ \t]$")
_LATIN_START: Final = re.compile(r"(?<![\w'])[A-Z][\w'’\-]{2,20}")


def name_finds(folded: Folded) -> list[Find]:
    """The names of a `shape` text."""
    text = folded.text
    places = {*_announced(text), *_spaceless(text), *_credentialled(text), *_begun(text)}
    places |= set(_repeated(text, places))
    return [Find(*folded.span(start, end), Category.NAME) for start, end in sorted(places)]


def _announced(text: str) -> Iterator[tuple[int, int]]:
    """Behind labels, titles and words like `signed by`."""
    for pattern, small_too in ((cues.LABEL, True), (cues.TITLE, False), (cues.BEFORE, False), (cues.CLOSING, False)):
        for found in pattern.finditer(text):
            place = _name_from(text, found.end(), small_too=small_too)
            if place is not None:
                yield place


def _name_from(text: str, start: int, *, small_too: bool) -> tuple[int, int] | None:
    """The name that begins at `start`, titles in front of it included; None where none does."""
    end, at, tokens = start, start, 0
    while tokens < _MOST_TOKENS:
        found = _TOKEN.match(text, at)
        if found is None or not _may_be_name(found[0], small_too=small_too and tokens < 2, first=tokens == 0):
            break
        if found[0] not in cues.PARTICLES:
            end = found.end()
        tokens += 1
        gap = _GAP.match(text, found.end())
        if gap is None or (gap[0].startswith(".") and not _is_short(found[0])):
            break
        at = gap.end()
    return (start, end) if end > start and end - start > 1 else None


def _is_short(token: str) -> bool:
    """An initial or a title, whose full stop ends no sentence."""
    return len(token) <= 2 or token.lower() in _ABBREVIATED


def _may_be_name(token: str, *, small_too: bool, first: bool) -> bool:
    if len(token) == 1 and not first:
        return token.isupper() or not token.isascii()
    if token in cues.PARTICLES:
        return True
    if token.lower() in cues.STOP:
        return False
    if token[0].islower():
        return small_too
    return not (is_technical(token) and len(token) > 1)


def _credentialled(text: str) -> Iterator[tuple[int, int]]:
    """Up to four capitalised words before MD, RN and the like."""
    for found in cues.CREDENTIAL.finditer(text):
        line = max(text.rfind("\n", 0, found.start()) + 1, found.start() - 80)
        tokens = list(_TOKEN.finditer(text, line, found.start()))
        start = end = found.start()
        for token in reversed(tokens[-4:]):
            joined = text[token.end() : start].strip(" \t") in ("", ".", ",") or start == end
            if not joined or not token[0][0].isupper() or not _may_be_name(token[0], small_too=False, first=False):
                break
            start = token.start()
        if start < end:
            yield start, end


def _begun(text: str) -> Iterator[tuple[int, int]]:
    """A frequent given name, with the capitalised words behind it or alone within a sentence."""
    given = _given_names()
    for found in _LATIN_START.finditer(text):
        if bare_text(found[0]) not in given:
            continue
        place = _name_from(text, found.start(), small_too=False)
        # alone it may begin a sentence or be half of a term: then a small word has to go before it
        if place is not None and (place[1] > found.end() or _SMALL_BEFORE.search(text, 0, found.start())):
            yield place


def _spaceless(text: str) -> Iterator[tuple[int, int]]:
    """In scripts that set no blanks between words: only beside a label, a title or a few fixed words."""
    for pattern in _SPACELESS:
        for found in pattern.finditer(text):
            if found["one"].strip() and found["one"] not in _NOT_NAMED:
                yield found.span("one")


def _repeated(text: str, places: set[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The same words elsewhere in the text."""
    words: set[str] = set()
    for start, end in places:
        for token in _TOKEN.findall(text[start:end]):
            long_enough = len(token) >= (_LEAST_REPEATED if token.isascii() else 2)
            if long_enough and token not in cues.PARTICLES and token.lower() not in cues.STOP and not token.islower():
                words.add(token)
    if not words:
        return
    ordered = sorted(words, key=lambda word: (-len(word), word))[:_MOST_REPEATED]
    spaced = "|".join(re.escape(word) for word in ordered)
    for found in re.finditer(rf"(?:{spaced})", text):
        alone = not _letter(text, found.start() - 1) and not _letter(text, found.end())
        if alone or _is_spaceless(found[0]):
            yield found.span()


def _letter(text: str, at: int) -> bool:
    return 0 <= at < len(text) and text[at].isalpha() and not _is_spaceless(text[at])


def _is_spaceless(word: str) -> bool:
    return all("\u3040" <= char <= "\u9fff" or "\uac00" <= char <= "\ud7a3" for char in word)


@cache
def _given_names() -> frozenset[str]:
    return frozenset(files("gateway.privacy").joinpath("data/given_names.txt").read_text("ascii").split())
