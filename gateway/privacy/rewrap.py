"""A patient's wrapped key, wrapped again under the current key of its purpose: what rotation does to a row."""

from __future__ import annotations

from gateway.ports import WrappedKeys
from gateway.privacy.live_ring import Keys
from gateway.privacy.vault import object_key, open_secret, seal_object_key, seal_secret


def rewrapped(which: WrappedKeys, cell: bytes, ring: Keys, pseudonym: str) -> bytes:
    """Missing where the ring lacks the key, Invalid where the cell was altered or moved."""
    if which == "objects":
        return seal_object_key(object_key(cell, ring, pseudonym), ring, pseudonym)
    return seal_secret(open_secret(cell, ring, pseudonym), ring, pseudonym)
