"""The rules of Bundle, bdl-1 to bdl-12, by its type (FHIR R4 2.36.3).

What a transaction's entries ask for is judged where they are carried out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

Found = tuple[str, str]
_ASKING: Final = frozenset(("batch", "transaction", "history"))
_ANSWERING: Final = frozenset(("batch-response", "transaction-response", "history"))
_COUNTING: Final = frozenset(("searchset", "history"))


def bundle(node: dict[str, Any]) -> Iterable[Found]:
    """Everything that bdl-* find in a Bundle."""
    kind = node.get("type")
    if type(kind) is not str:
        return  # found as a fault of its own; without a type no rule can be chosen
    if "total" in node and kind not in _COUNTING:
        yield "total", "only a searchset or a history has a total (bdl-1)"
    entries = node.get("entry")
    if type(entries) is not list:
        entries = []
    seen: set[tuple[str, Any]] = set()
    for index, entry in enumerate(entries):
        if type(entry) is dict:
            for below, text in (*_entry(entry, kind), *_full_url(entry, kind, seen)):
                yield f"entry[{index}]{'.' if below else ''}{below}", text
    if kind == "document":
        yield from _document(node, entries)
    if kind == "message" and not _starts_with("MessageHeader", entries):
        yield "entry", "a message starts with its MessageHeader (bdl-12)"


def _entry(entry: dict[str, Any], kind: Any) -> Iterator[Found]:
    if "search" in entry and kind != "searchset":
        yield "search", "only entries of a searchset say how they were found (bdl-2)"
    if ("request" in entry) != (kind in _ASKING):
        yield "request", "entries of batch, transaction and history have a request, others have none (bdl-3)"
    if ("response" in entry) != (kind in _ANSWERING):
        yield "response", "entries of responses and history have a response, others have none (bdl-4)"
    if not entry.keys() & {"resource", "request", "response"}:
        yield "", "an entry has a resource, a request or a response (bdl-5)"


def _full_url(entry: dict[str, Any], kind: Any, seen: set[tuple[str, Any]]) -> Iterator[Found]:
    """bdl-7 and bdl-8; a history holds versions of one resource, and some have no body."""
    address = entry.get("fullUrl")
    if type(address) is not str:
        return
    if "/_history/" in address:
        yield "fullUrl", "fullUrl names no version (bdl-8)"
    resource = entry.get("resource")
    meta = resource.get("meta") if type(resource) is dict else None
    version = meta.get("versionId") if type(meta) is dict else None
    key = (address, version if type(version) is str else None)
    if key in seen and kind != "history":
        yield "fullUrl", "two entries have the same fullUrl and version (bdl-7)"
    seen.add(key)


def _document(node: dict[str, Any], entries: list[Any]) -> Iterator[Found]:
    identifier = node.get("identifier")
    if type(identifier) is not dict or not {"system", "value"} <= identifier.keys():
        yield "identifier", "a document has an identifier with system and value (bdl-9)"
    if "timestamp" not in node:
        yield "timestamp", "a document has a timestamp (bdl-10)"
    if not _starts_with("Composition", entries):
        yield "entry", "a document starts with its Composition (bdl-11)"


def _starts_with(kind: str, entries: list[Any]) -> bool:
    first = entries[0] if entries and type(entries[0]) is dict else {}
    resource = first.get("resource")
    return type(resource) is dict and resource.get("resourceType") == kind
