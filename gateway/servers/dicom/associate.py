"""A-ASSOCIATE-RQ parsing and A-ASSOCIATE-AC encoding (PS3.8 sections 9.3.2 and 9.3.3, PS3.7 Annex D.3.3).

Own rather than pynetdicom's PDU classes: those cannot be imported without the whole of pydicom (half a second
and 40 MB per process), and decode item lengths before anything bounds them. Here every length is checked
against the item that holds it and every count against a limit. pynetdicom is the independent peer in the tests.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.servers.dicom.pdu import ASSOCIATE_AC, INVALID_PARAMETER, ProtocolViolation
from gateway.servers.dicom.policy import Credentials
from gateway.servers.dicom.uid import parse_uid

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
MOST_CONTEXTS = 128

_FIXED_BYTES = 68
_ITEM = struct.Struct(">BxH")
_APPLICATION_CONTEXT, _CONTEXT_RQ, _CONTEXT_AC, _USER_INFORMATION = 0x10, 0x20, 0x21, 0x50
_ABSTRACT_SYNTAX, _TRANSFER_SYNTAX = 0x30, 0x40
_MAXIMUM_LENGTH, _IMPLEMENTATION_UID, _ASYNC_WINDOW, _ROLE, _IMPLEMENTATION_VERSION = 0x51, 0x52, 0x53, 0x54, 0x55
_USER_IDENTITY_RQ, _USER_IDENTITY_AC = 0x58, 0x59
_VERSION_BYTES = 16


@dataclass(frozen=True)
class ProposedContext:
    """One presentation context as proposed, with the first transfer syntax that is a UID; no UID is None."""

    context_id: int
    abstract_syntax: str | None
    transfer_syntax: str | None


@dataclass(frozen=True)
class AssociateRequest:
    """A parsed A-ASSOCIATE-RQ; titles are None when they are no AE titles, roles map a UID to (SCU, SCP)."""

    fixed: bytes = field(repr=False)
    protocol_version: int
    called_ae: str | None
    calling_ae: str | None
    application_context: str | None
    contexts: tuple[ProposedContext, ...]
    roles: Mapping[str, tuple[int, int]]
    maximum_length: int
    implementation_uid: str
    implementation_version: str
    proposes_async_window: bool
    credentials: Credentials | None
    wants_identity_response: bool


@dataclass(frozen=True)
class ContextResult:
    """The answer to one proposed context (PS3.8 Table 9-18): result 0 accepts."""

    context_id: int
    result: int
    transfer_syntax: str


@dataclass
class _UserInformation:
    maximum_length: int = 0
    implementation_uid: str = ""
    implementation_version: str = ""
    proposes_async_window: bool = False
    wants_identity_response: bool = False
    credentials: Credentials | None = None
    roles: dict[str, tuple[int, int]] = field(default_factory=dict)


def parse_request(body: memoryview) -> AssociateRequest:
    """The request in a PDU body; malformed items, ids and counts break the protocol."""
    if len(body) < _FIXED_BYTES:
        raise ProtocolViolation(INVALID_PARAMETER, "A-ASSOCIATE-RQ is cut short")
    fixed = bytes(body[:_FIXED_BYTES])
    application_context: str | None = None
    contexts: dict[int, ProposedContext] = {}
    user = _UserInformation()
    for kind, value in _items(body[_FIXED_BYTES:]):
        if kind == _APPLICATION_CONTEXT:
            application_context = parse_uid(bytes(value))
        elif kind == _CONTEXT_RQ:
            context = _parse_context(value)
            if context.context_id in contexts or len(contexts) == MOST_CONTEXTS:
                raise ProtocolViolation(INVALID_PARAMETER, "presentation context id is used twice")
            contexts[context.context_id] = context
        elif kind == _USER_INFORMATION:
            for sub_kind, sub_value in _items(value):
                _read_user_item(user, sub_kind, bytes(sub_value))
    if not contexts:
        raise ProtocolViolation(INVALID_PARAMETER, "no presentation context is proposed")
    return AssociateRequest(
        fixed=fixed,
        protocol_version=int.from_bytes(fixed[:2], "big"),
        called_ae=parse_ae_title(fixed[4:20]),
        calling_ae=parse_ae_title(fixed[20:36]),
        application_context=application_context,
        contexts=tuple(contexts.values()),
        roles=user.roles,
        maximum_length=user.maximum_length,
        implementation_uid=user.implementation_uid,
        implementation_version=user.implementation_version,
        proposes_async_window=user.proposes_async_window,
        credentials=user.credentials,
        wants_identity_response=user.wants_identity_response,
    )


def encode_accept(
    request: AssociateRequest,
    results: Sequence[ContextResult],
    roles: Mapping[str, tuple[int, int]],
    *,
    maximum_length: int,
    implementation_uid: str,
    implementation_version: str,
) -> bytes:
    """The whole A-ASSOCIATE-AC PDU; the fixed part returns the request's titles, as the standard asks."""
    parts = [_item(_APPLICATION_CONTEXT, APPLICATION_CONTEXT.encode("ascii"))]
    for result in results:
        syntax = _item(_TRANSFER_SYNTAX, result.transfer_syntax.encode("ascii"))
        parts.append(_item(_CONTEXT_AC, struct.pack("BxBx", result.context_id, result.result) + syntax))
    user = [
        _item(_MAXIMUM_LENGTH, struct.pack(">L", maximum_length)),
        _item(_IMPLEMENTATION_UID, implementation_uid.encode("ascii")),
    ]
    if request.proposes_async_window:
        user.append(_item(_ASYNC_WINDOW, struct.pack(">HH", 1, 1)))
    for uid, (scu, scp) in roles.items():
        name = uid.encode("ascii")
        user.append(_item(_ROLE, struct.pack(">H", len(name)) + name + bytes((scu, scp))))
    user.append(_item(_IMPLEMENTATION_VERSION, implementation_version.encode("ascii")))
    if request.wants_identity_response:
        user.append(_item(_USER_IDENTITY_AC, struct.pack(">H", 0)))
    parts.append(_item(_USER_INFORMATION, b"".join(user)))
    body = struct.pack(">Hxx", 1) + request.fixed[4:] + b"".join(parts)
    return struct.pack(">BxL", ASSOCIATE_AC, len(body)) + body


def parse_ae_title(value: bytes) -> str | None:
    """An AE title (PS3.5 VR AE): printable ASCII without backslash, not blank; None if it is none."""
    title = value.strip(b" ")
    if not title or any(byte < 0x20 or byte > 0x7E or byte == 0x5C for byte in title):
        return None
    return title.decode("ascii")


def _items(value: memoryview) -> Iterator[tuple[int, memoryview]]:
    position, end = 0, len(value)
    while position < end:
        start = position + _ITEM.size
        if start > end:
            raise ProtocolViolation(INVALID_PARAMETER, "item header is cut short")
        kind, length = _ITEM.unpack_from(value, position)
        position = start + length
        if position > end:
            raise ProtocolViolation(INVALID_PARAMETER, "item does not fit what holds it")
        yield kind, value[start:position]


def _item(kind: int, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value


def _parse_context(value: memoryview) -> ProposedContext:
    if len(value) < 4 or not value[0] % 2:
        raise ProtocolViolation(INVALID_PARAMETER, "presentation context id is missing or even")
    abstract_syntax: str | None = None
    transfer_syntax: str | None = None
    for kind, uid in _items(value[4:]):
        if kind == _ABSTRACT_SYNTAX:
            abstract_syntax = parse_uid(bytes(uid))
        elif kind == _TRANSFER_SYNTAX and transfer_syntax is None:
            transfer_syntax = parse_uid(bytes(uid))
    return ProposedContext(value[0], abstract_syntax, transfer_syntax)


def _read_user_item(user: _UserInformation, kind: int, value: bytes) -> None:
    if kind == _MAXIMUM_LENGTH and len(value) == 4:
        user.maximum_length = int.from_bytes(value, "big")
    elif kind == _IMPLEMENTATION_UID:
        user.implementation_uid = parse_uid(value) or ""
    elif kind == _IMPLEMENTATION_VERSION:
        user.implementation_version = _printable(value, _VERSION_BYTES) or ""
    elif kind == _ASYNC_WINDOW:
        user.proposes_async_window = True
    elif kind == _ROLE:
        _read_role(user, value)
    elif kind == _USER_IDENTITY_RQ:
        user.credentials, user.wants_identity_response = _parse_identity(value)


def _read_role(user: _UserInformation, value: bytes) -> None:
    length = int.from_bytes(value[:2], "big")
    if len(value) != 2 + length + 2:
        raise ProtocolViolation(INVALID_PARAMETER, "role selection item is malformed")
    uid = parse_uid(value[2 : 2 + length])
    if uid is not None:
        user.roles[uid] = (value[-2], value[-1])


def _parse_identity(value: bytes) -> tuple[Credentials, bool]:
    if len(value) < 6:
        raise ProtocolViolation(INVALID_PARAMETER, "user identity item is cut short")
    kind, wants_response = value[0], value[1]
    primary_end = 4 + int.from_bytes(value[2:4], "big")
    primary, rest = value[4:primary_end], value[primary_end:]
    secondary = rest[2:]
    if len(rest) < 2 or len(secondary) != int.from_bytes(rest[:2], "big"):
        raise ProtocolViolation(INVALID_PARAMETER, "user identity item is malformed")
    return Credentials(kind, primary, secondary), bool(wants_response)


def user_name(credentials: Credentials | None) -> str | None:
    """The name of identity kinds 1 and 2 (PS3.7 D.3.3.7.1); tickets and tokens are for the policy to read."""
    if credentials is None or credentials.kind not in (1, 2):
        return None
    return _printable(credentials.primary, 256)


def _printable(value: bytes, most_bytes: int) -> str | None:
    if len(value) > most_bytes:
        return None
    text = value.decode("utf-8", errors="replace").strip()
    return text if text and text.isprintable() else None
