"""The files of bulk jobs: NDJSON of bounded size, compressed and sealed under the key of the house before it is stored.

A file holds many patients, so no patient's key could seal it; erasing one ends every export instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.domain.bulk import BulkFile
from gateway.domain.ids import BlobKey, new_id
from gateway.ports import BlobStore
from gateway.privacy.resource_bodies import open_body, seal_body
from gateway.privacy.vault import Vault

MOST_BYTES: Final = 8 << 20
MOST_LINES: Final = 10_000
_TABLE: Final = "BulkFile"


@dataclass(frozen=True)
class BulkFiles:
    """A file's key is random, so that knowing one leads to no other."""

    vault: Vault
    blobs: BlobStore

    def store(self, content: bytes) -> BlobKey:
        """Durable when it returns; nobody finds it before its row is committed."""
        key = BlobKey(new_id())
        self.blobs.put(key, [seal_body(self.vault.house(), _TABLE, key, 1, content)])
        return key

    def open(self, file: BulkFile) -> bytes:
        return open_body(self.vault.house(), _TABLE, file.blob_key, 1, self.blobs.get(file.blob_key))

    def delete(self, file: BulkFile) -> None:
        self.blobs.delete(file.blob_key)
