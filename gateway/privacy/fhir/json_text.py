"""JSON in and out without changing a number: 72.50 stays 72.50, keys keep their order, no key comes twice.

FHIR R4 2.6.2 (JSON) and 2.24.0.1 (precision of decimals matters). Size, depth and count are bounded before anything
is built.
"""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring
from typing import Any, Final

from gateway.domain.errors import Invalid

MOST_BYTES: Final = 32 << 20
MOST_DEPTH: Final = 64
MOST_TOKENS: Final = 2_000_000
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_SIGNS: Final = re.compile(r"[\[\]{},]")
_BLANKS: Final = " \t\r\n"


class Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


def parse(data: bytes) -> Any:
    """Objects as dictionaries in their order, numbers as `Number`; Invalid where it is not JSON within the bounds."""
    if len(data) > MOST_BYTES:
        raise Invalid(f"the resource is longer than {MOST_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
        _measure(text)
        document = json.loads(
            text, parse_float=Number, parse_int=Number, parse_constant=_refuse, object_pairs_hook=_unique, strict=True
        )
        write(document)  # half a surrogate pair is JSON, but no text
    except (UnicodeError, ValueError, RecursionError) as cause:
        raise Invalid("the resource is not JSON") from cause
    return document


def write(document: Any) -> bytes:
    """The document as compact JSON in UTF-8."""
    out: list[str] = []
    _write(document, out)
    return "".join(out).encode("utf-8")


def _write(value: Any, out: list[str]) -> None:
    if isinstance(value, str):
        out.append(value if isinstance(value, Number) else encode_basestring(value))
    elif isinstance(value, dict):
        for place, (name, inner) in enumerate(value.items()):
            out += (",{"[place == 0], encode_basestring(name), ":")
            _write(inner, out)
        out.append("}" if value else "{}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            out.append(",["[place == 0])
            _write(inner, out)
        out.append("]" if value else "[]")
    else:
        out.append(json.dumps(value, ensure_ascii=False))


def _measure(text: str) -> None:
    """Counts brackets and commas outside strings, so that nothing deep or endless is built at all."""
    depth = 0
    signs = _SIGNS.findall(_STRING.sub("", text))
    if len(signs) > MOST_TOKENS:
        raise Invalid(f"the resource has more than {MOST_TOKENS} values")
    for sign in signs:
        depth += (sign in "[{") - (sign in "]}")
        if depth > MOST_DEPTH:
            raise Invalid(f"the resource is nested deeper than {MOST_DEPTH}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Invalid("an object has the same key twice")
    return made


def _refuse(name: str) -> Any:
    raise Invalid(f"{name} is not a JSON number")
