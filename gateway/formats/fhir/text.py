"""Text that came from outside, made fit for FHIR strings: no control characters, bounded, plain spaces.

FHIR R4 2.24.0.1: a string is not empty and holds no control character but tab, carriage return and line feed.
Writing-direction overrides are taken out too: a name must not be able to reorder the text around it.
"""

from __future__ import annotations

import unicodedata

NAME_LIMIT = 256  # characters
TEXT_LIMIT = 64 * 1024  # characters
_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LINE_BREAKS = frozenset("\n\t")


def line(value: str, limit: int = NAME_LIMIT) -> str:
    """`value` on one line, at most `limit` characters."""
    return " ".join(_fit(value, limit, keep=frozenset()).split())


def exact(value: str, limit: int = NAME_LIMIT) -> str:
    """`value` as an identifier: inner spaces stay as many as they are, for they may tell two patients apart."""
    return _fit(value, limit, keep=frozenset()).strip()


def paragraphs(value: str, limit: int = TEXT_LIMIT) -> str:
    """`value` with its line breaks, at most `limit` characters."""
    return _fit(value, limit, keep=_LINE_BREAKS).strip()


def _fit(value: str, limit: int, keep: frozenset[str]) -> str:
    if value.isascii() and value.isprintable() and len(value) <= limit:
        return value
    bounded = value[: limit * 2]
    return "".join(_character(each, keep) for each in bounded)[:limit]


def _character(each: str, keep: frozenset[str]) -> str:
    if each in keep:
        return each
    category = unicodedata.category(each)
    if category in ("Zs", "Zl", "Zp") or each in "\n\t\r":
        return " "
    if category in ("Cc", "Cs", "Cn") or each in _DIRECTION:
        return ""
    return each
