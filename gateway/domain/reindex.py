"""A pass over all stored resources that writes their search rows anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Reindexing:
    """`until` is the key of the last resource that it is about, `after` that of the last one that is done.

    `fingerprint` is of what decides which rows there are: the search parameters, and our address.
    """

    id: str
    begun_at: datetime
    until: int
    after: int = 0
    done: int = 0
    failed: int = 0
    ended_at: datetime | None = None
    fingerprint: str = ""
