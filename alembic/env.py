"""Runs revisions on the connection that gateway/storage/migrate.py hands over, or on the configured database.

The second way serves developers (`alembic revision --autogenerate`, `alembic history`).
"""

from __future__ import annotations

from sqlalchemy import Connection

from alembic import context
from gateway.storage.schema import metadata


def run(connection: Connection) -> None:
    """Every pending revision in the connection's transaction; SQLite alters tables by copying them."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        transactional_ddl=True,  # of SQLite too: alembic assumes otherwise because of the driver's default
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    from gateway.config import load
    from gateway.storage.migrate import migrating

    with migrating(load().settings.database_url) as opened:
        run(opened)
