"""What is agreed on with a peer: presentation contexts, roles and identity (PS3.8 section 7.1, PS3.7 Annex D).

Every storage class is taken in the transfer syntax the sender named first, because an object is stored as it
came and a sender names first what it has.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Container
from dataclasses import dataclass

from gateway.servers.dicom.associate import (
    APPLICATION_CONTEXT,
    AssociateRequest,
    ContextResult,
    ProposedContext,
    encode_accept,
)
from gateway.servers.dicom.policy import (
    APPLICATION_CONTEXT_NOT_SUPPORTED,
    CALLED_AE_NOT_RECOGNISED,
    CALLING_AE_NOT_RECOGNISED,
    PROTOCOL_VERSION_NOT_SUPPORTED,
    Rejection,
)
from gateway.servers.dicom.sop_class import VERIFICATION, is_storage

# one constant for all releases, PS3.7 D.3.3.2; UUID-derived, so no registration is needed
IMPLEMENTATION_UID = "2.25.86589724723015816039790514675318032628"

_ACCEPTED, _USER_REJECTION, _ABSTRACT_SYNTAX_REFUSED, _TRANSFER_SYNTAXES_REFUSED = 0, 1, 3, 4
_IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"


@dataclass(frozen=True)
class AcceptedContext:
    """A context that messages may use."""

    abstract_syntax: str
    transfer_syntax: str


@dataclass(frozen=True)
class Agreement:
    """The outcome of a negotiation: the usable contexts by id, what the peer takes, and our answer."""

    contexts: dict[int, AcceptedContext]
    peer_max: int
    reply: bytes


def implementation_version() -> str:
    """`DXGATE_<version>`, cut to the 16 characters of PS3.7 D.3.3.2.4; `DXGATE` in an uninstalled tree."""
    try:
        return f"DXGATE_{importlib.metadata.version('dxgate')}"[:16]
    except importlib.metadata.PackageNotFoundError:
        return "DXGATE"


def formal_rejection(request: AssociateRequest) -> Rejection | None:
    """Why a well-formed request cannot be accepted by anybody's policy, or None."""
    if not request.protocol_version & 1:
        return PROTOCOL_VERSION_NOT_SUPPORTED
    if request.application_context != APPLICATION_CONTEXT:
        return APPLICATION_CONTEXT_NOT_SUPPORTED
    if request.calling_ae is None:
        return CALLING_AE_NOT_RECOGNISED
    if request.called_ae is None:
        return CALLED_AE_NOT_RECOGNISED
    return None


def negotiate(request: AssociateRequest, services: Container[str], *, maximum_length: int, version: str) -> Agreement:
    """Answers every proposed context; `services` holds the abstract syntaxes served beside storage."""
    results = [_answer(context, request, services) for context in request.contexts]
    contexts = {
        context.context_id: AcceptedContext(str(context.abstract_syntax), result.transfer_syntax)
        for context, result in zip(request.contexts, results, strict=True)
        if result.result == _ACCEPTED
    }
    usable = {context.abstract_syntax for context in contexts.values()}
    reply = encode_accept(
        request,
        results,
        # we are always the provider: the peer may be the user, never the provider (PS3.7 D.3.3.4)
        {uid: (1, 0) for uid in request.roles if uid in usable},
        maximum_length=maximum_length,
        implementation_uid=IMPLEMENTATION_UID,
        implementation_version=version,
    )
    return Agreement(contexts, request.maximum_length, reply)


def _answer(context: ProposedContext, request: AssociateRequest, services: Container[str]) -> ContextResult:
    syntax, abstract_syntax = context.transfer_syntax, context.abstract_syntax
    if abstract_syntax is None or not _is_served(abstract_syntax, services):
        result = _ABSTRACT_SYNTAX_REFUSED
    elif syntax is None:
        result = _TRANSFER_SYNTAXES_REFUSED
    elif not request.roles.get(abstract_syntax, (1, 0))[0]:
        result = _USER_REJECTION
    else:
        result = _ACCEPTED
    return ContextResult(context.context_id, result, syntax or _IMPLICIT_VR_LITTLE_ENDIAN)


def _is_served(abstract_syntax: str, services: Container[str]) -> bool:
    return abstract_syntax == VERIFICATION or abstract_syntax in services or is_storage(abstract_syntax)
