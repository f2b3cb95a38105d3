"""Who may ask, and what is written of what they asked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Protocol

from gateway.domain.access import Client, ClientKind, Grant, Person, Role
from gateway.domain.audit import AuditQuery, AuditRow


class Access(Protocol):
    """Clients, persons and their grants."""

    def client(self, kind: ClientKind, name: str) -> Client | None: ...

    def clients(self) -> list[Client]: ...

    def add_client(self, client: Client) -> None: ...

    def rotate_client(self, now: Client) -> bool:
        """Replaces by what a client proves who it is, and ends what it was granted; False where it is not active."""
        ...

    def disable_client(self, kind: ClientKind, name: str) -> bool: ...

    def person(self, name: str) -> Person | None: ...

    def person_of(self, issuer: str, subject: str) -> Person | None:
        """The person behind an account of an identity provider."""
        ...

    def set_role(self, person: Person, role: Role) -> None: ...

    def add_person(self, person: Person) -> None: ...

    def add_grant(self, grant: Grant) -> None: ...

    def grant(self, token_hash: bytes, now: datetime) -> Grant | None: ...

    def serves(self, client_name: str, token_hash: bytes | None) -> bool:
        """Whether the client may come in, with this token if it shows one; both stay as they are until the commit."""
        ...

    def drop_grant(self, token_hash: bytes) -> bool:
        """With what was begun with it; False where another was first: a code or refresh token serves once."""
        ...

    def drop_chain(self, chain: str) -> None:
        """Everything that came of one sign-in, and what was begun with it."""
        ...

    def id_token_key(self, own_id: str) -> bytes | None:
        """The sealed RSA key of ID tokens."""
        ...

    def keep_id_token_key(self, own_id: str, sealed: bytes, former_for: timedelta) -> bytes:
        """The one that is kept: this one, or what another process was first with. Former ones go after that time."""
        ...

    def use_assertion(self, digest: bytes, expires_at: datetime) -> bool:
        """Remembers a signed assertion until it expires; False where it was used before, by whatever process."""
        ...


class AuditTrail(Protocol):
    """The hash-chained trail. Entries recorded in a unit of work are chained when it commits."""

    def record(
        self, event: str, subject_id: str, actor: str, **details: str | int | float | bool | list[str] | None
    ) -> None: ...

    def head(self) -> tuple[int, bytes]:
        """Sequence number and code of the last row; (0, zeros) for an empty trail."""
        ...

    def rows(self, *, after_seq: int = 0, limit: int = 1000) -> Iterable[AuditRow]: ...

    def newest(
        self,
        *,
        limit: int,
        before_seq: int | None = None,
        event: str | None = None,
        subject_id: str | None = None,
    ) -> list[AuditRow]: ...

    def search(self, query: AuditQuery, *, limit: int, before_seq: int | None = None) -> list[AuditRow]:
        """Newest first."""
        ...

    def count(self, query: AuditQuery, limit: int) -> int:
        """How many rows; counting ends at `limit`."""
        ...
