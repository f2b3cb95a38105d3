"""Documents at addresses that somebody else has named: what is fetched, and what never is."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from harness.authority import Authority, Issued

from gateway.domain.errors import GatewayError, Invalid, Unavailable
from gateway.outlets import https_document
from gateway.outlets.https_document import LARGEST, HttpsDocuments


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("documents"))


@contextmanager
def answering(issued: Issued, answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A TLS server that says the same to everybody; its address and what it was asked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*issued.pair)
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(connection, server_side=True) as secured:
                        heard.append(secured.recv(65536))
                        secured.sendall(answer)
                except OSError:
                    continue

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}", heard
        server.shutdown(socket.SHUT_RDWR)


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = "\r\n".join((f"HTTP/1.1 {status}", "Connection: close", *headers))
    return f"{lines}\r\n\r\n".encode() + body


def test_a_document_is_fetched_by_name_from_the_address_that_was_judged(authority: Authority) -> None:
    """The body of an answer 200, with the host's own name asked for and its certificate checked."""
    with answering(authority.issue("named", "localhost"), answer(b"{}")) as (place, heard):
        port = place.partition(":")[2]
        assert HttpsDocuments(private=True, ca=authority.ca).get(f"https://localhost:{port}/jwks") == b"{}"
        assert f"Host: localhost:{port}".encode() in heard[0]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (answer(b"", "302 Found", "Location: https://127.0.0.1:1/"), "302"),
        (answer(b"", "404 Not Found"), "404"),
        (answer(b"x" * (LARGEST + 1)), "larger"),
        (b"no http at all", "cannot be fetched"),
    ],
)
def test_redirects_errors_and_floods_are_refused(authority: Authority, said: bytes, reason: str) -> None:
    """No redirect is followed and no endless answer is read."""
    named = authority.issue("named", "localhost")
    with answering(named, said) as (place, _), pytest.raises(Unavailable, match=reason):
        HttpsDocuments(private=True, ca=authority.ca).get(f"https://{place}/")


def test_a_certificate_of_a_stranger_is_refused(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The server must prove its name under the authorities that count."""
    stranger = Authority(tmp_path_factory.mktemp("stranger"), "Stranger").issue("named", "localhost")
    with answering(stranger, answer(b"{}")) as (place, heard):
        with pytest.raises(Unavailable):
            HttpsDocuments(private=True, ca=authority.ca).get(f"https://{place}/")
        assert heard == []


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/jwks",
        "https://localhost/jwks",
        "https://10.0.0.1/jwks",
        "https://192.168.1.1/jwks",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/jwks",
        "https://[::ffff:127.0.0.1]/jwks",
        "https://0.0.0.0/jwks",
        "https://100.64.0.1/jwks",
        "https://2130706433/jwks",
    ],
)
def test_addresses_inside_are_not_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is allowed, nothing inside the hospital is connected to, however the address is written."""
    monkeypatch.setattr(https_document.httpx, "Client", lambda **_: pytest.fail("a connection was made"))
    with pytest.raises(GatewayError):
        HttpsDocuments().get(url)


@pytest.mark.parametrize(
    "url", ["http://example.org/", "file:///etc/passwd", "https://", "https://u:p@example.org/", "https://x:99999/", ""]
)
def test_only_plain_https_addresses(url: str) -> None:
    """No other scheme, no credentials, no rubbish."""
    with pytest.raises(Invalid):
        HttpsDocuments(private=True).get(url)
