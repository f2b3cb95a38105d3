"""References inside a resource: where they point, and what they become inside a transaction (R4 2.3.0, 3.1.0.11.2).

The walk goes by the shape of the JSON, so that extensions and elements of later profiles are covered as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from gateway.flow.record.asked import Resource

Name = tuple[str, str]
_LOCAL: Final = re.compile(r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?", re.ASCII)
_SEARCH: Final = re.compile(r"([A-Z][A-Za-z]{1,63})\?(\S+)", re.ASCII)
_LINK: Final = re.compile(r"""(\s(?:href|src)=)(["'])([^"']{1,2048})\2""")
_TEXTS: Final = frozenset({"value", "valueString", "valueCode", "valueId", "valueMarkdown", "display", "text"})
_SERVER: Final = re.compile(
    r"(https?://\S+/)[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}(?:/_history/[A-Za-z0-9.-]{1,64})?", re.ASCII
)


def local_name(reference: str, base: str) -> Name | None:
    """Type and id of a reference to this server, relative or absolute; None for any other."""
    match = _LOCAL.fullmatch(reference.removeprefix(f"{base}/"))
    return (match[1], match[2]) if match else None


def searched(reference: str) -> tuple[str, str] | None:
    """Type and query of a conditional reference."""
    match = _SEARCH.fullmatch(reference)
    return (match[1], match[2]) if match else None


def references(resource: Mapping[str, Any]) -> Iterator[str]:
    """Every literal reference, in no order."""
    todo: list[Any] = [resource]
    while todo:
        value = todo.pop()
        if type(value) is dict:
            for name, inner in value.items():
                if name == "reference" and type(inner) is str:
                    yield inner
                elif type(inner) in (dict, list):
                    todo.append(inner)
        else:
            todo += [inner for inner in value if type(inner) in (dict, list)]


def place_of(resource: Mapping[str, Any], reference: str) -> str:
    """The element that holds this reference, as an expression."""
    todo: list[tuple[str, Any]] = [(str(resource.get("resourceType", "")), resource)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict):
            if value.get("reference") == reference:
                return path
            todo += [(f"{path}.{name}", inner) for name, inner in value.items() if isinstance(inner, dict | list)]
        else:
            todo += [(f"{path}[{place}]", inner) for place, inner in enumerate(value) if isinstance(inner, dict | list)]
    return ""


def rewritten(resource: Resource, known: Mapping[str, str], find: Callable[[str], str], full_url: str = "") -> Resource:
    """A copy in which links to other entries are links to resources.

    `known` leads from fullUrl to Type/id; `find` from a conditional reference. Where the resource's own `full_url` is
    that of a server, a relative reference means a resource of that server (R4 2.36.4.1): another entry, or what only
    that server has, whatever has the same id here.
    Links stand in references, in elements of type uri and its kin, and in the links of a narrative; a text that
    happens to look like one is left alone.
    """

    server = _SERVER.fullmatch(full_url)
    root = server[1] if server else ""

    def value_of(name: str, value: Any) -> Any:
        if type(value) is dict:
            return {inner: value_of(inner, one) for inner, one in value.items()}
        if type(value) is list:
            return [value_of(name, one) for one in value]
        return text_of(name, value) if type(value) is str else value

    def text_of(name: str, value: str) -> str:
        if name == "div":
            return _LINK.sub(lambda link: f"{link[1]}{link[2]}{known.get(link[3], link[3])}{link[2]}", value)
        if name == "reference":
            return find(value) if searched(value) else _known(value, known, root)
        return value if name in _TEXTS else known.get(value, value)

    return {name: value_of(name, value) for name, value in resource.items()}


def _known(reference: str, known: Mapping[str, str], root: str) -> str:
    """Also a reference to a version of another entry, or to what is contained in it."""
    for whole in (reference, root + reference):
        if whole in known:
            return known[whole]
        for mark in ("/_history/", "#"):
            start, found, rest = whole.partition(mark)
            if found and start in known:
                return known[start] + (f"{mark}{rest}" if mark == "#" else "")
    return root + reference if _LOCAL.fullmatch(reference) else reference
