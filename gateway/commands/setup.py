"""`dxgate init` and `migrate`: what has to exist before the first role starts. Safe to run again."""

from __future__ import annotations

import argparse
import os
import secrets
from pathlib import Path

from gateway.commands.output import actor, tell
from gateway.config import LoadedSettings, Settings

ADMIN = "admin"
ADMIN_PASSWORD_FILE = "admin-password"  # noqa: S105 - a file name


def init(loaded: LoadedSettings, _arguments: argparse.Namespace) -> int:
    """Keys first, because the tables are useless without them; then the tables; then somebody who may sign in."""
    from gateway import wiring
    from gateway.commands.keys import create_keys

    settings = loaded.settings
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    created = create_keys(settings)
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
