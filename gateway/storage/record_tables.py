"""Tables of records (decision 10): where the sealed input of a model lies, and what it was gathered from."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, UniqueConstraint

from gateway.storage.columns import Texts, UtcTime, metadata, must

record_input = Table(
    "record_input",
    metadata,
    Column("id", Text, primary_key=True),
    must(Text, "study_id", ForeignKey("study.id")),
    must(Integer, "revision"),
    must(Text, "model_id", ForeignKey("model.id")),
    must(Text, "blob_key", unique=True),
    must(BigInteger, "size"),
    must(LargeBinary, "digest"),
    must(UtcTime, "created_at"),
    UniqueConstraint("study_id", "revision", "model_id"),
)

# names of resources may be made of what identifies a patient, so they are part of the vault
vault_record_basis = Table(
    "vault_record_basis",
    metadata,
    Column("input_id", Text, ForeignKey("record_input.id"), primary_key=True),
    must(Text, "study_id", ForeignKey("study.id")),
    must(Texts, "resources"),  # Type/id, in order of gathering
    Index(None, "study_id"),
)
