"""`dxgate keys backup` and `restore`: all key rings in one file under a passphrase of its own, and back.

A backup is sealed for the day on which the machine and its HSM are gone. Restoring proves that the keys open the
rows of the database before a file is touched, and never throws a ring away: a replaced one keeps its bytes beside.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from gateway.commands.output import actor, tell
from gateway.config import LoadedSettings, Settings
from gateway.domain.errors import Conflict, GatewayError, Invalid, Missing
from gateway.privacy import key_backup, keyring, private_file
from gateway.privacy.keyring import KeyRing
from gateway.privacy.providers.choose import provider_for

_LONGEST_PASSPHRASE = 1024


def backup(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """Never overwrites; the audit row says that a copy of the keys exists."""
    from gateway import wiring

    settings = loaded.settings
    rings = {name: wiring.key_ring(settings, name) for name in keyring.FILES}
    content = key_backup.seal_backup(rings, _passphrase(arguments, twice=True), datetime.now(UTC))
    file = Path(arguments.file)
    if not file.parent.is_dir():
        raise Missing(f"there is no folder {file.parent}")
    if file.exists():
        raise Conflict(f"{file} exists and is not overwritten")
    kids = sorted(kid for ring in rings.values() for kid in ring.keys)
    with wiring.database(settings).begin(actor()) as unit:  # first, so that no copy is without its audit row
        unit.audit.record("key:backup", "key-rings", actor(), keys=kids)
        unit.commit()
    private_file.write_new(file, content)
    tell(f"{len(rings)} rings sealed in {file}; keep it apart from its passphrase and from the backups of the data")
    return 0


def restore(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """Conflict where the keys do not open this database, or where other rings are in place."""
    settings, file = loaded.settings, Path(arguments.file)
    if not file.is_file():
        raise Missing(f"there is no file {file}")
    if file.stat().st_size > private_file.LARGEST:
        raise Invalid(f"{file.name} is larger than {private_file.LARGEST} bytes")
    rings = key_backup.open_backup(file.read_bytes(), _passphrase(arguments, twice=False))
    _prove(settings, rings, arguments.force)
    settings.key_folder.mkdir(parents=True, exist_ok=True, mode=private_file.FOLDER_MODE)
    with private_file.one_at_a_time(settings.key_folder):
        changed = [name for name, ring in rings.items() if _differs(settings, name, ring, arguments.force)]
        for name in changed:
            _install(settings, name, rings[name])
    _audit(settings, changed)
    tell(f"restored {', '.join(changed)}" if changed else "the rings of this backup are in place already")
    return 0


def _prove(settings: Settings, rings: Mapping[str, KeyRing], force: bool) -> None:
    """Conflict where the keys are not the ones of this database, unless forced."""
    from gateway import wiring

    joined = KeyRing({}, {})
    for ring in rings.values():
        joined = joined.joined(ring)
    try:
        proofs = wiring.prove_keys(settings, joined)(joined, actor())
    except GatewayError as error:
        tell(f"not proved against the database: {error}")
        return
    for purpose, proof in proofs.items():
        tell(f"{purpose.value}: {proof}")
    shut = [purpose.value for purpose, proof in proofs.items() if proof == "does not open"]
    if shut and not force:
        raise Conflict(f"these keys do not open this database ({', '.join(shut)}); --force restores them anyway")


def _differs(settings: Settings, name: str, ring: KeyRing, force: bool) -> bool:
    """False where the very same ring is there; Conflict where another is, unless forced."""
    if not (settings.key_folder / name).exists():
        return True
    try:
        if keyring.load(settings.key_folder, name, provider_for(settings.keys, name)) == ring:
            return False
        what = f"{name} holds other keys than the backup"
    except GatewayError as error:
        what = f"{name} exists and does not open ({error})"
    if not force:
        raise Conflict(f"{what}; --force puts the backup in its place and keeps the old file beside")
    return True


def _install(settings: Settings, name: str, ring: KeyRing) -> None:
    path = settings.key_folder / name
    content = keyring.sealed(name, ring, provider_for(settings.keys, name))
    if path.exists():
        aside = path.with_name(f"{name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
        aside.hardlink_to(path)
        tell(f"the file that was there is kept as {aside.name}")
    private_file.write_over(path, content)


def _audit(settings: Settings, changed: list[str]) -> None:
    from gateway import wiring

    try:
        with wiring.database(settings).begin(actor()) as unit:
            for name in changed:
                unit.audit.record("key:restore", name, actor())
            unit.commit()
    except GatewayError as error:
        tell(f"not written into the audit trail: {error}")


def _passphrase(arguments: argparse.Namespace, *, twice: bool) -> str:
    """Never an argument, where other users of the machine could read it."""
    if arguments.passphrase_stdin:
        return sys.stdin.readline(_LONGEST_PASSPHRASE + 2).rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Invalid("standard input is no terminal; give the passphrase with --passphrase-stdin")
    given = getpass.getpass("Passphrase of the backup: ")
    if twice and getpass.getpass("Once more: ") != given:
        raise Invalid("the two passphrases differ")
    return given
