"""How many deposits of removed pixels each key pair has sealed, by reading every one of them.

Only before a private half is destroyed: the pair is named in the deposit itself, so that no row can say otherwise. A
deposit lies under its patient's object key too, so an erased patient's counts for none: nobody can open it any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from gateway.domain.errors import Erased, Missing
from gateway.domain.sealed_files import pixel_file
from gateway.ports import BlobStore, Database, ObjectSeal
from gateway.privacy.deposit import deposit_fingerprint

_PAGE = 1000


def count_deposits(database: Database, blobs: BlobStore, seal: ObjectSeal) -> Mapping[str, int]:
    """By fingerprint, of every attempt: an object masked twice leads back over two; a file that is gone counts none."""
    found: Counter[str] = Counter()
    after = ""
    while True:
        with database.read() as unit:
            searched = unit.key_rows.searched_pixels(_PAGE, after)
        for instance_id, pseudonym, attempts in searched:
            for attempt in range(1, attempts + 1):
                key = pixel_file("removed-pixels", instance_id, attempt)
                try:
                    found[deposit_fingerprint(seal.open(pseudonym, key, blobs.get(key)))] += 1
                except (Missing, Erased):
                    continue
        if len(searched) < _PAGE:
            return found
        after = searched[-1][0]
