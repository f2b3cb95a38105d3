"""Makes the database let go of old copies of deleted rows, after an erasure.

SQLite overwrites what it deletes (PRAGMA secure_delete), but the write-ahead log keeps earlier pages until it is
emptied. PostgreSQL keeps dead rows until VACUUM, and their bytes until the page is written anew; its own archives
of the log keep them longer. Neither is the protection: what is left is sealed, and `dxgate keys rotate` and `retire`
destroy the key that it is sealed under.
"""

from __future__ import annotations

import time

from sqlalchemy import text

from gateway.domain.errors import GatewayError
from gateway.storage.database import SqlDatabase

_TABLES = ("vault_patient", "vault_study", "vault_instance", "patient", "study")
_TRIES = 20
_PAUSE = 0.05  # seconds; a reader that holds an old page lets go soon, readings are short


def scrub(database: SqlDatabase) -> bool:
    """False where readers kept the log from being emptied, or the role may not VACUUM."""
    try:
        if database.url.get_backend_name() == "sqlite":
            return _empty_log(database)
        with database.outside_transactions() as connection:
            connection.execute(text(f"VACUUM {', '.join(_TABLES)}"))
    except GatewayError:
        return False
    return True


def _empty_log(database: SqlDatabase) -> bool:
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE)
        with database.outside_transactions() as connection:
            row = connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).first()
        if row is not None and row[0] == 0:
            return True
    return False
