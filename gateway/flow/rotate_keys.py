"""rotate: a new key takes the place of one on a key ring, and the rows under the old one are wrapped anew.

The gateway goes on meanwhile: the new key is on disk before any row needs it, running processes read the changed
ring by themselves, and rows are wrapped again a few at a time. Killed at any point and run again, it finishes what
was begun. Sealed files are never rewritten: they lie under patients' keys, which stay what they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from gateway.domain.errors import Busy, Conflict, GatewayError, Missing
from gateway.ports import Database, Resting, WrappedKeys
from gateway.privacy import keyring, private_file
from gateway.privacy.key_provider import KeyProvider
from gateway.privacy.keyring import FILES, KeyRing, Providers, Purpose
from gateway.privacy.live_ring import LOOK_SECONDS
from gateway.privacy.rewrap import rewrapped
from gateway.privacy.ring_file import read_header

BATCH: Final = 50
_TRIES: Final = 8  # of one batch, where the database ends it for the sake of an object that arrives
WRAPPED: Final[Mapping[Purpose, WrappedKeys]] = {Purpose.OBJECTS: "objects", Purpose.IDENTITY: "identity"}

_RESTING: Final[Mapping[Purpose, Resting]] = {
    **WRAPPED,
    Purpose.AUDIT: "audit",
    Purpose.DEPOSIT_PRIVATE: "deposits",
}
_KEPT: Final = {
    Purpose.AUDIT: "audit rows and anchors, and is kept to verify them",
    Purpose.DEPOSIT_PRIVATE: "deposits of removed pixels, and is kept to open them",
    Purpose.SIGNING: "signatures of reports, and is kept to verify them",
}


@dataclass(frozen=True)
class Rotation:
    """`kid` is current now; `is_new` is False where an earlier run was finished; `failed` rows did not open."""

    kid: str
    is_new: bool
    rewrapped: int = 0
    failed: int = 0


class Tables(Protocol):
    """Sealed files beside the database that rest on the identity key: the key tables of exports."""

    def counts(self) -> Mapping[str, int]:
        """How many each key wraps."""
        ...

    def rewrap(self, ring: KeyRing) -> tuple[int, int]:
        """How many were wrapped under the current key, and how many do not open."""
        ...


@dataclass(frozen=True)
class RotateKeys:
    """Works on the rings in `folder`; `anchors` counts the anchors of the audit trail that each key has signed.

    `deposits` counts the sealed deposits by the fingerprint of the pair that they were made for; `tables` are wrapped
    anew with the rows of the identity key.
    """

    database: Database
    folder: Path
    providers: Providers
    anchors: Callable[[], Mapping[str, int]] = dict
    deposits: Callable[[], Mapping[str, int]] = dict
    tables: Tables | None = None
    pause: Callable[[float], None] = time.sleep

    def rotate(self, purpose: Purpose, actor: str) -> Rotation:
        """Conflict for keys that stored values derive from."""
        with private_file.one_at_a_time(self.folder):
            ring = self._load(purpose)
            is_new = not self._was_interrupted(ring, purpose)
            if is_new:
                ring = ring.with_new_key(purpose)
                self._save(purpose, ring)
            kid = ring.current[purpose]
            self._record_once("key:rotate", kid, actor, purpose=purpose.value)
            done, failed = self._rewrap(purpose, ring, actor) if purpose in WRAPPED else (0, 0)
        return Rotation(kid, is_new, done, failed)

    def rotate_deposit(self, actor: str) -> Rotation:
        """A new pair in both rings. What is sealed to the former one is opened by its private half, which stays."""
        with private_file.one_at_a_time(self.folder):
            is_new = self._load(Purpose.OBJECTS).seals_for(self._load(Purpose.IDENTITY))
            identity = keyring.complete_pair(self.folder, self.providers, anew=True)
            kid = identity.current[Purpose.DEPOSIT_PRIVATE]
            self._record_once("key:rotate", kid, actor, purpose=Purpose.DEPOSIT_PRIVATE.value)
        return Rotation(kid, is_new)

    def stage(self, purpose: Purpose, actor: str) -> str:
        """Makes the key that the next rotation will use, to be copied to every machine before it is used."""
        with private_file.one_at_a_time(self.folder):
            ring = self._load(purpose).with_staged_key(purpose)
            self._save(purpose, ring)
            kid = ring.staged[purpose]
            self._record_once("key:create", kid, actor, purpose=purpose.value, staged=True)
        return kid

    def retire(self, kid: str, actor: str) -> None:
        """Destroys a former key; Conflict while anything rests on it. Nothing is destroyed before its audit row."""
        purpose = keyring.purpose_of(kid)
        with private_file.one_at_a_time(self.folder):
            left = self._load(purpose).without(kid)
            self._check_unused(kid, purpose)
            self._record_once("key:retire", kid, actor, purpose=purpose.value)
            with self.database.begin(actor) as unit:
                if purpose in _RESTING:  # who wraps now is counted, who comes later sees the ring without the key
                    unit.key_rows.hold(_RESTING[purpose])
                self._check_unused(kid, purpose)
                self._save(purpose, left)
                unit.commit()

    def usage(self, ring: KeyRing) -> dict[str, int | None]:
        """How much rests on each key of a ring; None where nothing can be counted, as for tokens."""
        with self.database.read() as unit:
            found: dict[str, int | None] = dict.fromkeys(ring.keys)
            for purpose, which in WRAPPED.items():
                found |= unit.key_rows.counts(which, ring.kids(purpose))
            chained, anchored = unit.key_rows.audit_counts(), self.anchors()
            signed = unit.reviews.counts_by_key()
        for kid in ring.kids(Purpose.SIGNING):
            found[kid] = signed.get(kid, 0)
        for kid in ring.kids(Purpose.AUDIT):
            found[kid] = chained.get(kid, 0) + anchored.get(kid, 0)
        kept = self.tables.counts() if self.tables else {}
        for kid in ring.kids(Purpose.IDENTITY):
            found[kid] = (found[kid] or 0) + kept.get(kid, 0)
        return found

    def _deposits(self, kid: str) -> int:
        """How many deposits this private half opens, by the fingerprint in each; reads the head of every one."""
        return self.deposits().get(kid.rpartition("-")[2], 0)

    def _check_unused(self, kid: str, purpose: Purpose) -> None:
        is_private = purpose is Purpose.DEPOSIT_PRIVATE
        count = self._deposits(kid) if is_private else self.usage(self._load(purpose))[kid]
        if count:
            raise Conflict(f"{kid} still serves {count} {_KEPT.get(purpose, 'rows; `dxgate keys rotate` frees it')}")

    def _was_interrupted(self, ring: KeyRing, purpose: Purpose) -> bool:
        """A rotation that was killed has left a current key without the audit row that ends it."""
        kid = ring.current[purpose]
        if len(ring.kids(purpose)) == 1 or purpose in ring.staged:
            return False
        last = "key:rewrap" if purpose in WRAPPED else "key:rotate"
        with self.database.read() as unit:
            return not unit.audit.newest(limit=1, event=last, subject_id=kid)

    def _rewrap(self, purpose: Purpose, ring: KeyRing, actor: str) -> tuple[int, int]:
        """Twice: a process that had not yet seen the new ring may have added a row under the old key meanwhile."""
        done, failed = self._rewrap_all(WRAPPED[purpose], ring, purpose, actor)
        self.pause(LOOK_SECONDS + 0.2)
        more, failed = self._rewrap_all(WRAPPED[purpose], ring, purpose, actor)
        if self.tables and purpose is Purpose.IDENTITY:
            wrapped, closed = self.tables.rewrap(ring)
            more, failed = more + wrapped, failed + closed
        with self.database.begin(actor) as unit:
            unit.audit.record("key:rewrap", ring.current[purpose], actor, rows=done + more, failed=failed)
            unit.commit()
        return done + more, failed

    def _rewrap_all(self, which: WrappedKeys, ring: KeyRing, purpose: Purpose, actor: str) -> tuple[int, int]:
        """Rows wrapped anew, and rows that do not open and stay as they are."""
        done = failed = 0
        after, kid = "", ring.current[purpose]
        while True:
            with self.database.read() as unit:
                rows = unit.key_rows.outside(which, kid, BATCH, after)
            if not rows:
                return done, failed
            after = rows[-1][0]
            anew = []
            for pseudonym, cell in rows:
                try:
                    anew.append((pseudonym, cell, rewrapped(which, cell, ring, pseudonym)))
                except GatewayError:
                    failed += 1
            done += self._write(which, anew, actor)

    def _write(self, which: WrappedKeys, anew: Sequence[tuple[str, bytes, bytes]], actor: str) -> int:
        """Rows that were still as they had been read."""
        for _ in range(_TRIES - 1):
            with suppress(Busy):
                return self._write_once(which, anew, actor)
        return self._write_once(which, anew, actor)

    def _write_once(self, which: WrappedKeys, anew: Sequence[tuple[str, bytes, bytes]], actor: str) -> int:
        with self.database.begin(actor) as unit:
            done = sum(unit.key_rows.rewrap(which, pseudonym, old, new) for pseudonym, old, new in anew)
            unit.commit()
        return done

    def _record_once(self, event: str, kid: str, actor: str, **details: str | bool) -> None:
        with self.database.begin(actor) as unit:
            if not unit.audit.newest(limit=1, event=event, subject_id=kid):
                unit.audit.record(event, kid, actor, **details)
                unit.commit()

    def _load(self, purpose: Purpose) -> KeyRing:
        name = keyring.file_of(purpose)
        return keyring.load(self.folder, name, self.providers(name))

    def _save(self, purpose: Purpose, ring: KeyRing) -> None:
        name = keyring.file_of(purpose)
        keyring.save(self.folder, name, ring, self.providers(name))


def rotate_kek(
    database: Database, folder: Path, providers: Providers, actor: str, moved_from: Providers | None = None
) -> dict[str, str]:
    """Wraps every ring of the folder under a new KEK, or under the provider of the settings where it was another's.

    Returns the KEK id of each file. Each file is replaced whole, so a run that was killed is run again.
    """
    with private_file.one_at_a_time(folder):
        found = {name: _move(folder, name, providers(name), moved_from) for name in FILES if (folder / name).exists()}
        if not found:
            raise Missing("there is no key ring; `dxgate keys init` makes them")
        with database.begin(actor) as unit:
            for name, kek in found.items():
                unit.audit.record("key:rewrap", name, actor, provider=providers(name).name, kek=kek)
            unit.commit()
    return found


def _move(folder: Path, name: str, provider: KeyProvider, moved_from: Providers | None) -> str:
    if moved_from is None:
        ring = keyring.load(folder, name, provider)
        provider.renew()
    else:
        try:
            ring = keyring.load(folder, name, provider)  # an earlier run came as far as this file
        except GatewayError:
            ring = keyring.load(folder, name, moved_from(name))
    keyring.save(folder, name, ring, provider)
    return read_header(folder / name).kek
