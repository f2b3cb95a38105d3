"""`dxgate client add fhir` and `dxgate client rotate`: by what a FHIR client proves who it is, and what it may do.

By default a secret is made here and printed once. A client with keys or a certificate of its own needs none, and an
app in which people sign in has none where it cannot keep one.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from gateway.commands.access import add_client, checked_name, networks
from gateway.commands.output import actor, print_json, tell
from gateway.config import LoadedSettings
from gateway.domain.access import Client
from gateway.domain.errors import Invalid, Missing
from gateway.domain.ids import ClientId, new_id
from gateway.flow import client_certificate, scopes, secret_hash
from gateway.flow.client_assertion import LARGEST_SET, checked_keys

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_OWN_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")  # RFC 8252 7.1: a domain name turned around
_LONGEST_REDIRECT = 512


@dataclass(frozen=True)
class Credentials:
    """What the client was given; `secret` is shown once."""

    secret: str | None
    jwks: str | None
    jwks_url: str | None
    certificates: tuple[str, ...]

    def of(self, client: Client) -> Client:
        hashed = secret_hash.hash_secret(self.secret) if self.secret else None
        return replace(
            client, secret_hash=hashed, jwks=self.jwks, jwks_url=self.jwks_url, certificates=self.certificates
        )


def add_fhir_client(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from gateway import wiring

    redirects = tuple(_redirect(one) for one in arguments.redirects)
    given = _credentials(loaded, arguments, by_default=not redirects)
    bare = Client(
        ClientId(new_id()),
        "fhir",
        checked_name(arguments.name),
        secret_hash=None,
        scopes=tuple(scopes.check(scope) for given_ in arguments.scope for scope in given_.split()),
        networks=networks(arguments.networks),
        active=True,
        created_at=datetime.now(UTC),
        redirects=redirects,
        launch=_launch(arguments.launch, redirects) if arguments.launch else None,
        id_token_alg=arguments.id_token_alg,
    )
    client = given.of(bare)
    add_client(wiring.database(loaded.settings), client)
    _tell(arguments, client, given)
    return 0


def rotate_fhir_client(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """The new credentials replace the old ones at once, and every token of the client ends."""
    from gateway import wiring

    given = _credentials(loaded, arguments, by_default=True)
    with wiring.database(loaded.settings).begin(actor()) as unit:
        found = unit.access.client("fhir", arguments.name)
        if found is None or not unit.access.rotate_client(given.of(found)):
            raise Missing("there is no active FHIR client of this name")
        unit.commit()
    _tell(arguments, given.of(found), given)
    return 0


def _credentials(loaded: LoadedSettings, arguments: argparse.Namespace, *, by_default: bool) -> Credentials:
    """A new secret where it is asked for, or where nothing else was given."""
    url = arguments.jwks if arguments.jwks and arguments.jwks.startswith("https://") else None
    rules: list[tuple[Callable[[str], str], Iterable[str]]] = [
        (lambda path: client_certificate.rule_of_file(_bytes(path, client_certificate.LARGEST)), arguments.certificate),
        (client_certificate.rule_of_subject, arguments.certificate_subject),
        (client_certificate.rule_of_dns, arguments.certificate_dns),
    ]
    certificates = tuple(rule(text) for rule, texts in rules for text in texts)
    if certificates and not loaded.settings.web.tls_client_ca:
        tell("note: web.tls_client_ca is not set, so no client certificate is asked for yet")
    none = not (arguments.jwks or certificates)
    return Credentials(
        secret=secret_hash.new_secret() if none and by_default else None,
        jwks=_jwks(loaded, arguments.jwks, url) if arguments.jwks else None,
        jwks_url=url,
        certificates=certificates,
    )


def _jwks(loaded: LoadedSettings, given: str, url: str | None) -> str | None:
    """The key set of a file; one at an address is only tried, and stays there."""
    if url is not None:
        from gateway import wiring

        checked_keys(wiring.key_set_fetch(loaded.settings)(url).decode("utf-8", "replace"))
        return None
    text = _bytes(given, LARGEST_SET).decode("utf-8", "replace")
    checked_keys(text)
    return text


def _bytes(path: str, most: int) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}") from None


def _redirect(text: str) -> str:
    """https, plain http on this very machine, or the scheme of an installed app; no fragment (RFC 6749 3.1.2)."""
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    web = parts.scheme == "https" and host
    local = parts.scheme == "http" and host in _LOOPBACK
    own = not parts.netloc and _OWN_SCHEME.fullmatch(parts.scheme)
    plain = text.isascii() and text.isprintable() and not set(text) & set(" \"'<>;,#")
    if len(text) > _LONGEST_REDIRECT or not plain or not (web or local or own):
        raise Invalid("a redirect address is https://..., http://localhost... or an app's own scheme, without fragment")
    return text


def _launch(text: str, redirects: tuple[str, ...]) -> str:
    """Where a browser is sent with `iss` and `launch`: a page, of an app in which people sign in."""
    if not redirects or urlsplit(_redirect(text)).scheme not in ("https", "http"):
        raise Invalid("a launch address is https://... or http://localhost..., of an app with a --redirect")
    return text


def _tell(arguments: argparse.Namespace, client: Client, given: Credentials) -> None:
    if arguments.json:
        told: dict[str, object] = {"client_id": client.name, "scopes": client.scopes, "credentials": client.credentials}
        print_json(told | ({"secret": given.secret} if given.secret else {}))
        return
    tell(f"client id {client.name}\nproves who it is by: {', '.join(client.credentials)}")
    if given.secret:
        tell(f"secret    {given.secret}\nIt is stored as a hash and cannot be shown again.")
