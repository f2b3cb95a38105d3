"""Key rings as the settings lay them out, opened once for each process.

A worker holds the ring of objects alone; roles that may restore identity hold both.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from gateway.privacy import keyring
from gateway.privacy.keyring import KeyRing, Purpose
from gateway.privacy.live_ring import LiveRing
from gateway.privacy.providers.choose import provider_for
from gateway.storage.audit_trail import AuditKey

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config import KeySettings, Settings

_rings: dict[tuple[Path, KeySettings, tuple[str, ...]], LiveRing] = {}
_opening = threading.Lock()


def key_ring(settings: Settings, name: str) -> KeyRing:
    """One ring as its file stands now."""
    return keyring.load(settings.key_folder, name, provider_for(settings.keys, name))


def object_keys(settings: Settings) -> LiveRing:
    """The ring that a worker holds: objects and audit chain, nothing that leads to identity."""
    return _live(settings, keyring.OBJECTS_FILE)


def all_keys(settings: Settings) -> LiveRing:
    """Both rings, for the roles that may restore identity."""
    return _live(settings, keyring.OBJECTS_FILE, keyring.IDENTITY_FILE)


def _live(settings: Settings, *names: str) -> LiveRing:
    """One for each process and set of files, so that a role opens its rings once however many parts use them."""
    wanted = (settings.key_folder, settings.keys, names)
    with _opening:
        ring = _rings.get(wanted)
        if ring is None:
            paths = [settings.key_folder / name for name in names]

            def load() -> KeyRing:
                ring = KeyRing({}, {})
                for name in names:
                    ring = ring.joined(key_ring(settings, name))
                return ring

            ring = _rings[wanted] = LiveRing(paths, load)
    ring.insist()
    return ring


def audit_key(settings: Settings) -> AuditKey:
    key = object_keys(settings).key(Purpose.AUDIT)
    return AuditKey(key.kid, key.key)


def audit_keys(settings: Settings) -> list[AuditKey]:
    """The keys of the chain, current and former."""
    ring = object_keys(settings)
    return [AuditKey(kid, key) for kid, key in ring.keys.items() if kid.startswith(f"{Purpose.AUDIT.value}-")]
