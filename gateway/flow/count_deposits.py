"""How many deposits of removed pixels each key pair has sealed, by reading the head of every one of them.

Only before a private half is destroyed: the pair is named in the sealed file itself, so that no row can say otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from gateway.domain.errors import Missing
from gateway.ports import BlobStore, Database
from gateway.privacy.deposit import HEAD, deposit_fingerprint

_PAGE = 1000


def count_deposits(database: Database, blobs: BlobStore) -> Mapping[str, int]:
    """By fingerprint; a file that is gone counts for none."""
    found: Counter[str] = Counter()
    after = ""
    while True:
        with database.read() as unit:
            keys = unit.key_rows.deposits(_PAGE, after)
        for key in keys:
            try:
                found[deposit_fingerprint(blobs.read_range(key, 0, HEAD))] += 1
            except Missing:
                continue
        if len(keys) < _PAGE:
            return found
        after = keys[-1]
