"""Deletions for an export since a time: transaction Bundles of DELETE entries (FHIR Bulk Data Access 2.0, 2.5.4.1).

Whoever keeps a copy learns what to delete there. A deletion has no body, so `_typeFilter` cannot judge it: all of the
types that are exported are told of, of the records that are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from gateway.domain.resource import StoredVersion
from gateway.formats.fhir.element import encode
from gateway.ports import Database

TYPE: Final = "Bundle"
"""By which the files of an export that tell of deletions are known: Bundles themselves are not exported."""
_AT_ONCE: Final = 200


def deletions(
    database: Database, kind: str, since: datetime, until: datetime, is_wanted: Callable[[StoredVersion], bool]
) -> Iterator[bytes]:
    """Lines of NDJSON: of one type what was deleted in this time and is deleted still, `until` with it."""
    after = 0
    while True:
        with database.read() as unit:
            found = unit.resources.deleted(kind, since, until, _AT_ONCE, after)
        wanted = [one for one in found if is_wanted(one)]
        if wanted:
            entries = [{"request": {"method": "DELETE", "url": f"{one.type}/{one.id}"}} for one in wanted]
            yield encode({"resourceType": "Bundle", "type": "transaction", "entry": entries})
        if len(found) < _AT_ONCE:
            return
        after = found[-1].key
