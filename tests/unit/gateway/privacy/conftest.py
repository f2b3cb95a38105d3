"""Data sets made element by element, and the keys of one patient, for the privacy tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gateway.privacy.dataset import EXPLICIT, Encoding, encode, encode_item
from gateway.privacy.pseudonyms import Pseudonymiser

ROOT: Mapping[int, tuple[str, bytes]] = {
    0x00080016: ("UI", b"1.2.840.10008.5.1.4.1.1.2"),
    0x00080018: ("UI", b"1.2.826.0.1.77.3"),
    0x00080060: ("CS", b"CT"),
    0x00100020: ("LO", b"MRN-4711-X"),
    0x0020000D: ("UI", b"1.2.826.0.1.77.1"),
    0x0020000E: ("UI", b"1.2.826.0.1.77.2"),
}


def build(elements: Mapping[int, tuple[str, Any]], encoding: Encoding = EXPLICIT) -> bytes:
    """A data set in tag order; a list as a value makes a sequence of its mappings."""
    out = []
    for tag, (vr, value) in sorted(elements.items()):
        items = value if isinstance(value, list) else []
        content = b"".join(encode_item(build(item, encoding), encoding) for item in items)
        out.append(encode(tag, vr, content if isinstance(value, list) else value, encoding))
    return b"".join(out)


@pytest.fixture(scope="session")
def make() -> Callable[..., bytes]:
    """`build` with what every storable object has: class, instance, study, series, patient."""

    def made(elements: Mapping[int, tuple[str, Any]] | None = None, encoding: Encoding = EXPLICIT) -> bytes:
        return build({**ROOT, **(elements or {})}, encoding)

    return made


@pytest.fixture(scope="session")
def bare() -> Callable[..., bytes]:
    """`build` without anything added."""
    return build


@pytest.fixture(scope="session")
def pseudonymiser() -> Pseudonymiser:
    """One patient in one domain, the same in every run."""
    return Pseudonymiser(b"s" * 32, b"d" * 32)
