"""What a worker's role may do in PostgreSQL: everything its steps need, and nothing of the vault (law 4).

Run once by an administrator after `dxgate migrate`, and again after a release that adds tables; a table that is
not named here is closed to workers.
"""

from __future__ import annotations

from sqlalchemy import text

from gateway.domain.errors import Unsupported
from gateway.storage.database import parse_url
from gateway.storage.failures import translated
from gateway.storage.migrate import migrating_engine
from gateway.storage.schema import metadata

WORKER_GRANTS: dict[str, str] = {
    "patient": "SELECT",
    "study": "SELECT, UPDATE",
    "instance": "SELECT, UPDATE",
    "pixel_task": "SELECT, UPDATE",
    "model": "SELECT, INSERT, UPDATE",
    "task": "SELECT, INSERT, UPDATE",
    "record_input": "SELECT",
    "finding": "SELECT, INSERT",
    "report": "SELECT, INSERT, UPDATE",
    "report_version": "SELECT, INSERT",
    "delivery": "SELECT, INSERT, UPDATE",
    "recall": "SELECT",
    "final_report": "SELECT",
    "final_report_link": "SELECT",
    "agreement": "SELECT, INSERT, UPDATE, DELETE",
    "model_stop": "SELECT",
    "acceptance": "SELECT",
    "audit": "SELECT, INSERT",
    "audit_word": "INSERT",
}


def grant_worker_role(url: str, role: str) -> None:
    """Grants to an existing role what WORKER_GRANTS says and revokes all else, from it and from PUBLIC.

    `url` connects as the owner of the tables. Unsupported on SQLite, where a file has no roles.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() != "postgresql":
        raise Unsupported("only PostgreSQL has roles")
    with translated(), migrating_engine(parsed) as connection:
        quote = connection.dialect.identifier_preparer.quote_identifier
        for table in metadata.tables:
            connection.execute(text(f"REVOKE ALL ON {quote(table)} FROM PUBLIC, {quote(role)}"))
            if table in WORKER_GRANTS:
                connection.execute(text(f"GRANT {WORKER_GRANTS[table]} ON {quote(table)} TO {quote(role)}"))
        connection.execute(text(f"GRANT SELECT ON alembic_version TO {quote(role)}"))
        connection.commit()
