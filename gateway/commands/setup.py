"""`dxgate init`, `migrate` and `key`: what has to exist before the first role starts. Safe to run again."""

from __future__ import annotations

import argparse
import os
import secrets
import stat
from pathlib import Path

from gateway.commands.output import actor, print_rows, tell
from gateway.config import LoadedSettings, Settings
from gateway.domain.errors import Missing

ADMIN = "admin"
ADMIN_PASSWORD_FILE = "admin-password"  # noqa: S105 - a file name


def init(loaded: LoadedSettings, _arguments: argparse.Namespace) -> int:
    """Keys first, because the tables are useless without them; then the tables; then somebody who may sign in."""
    from gateway import wiring

    settings = loaded.settings
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    created = _create_keys(settings)
    wiring.migrate(settings)
    _audit_keys(settings, created)
    _first_person(settings)
    return 0


def migrate(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """The worker's role of PostgreSQL gets its grants here, because new tables bring new grants."""
    from gateway import wiring
    from gateway.storage.worker_role import grant_worker_role

    wiring.migrate(loaded.settings)
    tell(f"schema is {wiring.schema_revisions(loaded.settings)[0]}")
    if arguments.worker_role:
        grant_worker_role(loaded.settings.database_url, arguments.worker_role)
        tell(f"{arguments.worker_role} may do what a worker does, and nothing of identity")
    return 0


def key_init(loaded: LoadedSettings, _arguments: argparse.Namespace) -> int:
    """Works before the first migration too; `init` is the one that writes the audit rows."""
    created = _create_keys(loaded.settings)
    tell(f"made {', '.join(created)} in {loaded.settings.key_folder}" if created else "all key rings exist")
    return 0


def key_status(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """1 where a ring is missing; a ring that does not open is an error of its own."""
    from gateway.privacy import keyring

    rows = []
    passphrase = loaded.settings.keys.passphrase or None
    for name in keyring.FILES:
        path = loaded.settings.key_folder / name
        try:
            ring = keyring.load(loaded.settings.key_folder, name, passphrase)
        except Missing:
            rows.append({"file": name, "mode": None, "keys": 0, "current": ["missing"]})
            continue
        mode = f"{stat.S_IMODE(path.stat().st_mode):04o}"
        rows.append({"file": name, "mode": mode, "keys": len(ring.keys), "current": sorted(ring.current.values())})
    print_rows(rows, ("file", "mode", "keys", "current"), as_json=arguments.json)
    return 1 if any(row["mode"] is None for row in rows) else 0


def _create_keys(settings: Settings) -> list[str]:
    """Make the missing key rings; returns the names of the files made."""
    from gateway.privacy import keyring

    missing = [name for name in keyring.FILES if not (settings.key_folder / name).exists()]
    if missing:
        keyring.create(settings.key_folder, settings.keys.passphrase or None)
    return missing


def _audit_keys(settings: Settings, created: list[str]) -> None:
    from gateway import wiring

    if created:
        with wiring.database(settings).begin(actor()) as unit:
            for name in created:
                unit.audit.record("key:create", name, actor())
            unit.commit()


def _first_person(settings: Settings) -> None:
    """Make `admin` with a random password, left in a file of 0600; once a person `admin` exists nothing is done.

    The file is written first: a crash in between leaves a password without a person, and the next run replaces it.
    """
    from gateway import wiring
    from gateway.commands.access import new_person

    database = wiring.database(settings)
    with database.read() as unit:
        if unit.access.person(ADMIN) is not None:
            return
    password = secrets.token_urlsafe(18)
    _write_private(settings.home / ADMIN_PASSWORD_FILE, password + "\n")
    new_person(database, ADMIN, "admin", password)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
