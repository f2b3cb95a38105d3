"""A gateway over TLS that asks for client certificates, with one reported study: what a test of access looks at."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from harness.authority import Authority
from harness.commands import run_command, start_command
from harness.ports import free_port
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from wire.fhir_rest.hospital import Hospital, add_study, open_hospital, serving, stored

from gateway.config import OidcSettings
from gateway.domain.access import Client
from gateway.domain.ids import ClientId, new_id
from gateway.flow.client_assertion import ASSERTION_TYPE
from gateway.servers.web.services import WebServices

ROOT = Path(__file__).parents[3]


def key_set(*keys: RSAKey | ECKey) -> dict[str, Any]:
    """As a client publishes it."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


@dataclass
class Place:
    """`base` is the address that clients use and that the settings name."""

    hospital: Hospital
    authority: Authority
    base: str
    report: str = ""
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-384", {"kid": "ec-1"}))
    rsa: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "rsa-1"}))

    @property
    def fhir(self) -> str:
        return f"{self.base}/fhir"

    @property
    def token_url(self) -> str:
        return f"{self.base}/auth/token"

    def http(self, certificate: tuple[str, str] | None = None, **options: Any) -> httpx.Client:
        """A client that trusts the authority, and shows a certificate where it has one."""
        import ssl

        context = ssl.create_default_context(cafile=self.authority.ca)
        if certificate:
            context.load_cert_chain(*certificate)
        return httpx.Client(base_url=self.base, verify=context, timeout=20, **options)

    def add(self, name: str, *scopes: str, secret: str | None = None, **changes: Any) -> Client:
        """A registered client."""
        hashed = stored(secret) if secret else None
        bare = Client(
            ClientId(new_id()), "fhir", name, hashed, scopes or ("system/*.rs",), (), True, datetime.now(UTC), **changes
        )
        with self.hospital.database.begin("test") as unit:
            unit.access.add_client(bare)
            unit.commit()
        return bare

    def assertion(self, name: str, key: Any = None, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """A signed assertion; `changes` overwrite its claims, None leaves one out."""
        key = key or self.key
        now = int(time.time())
        claims = {"iss": name, "sub": name, "aud": self.token_url, "exp": now + 240, "iat": now, "jti": new_id()}
        kept = {claim: value for claim, value in (claims | changes).items() if value is not None}
        told = {"alg": "ES384" if isinstance(key, ECKey) else "RS384", "kid": key.kid} | (header or {})
        told = {claim: value for claim, value in told.items() if value is not None}
        return jwt.encode(told, kept, key, algorithms=[told["alg"]])

    def ask(self, assertion: str, base: str = "", **form: str) -> httpx.Response:
        """The token endpoint's answer."""
        told = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, **form}
        with self.http() as http:
            return http.post(f"{base or self.base}/auth/token", data=told | {"client_assertion": assertion})

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that works on the same home folder."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DXGATE_")}
        return clean | {"DXGATE_GATEWAY_HOME": str(self.hospital.settings.home), "PYTHONPATH": str(ROOT)}

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_command(arguments, self.environment)

    @contextmanager
    def second_server(self) -> Iterator[str]:
        """`dxgate serve web` in a process of its own, under the same public address; where it listens."""
        port = free_port()
        settings = {"DXGATE_WEB_PORT": str(port), "DXGATE_WEB_BASE_URL": self.base}
        process = start_command(["serve", "web"], self.environment | settings, Path(os.devnull))
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def open_place(folder: Path, template: Path, change: Callable[[WebServices], WebServices] = lambda it: it) -> Place:
    """Not yet serving."""
    authority = Authority(folder)
    server = authority.issue("gateway", "localhost")
    port = free_port()
    hospital = open_hospital(
        folder / "home",
        template,
        port=port,
        base_url=f"https://127.0.0.1:{port}",
        tls_certificate=server.chain,
        tls_key=server.key,
        tls_client_ca=authority.ca,
        private_key_sets=True,
        key_set_ca=authority.ca,
    )
    hospital.services = change(hospital.services)
    study = add_study(hospital, folder / "study")
    place = Place(hospital, authority, f"https://127.0.0.1:{port}")
    with hospital.database.read() as unit:
        place.report = unit.reports.find(studies=[study], limit=1)[0].id
    return place


@contextmanager
def serve(place: Place) -> Iterator[Place]:
    with serving(place.hospital.services):
        yield place


@contextmanager
def served_otherwise(place: Place, oidc: OidcSettings | None = None, **web: Any) -> Iterator[str]:
    """The same gateway once more, under other settings; its address, which is also its base address."""
    from gateway import wiring

    port = free_port()
    base = f"https://127.0.0.1:{port}"
    settings = place.hospital.settings
    changed = settings.web.model_copy(update={"port": port, "base_url": base, **web})
    settings = settings.model_copy(update={"web": changed, "oidc": oidc or settings.oidc})
    services = replace(
        place.hospital.services,
        settings=settings,
        fetch_keys=wiring.key_set_fetch(settings),
        elsewhere=wiring.sign_in_elsewhere(settings, place.hospital.database),
    )
    with serving(services):
        yield base
