"""Every table of the gateway: importing this module is what makes `metadata` complete."""

from __future__ import annotations

from gateway.storage import (
    access_tables,
    agreement_tables,
    audit_tables,
    bulk_tables,
    fhir_tables,
    governance_tables,
    id_token_tables,
    index_tables,
    message_tables,
    record_tables,
    reindex_tables,
    review_tables,
    subscription_tables,
)
from gateway.storage.columns import metadata

__all__ = [
    "access_tables",
    "agreement_tables",
    "audit_tables",
    "bulk_tables",
    "fhir_tables",
    "governance_tables",
    "id_token_tables",
    "index_tables",
    "message_tables",
    "metadata",
    "record_tables",
    "reindex_tables",
    "review_tables",
    "subscription_tables",
]
