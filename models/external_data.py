"""Which external files an ONNX graph names, read from its protobuf before any runtime opens one of them.

Why: above 2 GB a graph keeps its weights in files beside it (ONNX, docs/ExternalData.md), and the path of such a file
is data from outside. Only the fields on the way to a TensorProto are followed (onnx.proto3), so that no library for
making models is needed where they run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from gateway.domain.errors import Forbidden, Invalid

MOST_TENSORS: Final = 1_000_000
MOST_DEPTH: Final = 64  # graphs inside attributes of nodes of graphs
_KEY: Final = b"location"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# wire law: message -> field number -> message it holds (onnx.proto3)
_WAY: Final = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}


def locations(graph: bytes) -> frozenset[str]:
    """Paths inside the pack. Forbidden for one that leads elsewhere, Invalid for what is no ONNX graph.

    Where the key is nowhere in the bytes no tensor has it, and only the outermost message is read.
    """
    found: set[str] = set()
    tensors, ways = 0, _WAY if _KEY in graph else {"model": {}}
    waiting: list[tuple[str, memoryview, int]] = [("model", memoryview(graph), 0)]
    while waiting:
        kind, message, depth = waiting.pop()
        if depth > MOST_DEPTH or tensors > MOST_TENSORS:
            raise Invalid("the graph is nested too deeply or has too many tensors")
        tensors += kind == "tensor"
        for number, value in _fields(message):
            inner = ways[kind].get(number)
            if inner == "entry":
                found |= _location(value)
            elif inner is not None:
                waiting.append((inner, value, depth + 1))
    return frozenset(found)


def _location(entry: memoryview) -> set[str]:
    """The path of a StringStringEntryProto whose key is `location`."""
    told = {number: bytes(value) for number, value in _fields(entry)}
    if told.get(1) != _KEY:
        return set()
    try:
        text = told.get(2, b"").decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid("the graph names external data by a path that is no text") from error
    path = PurePosixPath(text)
    if not text or path.is_absolute() or ".." in path.parts or "\\" in text or path.as_posix() != text:
        raise Forbidden("the graph names external data outside its pack")
    return {text}


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each length-delimited field; others are passed over."""
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            _, at = _varint(message, at)
            continue
        if wire == _BYTES:
            size, at = _varint(message, at)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise Invalid("model.onnx is not a protobuf")
        if at + size > end:
            raise Invalid("model.onnx is cut short")
        if wire == _BYTES:
            yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise Invalid("model.onnx is not a protobuf")
