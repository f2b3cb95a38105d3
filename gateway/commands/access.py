"""`dxgate client` and `dxgate person`: who may connect and who may sign in.

A secret or password is never an argument, where other users of the machine could read it: a client's is made
here and printed once, a person's is asked for or read from standard input.
"""

from __future__ import annotations

import argparse
import getpass
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_network

from gateway.commands.output import actor, print_rows, row_of, tell
from gateway.config import LoadedSettings
from gateway.domain.access import Client, Person, Role
from gateway.domain.errors import Conflict, Invalid, Missing
from gateway.domain.ids import ClientId, PersonId, new_id
from gateway.flow import secret_hash
from gateway.ports import Database

CLIENT_COLUMNS = ("kind", "name", "active", "credentials", "scopes", "networks", "created_at")
SHORTEST_PASSWORD = 12  # characters; NIST SP 800-63B asks for length and for no rules of composition
_IDENTIFIER = re.compile(r"[a-z][a-z0-9+.-]{1,15}:[!-{}~]{1,200}\|[!-{}~]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_AE_TITLE = re.compile(r"(?=.*[^ ])[\x20-\x5b\x5d-\x7e]{1,16}")  # PS3.5 6.2, AE


def add_dicom_client(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from gateway import wiring

    title = arguments.name.strip(" ")
    if not _AE_TITLE.fullmatch(title):
        raise Invalid("an AE title has 1 to 16 printable ASCII characters and no backslash")
    where = networks(arguments.networks)
    client = Client(ClientId(new_id()), "dicom", title, None, (), where, True, datetime.now(UTC))
    add_client(wiring.database(loaded.settings), client)
    tell(f"{title} may connect from {', '.join(client.networks)}")
    if loaded.settings.dicom.peers == "any":
        tell("note: dicom.peers is `any`, so every other AE title may connect too")
    return 0


def list_clients(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from gateway import wiring

    with wiring.database(loaded.settings).read() as unit:
        rows = [row_of(client) | {"credentials": list(client.credentials)} for client in unit.access.clients()]
    print_rows(rows, CLIENT_COLUMNS, as_json=arguments.json)
    return 0


def disable_client(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from gateway import wiring

    with wiring.database(loaded.settings).begin(actor()) as unit:
        if not unit.access.disable_client(arguments.kind, arguments.name):
            raise Missing("there is no active client of this kind and name")
        unit.commit()
    tell(f"{arguments.name} may not connect any more")
    return 0


def add_person(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from gateway import wiring

    name = checked_name(arguments.name)
    told = PersonWords(
        _words("display name", arguments.display_name),
        _words("qualification", arguments.qualification),
        _identifier(arguments.identifier),
    )
    password = _password_of_stdin() if arguments.password_stdin else _password_of_terminal()
    if len(password) < SHORTEST_PASSWORD:
        raise Invalid(f"a password has at least {SHORTEST_PASSWORD} characters")
    new_person(wiring.database(loaded.settings), name, arguments.role, password, told)
    tell(f"{name} may sign in as {arguments.role}")
    return 0


@dataclass(frozen=True)
class PersonWords:
    """What stands on a report that the person signs."""

    display_name: str = ""
    qualification: str = ""
    identifier: str = ""


NO_WORDS = PersonWords()


def new_person(database: Database, name: str, role: Role, password: str, told: PersonWords = NO_WORDS) -> None:
    """Add a person; Conflict where the name is taken."""
    person = Person(
        id=PersonId(new_id()),
        name=name,
        password_hash=secret_hash.hash_secret(password),
        role=role,
        active=True,
        created_at=datetime.now(UTC),
        display_name=told.display_name,
        qualification=told.qualification,
        identifier=told.identifier,
    )
    with database.begin(actor()) as unit:
        if unit.access.person(name) is not None:
            raise Conflict(f"there is a person {name} already")
        unit.access.add_person(person)
        unit.commit()


def add_client(database: Database, client: Client) -> None:
    with database.begin(actor()) as unit:
        if unit.access.client(client.kind, client.name) is not None:
            raise Conflict(f"there is a {client.kind} client {client.name} already")
        unit.access.add_client(client)
        unit.commit()


def checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Invalid("a name has 1 to 64 letters, digits or . _ @ - and begins with a letter or digit")
    return name


def _words(what: str, given: str) -> str:
    if len(given) > 128 or (given and not given.isprintable()):
        raise Invalid(f"a {what} has at most 128 printable characters")
    return given.strip()


def _identifier(given: str) -> str:
    if given and not _IDENTIFIER.fullmatch(given):
        raise Invalid("an identifier is SYSTEM|VALUE, the system a URI as http://hl7.org/fhir/sid/us-npi")
    return given


def networks(given: list[str]) -> tuple[str, ...]:
    try:
        return tuple(str(ip_network(network)) for network in given)
    except ValueError as error:
        raise Invalid(f"not a network: {error}") from None


def _password_of_stdin() -> str:
    return sys.stdin.readline(secret_hash.LONGEST_SECRET + 2).rstrip("\r\n")


def _password_of_terminal() -> str:
    if not sys.stdin.isatty():
        raise Invalid("standard input is no terminal; give the password with --password-stdin")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise Invalid("the two passwords differ")
    return password
