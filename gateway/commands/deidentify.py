"""`dxgate deidentify`: an officer's copies of files without identity, under the gateway's own pseudonyms.

Neither names of files nor contents are repeated in what is printed: a file is told by its place on the command line.
Pixels are not searched for text; a picture that may show a name is not safe because its header is clean.
"""

from __future__ import annotations

import argparse
import dataclasses
import hmac
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gateway.commands.output import print_json, print_rows, tell
from gateway.config import LoadedSettings
from gateway.domain.errors import Conflict, GatewayError, Invalid, Unavailable
from gateway.flow.clean_file import CleanedFile, CleanFile, patients_in
from gateway.privacy.documents import PROFILES, Issuers
from gateway.privacy.pseudonyms import IdentityKey, Pseudonymiser

MOST_BYTES: Final = 2 << 30
PIXELS = "Pixels of DICOM files were not searched for text: look at the pictures before you pass them on."


def deidentify(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """Every file by itself: what one of them lacks does not stop the others. 1 where any was refused."""
    issuers = Issuers(dict(_pair(one) for one in arguments.issuer))
    profile = PROFILES[arguments.profile]
    if arguments.dates:
        profile = dataclasses.replace(profile, dates=arguments.dates)
    folder = Path(arguments.out)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    clean = CleanFile(
        pseudonymiser_for=_throw_away() if arguments.throw_away else _of_the_vault(loaded),
        profile=profile,
        issuers=issuers,
        patient=_patient(arguments.patient_key, issuers),
        patients=_known_patients(arguments.files, issuers),
    )
    results = [_one(place, Path(name), folder, clean) for place, name in enumerate(arguments.files, 1)]
    _print(results, as_json=arguments.json)
    return 1 if any(result["refused"] for result in results) else 0


def _one(place: int, path: Path, folder: Path, clean: CleanFile) -> dict[str, Any]:
    """One file's line: what it is, where its copy is, what was done, or why there is none."""
    result: dict[str, Any] = {"file": place, "kind": None, "copy": None, "documents": 0, "refused": None, "counts": {}}
    try:
        cleaned = clean(_read(path))
        _write(folder / cleaned.name, cleaned)
    except GatewayError as error:
        return {**result, "refused": str(error)}
    counts = {action: count for action, count in sorted(cleaned.counts.items()) if count}
    return {**result, "kind": cleaned.kind, "copy": cleaned.name, "documents": cleaned.documents, "counts": counts}


def _print(results: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(results)
        return
    print_rows(results, ("file", "kind", "documents", "copy", "refused"), as_json=False)
    for result in results:
        if result["counts"]:
            tell(f"\nfile {result['file']}")
            print_rows(
                [{"action": action, "count": count} for action, count in result["counts"].items()],
                ("action", "count"),
                as_json=False,
            )
    if any(result["kind"] == "dicom" for result in results):
        tell("\n" + PIXELS)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Invalid(f"the file is larger than {MOST_BYTES} bytes")
        return path.read_bytes()
    except OSError as cause:
        raise Unavailable(f"the file cannot be read: {os.strerror(cause.errno or 0)}") from cause


def _write(path: Path, cleaned: CleanedFile) -> None:
    """A new file of 0600, whole or not at all."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as cause:
        raise Conflict(f"{path.name} is there already and is not overwritten") from cause
    except OSError as cause:
        raise Unavailable(f"the copy cannot be written: {os.strerror(cause.errno or 0)}") from cause
    try:
        with os.fdopen(descriptor, "wb") as file:
            for part in cleaned.parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
    except OSError as cause:
        path.unlink(missing_ok=True)
        raise Unavailable(f"the copy cannot be written: {os.strerror(cause.errno or 0)}") from cause


def _known_patients(names: list[str], issuers: Issuers) -> dict[str, IdentityKey]:
    """Whom the Patient resources among the files are about; a file that cannot be read is refused in its own turn."""
    found: dict[str, IdentityKey] = {}
    for name in names:
        try:
            found.update(patients_in([_read(Path(name))], issuers))
        except GatewayError:
            continue
    return found


def _of_the_vault(loaded: LoadedSettings) -> Callable[[IdentityKey], Pseudonymiser]:
    from gateway import wiring

    vault = wiring.vault(loaded.settings, wiring.database(loaded.settings))
    return lambda key: vault.patient(key).pseudonymiser


def _throw_away() -> Callable[[IdentityKey], Pseudonymiser]:
    """Pseudonyms that hold together in this run and lead back nowhere."""
    root, domain = secrets.token_bytes(32), secrets.token_bytes(32)
    return lambda key: Pseudonymiser(hmac.digest(root, key.indexed(), "sha256"), domain)


def _patient(told: str | None, issuers: Issuers) -> IdentityKey | None:
    if told is None:
        return None
    issuer, sign, number = (sys.stdin.readline().strip() if told == "-" else told).rpartition("|")
    if not number.strip():
        raise Invalid("--patient-key is ISSUER|ID, or |ID where no issuer is named")
    return issuers.key(issuer if sign else "", number)


def _pair(told: str) -> tuple[str, str]:
    system, sign, issuer = told.rpartition("=")
    if not sign or not system:
        raise Invalid("--issuer is SYSTEM=ISSUER")
    return system, issuer
