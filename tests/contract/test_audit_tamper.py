"""Somebody with full access to the database changes the trail behind the triggers: every kind of change is found."""

# ruff: noqa: S608 -- the statements are built from constants of this file
from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness.rows import AT, later
from sqlalchemy import create_engine, text

from gateway.storage.anchor import AnchorFile, newest
from gateway.storage.audit_trail import AuditKey
from gateway.storage.audit_verify import Problem, verify_database
from gateway.storage.database import SqlDatabase

KEY = AuditKey("test-1", b"k" * 32)
ROWS = 12


@pytest.fixture
def trail(database: SqlDatabase) -> SqlDatabase:
    for number in range(ROWS):
        with database.begin("admin") as unit:
            unit.audit.record("console:view", f"page-{number}", "admin", number=number, note="näh")
            unit.commit()
    return database


@contextmanager
def _behind_the_triggers(database: SqlDatabase) -> Iterator[Callable[[str], Any]]:
    engine = create_engine(database.url)
    with engine.begin() as connection:
        if database.url.get_backend_name() == "sqlite":
            for trigger in ("audit_no_update", "audit_no_delete"):
                connection.execute(text(f"DROP TRIGGER {trigger}"))
        else:
            connection.execute(text("ALTER TABLE audit DISABLE TRIGGER USER"))
        yield lambda statement: connection.execute(text(statement))
    engine.dispose()


def _problems(database: SqlDatabase, file: AnchorFile | None = None) -> set[Problem]:
    return set(verify_database(database, [KEY], file).problems)


def _anchored(database: SqlDatabase, path: Path) -> AnchorFile:
    file = AnchorFile(path)
    with database.read() as unit:
        seq, code = unit.audit.head()
    file.append(seq, code, AT, KEY)
    return file


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'somebody' WHERE seq = 5",
        "DELETE FROM audit WHERE seq = 5",
    ],
)
def test_the_triggers_forbid_change(trail: SqlDatabase, statement: str) -> None:
    """The database itself refuses to update or delete a row of the trail."""
    engine = create_engine(trail.url)
    with engine.connect() as connection, pytest.raises(Exception, match="append-only"):
        connection.execute(text(statement))
    engine.dispose()


@pytest.mark.peer("postgresql")
def test_the_trigger_forbids_truncate(postgres_url: str) -> None:
    """PostgreSQL refuses to truncate the trail."""
    engine = create_engine(postgres_url)
    with engine.connect() as connection, pytest.raises(Exception, match="append-only"):
        connection.execute(text("TRUNCATE audit"))
    engine.dispose()


def test_an_untouched_trail_is_sound(trail: SqlDatabase, tmp_path: Path) -> None:
    """A trail as it was written verifies, with all of its anchors."""
    verdict = verify_database(trail, [KEY], _anchored(trail, tmp_path / "anchors"))
    assert verdict.sound
    assert (verdict.rows, verdict.anchors) == (ROWS, 1)


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'admim'",
        "details = replace(details, '4', '5')",
        "details = replace(details, ':', ': ')",
        "at = at + 1",
        "subject_id = 'page-9'",
        "event = 'console:wiew'",
        "key_id = 'test-2'",
    ],
)
def test_a_changed_row_is_found(trail: SqlDatabase, change: str) -> None:
    """One changed character anywhere in a row, even one that means the same, is found at that row."""
    with _behind_the_triggers(trail) as execute:
        execute(f"UPDATE audit SET {change} WHERE seq = 5")
    assert {problem.seq for problem in _problems(trail)} == {5}


def test_a_flipped_byte_in_the_code_is_found(trail: SqlDatabase) -> None:
    """A changed code breaks its own row and the link of the next."""
    zeros = "X'00'" if trail.url.get_backend_name() == "sqlite" else "'\\x00'::bytea"
    with _behind_the_triggers(trail) as execute:
        execute(f"UPDATE audit SET code = {zeros} WHERE seq = 5")
    assert _problems(trail) == {Problem("altered", 5), Problem("unchained", 6)}


def test_a_deleted_row_is_found(trail: SqlDatabase) -> None:
    """A missing number is found."""
    with _behind_the_triggers(trail) as execute:
        execute("DELETE FROM audit WHERE seq = 5")
    assert _problems(trail) == {Problem("removed", 5)}


def test_a_deleted_row_with_the_rest_renumbered_is_found(trail: SqlDatabase) -> None:
    """Closing the gap by renumbering breaks the code of every row that was moved."""
    with _behind_the_triggers(trail) as execute:
        execute("DELETE FROM audit WHERE seq = 5")
        for seq in range(6, ROWS + 1):
            execute(f"UPDATE audit SET seq = {seq - 1} WHERE seq = {seq}")
    assert {problem.seq for problem in _problems(trail)} == set(range(5, ROWS))


def test_two_swapped_rows_are_found(trail: SqlDatabase) -> None:
    """Two rows that change places are both found."""
    with _behind_the_triggers(trail) as execute:
        for seq, to in ((5, 99), (8, 5), (99, 8)):
            execute(f"UPDATE audit SET seq = {to} WHERE seq = {seq}")
    assert {5, 8} <= {problem.seq for problem in _problems(trail)}


def test_a_cut_tail_is_found_by_the_anchor(trail: SqlDatabase, tmp_path: Path) -> None:
    """A trail without its last rows is a good chain; the anchor shows that it was longer."""
    file = _anchored(trail, tmp_path / "anchors")
    with _behind_the_triggers(trail) as execute:
        execute(f"DELETE FROM audit WHERE seq > {ROWS - 3}")
    assert _problems(trail) == set()
    assert _problems(trail, file) == {Problem("cut", ROWS - 2)}


def test_a_regrown_tail_is_found_by_the_anchor(trail: SqlDatabase, tmp_path: Path) -> None:
    """Rows written by the gateway itself after a cut make a good chain that does not meet the anchor."""
    file = _anchored(trail, tmp_path / "anchors")
    with _behind_the_triggers(trail) as execute:
        execute(f"DELETE FROM audit WHERE seq > {ROWS - 1}")
    with trail.begin("admin") as unit:
        unit.audit.record("console:view", "another", "admin")
        unit.commit()
    assert _problems(trail) == set()
    assert _problems(trail, file) == {Problem("replaced", ROWS)}


def test_a_forged_or_torn_anchor_is_found(trail: SqlDatabase, tmp_path: Path) -> None:
    """An anchor with another number, and a line that is none, are named; the next line is still read."""
    path = tmp_path / "anchors"
    file = _anchored(trail, path)
    path.write_text(path.read_text().replace(f'"seq": {ROWS}', '"seq": 3') + '\n{"seq": 4')
    file.append(2, b"\x01" * 32, later(1), AuditKey("test-1", b"another key"))
    problems = verify_database(trail, [KEY], file).problems
    assert [problem.kind for problem in problems] == ["bad-anchor"] * 3


def test_former_keys_verify_their_rows(trail: SqlDatabase) -> None:
    """After a change of keys the old rows verify under the old key, and not without it."""
    fresh = AuditKey("test-2", b"n" * 32)
    renewed = SqlDatabase(trail.url.render_as_string(hide_password=False), fresh)
    with renewed.begin("admin") as unit:
        unit.audit.record("key:create", "audit", "admin")
        unit.commit()
    renewed.close()
    assert verify_database(trail, [KEY, fresh]).sound
    assert _problems(trail) == {Problem("unknown-key", ROWS + 1)}


def test_anchors_survive_in_their_file(tmp_path: Path) -> None:
    """Anchors are appended, read back in order, and the newest is the one with the highest number."""
    file = AnchorFile(tmp_path / "anchors")
    assert file.read() == ([], [])
    written = [file.append(seq, bytes([seq]) * 32, later(seq), KEY) for seq in (3, 7, 9)]
    assert file.read() == (written, [])
    assert newest(written) == written[-1]
    assert all(anchor.is_signed_by([KEY]) for anchor in written)
    assert oct((tmp_path / "anchors").stat().st_mode & 0o777) == "0o600"


def test_a_raw_byte_flip_in_the_file_is_found(sqlite_url: str, tmp_path: Path) -> None:
    """A byte changed in the database file itself, past every trigger, is found."""
    database = SqlDatabase(sqlite_url, KEY)
    with database.begin("admin") as unit:
        unit.audit.record("console:view", "page-to-flip", "admin")
        unit.commit()
    database.close()
    path = Path(str(database.url.database))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = path.read_bytes()
    assert b"page-to-flip" in data
    path.write_bytes(data.replace(b"console:viewpage-to-flip", b"console:viewpage-to-flap"))
    assert _problems(SqlDatabase(sqlite_url, KEY)) == {Problem("altered", 1)}
