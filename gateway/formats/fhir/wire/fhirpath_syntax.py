"""Reads the part of FHIRPath by which a patch names a place (FHIRPath N1; FHIR R4 3.1.0.10.1, FHIRPath Patch).

Members, indexers, literals, `=`, `!=`, `and`, `or`, `as` and calls; anything else is refused, nothing is executed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from gateway.formats.fhir.wire.issue import InvalidResource, refused

MOST_CHARACTERS: Final = 1000
MOST_DEPTH: Final = 20
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<time>@[0-9T:Z+\-.]+)|(?P<number>[0-9]{1,18}(?:\.[0-9]{1,18})?)"
    r"|(?P<name>\$this|[A-Za-z_][A-Za-z0-9_]*|`[^`\\]+`)|(?P<sign>!=|[.()\[\]=]))",
    re.ASCII,
)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any


@dataclass(frozen=True, slots=True)
class Step:
    """A member of what comes before; with `source` None of the context."""

    source: Node | None
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    source: Node | None
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Index:
    source: Node
    index: int


@dataclass(frozen=True, slots=True)
class Binary:
    sign: str
    left: Node
    right: Node


Node = Literal | Step | Call | Index | Binary


def read_path(text: str) -> Node:
    """The expression as a tree; InvalidResource where it is beyond this part of FHIRPath."""
    if len(text) > MOST_CHARACTERS:
        raise refused("too-long", f"a path is longer than {MOST_CHARACTERS} characters")
    reader = _Reader(_tokens(text))
    node = reader.either()
    if reader.token != ("end", ""):
        raise _unreadable()
    return node


def _unreadable() -> InvalidResource:
    return refused("structure", "a path is not in the part of FHIRPath that patches use")


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    place, text = 0, text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise _unreadable()
        found.append((match.lastgroup, match[match.lastgroup]))
        place = match.end()
    return [*found, ("end", "")]


class _Reader:
    """Recursive descent, one method for each level of precedence."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    @property
    def token(self) -> tuple[str, str]:
        return self._tokens[self._at]

    def _took(self, *values: str) -> str:
        """The token where it is one of the values, else nothing."""
        kind, value = self.token
        if kind in ("sign", "name") and value in values:
            self._at += 1
            return value
        return ""

    def _expect(self, value: str) -> None:
        if not self._took(value):
            raise _unreadable()

    def either(self) -> Node:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise _unreadable()
        node = self._both()
        while self._took("or"):
            node = Binary("or", node, self._both())
        self._depth -= 1
        return node

    def _both(self) -> Node:
        node = self._compared()
        while self._took("and"):
            node = Binary("and", node, self._compared())
        return node

    def _compared(self) -> Node:
        node = self._typed()
        sign = self._took("=", "!=")
        return Binary(sign, node, self._typed()) if sign else node

    def _typed(self) -> Node:
        node = self._path()
        return Call(node, "as", (self._path(),)) if self._took("as") else node

    def _path(self) -> Node:
        node = self._start()
        while True:
            if self._took("."):
                node = self._member(node)
            elif self._took("["):
                kind, value = self.token
                if kind != "number" or "." in value:
                    raise _unreadable()
                self._at += 1
                self._expect("]")
                node = Index(node, int(value))
            else:
                return node

    def _start(self) -> Node:
        kind, value = self.token
        if self._took("("):
            node = self.either()
            self._expect(")")
            return node
        if kind == "name":
            return self._member(None)
        self._at += 1
        if kind == "text":
            return Literal(re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), value[1:-1]))
        if kind == "number":
            return Literal(Decimal(value))
        if kind == "time":
            return Literal(value[1:].removeprefix("T"))
        raise _unreadable()

    def _member(self, source: Node | None) -> Node:
        kind, value = self.token
        if kind != "name":
            raise _unreadable()
        self._at += 1
        if source is None and value in ("true", "false"):
            return Literal(value == "true")
        if not self._took("("):
            return Step(source, value.strip("`"))
        arguments: list[Node] = []
        if not self._took(")"):
            arguments.append(self.either())
            self._expect(")")
        return Call(source, value, tuple(arguments))
