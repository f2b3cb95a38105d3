"""Claims about `dxgate keys`: what it tells, what it refuses, and that it never shows a key."""

from __future__ import annotations

import base64
import io
import json
import os
import resource
import shutil
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.keyed_gateway import ct_object

from gateway import cli, wiring
from gateway.config import load
from gateway.privacy import keyring
from gateway.privacy.keyring import IDENTITY_FILE, OBJECTS_FILE, Purpose
from gateway.storage.group_commit import GroupCommitter

pytestmark = pytest.mark.usefixtures("light_passphrases")
Run = Callable[..., tuple[int, str, str]]
BACKUP_PASSPHRASE = "a backup's own long passphrase"
WHO = "MRN-CLI-4711"


@pytest.fixture(autouse=True)
def own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands narrow umask and core limit of their process, which here is the one of all tests."""
    umask, core = os.umask(0o077), resource.getrlimit(resource.RLIMIT_CORE)
    monkeypatch.setattr("gateway.flow.rotate_keys.time.sleep", lambda _: None)
    yield
    os.umask(umask)
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] in (0, core[0])


@pytest.fixture
def run(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """On a home with tables where `dxgate init` has run and one object was received."""
    (tmp_path / "home").mkdir(mode=0o700)
    shutil.copy(sqlite_template, tmp_path / "home" / "dxgate.sqlite")
    monkeypatch.setenv("DXGATE_GATEWAY_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("gateway.logging.configure", lambda *_: None)

    def execute(*words: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = cli.main(words)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    assert execute("init")[0] == 0
    receive_one(tmp_path)
    return execute


def receive_one(tmp_path: Path, patient: str = WHO) -> None:
    settings = load({"DXGATE_GATEWAY_HOME": str(tmp_path / "home")}).settings
    database = wiring.database(settings)
    commits = GroupCommitter(database, "receive")
    wiring.receive(settings, database, commits)(ct_object(patient))
    commits.stop()
    database.close()


def status(run: Run) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run("keys", "status", "--json")[1])
    return found


def test_status_counts_what_rests_on_each_key(run: Run) -> None:
    """File, provider, KEK, purpose, state and rows of every key; keys themselves never."""
    code, shown, _ = run("keys", "status")
    assert code == 0
    rows = {str(row["purpose"]): row for row in status(run)}
    assert rows["objects"] | {"key": ""} == {
        "file": "objects.json",
        "provider": "file",
        "kek": "unprotected",
        "purpose": "objects",
        "key": "",
        "state": "current",
        "rows": 1,
    }
    assert rows["identity"]["rows"] == 1
    assert int(str(rows["audit"]["rows"])) > 3
    assert rows["deposit-public"]["file"] == "objects.json"
    settings = load({"DXGATE_GATEWAY_HOME": os.environ["DXGATE_GATEWAY_HOME"]}).settings
    ring = wiring.key_ring(settings, OBJECTS_FILE).joined(wiring.key_ring(settings, IDENTITY_FILE))
    assert not any(base64.b64encode(key).decode() in shown or key.hex() in shown for key in ring.keys.values())


def test_rotate_and_retire_through_the_command_line(run: Run, tmp_path: Path) -> None:
    """All rotatable keys at once; former ones without rows are destroyed by name, current ones are refused."""
    before = {str(row["purpose"]): str(row["key"]) for row in status(run)}
    code, out, _ = run("keys", "rotate")
    assert code == 0
    assert out.count("is current") == 6
    after = {str(row["key"]): row for row in status(run)}
    assert (after[before["objects"]]["state"], after[before["objects"]]["rows"]) == ("former", 0)
    for purpose in ("objects", "identity", "tokens", "deposit-private"):
        assert run("keys", "retire", before[purpose])[0] == 0
    for kid, words in ((before["audit"], "audit rows"), (before["index"], "not a former key"), ("x-1", "no key")):
        code, _, err = run("keys", "retire", kid)
        assert (code, words in err) == (1, True)
    receive_one(tmp_path)
    assert run("audit", "verify")[0] == 0


def test_index_and_pseudonym_keys_are_not_offered(run: Run) -> None:
    """What stored values derive from is no choice of `rotate`."""
    for purpose in ("index", "pseudonym"):
        with pytest.raises(SystemExit):
            run("keys", "rotate", "--purpose", purpose)


def test_a_ring_moves_from_provider_to_provider(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No passphrase, passphrase, another one, a variable: each move is one command, run twice without harm."""
    names = [str(row["key"]) for row in status(run)]
    monkeypatch.setenv("DXGATE_KEYS_PASSPHRASE", "first passphrase")
    assert run("keys", "status")[0] == 1
    assert run("keys", "rotate", "--kek", "--from", "file")[0] == 0
    monkeypatch.setenv("DXGATE_KEYS_PASSPHRASE", "second passphrase")
    monkeypatch.setenv("DXGATE_KEYS_FORMER_PASSPHRASE", "first passphrase")
    for _ in range(2):
        assert run("keys", "rotate", "--kek", "--from", "file")[0] == 0
    monkeypatch.setenv("DXGATE_KEYS_FORMER_PASSPHRASE", "second passphrase")
    monkeypatch.setenv("DXGATE_KEYS_PROVIDER", "environment")
    monkeypatch.setenv("DXGATE_KEYS_OBJECTS_SECRET", "ab" * 32)
    monkeypatch.setenv("DXGATE_KEYS_IDENTITY_SECRET", "cd" * 32)
    code, _, err = run("keys", "status")
    assert (code, "--from file" in err) == (1, True)
    assert run("keys", "rotate", "--kek", "--from", "file")[0] == 0
    monkeypatch.setenv("DXGATE_KEYS_OBJECTS_SECRET", "12" * 32 + "," + "ab" * 32)
    monkeypatch.setenv("DXGATE_KEYS_IDENTITY_SECRET", "34" * 32 + "," + "cd" * 32)
    before = {str(row["kek"]) for row in status(run)}
    assert run("keys", "rotate", "--kek")[0] == 0
    rows = status(run)
    assert {str(row["kek"]) for row in rows}.isdisjoint(before)
    assert [str(row["key"]) for row in rows] == names
    assert {row["provider"] for row in rows} == {"environment"}


def test_a_backup_restores_on_an_empty_machine(run: Run, tmp_path: Path) -> None:
    """Sealed, 0600, never overwritten; restored it is proved against the database and opens what was stored."""
    file = tmp_path / "keys.backup"
    said = f"{BACKUP_PASSPHRASE}\n"
    assert run("keys", "backup", str(file), "--passphrase-stdin", stdin=said)[0] == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run("keys", "backup", str(file), "--passphrase-stdin", stdin=said)[0] == 1
    keys = [str(row["key"]) for row in status(run)]
    folder = tmp_path / "home" / "keys"
    folder.rename(tmp_path / "lost")
    assert run("keys", "restore", str(file), "--passphrase-stdin", stdin="not the passphrase\n")[0] == 1
    code, out, _ = run("keys", "restore", str(file), "--passphrase-stdin", stdin=said)
    assert code == 0
    assert [line for line in out.splitlines() if line.endswith(": opens")] == [
        f"{purpose}: opens" for purpose in ("audit", "objects", "identity", "pseudonym", "index")
    ]
    assert [str(row["key"]) for row in status(run)] == keys
    assert "in place already" in run("keys", "restore", str(file), "--passphrase-stdin", stdin=said)[1]
    assert run("audit", "verify")[0] == 0


def test_foreign_keys_are_not_restored_by_accident(run: Run, tmp_path: Path) -> None:
    """Another gateway's rings do not open this database; forced, they leave the replaced files beside."""
    other = tmp_path / "other"
    keyring.create(other)
    rings = {name: keyring.load(other, name) for name in (OBJECTS_FILE, IDENTITY_FILE)}
    from datetime import UTC, datetime

    from gateway.privacy.key_backup import seal_backup

    file = tmp_path / "foreign.backup"
    file.write_bytes(seal_backup(rings, BACKUP_PASSPHRASE, datetime.now(UTC)))
    words = ("keys", "restore", str(file), "--passphrase-stdin")
    before = {path.name: path.read_bytes() for path in (tmp_path / "home" / "keys").iterdir()}
    code, out, err = run(*words, stdin=f"{BACKUP_PASSPHRASE}\n")
    assert (code, "do not open this database" in err) == (1, True)
    assert out.count("does not open") == 5
    assert {path.name: path.read_bytes() for path in (tmp_path / "home" / "keys").iterdir()} == before
    assert run("audit", "verify")[0] == 0
    assert run(*words, "--force", stdin=f"{BACKUP_PASSPHRASE}\n")[0] == 0
    kept = sorted(path for path in (tmp_path / "home" / "keys").iterdir() if ".replaced-" in path.name)
    assert [path.read_bytes() for path in kept] == [before[IDENTITY_FILE], before[OBJECTS_FILE]]


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"format": "dxgate-key-backup-1"}'])
def test_a_file_that_is_no_backup_is_refused(run: Run, tmp_path: Path, content: bytes) -> None:
    """Exit code 2 and one line."""
    file = tmp_path / "nothing"
    file.write_bytes(content)
    code, _, err = run("keys", "restore", str(file), "--passphrase-stdin", stdin=f"{BACKUP_PASSPHRASE}\n")
    assert (code, err.count("\n")) == (2, 1)


def test_an_altered_backup_is_refused(run: Run, tmp_path: Path) -> None:
    """Every part of it is bound to the sealed keys."""
    file = tmp_path / "keys.backup"
    said = f"{BACKUP_PASSPHRASE}\n"
    assert run("keys", "backup", str(file), "--passphrase-stdin", stdin=said)[0] == 0
    document = json.loads(file.read_bytes())
    sealed = bytearray(base64.b64decode(document["sealed"]))
    sealed[5] ^= 1
    for changed in ({"made_at": "2020-01-01"}, {"files": []}, {"sealed": base64.b64encode(sealed).decode()}):
        file.write_text(json.dumps({**document, **changed}))
        assert run("keys", "restore", str(file), "--passphrase-stdin", stdin=said)[0] == 1


def test_a_weak_backup_passphrase_is_refused(run: Run, tmp_path: Path) -> None:
    """The file can be tried at leisure, so fifteen characters are too few, and nothing is written."""
    code, _, err = run("keys", "backup", str(tmp_path / "b"), "--passphrase-stdin", stdin="x" * 15 + "\n")
    assert (code, "16 characters" in err) == (2, True)
    assert not (tmp_path / "b").exists()


def test_shred_asks_and_erases(run: Run, tmp_path: Path) -> None:
    """By the hospital's identifier, read from standard input; without a person it needs --yes, and a reason."""
    words = ("keys", "shred", "--patient-id", "-", "--reason", "request of 2026-11-25")
    assert run(*words, stdin=f"{WHO}\n")[0] == 2
    code, out, _ = run(*words, "--yes", stdin=f"{WHO}\n")
    assert code == 0
    assert "1 studies, 1 objects, sealed files under 1 names" in out
    assert "rotate" in out
    assert run(*words, "--yes", stdin=f"{WHO}\n")[0] == 1
    assert run("keys", "shred", "--patient", "X", "--reason", " ", "--yes")[0] == 2
    assert run("audit", "verify")[0] == 0
    with sqlite3.connect(tmp_path / "home" / "dxgate.sqlite") as database:
        assert database.execute("SELECT count(*) FROM vault_patient").fetchone() == (1,)  # the house itself


def test_issuers_that_share_an_identifier_are_not_guessed(run: Run, tmp_path: Path) -> None:
    """Two patients of one identifier: the pseudonyms are named and nothing is erased."""
    settings = load({"DXGATE_GATEWAY_HOME": str(tmp_path / "home")}).settings
    from gateway.privacy.pseudonyms import IdentityKey

    vault = wiring.vault(settings, wiring.database(settings))
    other = vault.patient(IdentityKey("OTHER HOSPITAL", WHO)).pseudonym
    words = ("keys", "shred", "--patient-id", WHO, "--reason", "asked", "--yes")
    code, _, err = run(*words)
    assert (code, other in err) == (1, True)
    assert run(*words, "--issuer", "other hospital")[0] == 0


def test_a_command_leaves_no_core_file(run: Run) -> None:
    """Whatever opens keys has its core files switched off, and its children inherit it."""
    run("keys", "status")
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0


def test_purposes_of_the_command_line_are_those_of_the_rings() -> None:
    """`cli.py` loads nothing heavy, so it repeats the names."""
    rotatable = {str(purpose) for purpose in set(Purpose) - keyring.UNROTATABLE - keyring.PAIR}
    assert set(cli.ROTATED_PURPOSES) == rotatable | {"deposit"}
