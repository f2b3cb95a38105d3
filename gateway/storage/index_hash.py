"""Keyed 64-bit hashes for the search index: what may be found again without being stored.

BLAKE2b under a key of each parameter, which derives from the vault's index key: without that key neither names nor
numbers can be tried out, and equal values of two parameters do not look alike.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

Derive = Callable[[str], bytes]
"""From a label to 32 bytes that only the holder of the vault's index key can make."""

_MOST_SYSTEMS = 4096
_LONGEST_SYSTEM = 200  # one that is longer is hashed each time, so that what is remembered has an end in bytes too


class IndexHash:
    """Hashes by label. Labels and formats are a wire law: stored rows depend on them.

    One serves a process for its life, because the index key is never rotated and deriving from it is slow.
    """

    def __init__(self, derive: Derive) -> None:
        self._derive = derive
        self._keys: dict[str, bytes] = {}
        self._systems: dict[tuple[str, str], int] = {}

    def __call__(self, label: str, text: str) -> int:
        """A signed number, as databases keep it."""
        key = self._keys.get(label)
        if key is None:
            key = self._keys[label] = self._derive(f"fhir-index/v1/{label}")
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest()
        return int.from_bytes(digest, "big", signed=True)

    def system(self, label: str, system: str) -> int:
        """The same for the address of a code system: there are few, and they name nobody, so they are remembered."""
        known = self._systems.get((label, system))
        if known is None:
            if len(system) > _LONGEST_SYSTEM:
                return self(label, system)
            if len(self._systems) >= _MOST_SYSTEMS:
                self._systems.clear()
            known = self._systems[label, system] = self(label, system)
        return known
