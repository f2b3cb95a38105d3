"""`dxgate keys shred`: erases one patient, by pseudonym or by the identifier that the hospital knows.

There is no way back, so a person confirms by typing the pseudonym. The identifier may be read from standard input
(`--patient-id -`), because arguments can be read by other users of the machine and stay in the shell's history.
"""

from __future__ import annotations

import argparse
import sys

from gateway.commands.output import actor, tell
from gateway.config import LoadedSettings
from gateway.domain.errors import Conflict, Invalid, Missing

LONGEST_REASON = 200


def shred(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from gateway import wiring

    reason = arguments.reason.strip()
    if not 0 < len(reason) <= LONGEST_REASON:
        raise Invalid(f"--reason takes 1 to {LONGEST_REASON} characters; it is audited, so it must name nobody")
    pseudonym = arguments.patient or _found(loaded, arguments)
    _confirm(loaded, pseudonym, arguments.yes)
    done = wiring.erase_patient(loaded.settings)(pseudonym, reason, actor())
    tell(
        f"{pseudonym} is erased: {done.studies} studies, {done.headers} objects, sealed files under {done.files} names"
    )
    tell("backups made before still open: rotate, retire the former keys, and replace the backup of the keys")
    return 0


def _found(loaded: LoadedSettings, arguments: argparse.Namespace) -> str:
    """The one patient of this identifier; Missing for none, Conflict where issuers share it."""
    from gateway import wiring

    given = arguments.patient_id
    identifier = sys.stdin.readline().strip("\r\n") if given == "-" else given
    database = wiring.database(loaded.settings)
    with database.read() as unit:
        found = wiring.vault(loaded.settings, database).patients(unit, arguments.issuer, identifier)
    if not found:
        raise Missing("no patient has this identifier here")
    if len(found) > 1:
        raise Conflict(
            f"{len(found)} issuers use this identifier; give --issuer, or --patient with one of {', '.join(found)}"
        )
    return found[0]


def _confirm(loaded: LoadedSettings, pseudonym: str, agreed: bool) -> None:
    from gateway import wiring

    if agreed:
        return
    if not sys.stdin.isatty():
        raise Invalid("nobody is here to confirm; --yes erases without asking")
    with wiring.database(loaded.settings).read() as unit:
        count = len(unit.studies.ids_by_patient(pseudonym))
    tell(f"{pseudonym} has {count} studies. What is erased cannot be brought back. Type the pseudonym to go on:")
    if sys.stdin.readline().strip() != pseudonym:
        raise Invalid("not confirmed; nothing was erased")
