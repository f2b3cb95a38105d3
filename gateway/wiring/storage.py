"""Database, blobs, seal and vault: what nearly every part is given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gateway.privacy.keyring import Purpose
from gateway.privacy.search_keys import search_key
from gateway.storage.audit_trail import AuditKey
from gateway.storage.database import SqlDatabase
from gateway.storage.resource_index import IndexSettings
from gateway.wiring.keys import all_keys, object_keys

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.ports import BlobStore, Database
    from gateway.privacy.keyring import KeyRing
    from gateway.privacy.vault import Vault
    from gateway.storage.anchor import AnchorFile
    from gateway.storage.object_seal import PatientObjectSeal


def database(settings: Settings) -> SqlDatabase:
    ring = object_keys(settings)

    def current() -> AuditKey:
        key = ring.key(Purpose.AUDIT)
        return AuditKey(key.kid, key.key)

    index = IndexSettings(
        lambda label: search_key(all_keys(settings).key(Purpose.INDEX).key, label), settings.fhir_base_url
    )
    return SqlDatabase(settings.database_url, current, pool_size=settings.database.pool_size, index=index)


def database_under(settings: Settings, ring: KeyRing) -> SqlDatabase:
    """The database with the audit key of a ring that is not in place yet."""
    key = ring.key(Purpose.AUDIT)
    return SqlDatabase(settings.database_url, AuditKey(key.kid, key.key), pool_size=1)


def schema_revisions(settings: Settings) -> tuple[str, str]:
    """The revision that the database is at, and the newest."""
    from gateway.storage import migrate

    return migrate.current(settings.database_url), migrate.head()


def migrate(settings: Settings) -> None:
    """Bring the database to the newest schema."""
    from gateway.storage.migrate import upgrade

    upgrade(settings.database_url)


def blobs(settings: Settings) -> BlobStore:
    from gateway.storage.blobs_folder import FolderBlobs

    if settings.blob_url.startswith("s3://"):
        from gateway.storage.blobs_s3 import S3Blobs

        return S3Blobs(settings.blob_url, endpoint=settings.blobs.s3_endpoint, allow_http=settings.blobs.s3_allow_http)
    return FolderBlobs(Path(settings.blob_url).expanduser())


def object_seal(settings: Settings, opened: Database) -> PatientObjectSeal:
    from gateway.storage.object_seal import PatientObjectSeal

    return PatientObjectSeal(object_keys(settings), opened)


def vault(settings: Settings, opened: Database) -> Vault:
    from gateway.privacy.vault import Vault

    return Vault(all_keys(settings), opened)


def anchor_file(settings: Settings) -> AnchorFile:
    from gateway.storage.anchor import AnchorFile

    return AnchorFile(settings.home / "audit.anchors")
