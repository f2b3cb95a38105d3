"""Whether a narrative is plain formatted text: the XHTML subset of FHIR R4 2.4.0 (txt-1, txt-2) and nothing active.

What comes in here is shown in a browser some day. Elements, attributes and address schemes are allow-listed; a
narrative with a script, a handler, a frame, a form or a picture from elsewhere is refused, not repaired.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from xml.parsers import expat

XHTML: Final = "http://www.w3.org/1999/xhtml"
MOST_DEPTH: Final = 64
_NAMES: Final = """
p br div h1 h2 h3 h4 h5 h6 a span b em i strong small big tt dfn q var abbr acronym cite blockquote hr address
bdo kbd sub sup ul ol li dl dt dd pre table caption colgroup col thead tr tfoot tbody th td code samp img map area
ins del u s
"""
_ELEMENTS: Final = frozenset(_NAMES.split())
_COMMON: Final = "title style class id lang xml:lang dir accesskey tabindex align valign xml:space"
_ANYWHERE: Final = frozenset(_COMMON.split())
_ATTRIBUTES: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset(attributes.split())
    for name, attributes in {
        "div": "xmlns",
        "a": "charset type name href hreflang rel rev shape coords",
        "img": "src alt longdesc height width usemap ismap border",
        "map": "name",
        "area": "shape coords href nohref alt",
        "blockquote": "cite",
        "q": "cite",
        "ins": "cite datetime",
        "del": "cite datetime",
        "ol": "start type",
        "ul": "type",
        "li": "value type",
        "table": "summary width border frame rules cellspacing cellpadding bgcolor",
        "colgroup": "span width char charoff",
        "col": "span width char charoff",
        "tr": "char charoff bgcolor",
        "td": "abbr axis headers scope rowspan colspan char charoff width height nowrap bgcolor",
        "th": "abbr axis headers scope rowspan colspan char charoff width height nowrap bgcolor",
    }.items()
}
_ADDRESSES: Final = frozenset(("href", "cite", "src", "longdesc", "usemap"))
_SCHEME: Final = re.compile(r"\s*([a-z][a-z0-9+.\-]*)\s*:|\s*[/\\]{2}", re.IGNORECASE)
_LINKS: Final = frozenset(("http", "https", "mailto", "tel", "urn"))
_PICTURE: Final = re.compile(r"data:image/(png|jpeg|gif);base64,[A-Za-z0-9+/=\s]+")
_ACTIVE_STYLE: Final = re.compile(r"url\s*\(|expression\s*\(|@|\\|javascript|behavior|-moz-binding", re.IGNORECASE)
_HIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\x9f]")


def narrative_fault(xhtml: str) -> str | None:
    """What is wrong with a narrative, never a piece of it.

    None for a well-formed `<div xmlns=XHTML>` of allowed elements and attributes that says something.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.forbidden
    parser.ProcessingInstructionHandler = reader.forbidden
    try:
        parser.Parse(xhtml.encode("utf-8"), True)
    except (expat.ExpatError, UnicodeEncodeError):
        return "the narrative is not well-formed XHTML"
    except _Refused as cause:
        return str(cause)
    return None if reader.says else "the narrative says nothing"


class _Refused(Exception):
    """The narrative breaks a rule."""


class _Reader:
    """Sees every element, attribute and text once."""

    def __init__(self) -> None:
        self.depth = 0
        self.says = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self.depth == 0 and (name != "div" or attributes.get("xmlns") != XHTML):
            raise _Refused("the narrative is not a div of XHTML")
        if name not in _ELEMENTS:
            raise _Refused("the narrative has an element that is not allowed")
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise _Refused(f"the narrative is nested deeper than {MOST_DEPTH}")
        self.says = self.says or name == "img"
        if attributes:
            self._attributes(name, attributes)

    def end(self, name: str) -> None:
        self.depth -= 1

    def text(self, text: str) -> None:
        if not self.says and not text.isspace():
            self.says = True

    def forbidden(self, *_: Any) -> None:
        raise _Refused("the narrative has a document type or a processing instruction")

    @staticmethod
    def _attributes(name: str, attributes: Mapping[str, str]) -> None:
        allowed = _ATTRIBUTES.get(name, frozenset())
        for attribute, value in attributes.items():
            if attribute not in allowed and attribute not in _ANYWHERE:
                raise _Refused("the narrative has an attribute that is not allowed")
            if attribute == "style" and _ACTIVE_STYLE.search(value):
                raise _Refused("the narrative has an active style")
            if attribute == "xmlns" and value != XHTML:
                raise _Refused("the narrative leaves XHTML")
            if attribute in _ADDRESSES and not _harmless(name, value):
                raise _Refused("the narrative has an address that is not allowed")


def _harmless(element: str, address: str) -> bool:
    """A link may lead out, by hand; nothing else may be fetched from elsewhere when the text is shown."""
    scheme = _SCHEME.match(_HIDDEN.sub("", address))
    if scheme is None:
        return True
    if element in ("a", "area"):
        return scheme[1] is not None and scheme[1].lower() in _LINKS
    if element == "img":
        return _PICTURE.fullmatch(address) is not None
    return scheme[1] is not None and scheme[1].lower() in ("http", "https", "urn")
