"""Typed identifiers, random where a thing is new and derived where a retry must find it again.

A derived id is a UUIDv5 of what made the thing: the same inputs give the same id in every process,
so that a retry makes the same task, finding, report or delivery and never a second one.
"""

from __future__ import annotations

import uuid
from typing import NewType

StudyId = NewType("StudyId", str)
InstanceId = NewType("InstanceId", str)
TaskId = NewType("TaskId", str)
FindingId = NewType("FindingId", str)
ReportId = NewType("ReportId", str)
DeliveryId = NewType("DeliveryId", str)
ModelId = NewType("ModelId", str)
ClientId = NewType("ClientId", str)
PersonId = NewType("PersonId", str)
Pseudonym = NewType("Pseudonym", str)
BlobKey = NewType("BlobKey", str)

_NAMESPACE = uuid.UUID("8e2b7c1e-5f43-5d0a-9b6e-3f1a6f0d2c55")  # wire law: changing it changes every derived id


def new_id() -> str:
    """A random identifier, 32 hexadecimal digits."""
    return uuid.uuid4().hex


def derive_id(kind: str, *parts: str) -> str:
    """The identifier that `kind` made from `parts` always has, 32 hexadecimal digits."""
    return uuid.uuid5(_NAMESPACE, "\x1f".join((kind, *parts))).hex
