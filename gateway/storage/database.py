"""Opens units of work on SQLite or PostgreSQL, with the settings that make an acknowledged commit durable.

SQLite: WAL, synchronous=FULL, and BEGIN IMMEDIATE for every unit that writes; the driver's own transactions lose
updates, because a SELECT runs outside of them. PostgreSQL: READ COMMITTED to write, one snapshot to read.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, NullPool, PoolProxiedConnection, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DisconnectionError

from gateway.domain.errors import Invalid, Unavailable
from gateway.storage.audit_trail import AuditKey
from gateway.storage.failures import translated
from gateway.storage.resource_index import IndexSettings
from gateway.storage.unit_of_work import KeptConnection, SqlUnitOfWork
from gateway.storage.write_lock import NoLock, WriteLock

LOCK_SECONDS = 30
_IDLE_SECONDS = 0.1  # PostgreSQL stopped at once and started again takes longer
_SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    f"PRAGMA busy_timeout={LOCK_SECONDS * 1000}",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-16000",
    "PRAGMA wal_autocheckpoint=4000",  # 16 MB: the same pages change again and again, and are written back once
    "PRAGMA journal_size_limit=67108864",
    "PRAGMA secure_delete=ON",  # what is deleted or replaced is overwritten: an erased secret leaves the file
)
_POSTGRESQL_OPTIONS = (
    "-c lock_timeout={0}s -c statement_timeout={1}s -c idle_in_transaction_session_timeout={1}s "
    "-c jit=off"  # estimates of small tables ask for it; two modules of tests took a quarter less without
)


def parse_url(url: str) -> URL:
    """The URL as SQLAlchemy needs it. Invalid where it is neither SQLite on a file nor PostgreSQL."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise Invalid("database.url is not a database URL") from None
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    raise Invalid("database.url must be sqlite:///<file> or postgresql://...")


def sqlite_path(url: URL) -> Path:
    return Path(str(url.database))


def create_sqlite_file(path: Path) -> None:
    """An empty file that only its owner can read; SQLite gives the same mode to its journal."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise Unavailable(f"the database file cannot be opened (errno {error.errno})") from None


def sqlite_engine(url: URL, begin: str, *pragmas: str) -> Engine:
    """An engine whose transactions start with `begin`; the driver's own transaction control is off."""
    engine = create_engine(
        url, connect_args={"timeout": LOCK_SECONDS, "isolation_level": None}, pool_size=4, max_overflow=60
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        for pragma in (*_SQLITE_PRAGMAS, *pragmas):
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def start(connection: Any) -> None:
        driver: Any = connection.connection.driver_connection
        driver.execute(begin)  # straight to the driver: SQLAlchemy's way around costs more than the statement

    return engine


_NETWORK: Final = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""A network that is lost without a word is noticed within half a minute, by who waits for an answer (keepalives, in
seconds) and by who sends (in milliseconds); the statement's own limit is kept by the server, who may be out of reach.
What the address of the database says itself goes before it."""


def postgresql_engine(url: URL, pool_size: int, statement_seconds: int = 60) -> Engine:
    """An engine whose statements, locks and idle transactions are all bounded in time; pool size 0 keeps none."""
    pool: dict[str, Any] = {
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": LOCK_SECONDS,
        "pool_use_lifo": True,
    }
    bounds = _POSTGRESQL_OPTIONS.format(max(LOCK_SECONDS, statement_seconds // 2), statement_seconds)
    options = f"{url.query.get('options', '')} {bounds}".strip()
    network = {name: value for name, value in _NETWORK.items() if name not in url.query}
    engine = create_engine(
        url,
        **(pool if pool_size else {"poolclass": NullPool}),
        connect_args={
            "options": options,
            "connect_timeout": 5,
            **network,
            "application_name": "dxgate",
            "client_encoding": "utf8",  # as libpq.py writes text, whatever encoding the database has
            "prepare_threshold": None,  # psycopg would drop what libpq.py has prepared at every rollback
        },
    )
    if pool_size:
        _ask_the_idle(engine)
    return engine


def _ask_the_idle(engine: Engine) -> None:
    """A connection that nobody has used for a moment is asked whether it lives, and replaced where it does not.

    SQLAlchemy's own pool_pre_ping asks at every use, which costs a round trip and as much time as a small query. The
    moment is shorter than the fastest restart of a server, so that no unit meets a connection from before it.
    """

    @event.listens_for(engine, "checkin")
    def note(_connection: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ask(connection: Any, record: Any, _fairy: Any) -> None:
        if time.monotonic() - record.info.get("used_at", time.monotonic()) < _IDLE_SECONDS:
            return
        try:
            alive = engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error:
            alive = False
        if not alive:
            raise DisconnectionError  # the pool opens another


def _snapshots(engine: Engine) -> Engine:
    """The same pool for units that read: one snapshot, and nothing written.

    SQLAlchemy's execution options do the same for twice the cost of the BEGIN that they change.
    """
    reader = engine.execution_options()
    levels: Any = engine.dialect.loaded_dbapi.IsolationLevel

    @event.listens_for(reader, "begin")
    def begin(connection: Any) -> None:
        driver: Any = connection.connection.driver_connection
        driver.isolation_level, driver.read_only = levels.REPEATABLE_READ, True

    @event.listens_for(engine, "checkin")
    def end(connection: Any, _record: Any) -> None:
        if connection is not None and not connection.closed and connection.read_only:
            connection.isolation_level = connection.read_only = None

    return reader


class SqlDatabase:
    """The Database port. `url` is sqlite:///<file> or postgresql://...; `pool_size` bounds PostgreSQL connections.

    `audit_key` may be asked for every chain, so that it can be rotated under a running process.
    `index` is None where this process neither writes nor searches FHIR resources, as in a worker.
    """

    def __init__(
        self,
        url: str,
        audit_key: AuditKey | Callable[[], AuditKey],
        *,
        pool_size: int = 8,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        index: IndexSettings | None = None,
    ) -> None:
        self.url = parse_url(url)
        self._key = (lambda: audit_key) if isinstance(audit_key, AuditKey) else audit_key
        self._now = now
        self._index = index
        self._lock: WriteLock | NoLock = NoLock()
        self._watch: PoolProxiedConnection | None = None
        self._watching = threading.Lock()
        self._kept: KeptConnection | None = None
        if self.url.get_backend_name() == "sqlite":
            path = sqlite_path(self.url)
            create_sqlite_file(path)
            self._lock = WriteLock(path.with_name(path.name + ".lock"), LOCK_SECONDS)
            self._kept = KeptConnection()
            self._writer = sqlite_engine(self.url, "BEGIN IMMEDIATE")
            self._reader = sqlite_engine(self.url, "BEGIN", "PRAGMA query_only=ON")
        else:
            self._writer = postgresql_engine(self.url, pool_size)
            self._reader = _snapshots(self._writer)

    @property
    def one_writes(self) -> bool:
        return isinstance(self._lock, WriteLock)

    def begin(self, actor: str) -> SqlUnitOfWork:
        return SqlUnitOfWork(self._writer, self._key, actor, self._now, self._lock, index=self._index, kept=self._kept)

    def read(self) -> SqlUnitOfWork:
        return SqlUnitOfWork(self._reader, self._key, "", self._now, None, index=self._index)

    @contextmanager
    def outside_transactions(self) -> Iterator[Connection]:
        """A connection on which every statement stands alone, for maintenance."""
        with translated():
            if self.url.get_backend_name() != "sqlite":
                with self._writer.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                    yield connection
                return
            engine = create_engine(
                self.url,
                poolclass=NullPool,
                connect_args={"timeout": LOCK_SECONDS, "isolation_level": None},
                isolation_level="AUTOCOMMIT",
            )
            with engine.connect() as connection:
                yield connection

    def version(self) -> object:
        """Differs once anything was committed, by any process; asking costs less than the smallest query.

        SQLite: `PRAGMA data_version` of a connection that never writes. PostgreSQL: the snapshot, which names the
        transactions under way, so that none can end unnoticed.
        """
        with translated():
            if self.url.get_backend_name() != "sqlite":
                with self._writer.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                    return connection.execute(text("SELECT pg_current_snapshot()::text")).scalar_one()
            with self._watching:
                if self._watch is None:
                    self._watch = self._reader.raw_connection()
                cursor = self._watch.cursor()
                try:
                    cursor.execute("PRAGMA data_version")
                    return cursor.fetchone()
                finally:
                    cursor.close()

    def ping(self) -> None:
        """Unavailable where the database does not answer; for readiness checks."""
        with translated(), self._reader.connect() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Closes the pooled connections; units of work that are open keep theirs until they end."""
        with self._watching:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
        if self._kept is not None:
            self._kept.close()
        self._writer.dispose()
        self._reader.dispose()
