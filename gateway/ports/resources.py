"""The FHIR store: resources, their search index, subscriptions to them, messages that wrote them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from gateway.domain.criterion import Criterion, Link, Order, Place
from gateway.domain.message import ReceivedMessage
from gateway.domain.reindex import Reindexing
from gateway.domain.resource import Change, StoredVersion
from gateway.domain.subscription import Event, Subscriber


class Resources(Protocol):
    """FHIR resources, ours and others', with all their versions (decision 9); bodies are sealed before they come here.

    A version is written once. `owner` may change between versions: a resource can get another patient.
    """

    def find(self, kind: str, own_id: str) -> StoredVersion | None:
        """The current version, which may be a deletion; None where there never was such a resource."""
        ...

    def named(self, names: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], StoredVersion]:
        """The current versions of many (type, id)."""
        ...

    def foresee(self, names: Sequence[tuple[str, str]]) -> None:
        """What `find` will be asked in this unit; where a question costs a round trip, all are asked at once."""
        ...

    def of_keys(self, keys: Sequence[int]) -> list[StoredVersion]:
        """The current versions, in the order of `keys`."""
        ...

    def version(self, kind: str, own_id: str, version: int) -> StoredVersion:
        """Missing where there is none."""
        ...

    def history(
        self,
        *,
        kind: str | None = None,
        own_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        current_since: datetime | None = None,
        limit: int,
        after: tuple[datetime, int, int] | None = None,
    ) -> list[StoredVersion]:
        """Newest first, deletions too; `after` is (at, key, version) of the last row of the page before.

        From `since` on, before `until`; `current_since` leaves out what had been replaced by then.
        """
        ...

    def of_owner(self, owner: str, limit: int, after: int = 0, kind: str | None = None) -> list[StoredVersion]:
        """The current versions in one patient's record, oldest resource first."""
        ...

    def deleted(self, kind: str, since: datetime, until: datetime, limit: int, after: int = 0) -> list[StoredVersion]:
        """What of a type was deleted in this time, `until` with it, and is still, oldest resource first."""
        ...

    def following(self, after: int, until: int, limit: int) -> list[StoredVersion]:
        """The current versions, deletions too, with keys above `after` up to `until`, in the order of keys."""
        ...

    def last_key(self) -> int:
        """The greatest key that there is; 0 for an empty store."""
        ...

    def hold(self, owners: Sequence[str], keys: Sequence[int], conditions: Sequence[int]) -> Mapping[int, int]:
        """Nobody else changes these resources, or decides by these conditions, until the unit of work ends.

        Returns the version at which each of `keys` stands; Erased where an owner was erased. A condition is 32 bits.
        """
        ...

    def insert(self, first: StoredVersion) -> bool:
        """False where the type and id are taken, also by a deleted resource."""
        ...

    def replace(self, was: StoredVersion, now: StoredVersion) -> bool:
        """Guarded by the version that was read; False where another writer was first."""
        ...

    def write(self, changes: Sequence[tuple[StoredVersion | None, StoredVersion]]) -> bool:
        """Many of both at once, None for what is new; False where one failed, and the unit must not be committed."""
        ...


class ResourceIndex(Protocol):
    """Search over resources by blind-index rows; it sees them in clear and stores keyed hashes of what it must hide."""

    def put(self, changes: Sequence[Change]) -> None:
        """Replaces the rows of these resources; a deleted one loses them."""
        ...

    def forget(self, keys: Sequence[int]) -> None:
        """Deletes the rows of these resources: their patient was erased."""
        ...

    def forget_strays(self, after: int, until: int) -> None:
        """Deletes the rows of keys in this range (`until` with it) that no resource has."""
        ...

    def newest(self, kind: str) -> int:
        """The greatest key of a type, or of all (`EVERY_TYPE`); 0 where there is none.

        It is what a search looks at, whatever is written later.
        """
        ...

    def page(
        self,
        kind: str,
        criteria: Sequence[Criterion],
        order: Sequence[Order],
        *,
        limit: int,
        until: int,
        after: Place | None,
    ) -> list[Place]:
        """The next places in this order, the newest first among equals; no key above `until`.

        Where a criterion is lossy (`criterion.is_lossy`) there may be more than what fits.
        """
        ...

    def count(self, kind: str, criteria: Sequence[Criterion], *, until: int, most: int) -> int:
        """How many there are; counting ends at `most`."""
        ...

    def referred(self, keys: Sequence[int], link: Link, limit: int) -> list[int]:
        """Keys of the resources that these refer to."""
        ...

    def referring(self, keys: Sequence[int], link: Link, limit: int) -> list[int]:
        """Keys of the resources that refer to these."""
        ...

    def matching(
        self, kind: str, criteria: Sequence[tuple[str, str]], limit: int, *, owner: str | None = None
    ) -> list[int]:
        """Keys of the current resources of a type that match, newest first: for conditional interactions.

        With `owner`, those in this patient's record alone, and `limit` counts no others.
        Invalid for a parameter that is not served: a condition is never ignored.
        """
        ...


class Subscriptions(Protocol):
    """Subscriptions as rows beside their resources, and the events that they are to be told of."""

    def watched(self, now: datetime) -> list[tuple[str, int, int]]:
        """Id, key and version of every subscription that is neither off nor at its end."""
        ...

    def get(self, own_id: str) -> Subscriber | None: ...

    def add(self, subscriber: Subscriber) -> None: ...

    def follow(self, own_id: str, changes: Mapping[str, Any]) -> bool:
        """Columns that follow the resource."""
        ...

    def forget(self, own_id: str) -> None:
        """With all its events."""
        ...

    def add_events(self, events: Sequence[Event]) -> None:
        """Without a number: the next claim gives them theirs."""
        ...

    def due(self, now: datetime, limit: int) -> list[Subscriber]:
        """Those that nobody holds and that have a handshake, events, a heartbeat or their end before them."""
        ...

    def claim(self, waiting: Subscriber, now: datetime, lease_until: datetime) -> Subscriber | None:
        """The subscription with the next attempt and all its events numbered; None where another was first."""
        ...

    def progress(self, held: Subscriber, changes: Mapping[str, Any]) -> bool:
        """Guarded by the attempt; False where it is no longer ours."""
        ...

    def events(self, own_id: str, after: int, until: int, limit: int) -> list[Event]:
        """Numbers above `after` and up to `until`, in order."""
        ...

    def drop_sent(self, before: datetime) -> int:
        """Forgets events that were told of and are older."""
        ...

    def count(self) -> int:
        """How many there are that are not off."""
        ...


class Messages(Protocol):
    """FHIR messages that were processed (R4 messaging), each once."""

    def find(self, client: str, message: bytes, bundle: bytes | None) -> ReceivedMessage | None:
        """The client's message of that MessageHeader.id, else the one that came with that Bundle.identifier."""
        ...

    def keep(self, received: ReceivedMessage) -> bool:
        """False where it, or its Bundle.identifier, is there already."""
        ...

    def forget(self, before: datetime) -> int:
        """Those that came before go; how many they were."""
        ...


class Reindexings(Protocol):
    """Passes over the search index, one at a time."""

    def newest(self) -> Reindexing | None: ...

    def begin(self, first: Reindexing) -> None: ...

    def move(self, was: Reindexing, now: Reindexing) -> bool:
        """False where the pass does not stand where it did, or has ended."""
        ...
