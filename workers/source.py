"""Where a pack is opened from: the bytes that were verified, or, for one that rested, its folder, verified again.

Why: a draft of many megabytes that nobody may ask takes no memory, and still opens as exactly what was announced. The
bytes of a pack that has served stay: its folder may hold a newer version when a late task comes, or a rollback.
"""

from __future__ import annotations

import hashlib
import threading

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.domain.errors import Forbidden
from models.package import Package, verify


def seal(package: Package) -> str:
    """Changes with any file that the manifest names, and with the manifest."""
    return hashlib.sha256(package.content["manifest.toml"] + package.sha256.encode()).hexdigest()


class Source:
    """One verified pack."""

    def __init__(self, package: Package, trusted: tuple[Ed25519PublicKey, ...]) -> None:
        self._package: Package | None = package
        self._folder, self._seal, self._trusted = package.folder, seal(package), trusted
        self._turn = threading.Lock()

    def package(self) -> Package:
        """Forbidden or Invalid, with the file's name, where the folder holds something else by now."""
        with self._turn:
            if self._package is None:
                found = verify(self._folder, self._trusted)
                if seal(found) != self._seal:
                    raise Forbidden(f"pack {self._folder.name} is not the one that was announced: it has changed since")
                self._package = found
            return self._package

    def forget(self) -> None:
        """Lets the bytes go."""
        with self._turn:
            self._package = None
