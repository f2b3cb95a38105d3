"""An XML document as a small tree, read without document types, entities or anything from outside, and bounded.

A narrative's div is kept as the text that stands in the document, for JSON holds it as text (FHIR R4 2.6.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from gateway.formats.fhir.wire.issue import refused

FHIR: Final = "http://hl7.org/fhir"
XHTML: Final = "http://www.w3.org/1999/xhtml"
_HINTS: Final = "http://www.w3.org/2001/XMLSchema-instance"  # schemaLocation and the like say nothing of the resource
_XML: Final = "http://www.w3.org/XML/1998/namespace "
_OWN_SPACE: Final = re.compile(rb"""<div\s[^>]*?\bxmlns\s*=\s*["']http://www\.w3\.org/1999/xhtml["']""")
_UTF_8: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
MOST_ELEMENTS: Final = 500_000
MOST_DEPTH: Final = 64


@dataclass(slots=True)
class XmlElement:
    """An element of the FHIR namespace, or a narrative's div with its text."""

    name: str
    attributes: dict[str, str]
    children: list[XmlElement] = field(default_factory=list)
    div: str | None = None


def read_xml(body: bytes, *, is_utf_8: bool = False) -> XmlElement:
    """The root of a document in UTF-8; InvalidResource where it is no well-formed, plain, bounded one.

    Where nobody else has said that it `is_utf_8` it must not declare anything else.
    """
    if body[:2] in _UTF_16 or b"\0" in body[:4]:  # which expat would read, whatever it is told
        raise refused("structure", "the resource is not XML in UTF-8")
    reader = _Reader(body)
    if not is_utf_8:
        reader.parser.XmlDeclHandler = _declared
    try:
        reader.parser.Parse(body, True)
    except expat.ExpatError as cause:
        place = f"line {cause.lineno}, column {cause.offset + 1}"
        raise refused("structure", f"the resource is not XML in UTF-8 ({place})") from None
    return reader.root


def _declared(_version: str, encoding: str | None, _standalone: int) -> None:
    if encoding is not None and encoding.lower() not in _UTF_8:
        raise refused("structure", "the resource is written in UTF-8, and declares nothing else")


class _Reader:
    """Builds the tree from the parser's events."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._open: list[XmlElement] = []
        self._count = 0
        self._div_depth = 0  # of elements inside a narrative, its div among them
        self._div_start = 0
        self._div: list[str] | None = None  # a narrative that has to be written anew
        self.root = XmlElement("", {})
        self.parser = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._document_type

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MOST_ELEMENTS:
            raise refused("too-costly", f"the resource has more than {MOST_ELEMENTS} elements")
        if len(self._open) + self._div_depth >= MOST_DEPTH:
            raise refused("too-costly", f"the resource is nested deeper than {MOST_DEPTH}")
        space, _, local = name.rpartition(" ")
        if self._div_depth:
            self._div_depth += 1
            self._rewrite(space, local, attributes)
        elif space == XHTML and local == "div" and self._open:
            self._div_depth, self._div_start = 1, self.parser.CurrentByteIndex
            self._div = None if _OWN_SPACE.match(self._body, self._div_start) else []
            self._rewrite(space, local, {"xmlns": XHTML} | attributes)
        elif space == FHIR:
            self._add(XmlElement(local, _plain(attributes)))
        else:
            raise refused("structure", "an element is not of the namespace of FHIR")

    def _add(self, element: XmlElement) -> None:
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def _end(self, name: str) -> None:
        if not self._div_depth:
            self._open.pop()
            return
        self._div_depth -= 1
        if self._div is not None:
            self._div.append(f"</{name.rpartition(' ')[2]}>")
        if not self._div_depth:
            stop = self._body.index(b">", self.parser.CurrentByteIndex) + 1
            as_it_stands = self._body[self._div_start : stop].decode("utf-8")
            text = as_it_stands if self._div is None else "".join(self._div)
            self._open[-1].children.append(XmlElement("div", {}, div=text))

    def _rewrite(self, space: str, local: str, attributes: dict[str, str]) -> None:
        """A narrative that takes its namespace from outside is written so that it stands by itself."""
        if self._div is None:
            return
        if space != XHTML:
            raise refused("structure", "a narrative has an element that is not XHTML")
        written = (f" {name.replace(_XML, 'xml:')}={quoteattr(value)}" for name, value in attributes.items())
        self._div.append(f"<{local}{''.join(written)}>")

    def _text(self, text: str) -> None:
        if self._div_depth:
            if self._div is not None:
                self._div.append(escape(text))
        elif not text.isspace():
            raise refused("structure", "there is text between elements")

    def _document_type(self, *_: Any) -> None:
        raise refused("structure", "a resource has no document type")


def _plain(attributes: dict[str, str]) -> dict[str, str]:
    """Without hints for XML editors; any other attribute of a namespace keeps its long name and is refused later."""
    return {name: value for name, value in attributes.items() if not name.startswith(f"{_HINTS} ")}
