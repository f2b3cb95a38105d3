"""Key rings as a running process holds them: read again when their files change, so that rotation needs no restart.

A look at a file costs one stat(2) and is taken at most once in a second; a key id that is not known asks at once.
Where a changed file cannot be opened (provider away, passphrase changed) the process goes on with what it has and
says so: it opens and seals as before, and `confirm` keeps it from committing anything under a destroyed key.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final, Protocol

from gateway.domain.errors import Forbidden, GatewayError, Unavailable
from gateway.privacy import ring_file
from gateway.privacy.keyring import KeyRing, Purpose
from gateway.privacy.sealing import WrappingKey

log = logging.getLogger(__name__)
LOOK_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 10.0

Signature = tuple[int, ...]


class Keys(Protocol):
    """What the vault, the object seal and the audit trail need of a ring, living or not."""

    def key(self, purpose: Purpose) -> WrappingKey: ...

    def by_id(self, kid: str) -> WrappingKey: ...

    def confirm(self, kid: str) -> None:
        """Unavailable where the key is not on the ring any more; trying again takes the current one."""
        ...


@dataclass(frozen=True)
class _Held:
    ring: KeyRing
    files: tuple[Signature, ...]


class LiveRing:
    """Implements Keys over the files `paths`, which `load` opens and joins."""

    def __init__(
        self, paths: Sequence[Path], load: Callable[[], KeyRing], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises what `load` raises: a process does not start without its keys."""
        self._paths = tuple(paths)
        self._load = load
        self._clock = clock
        self._lock = Lock()
        before = self._signatures()
        self._held = _Held(load(), before)
        self._looked = clock()
        self._refused: tuple[Signature, ...] = ()
        self._refused_at = 0.0
        self._is_final = False  # a wrong PIN is not tried again on the same file: the HSM would lock

    def key(self, purpose: Purpose) -> WrappingKey:
        if self._clock() - self._looked >= LOOK_SECONDS:
            self._look()
        return self._held.ring.key(purpose)

    def by_id(self, kid: str) -> WrappingKey:
        if kid not in self._held.ring.keys:
            self._look()
        return self._held.ring.by_id(kid)

    def unwrap(self, kid: str, wrapped: bytes) -> bytes:
        return self.by_id(kid).unwrap(kid, wrapped)

    @property
    def keys(self) -> Mapping[str, bytes]:
        self._look()
        return self._held.ring.keys

    def confirm(self, kid: str) -> None:
        """Asks the files themselves, whatever was read of them before."""
        self._look()
        if self._held.files == self._signatures():
            held = kid in self._held.ring.keys
        else:
            held = any(kid in ring_file.read_header(path).keys for path in self._paths)
        if not held:
            raise Unavailable(f"the key {kid} was retired meanwhile")

    def insist(self) -> None:
        """Reads the files now where they have changed, and raises where they do not open."""
        found = self._signatures()
        if found != self._held.files:
            self._held = _Held(self._load(), found)

    def _look(self) -> None:
        with self._lock:
            self._looked = self._clock()
            found = self._signatures()
            too_soon = self._is_final or self._clock() - self._refused_at < RETRY_SECONDS
            if found == self._held.files or (found == self._refused and too_soon):
                return
            try:
                self._held = _Held(self._load(), found)
            except GatewayError as error:
                self._refused, self._refused_at = found, self._clock()
                self._is_final = isinstance(error, Forbidden)
                fields = {"kind": error.category.value, "reason": str(error)}
                log.warning("changed key ring not read; going on with the keys at hand", extra={"fields": fields})

    def _signatures(self) -> tuple[Signature, ...]:
        """Rename gives a new inode, chmod a new ctime; a missing file is all zeros."""
        found = []
        for path in self._paths:
            try:
                about = path.stat()
                found.append((about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns))
            except OSError:
                found.append((0, 0, 0, 0))
        return tuple(found)
