"""Told of every change of the FHIR store in the transaction that makes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.domain.resource import Change
from gateway.ports.database import UnitOfWork


class Watcher(Protocol):
    """Who must know of writes to the FHIR store; called inside the writing transaction, before its commit."""

    def __call__(self, unit: UnitOfWork, changes: Sequence[Change]) -> None: ...
