"""Tables of the audit trail: a chain that only grows, and the words that it is searched by."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, PrimaryKeyConstraint, Table, Text

from gateway.storage.columns import metadata, must

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    must(BigInteger, "at"),
    must(Text, "event"),
    must(Text, "subject_id"),
    must(Text, "actor"),
    must(Text, "details"),  # canonical text: the code in the chain is over these very characters
    must(LargeBinary, "previous"),
    must(LargeBinary, "code"),
    must(Text, "key_id"),
    Index(None, "event", "seq"),
    Index(None, "subject_id", "seq"),
    Index(None, "actor", "seq"),
    Index(None, "at"),
)

audit_word = Table(
    "audit_word",
    metadata,
    Column("word", Text),  # patient:<pseudonym>, client:<name>, outcome:<code>, taken from the row's details
    Column("seq", BigInteger, autoincrement=False),
    PrimaryKeyConstraint("word", "seq"),
)
