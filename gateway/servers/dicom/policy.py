"""Who may open an association, and who is told about it: the ports of the DICOM listener to the house.

The transport decides what is well-formed; whether a peer is welcome is a matter of configuration and
certificates, decided elsewhere and answered in the terms of PS3.8 section 9.3.4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol


@dataclass(frozen=True)
class Credentials:
    """User identity as negotiated (PS3.7 D.3.3.7): kind 1 name, 2 name and passcode, 3 Kerberos, 4 SAML, 5 JWT.

    Only the policy sees it; it is removed from the `AssociationInfo` that everyone else gets.
    """

    kind: int
    primary: bytes = field(repr=False)
    secondary: bytes = field(repr=False)


@dataclass(frozen=True)
class AssociationInfo:
    """What is known about the peer of one association; the two titles are checked, printable ASCII."""

    association_id: str
    calling_ae: str
    called_ae: str
    peer_host: str
    peer_port: int
    implementation_uid: str
    implementation_version: str
    tls_subject: str | None
    user_identity: str | None
    credentials: Credentials | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Rejection:
    """The result, source and reason of an A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""

    result: int
    source: int
    reason: int


PERMANENT, TRANSIENT = 1, 2
NO_REASON_GIVEN = Rejection(PERMANENT, 1, 1)
APPLICATION_CONTEXT_NOT_SUPPORTED = Rejection(PERMANENT, 1, 2)
CALLING_AE_NOT_RECOGNISED = Rejection(PERMANENT, 1, 3)
CALLED_AE_NOT_RECOGNISED = Rejection(PERMANENT, 1, 7)
PROTOCOL_VERSION_NOT_SUPPORTED = Rejection(PERMANENT, 2, 2)
TEMPORARY_CONGESTION = Rejection(TRANSIENT, 3, 1)
LOCAL_LIMIT_EXCEEDED = Rejection(TRANSIENT, 3, 2)


class Ending(Enum):
    """How an association came to its end; only `RELEASED` says that the sender had finished."""

    RELEASED = "released"
    ABORTED = "aborted"
    DISCONNECTED = "disconnected"
    TIMEOUT = "timeout"
    EVICTED = "evicted"
    VIOLATION = "violation"
    STOPPED = "stopped"
    FAULT = "fault"


class AssociationPolicy(Protocol):
    """Decides whether a proposed association is accepted; None means yes."""

    def admit(self, proposal: AssociationInfo) -> Rejection | None: ...


class AssociationObserver(Protocol):
    """Hears of each accepted association and of its end: for the audit trail and for study completion.

    An error in `opened` refuses the association (temporary congestion): what cannot be recorded is not begun.
    """

    def opened(self, info: AssociationInfo) -> None: ...

    def released(self, info: AssociationInfo, reason: Ending) -> None: ...
