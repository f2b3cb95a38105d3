"""FHIR XML in and out of the same dicts as FHIR JSON, by the table of R4 (FHIR R4 2.6.1).

Nothing is lost either way: decimals keep their text, narratives stay as they stand, extensions of primitives find
their value. What the table does not know is refused, for XML cannot say whether it would be a list or a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from gateway.formats.fhir.wire.decimal_literal import NUMBER, decimal, integer
from gateway.formats.fhir.wire.definitions import RESOURCE, Member, Type, type_named
from gateway.formats.fhir.wire.findings import Place, expression, root
from gateway.formats.fhir.wire.issue import InvalidResource, refused
from gateway.formats.fhir.wire.json_form import MOST_BYTES, MOST_DEPTH
from gateway.formats.fhir.wire.narrative import narrative_fault
from gateway.formats.fhir.wire.xml_tree import FHIR, XmlElement, read_xml

_WHOLE: Final = re.compile(r"[+-]?(0|[1-9][0-9]*)", re.ASCII)
_NOT_XML: Final = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
_WRITTEN: Final = {"\n": "&#xA;", "\r": "&#xD;", "\t": "&#x9;"}
_WHOLE_KINDS: Final = frozenset(("integer", "positiveInt", "unsignedInt"))


def parse_xml(body: bytes, most_bytes: int = MOST_BYTES, *, is_utf_8: bool = False) -> dict[str, Any]:
    """One resource in the shape of its JSON form; InvalidResource where it is none. It is not yet checked.

    `is_utf_8`: its media type says so, which goes before what the document declares (RFC 7303 3.2).
    """
    if len(body) > most_bytes:
        raise refused("too-long", f"the resource is longer than {most_bytes} bytes")
    return _resource(read_xml(body.removeprefix(b"\xef\xbb\xbf"), is_utf_8=is_utf_8), None)


def encode_xml(resource: dict[str, Any], *, pretty: bool = False) -> bytes:
    """UTF-8 XML with elements in the order of R4; InvalidResource where the resource is not of R4's shape.

    `pretty`: each element on a line of its own, narratives as they stand.
    """
    out = ['<?xml version="1.0" encoding="UTF-8"?>']
    _write_resource(resource, root(str(resource.get("resourceType", ""))), out, f' xmlns="{FHIR}"')
    return "".join(_lines(out) if pretty else out).encode("utf-8")


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    depth = 0
    for piece in pieces:
        if piece in (">", "/>"):
            depth -= piece == "/>"
            yield piece
            continue
        depth -= piece.startswith("</")
        yield piece if piece.startswith("<?") else f"\n{'  ' * depth}{piece}"
        depth += piece[1].isalpha() and not piece.endswith("</div>")


def _fault(place: Place, text: str, code: str = "structure") -> InvalidResource:
    return refused(code, text, expression(place))


def _type(name: Any, place: Place) -> Type:
    kind = type_named(name) if type(name) is str else None
    if kind is None or kind.kind != "resource":
        raise _fault(place, "this resource type is not supported", "not-supported")
    return kind


def _resource(node: XmlElement, place: Place | None) -> dict[str, Any]:
    here = root(node.name) if place is None else place
    return {"resourceType": node.name} | _object(node, _type(node.name, here), here)


def _object(node: XmlElement, kind: Type, place: Place) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in node.attributes.items():
        member = kind.members.get(name)
        if member is None or not member.attribute:
            raise _fault((place, name, None), "there is an attribute that the type does not have")
        made[name] = value
    for child in node.children:
        member = kind.members.get(child.name)
        if member is None or member.attribute:
            raise _fault((place, child.name, None), "there is an element that the type does not have")
        _put(made, member, child, place)
    return {name: value for name, value in made.items() if _says(value)}


def _says(value: Any) -> bool:
    """Whether a list has anything; `name` and `_name` are filled with null while they grow together."""
    return type(value) is not list or any(each is not None for each in value)


def _put(made: dict[str, Any], member: Member, child: XmlElement, place: Place) -> None:
    """Adds one XML element to the JSON object; a repeated one goes to the end of its list."""
    name = member.name
    if not member.many:
        if name in made or f"_{name}" in made:
            raise _fault((place, name, None), "this element may stand once")
        value, beside = _value(child, member, (place, name, None))
        made |= {key: each for key, each in ((name, value), (f"_{name}", beside)) if each is not None}
        return
    values = made.setdefault(name, [])
    value, beside = _value(child, member, (place, name, len(values)))
    values.append(value)
    if member.primitive:
        made.setdefault(f"_{name}", []).append(beside)


def _value(child: XmlElement, member: Member, place: Place) -> tuple[Any, dict[str, Any] | None]:
    """The JSON value of an element, and what stands beside it under `_name`."""
    if child.div is not None or member.kind == "xhtml":
        if child.div is None or member.kind != "xhtml":
            raise _fault(place, "the narrative is not a div of XHTML")
        return child.div, None
    if member.primitive:
        return _primitive(child, member, place)
    if member.kind != RESOURCE:
        return _object(child, _known(member.kind), place), None
    if len(child.children) != 1 or child.attributes or child.children[0].div is not None:
        raise _fault(place, "here stands one resource")
    return _resource(child.children[0], place), None


def _known(name: str) -> Type:
    kind = type_named(name)
    if kind is None:
        raise LookupError(name)
    return kind


def _primitive(child: XmlElement, member: Member, place: Place) -> tuple[Any, dict[str, Any] | None]:
    attributes = dict(child.attributes)
    literal = attributes.pop("value", None)
    beside = _object(XmlElement(child.name, attributes, child.children), _known("Element"), place)
    if literal is None:
        if not beside:
            raise _fault(place, "an element needs a value or children (ele-1)", "invariant")
        return None, beside
    return _READ.get(member.kind, _same)(literal, place), beside or None


def _same(literal: str, place: Place) -> str:
    return literal


def _boolean(literal: str, place: Place) -> bool:
    if literal not in ("true", "false"):
        raise _fault(place, "this is neither true nor false", "value")
    return literal == "true"


def _whole(literal: str, place: Place) -> int | Decimal:
    if not _WHOLE.fullmatch(literal):
        raise _fault(place, "this must be a whole number", "value")
    return integer(literal.removeprefix("+"))


def _decimal(literal: str, place: Place) -> int | Decimal:
    if not NUMBER.fullmatch(literal):
        raise _fault(place, "this is not a decimal", "value")
    return integer(literal) if _WHOLE.fullmatch(literal) else decimal(literal)


_READ: Final[dict[str, Callable[[str, Place], Any]]] = {
    "boolean": _boolean,
    "decimal": _decimal,
    **dict.fromkeys(_WHOLE_KINDS, _whole),
}


def _write_resource(resource: Any, place: Place, out: list[str], space: str = "") -> None:
    if type(resource) is not dict:
        raise _fault(place, "a resource is a JSON object")
    kind = _type(resource.get("resourceType"), place)
    out.append(f"<{kind.name}{space}>")
    _write_members({name: each for name, each in resource.items() if name != "resourceType"}, kind, place, out)
    out.append(f"</{kind.name}>")


def _write_members(node: dict[str, Any], kind: Type, place: Place, out: list[str]) -> None:
    """Child elements in the order of the definition; attributes are written by whoever writes the start."""
    if _depth(place) > MOST_DEPTH:
        raise _fault(place, f"the resource is nested deeper than {MOST_DEPTH}", "too-costly")
    left = {name.removeprefix("_") for name in node}
    for name, member in kind.members.items():
        if name not in left:
            continue
        left.discard(name)
        if not member.attribute:
            _write_member(node.get(name), node.get(f"_{name}"), member, (place, name, None), out)
    if left:
        raise _fault((place, min(left), None), "there is an element that the type does not have")


def _depth(place: Place | None) -> int:
    depth = 0
    while place is not None:
        depth, place = depth + 1, place[0]
    return depth


def _write_member(value: Any, beside: Any, member: Member, place: Place, out: list[str]) -> None:
    if not member.many:
        return _write_one(value, beside, member, place, out)
    values, others = value or [], beside or []
    if type(values) is not list or type(others) is not list:
        raise _fault(place, "this element is a list")
    for index in range(max(len(values), len(others))):
        one = values[index] if index < len(values) else None
        other = others[index] if index < len(others) else None
        _write_one(one, other, member, (place[0], place[1], index), out)
    return None


def _write_one(value: Any, beside: Any, member: Member, place: Place, out: list[str]) -> None:
    name = member.name
    if member.kind == "xhtml":
        out.append(_narrative(value, place))
    elif member.primitive:
        _write_primitive(value, beside, member, place, out)
    elif type(value) is not dict:
        raise _fault(place, "this element is a JSON object")
    elif member.kind == RESOURCE:
        out.append(f"<{name}>")
        _write_resource(value, place, out)
        out.append(f"</{name}>")
    else:
        _write_object(value, _known(member.kind), place, out)


def _write_object(node: dict[str, Any], kind: Type, place: Place, out: list[str], value: str = "") -> None:
    """`value`: the attribute of a primitive, whose `node` is what stands beside it."""
    name = place[1]
    attributes = "".join(
        f" {each}={_quoted(node[each], (place, each, None))}"
        for each in ("id", "url")
        if each in node and each in kind.members and kind.members[each].attribute
    )
    out.append(f"<{name}{attributes}{value}")
    before = len(out)
    out.append(">")
    _write_members(node, kind, place, out)
    if len(out) == before + 1:
        out[before] = "/>"
    else:
        out.append(f"</{name}>")


def _write_primitive(value: Any, beside: Any, member: Member, place: Place, out: list[str]) -> None:
    if value is None and beside is None:
        raise _fault(place, "an element needs a value or children (ele-1)", "invariant")
    if type(beside) is not dict and beside is not None:
        raise _fault(place, "this element is a JSON object")
    written = "" if value is None else f" value={_quoted(value, place)}"
    _write_object(beside or {}, _known("Element"), place, out, written)


def _narrative(value: Any, place: Place) -> str:
    """It goes into the document as it stands, so it must be what it says it is."""
    fault = narrative_fault(_text(value, place))
    if fault is not None:
        raise _fault(place, fault, "invariant")
    return str(value)


def _quoted(value: Any, place: Place) -> str:
    if type(value) is bool:
        return '"true"' if value else '"false"'
    if isinstance(value, int | Decimal):
        return f'"{value!s}"'  # not by its format, which Decimal makes anew from the number
    return quoteattr(_text(value, place), _WRITTEN)


def _text(value: Any, place: Place) -> str:
    if type(value) is not str:
        raise _fault(place, "this element is a plain value")
    if _NOT_XML.search(value):
        raise _fault(place, "text has a character that XML does not have", "value")
    return value
