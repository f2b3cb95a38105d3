"""Who may come in: FHIR clients, DICOM peers, the people who use the console, and what they were granted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Literal, Self

from gateway.domain.ids import ClientId, PersonId

ClientKind = Literal["fhir", "dicom"]
Role = Literal["admin", "auditor", "physician", "privacy-officer"]
GrantKind = Literal["token", "session", "refresh", "code"]
NO_PASSWORD = ""
"""What stands in place of a password's hash where a person signs in through an identity provider alone."""


@dataclass(frozen=True)
class Client:
    """A system that may connect. `name` is the client id of a FHIR client or the AE title of a DICOM peer.

    `jwks` is a JSON Web Key Set as text, `jwks_url` an address of one; `certificates` are rules of the form
    `sha256:<digits>`, `subject:<RFC 4514>` or `dns:<name>`; `redirects` are addresses of an app in which people
    sign in, `launch` is where it is opened from the console, `id_token_alg` how the ID tokens for it are signed.
    """

    id: ClientId
    kind: ClientKind
    name: str
    secret_hash: str | None
    scopes: tuple[str, ...]
    networks: tuple[str, ...]
    active: bool
    created_at: datetime
    jwks: str | None = field(default=None, repr=False)
    jwks_url: str | None = None
    certificates: tuple[str, ...] = ()
    redirects: tuple[str, ...] = ()
    launch: str | None = None
    id_token_alg: str | None = None

    @property
    def credentials(self) -> tuple[str, ...]:
        """By what it can prove who it is; an app without any is `public`."""
        held = {
            "secret": self.secret_hash,
            "jwks": self.jwks,
            "jwks-url": self.jwks_url,
            "certificate": self.certificates,
        }
        found = tuple(name for name, value in held.items() if value)
        return found or (("public",) if self.redirects else ())


@dataclass(frozen=True)
class Person:
    """Somebody who may sign in to the console.

    `display_name` and `qualification` stand on what the person signs; `identifier` is `system|value`, as an NPI.
    `issuer` and `subject` name an account of an identity provider.
    """

    id: PersonId
    name: str
    password_hash: str = field(repr=False)
    role: Role
    active: bool
    created_at: datetime
    issuer: str | None = None
    subject: str | None = None
    display_name: str = ""
    qualification: str = ""
    identifier: str = ""


@dataclass(frozen=True)
class Caller(Client):
    """A client that makes a request now: from which address, under which number, and for which person if any.

    `grant_hash` and `chain` are of the token that it shows; without one it has proven who it is by its secret.
    `confined_to` is the pseudonym of the one patient whose record the token reads, if it is confined to one.
    """

    address: str = ""
    request: str = ""
    person: Person | None = None
    grant_hash: bytes | None = field(default=None, repr=False)
    chain: str | None = None
    confined_to: str | None = None

    @classmethod
    def of(cls, client: Client, address: str, request: str, person: Person | None = None) -> Self:
        own = {each.name: getattr(client, each.name) for each in fields(Client)}
        return cls(**own, address=address, request=request, person=person)

    @property
    def actor(self) -> str:
        """How the audit trail calls who acts: the person who uses an app, else the system."""
        return f"person:{self.person.name}" if self.person else f"client:{self.name}"


@dataclass(frozen=True)
class Grant:
    """A bearer token, console session, refresh token or authorization code: only its hash is stored.

    `holder` is a client, or of a session a person. `person` is for whom an app acts. What is bound to `certificate`
    (x5t#S256, RFC 8705 3.1) works on a connection with that certificate alone. `chain` ties together what came of one
    sign-in, and `asked` is what a code was asked with.
    """

    token_hash: bytes
    holder: str
    kind: GrantKind
    scopes: tuple[str, ...]
    expires_at: datetime
    person: str | None = None
    certificate: str | None = None
    chain: str | None = None
    asked: Mapping[str, str] = field(default_factory=dict)
