"""What the transport hands to the house: one stored object, or one request of another service.

`StoreHandler` is the hot path; `services` in the listener is the one place where other SOP classes are added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from gateway.servers.dicom.policy import AssociationInfo


@dataclass(frozen=True)
class StoreRequest:
    """One C-STORE request; `dataset` is the data set as sent, in `transfer_syntax_uid`, without group 0002."""

    association: AssociationInfo
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    dataset: memoryview | bytes | bytearray = field(repr=False)


StoreHandler = Callable[[StoreRequest], None]
"""Returns only when the object is durable, and raises a `GatewayError` otherwise: its category is the status."""


@dataclass(frozen=True)
class ServiceRequest:
    """One DIMSE request for a SOP class other than storage; `command` maps group 0000 elements to values."""

    association: AssociationInfo
    abstract_syntax_uid: str
    transfer_syntax_uid: str
    command: Mapping[int, bytes] = field(repr=False)
    dataset: bytearray | None = field(repr=False)


@dataclass(frozen=True)
class ServiceReply:
    """One response: its status, further command elements (element number to value) and a data set or none."""

    status: int
    elements: Mapping[int, bytes] = field(default_factory=dict, repr=False)
    dataset: bytes | None = field(default=None, repr=False)


Service = Callable[[ServiceRequest], Iterable[ServiceReply]]
"""Answers a request with one reply, or several (pending ones first, the final one last)."""
