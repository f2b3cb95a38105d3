"""`dxgate identity`: one pseudonym led back to a patient, by a person who proves who he is and says what for.

Whoever has a shell here is no privacy officer for that: name and password are those of the console.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from dataclasses import asdict

from gateway.commands.output import print_json, tell
from gateway.config import LoadedSettings
from gateway.domain.errors import Invalid
from gateway.domain.reidentification import Reidentified
from gateway.flow.reidentify import Asked
from gateway.flow.secret_hash import LONGEST_SECRET

ADDRESS = "console of this machine"


def open_identity(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from gateway import wiring

    settings = loaded.settings
    opened = wiring.database(settings)
    person = wiring.access(settings, opened).person(arguments.person, _password(arguments), ADDRESS)
    asked = Asked(arguments.pseudonym, arguments.purpose, arguments.reason, arguments.export)
    _show(wiring.reidentify(settings, opened)(person, asked), as_json=arguments.json)
    return 0


def _password(arguments: argparse.Namespace) -> str:
    if arguments.password_stdin:
        return sys.stdin.readline(LONGEST_SECRET + 2).rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Invalid("standard input is no terminal; give the password with --password-stdin")
    return getpass.getpass(f"Password of {arguments.person}: ")


def _show(found: Reidentified, *, as_json: bool) -> None:
    told = {name: value for name, value in asdict(found.identity).items() if value}
    if as_json:
        print_json({"kind": found.kind, "pseudonym": found.patient, "identity": told})
        return
    width = max(map(len, told), default=0)
    for name, value in told.items():
        tell(f"{name.replace('_', ' ').ljust(width)}  {value}")
