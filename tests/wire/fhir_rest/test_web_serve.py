"""The web role as it is started: ready when the port is open, stopped when told, over TLS where configured."""

from __future__ import annotations

import socket
import ssl
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from harness.ports import free_port
from wire.fhir_rest.conftest import Ward

from gateway.domain.errors import Unavailable
from gateway.servers.web.serve import run
from gateway.servers.web.services import WebServices


def with_web(services: WebServices, **changes: object) -> WebServices:
    """The same services under other web settings."""
    web = services.settings.web.model_copy(update=changes)
    return replace(services, settings=services.settings.model_copy(update={"web": web}))


def certificate(folder: Path) -> tuple[str, str]:
    """A self-signed certificate for 127.0.0.1 and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "web.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "web.key").write_bytes(private)
    return str(folder / "web.pem"), str(folder / "web.key")


def test_ready_then_serving_then_stopped_over_tls(ward: Ward, tmp_path: Path) -> None:
    """`ready` is called when HTTPS answers; cookies are Secure there; `stop` ends the role and frees the port."""
    chain, key = certificate(tmp_path)
    port = free_port()
    services = with_web(ward.hospital.services, port=port, tls_certificate=chain, tls_key=key)
    stop, ready = threading.Event(), threading.Event()
    role = threading.Thread(target=run, args=(services, stop, ready.set))
    role.start()
    try:
        assert ready.wait(20)
        trusted = ssl.create_default_context(cafile=chain)
        with httpx.Client(base_url=f"https://localhost:{port}", verify=trusted) as http:
            answer = http.get("/console/login")
            assert answer.status_code == 200
            assert "Secure" in answer.headers["set-cookie"]
            assert answer.headers["strict-transport-security"].startswith("max-age=")
    finally:
        stop.set()
        role.join(20)
    assert not role.is_alive()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_port_in_use_is_told(ward: Ward) -> None:
    """Where the port is taken the role ends with Unavailable and never says that it is ready."""
    ready = threading.Event()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        services = with_web(ward.hospital.services, port=holder.getsockname()[1])
        with pytest.raises(Unavailable):
            run(services, threading.Event(), ready.set)
    assert not ready.is_set()
