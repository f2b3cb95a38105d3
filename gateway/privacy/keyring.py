"""Key rings: the named keys of a gateway in two files, so that a worker can hold one and not the other.

`objects.json` opens pixels, chains the audit trail and is all that a worker gets; `identity.json` opens who they
belong to. In memory alone are the keys in clear: each file is sealed under a data key that a provider wraps
(key_provider.py). How a ring becomes a file stands in ring_file.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from gateway.domain.errors import Conflict, Invalid, Missing, Unavailable
from gateway.privacy import deposit, private_file, ring_file
from gateway.privacy.key_provider import KeyProvider
from gateway.privacy.providers.file import FileProvider
from gateway.privacy.ring_file import RingContent
from gateway.privacy.sealing import WrappingKey


class Purpose(StrEnum):
    """What a key is for; a key serves one purpose only."""

    OBJECTS = "objects"
    IDENTITY = "identity"
    INDEX = "index"
    PSEUDONYM = "pseudonym"
    AUDIT = "audit"
    TOKENS = "tokens"
    SIGNING = "signing"
    DEPOSIT_PUBLIC = "deposit-public"
    DEPOSIT_PRIVATE = "deposit-private"


OBJECTS_FILE: Final = "objects.json"
IDENTITY_FILE: Final = "identity.json"
FILES: Final[Mapping[str, frozenset[Purpose]]] = MappingProxyType(
    {
        OBJECTS_FILE: frozenset({Purpose.OBJECTS, Purpose.AUDIT, Purpose.DEPOSIT_PUBLIC}),
        IDENTITY_FILE: frozenset(set(Purpose) - {Purpose.OBJECTS, Purpose.AUDIT, Purpose.DEPOSIT_PUBLIC}),
    }
)
PAIR: Final = frozenset({Purpose.DEPOSIT_PUBLIC, Purpose.DEPOSIT_PRIVATE})
"""An X25519 pair, raw: who holds the public half can seal for the vault and open nothing (deposit.py)."""
UNROTATABLE: Final = frozenset({Purpose.INDEX, Purpose.PSEUDONYM})
"""A new key here would break every look-up or every pseudonym; they change by migration, not by rotation."""

Providers = Callable[[str], KeyProvider]
"""From the name of a ring's file to the provider that wraps it."""


@dataclass(frozen=True, repr=False)
class KeyRing:
    """Keys by id, which one is current for each purpose, and which comes next. Has no text form."""

    keys: Mapping[str, bytes] = field(repr=False)
    current: Mapping[Purpose, str]
    staged: Mapping[Purpose, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(sorted(self.keys))})"

    def key(self, purpose: Purpose) -> WrappingKey:
        """The current key of a purpose; raises Missing where this ring does not hold it."""
        if purpose not in self.current:
            raise Missing(f"this key ring holds no key for {purpose.value}")
        return self.by_id(self.current[purpose])

    def by_id(self, kid: str) -> WrappingKey:
        """A key by its id, current or earlier."""
        if kid not in self.keys:
            raise Missing(f"this key ring holds no key {kid!r}")
        return WrappingKey(kid, self.keys[kid])

    def unwrap(self, kid: str, wrapped: bytes) -> bytes:
        """Open what any key of this ring wrapped."""
        return self.by_id(kid).unwrap(kid, wrapped)

    def kids(self, purpose: Purpose) -> list[str]:
        """Ids of all keys of a purpose: current, earlier and staged."""
        return sorted(kid for kid in self.keys if purpose_of(kid) is purpose)

    def with_new_key(self, purpose: Purpose) -> KeyRing:
        """A ring whose current key for the purpose is new; earlier ones still open what they sealed."""
        ring = self if purpose in self.staged else self.with_staged_key(purpose)
        kid = ring.staged[purpose]
        left = {other: name for other, name in ring.staged.items() if other is not purpose}
        return replace(ring, current={**ring.current, purpose: kid}, staged=left)

    def with_staged_key(self, purpose: Purpose) -> KeyRing:
        """A ring that holds the next key and does not use it yet, to be copied to every machine first."""
        if purpose in UNROTATABLE and purpose in self.current:
            raise Conflict(f"the {purpose.value} key cannot be rotated: stored values are derived from it")
        if purpose in PAIR:
            raise Conflict(f"the {purpose.value} key is one half of a pair, and both rings change together")
        if purpose in self.staged:
            raise Conflict(f"the next {purpose.value} key is staged already")
        kid = f"{purpose.value}-{secrets.token_hex(6)}"
        keys = {**self.keys, kid: secrets.token_bytes(32)}
        return replace(self, keys=keys, staged={**self.staged, purpose: kid})

    def with_private_key(self) -> KeyRing:
        """A ring whose current private half of the deposit pair is new; earlier ones still open what they sealed."""
        return self._with_half(Purpose.DEPOSIT_PRIVATE, *deposit.new_pair())

    def with_public_key(self, private: bytes) -> KeyRing:
        """A ring that seals deposits for the holder of `private`; a former public half is of no more use."""
        public = deposit.public_half(private)
        keys = {kid: key for kid, key in self.keys.items() if purpose_of(kid) is not Purpose.DEPOSIT_PUBLIC}
        return replace(self, keys=keys)._with_half(Purpose.DEPOSIT_PUBLIC, public, public)

    def _with_half(self, purpose: Purpose, public: bytes, half: bytes) -> KeyRing:
        """Both halves carry the fingerprint of the public one in their ids, as every deposit does."""
        kid = f"{purpose.value}-{deposit.fingerprint(public)}"
        return replace(self, keys={**self.keys, kid: half}, current={**self.current, purpose: kid})

    def seals_for(self, identity: KeyRing) -> bool:
        """Whether the public half here belongs to the private half that is current there."""
        public, private = self.current.get(Purpose.DEPOSIT_PUBLIC), identity.current.get(Purpose.DEPOSIT_PRIVATE)
        return bool(public and private) and str(public).rpartition("-")[2] == str(private).rpartition("-")[2]

    def without(self, kid: str) -> KeyRing:
        """A ring that has lost a former key for good; Conflict where the key is in use or about to be."""
        if kid in self.current.values() or kid in self.staged.values():
            raise Conflict(f"{kid} is not a former key; rotate first")
        self.by_id(kid)
        return replace(self, keys={name: key for name, key in self.keys.items() if name != kid})

    def confirm(self, kid: str) -> None:
        """Unavailable where the key is not on the ring; a ring in memory does not change."""
        if kid not in self.keys:
            raise Unavailable(f"the key {kid} is not on the ring")

    def joined(self, other: KeyRing) -> KeyRing:
        """Both rings as one, for the processes that may hold both."""
        return KeyRing({**self.keys, **other.keys}, {**self.current, **other.current}, {**self.staged, **other.staged})


def purpose_of(kid: str) -> Purpose:
    """Which purpose a key serves, by its id; Missing where it is no key id of ours."""
    try:
        return Purpose(kid.rpartition("-")[0])
    except ValueError:
        raise Missing(f"no key of ours is called {kid!r}") from None


def file_of(purpose: Purpose) -> str:
    """The file whose ring holds the keys of a purpose."""
    return next(name for name, purposes in FILES.items() if purpose in purposes)


def unprotected(_name: str) -> KeyProvider:
    """Providers of a folder that file permissions alone protect."""
    return FileProvider()


def create(folder: Path, providers: Providers = unprotected) -> list[str]:
    """Make the folder and both files where they are missing; of racing processes one wins and all agree.

    Returns the names of the files made here. A KEK that does not exist yet is made too.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=private_file.FOLDER_MODE)
    private_file.check_private(folder, "folder", private_file.FOLDER_MODE)
    made = []
    for name, purposes in FILES.items():
        if not (folder / name).exists():
            ring = KeyRing({}, {})
            for purpose in sorted(purposes - PAIR):
                ring = ring.with_new_key(purpose)
            content = sealed(name, ring, providers(name))
            try:
                private_file.write_new(folder / name, content)
            except Conflict:
                continue  # another process was first; its ring is the ring
            made.append(name)
    if not all(_holds_half(folder / name) for name in FILES):
        with private_file.one_at_a_time(folder, wait=True):
            complete_pair(folder, providers)
    if not _holds(folder / IDENTITY_FILE, Purpose.SIGNING):  # a ring of a release that signed nothing
        with private_file.one_at_a_time(folder, wait=True):
            identity = load(folder, IDENTITY_FILE, providers(IDENTITY_FILE))
            if Purpose.SIGNING not in identity.current:
                save(folder, IDENTITY_FILE, identity.with_new_key(Purpose.SIGNING), providers(IDENTITY_FILE))
    return made


def complete_pair(folder: Path, providers: Providers, *, anew: bool = False) -> KeyRing:
    """Both halves of the deposit pair, where one is missing or `anew`; returns the ring that holds the private one.

    The private half is written first and the public one follows from it: killed in between, the next run goes on.
    """
    identity, objects = (load(folder, name, providers(name)) for name in (IDENTITY_FILE, OBJECTS_FILE))
    if Purpose.DEPOSIT_PRIVATE not in identity.current or (anew and objects.seals_for(identity)):
        identity = identity.with_private_key()
        save(folder, IDENTITY_FILE, identity, providers(IDENTITY_FILE))
    if not objects.seals_for(identity):
        objects = objects.with_public_key(identity.key(Purpose.DEPOSIT_PRIVATE).key)
        save(folder, OBJECTS_FILE, objects, providers(OBJECTS_FILE))
    return identity


def _holds_half(path: Path) -> bool:
    return _holds(path, *PAIR)


def _holds(path: Path, *purposes: Purpose) -> bool:
    return any(kid.rpartition("-")[0] in purposes for kid in ring_file.read_header(path).keys)


def load(folder: Path, name: str, provider: KeyProvider | None = None) -> KeyRing:
    """One ring; raises Missing, Forbidden (permissions, passphrase), Invalid (content) or Unavailable (provider)."""
    path = folder / name
    if not path.exists():
        raise Missing(f"no key ring {name} in the key folder; `dxgate keys init` makes one")
    return from_content(name, ring_file.opened(name, private_file.read(path), provider or FileProvider()))


def save(folder: Path, name: str, ring: KeyRing, provider: KeyProvider) -> None:
    """Replaces the file: sealed under a fresh data key, durable when this returns."""
    private_file.write_over(folder / name, sealed(name, ring, provider))


def to_content(ring: KeyRing) -> RingContent:
    """What of a ring is written."""
    named = ({purpose.value: kid for purpose, kid in names.items()} for names in (ring.current, ring.staged))
    return RingContent(ring.keys, *named)


def from_content(name: str, content: RingContent) -> KeyRing:
    """The ring of the file `name`; Invalid where it is not whole or holds another file's keys."""
    damaged = Invalid(f"key ring {name} is damaged")
    try:
        current, staged = (
            {Purpose(word): kid for word, kid in named.items()} for named in (content.current, content.staged)
        )
        purposes = {purpose_of(kid) for kid in content.keys}
    except (ValueError, Missing):
        raise damaged from None
    if any(len(key) != 32 for key in content.keys.values()):
        raise damaged
    if any(kid not in content.keys or purpose_of(kid) is not use for use, kid in [*current.items(), *staged.items()]):
        raise damaged
    if not {*purposes, *current} <= FILES.get(name, frozenset(Purpose)):
        raise Invalid(f"key ring {name} holds keys that belong to the other file")
    return KeyRing(content.keys, current, staged)


def sealed(name: str, ring: KeyRing, provider: KeyProvider) -> bytes:
    """The file of a ring. A provider that has no KEK yet makes its first."""
    try:
        return ring_file.sealed(name, to_content(ring), provider)
    except Missing:
        provider.renew()
        return ring_file.sealed(name, to_content(ring), provider)
