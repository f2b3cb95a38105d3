"""Brings a database to the tables of this release; safe to run from any number of processes at once.

All pending revisions run in one transaction behind a lock: a failed migration leaves the tables as they were, and
whoever comes second finds nothing to do. The revisions lie in the folder `alembic` of the checkout or the wheel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, NullPool, create_engine, event, text

from gateway.domain.errors import Fault
from gateway.storage.database import create_sqlite_file, parse_url, postgresql_engine, sqlite_path
from gateway.storage.failures import translated
from gateway.storage.transaction import MIGRATE_LOCK
from gateway.storage.write_lock import WriteLock

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATE_SECONDS = 600


def upgrade(url: str, revision: str = "head") -> str:
    """Runs the pending revisions and returns the one the database stands at then."""
    from alembic import command

    return _run(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> str:
    """Goes back to `revision` (`base` removes every table); returns the one the database stands at then."""
    from alembic import command

    return _run(url, lambda config: command.downgrade(config, revision))


def current(url: str) -> str:
    """The revision that the database stands at; empty where it was never migrated."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite" and not sqlite_path(parsed).exists():
        return ""
    with translated(), migrating_engine(parsed) as connection:
        return _current(connection)


def head() -> str:
    """The newest revision that this release carries."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(script_folder())).get_current_head() or ""


@contextmanager
def migrating(url: str) -> Iterator[Connection]:
    """A connection inside a transaction that is alone in changing tables; committed at the end of the block."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "postgresql":
        with translated(), migrating_engine(parsed) as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATE_LOCK})
            yield connection
            connection.commit()
        return
    path = sqlite_path(parsed)
    create_sqlite_file(path)
    lock = WriteLock(path.with_name(path.name + ".lock"), MIGRATE_SECONDS)
    lock.acquire()
    try:
        with translated(), migrating_engine(parsed) as connection:
            yield connection
            connection.commit()
    finally:
        lock.release()


@contextmanager
def migrating_engine(url: URL) -> Iterator[Connection]:
    """One connection without foreign keys on SQLite, where altering a table means dropping its old copy."""
    if url.get_backend_name() == "postgresql":
        engine = postgresql_engine(url, pool_size=0, statement_seconds=MIGRATE_SECONDS)
    else:
        engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": 30, "isolation_level": None})
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA journal_mode=WAL"))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.connect() as connection:
        yield connection


def script_folder() -> Path:
    """The folder of the revisions: beside the package in a checkout, among the wheel's data files otherwise."""
    beside = Path(__file__).parents[2] / "alembic"
    if (beside / "env.py").is_file() and (beside / "versions").is_dir():
        return beside
    try:
        installed = files("dxgate") or []
    except PackageNotFoundError:
        installed = []
    for file in installed:
        if file.name == "env.py" and file.parent.name == "alembic":
            return Path(str(file.locate())).resolve().parent
    raise Fault("the folder of the migrations is missing from this installation")


def _run(url: str, action: Callable[[Config], None]) -> str:
    from alembic.config import Config

    with migrating(url) as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(script_folder()).replace("%", "%%"))
        action(config)
        return _current(connection)


def _current(connection: Connection) -> str:
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(connection).get_current_revision() or ""
