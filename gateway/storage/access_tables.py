"""Tables of who may come in: clients, people, the tokens given to them and the assertions that were used."""

from __future__ import annotations

from typing import get_args

from sqlalchemy import Boolean, Column, LargeBinary, Table, Text, UniqueConstraint

from gateway.domain.access import ClientKind, GrantKind, Role
from gateway.storage.columns import Json, Texts, UtcTime, metadata, must, one_of

client = Table(
    "client",
    metadata,
    Column("id", Text, primary_key=True),
    must(Text, "kind"),
    must(Text, "name"),
    Column("secret_hash", Text),
    must(Texts, "scopes"),
    must(Texts, "networks"),
    must(Boolean(create_constraint=False), "active"),
    must(UtcTime, "created_at"),
    Column("jwks", Text),
    Column("jwks_url", Text),
    must(Texts, "certificates"),
    must(Texts, "redirects"),
    Column("launch", Text),
    Column("id_token_alg", Text),
    one_of("kind", get_args(ClientKind)),
    UniqueConstraint("kind", "name"),
)

person = Table(
    "person",
    metadata,
    Column("id", Text, primary_key=True),
    must(Text, "name", unique=True),
    must(Text, "password_hash"),
    must(Text, "role"),
    must(Boolean(create_constraint=False), "active"),
    must(UtcTime, "created_at"),
    Column("issuer", Text),
    Column("subject", Text),
    must(Text, "display_name", server_default=""),
    must(Text, "qualification", server_default=""),
    must(Text, "identifier", server_default=""),
    one_of("role", get_args(Role)),
    UniqueConstraint("issuer", "subject"),
)

access_grant = Table(
    "access_grant",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    must(Text, "holder"),
    must(Text, "kind"),
    must(Texts, "scopes"),
    must(UtcTime, "expires_at", index=True),
    Column("person", Text),
    Column("certificate", Text),
    Column("chain", Text, index=True),
    must(Json(dict[str, str]), "asked"),
    one_of("kind", get_args(GrantKind)),
)

used_assertion = Table(
    "used_assertion",
    metadata,
    Column("digest", LargeBinary, primary_key=True),  # SHA-256 over client and jti
    must(UtcTime, "expires_at", index=True),
)
