"""keep_index: the watcher that writes a resource's search rows with the resource itself."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.resource import Change
from gateway.ports import UnitOfWork


def keep_index(unit: UnitOfWork, changes: Sequence[Change]) -> None:
    """What is stored is found at once, and nothing is found that is not stored."""
    unit.resource_index.put(changes)
