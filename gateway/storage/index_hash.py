"""Keyed 64-bit hashes for the search index: what may be found again without being stored.

BLAKE2b under a key of each parameter, which derives from the vault's index key: without that key neither names nor
numbers can be tried out, and equal values of two parameters do not look alike.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

Derive = Callable[[str], bytes]
"""From a label to 32 bytes that only the holder of the vault's index key can make."""


class IndexHash:
    """Hashes by label. Labels and formats are a wire law: stored rows depend on them."""

    def __init__(self, derive: Derive) -> None:
        self._derive = derive
        self._keys: dict[str, bytes] = {}

    def __call__(self, label: str, text: str) -> int:
        """A signed number, as databases keep it."""
        key = self._keys.get(label)
        if key is None:
            key = self._keys[label] = self._derive(f"fhir-index/v1/{label}")
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest()
        return int.from_bytes(digest, "big", signed=True)
