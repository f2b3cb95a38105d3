"""A FHIR resource as it is stored: which version, whose record, sealed body; and what a write has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import randbits
from typing import Any, Literal

Method = Literal["POST", "PUT", "PATCH", "DELETE"]
"""What made a version; `Bundle.entry.request.method` of a history."""

_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
_RANDOM_BITS = 10  # wire law: stored keys are ordered by it


@dataclass(frozen=True)
class StoredVersion:
    """One version of a resource. `owner` is the pseudonym under whose key it is sealed: a patient or the house.

    `sealed` is empty where the version deletes the resource. `ours` marks what the gateway itself writes: reports and
    what they refer to, which no client may change.
    """

    key: int
    type: str
    id: str
    version: int
    method: Method
    at: datetime
    owner: str
    sealed: bytes = field(repr=False)
    ours: bool = False

    @property
    def is_deleted(self) -> bool:
        return self.method == "DELETE"

    @property
    def name(self) -> tuple[str, str]:
        """Type and id: what a reference says."""
        return self.type, self.id


@dataclass(frozen=True)
class Change:
    """What a write did to one resource, in clear, for those who must know inside the same transaction.

    `resource` is None after a delete, `previous` before a create; `previous_owner` is whose record that was in.
    """

    stored: StoredVersion
    resource: Mapping[str, Any] | None = field(repr=False)
    previous: Mapping[str, Any] | None = field(repr=False)
    previous_owner: str = ""


def resource_key(at: datetime) -> int:
    """The key of a new resource: grows with time, so that the newest are found first; 60 bits until 2054."""
    microseconds = (at - _EPOCH) // _MICROSECOND
    return int(microseconds) << _RANDOM_BITS | randbits(_RANDOM_BITS)


_MICROSECOND = datetime(2020, 1, 1, 0, 0, 0, 1, tzinfo=UTC) - _EPOCH
