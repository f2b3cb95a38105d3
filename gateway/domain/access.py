"""Who may come in: FHIR clients, DICOM peers and the people who use the console."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.domain.ids import ClientId, PersonId

ClientKind = Literal["fhir", "dicom"]
Role = Literal["admin", "auditor", "physician", "privacy-officer"]


@dataclass(frozen=True)
class Client:
    """A system that may connect. `name` is the client id of a FHIR client or the AE title of a DICOM peer."""

    id: ClientId
    kind: ClientKind
    name: str
    secret_hash: str | None
    scopes: tuple[str, ...]
    networks: tuple[str, ...]
    active: bool
    created_at: datetime


@dataclass(frozen=True)
class Person:
    """Somebody who may sign in to the console.

    `display_name` and `qualification` stand on what the person signs; `identifier` is `system|value`, as an NPI.
    """

    id: PersonId
    name: str
    password_hash: str
    role: Role
    active: bool
    created_at: datetime
    display_name: str = ""
    qualification: str = ""
    identifier: str = ""


@dataclass(frozen=True)
class Grant:
    """A bearer token or console session: only its hash is stored."""

    token_hash: bytes
    holder: str
    kind: Literal["token", "session"]
    scopes: tuple[str, ...]
    expires_at: datetime
