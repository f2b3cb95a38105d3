"""FHIR JSON in and out without loss: numbers digit for digit, keys in order, no key twice (FHIR R4 2.6.2).

What comes in is bounded in size, count and depth before anybody walks it, and holds no text that a database or a
terminal could choke on (NUL, half a surrogate pair).
"""

from __future__ import annotations

import json
from itertools import chain
from typing import Any, Final, NoReturn

import msgspec

from gateway.formats.fhir.wire.decimal_literal import WrittenDecimal, decimal, integer
from gateway.formats.fhir.wire.issue import InvalidResource, refused

MOST_BYTES: Final = 32 << 20
MOST_VALUES: Final = 2_000_000
MOST_DEPTH: Final = 64
_TOO_DEEP: Final = f"the resource is nested deeper than {MOST_DEPTH}"
_CONTAINERS: Final = frozenset((dict, list))


def parse_json(body: bytes, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """One JSON object; InvalidResource where it is none within the bounds. It need not be a valid resource."""
    if len(body) > most_bytes:
        raise refused("too-long", f"the resource is longer than {most_bytes} bytes")
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MOST_VALUES:
        raise refused("too-costly", f"the resource has more than {MOST_VALUES} values")
    document = _decoded(body)
    if type(document) is not dict:
        raise refused("structure", "a resource is a JSON object")
    refuse_deep(document)
    if b"\\u" not in body and encode_json(document).count(b":") != body.count(b":"):
        raise _twice(body.decode("utf-8-sig"))
    if b"\\u0000" in body or b"\\ud" in body or b"\\uD" in body:
        _refuse_bad_text(document)
    return document


def encode_json(resource: dict[str, Any]) -> bytes:
    """UTF-8 JSON, compact; decimals exactly as they came."""
    return _ENCODER.encode(resource)


def _decoded(body: bytes) -> Any:
    decoder = _CAREFUL if b"\\u" in body else _DECODER
    try:
        return decoder.decode(body.decode("utf-8-sig"))
    except _Twice as cause:
        raise _twice(body.decode("utf-8-sig")) from cause
    except (UnicodeError, json.JSONDecodeError) as cause:
        raise refused("structure", f"the resource is not JSON in UTF-8{_place(cause)}") from None
    except RecursionError:
        raise refused("too-costly", _TOO_DEEP) from None
    except ValueError:
        raise refused("structure", "the resource is not JSON in UTF-8") from None


def _place(cause: Exception) -> str:
    """Where, not what: the message of the parser itself may hold a piece of the text."""
    return f" (line {cause.lineno}, column {cause.colno})" if isinstance(cause, json.JSONDecodeError) else ""


class _Twice(ValueError):
    """An object has a key twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Twice
    return made


def _refuse_constant(name: str) -> NoReturn:
    raise refused("value", "NaN and Infinity are not JSON numbers")


# Seeing every pair costs as much as all the rest, so where no letter is escaped the colons are counted instead, in what
# came and in what would be written of it: a key that stands twice loses one, and only an escaped colon could make up
# for it.
_NUMBERS: Final[dict[str, Any]] = {"parse_float": decimal, "parse_int": integer, "parse_constant": _refuse_constant}
_DECODER: Final = json.JSONDecoder(**_NUMBERS)
_CAREFUL: Final = json.JSONDecoder(object_pairs_hook=_unique, **_NUMBERS)


def _raw(value: Any) -> Any:
    if isinstance(value, WrittenDecimal):
        return msgspec.Raw(value.literal.encode("ascii"))
    raise TypeError(f"{type(value).__name__} is no part of a resource")


_ENCODER: Final = msgspec.json.Encoder(decimal_format="number", enc_hook=_raw)


def refuse_deep(document: Any) -> None:
    """InvalidResource where it is nested too deep; level by level, so that depth costs no stack."""
    level = [document]
    for _ in range(MOST_DEPTH + 1):
        objects = [each for each in level if type(each) is dict]
        lists = [each for each in level if type(each) is list]
        if not (objects or lists):
            return
        inner = chain(*map(dict.values, objects), *lists)
        level = [each for each in inner if type(each) in _CONTAINERS]
    raise refused("too-costly", _TOO_DEEP)


def _refuse_bad_text(document: dict[str, Any]) -> None:
    todo: list[tuple[str, Any]] = [(str(document.get("resourceType", "")), document)]
    while todo:
        path, value = todo.pop()
        if type(value) is dict:
            for name, inner in value.items():
                _refuse_text(name, path)
                todo.append((f"{path}.{name}", inner))
        elif type(value) is list:
            todo += [(f"{path}[{place}]", inner) for place, inner in enumerate(value)]
        elif type(value) is str:
            _refuse_text(value, path)


def _refuse_text(text: str, path: str) -> None:
    if "\0" in text:
        raise refused("value", "text has the character NUL", safe_path(path))
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise refused("value", "text has half of a surrogate pair", safe_path(path)) from None


def safe_path(path: str) -> str:
    """`path` where it is made of element names and indexes only, else nothing: a hostile key is not echoed."""
    path = path.lstrip(".")
    return path if len(path) <= 512 and path.isascii() and path.isprintable() and " " not in path else ""


class _Pairs(list[tuple[str, Any]]):
    """An object before its keys are made unique."""


def _twice(text: str) -> InvalidResource:
    """Reads once more, keeping all keys, to say where the first one stands twice."""
    todo: list[tuple[str, Any]] = [("", json.JSONDecoder(object_pairs_hook=_Pairs).decode(text))]
    while todo:
        path, value = todo.pop()
        if isinstance(value, _Pairs):
            seen: set[str] = set()
            if not path:
                path = next((str(inner) for name, inner in value if name == "resourceType"), "")
            for name, inner in value:
                if name in seen:
                    return refused("structure", "an object has the same key twice", safe_path(f"{path}.{name}"))
                seen.add(name)
                todo.append((f"{path}.{name}", inner))
        elif isinstance(value, list):
            todo += [(f"{path}[{place}]", inner) for place, inner in enumerate(value)]
    return refused("structure", "an object has the same key twice")
