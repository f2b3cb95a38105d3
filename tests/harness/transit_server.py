"""A small server that speaks the Transit API of HashiCorp Vault, written from its documentation.

Only what the gateway calls: keys (create, read, rotate, configure), encrypt, decrypt; tokens with rights per path,
namespaces, sealing, and answers that a test scripts. It is no Vault: what only a real one shows is not shown here.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class _Refused(Exception):
    def __init__(self, status: int, *errors: str) -> None:
        super().__init__(status)
        self.status, self.errors = status, errors


@dataclass
class TransitKey:
    versions: list[bytes] = field(default_factory=lambda: [os.urandom(32)])
    min_decryption_version: int = 1


@dataclass
class TransitServer:
    """`tokens` maps a token to the path prefixes it may use; `next_answers` are statuses to give before working."""

    tokens: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"root": ("",)})
    namespace: str = ""
    mount: str = "transit"
    keys: dict[str, TransitKey] = field(default_factory=dict)
    sealed: bool = False
    next_answers: deque[int] = field(default_factory=deque)
    requests: list[tuple[str, str]] = field(default_factory=list)
    address: str = ""

    def answer(self, method: str, path: str, headers: Any, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        self.requests.append((method, path))
        if self.next_answers:
            raise _Refused(self.next_answers.popleft(), "scripted")
        if self.sealed:
            raise _Refused(503, "Vault is sealed")
        if not headers.get("X-Vault-Request"):
            raise _Refused(400, "missing required header")
        if headers.get("X-Vault-Namespace", "").strip("/") != self.namespace:
            raise _Refused(404, "no handler for route")
        allowed = self.tokens.get(headers.get("X-Vault-Token", ""))
        inner = path.removeprefix(f"/v1/{self.mount}/")
        if allowed is None or not any(inner.startswith(prefix) for prefix in allowed):
            raise _Refused(403, "permission denied")
        if inner == path:
            raise _Refused(404, f'no handler for route "{path[4:]}". route entry not found.')
        return self._route(method, inner.split("/"), body)

    def _route(self, method: str, words: list[str], body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        match method, words:
            case "GET", ["keys", name]:
                key = self._key(name, 404)
                return 200, {"data": {"name": name, "type": "aes256-gcm96", "latest_version": len(key.versions)}}
            case "POST", ["keys", name]:
                if body.get("type", "aes256-gcm96") != "aes256-gcm96":
                    raise _Refused(400, "unknown key type")
                self.keys.setdefault(name, TransitKey())
                return 200, {"data": {"name": name, "type": "aes256-gcm96"}}
            case "POST", ["keys", name, "rotate"]:
                self._key(name, 400).versions.append(os.urandom(32))
                return 200, {"data": {"name": name}}
            case "POST", ["encrypt", name]:
                return 200, {"data": self._encrypt(name, body)}
            case "POST", ["decrypt", name]:
                return 200, {"data": {"plaintext": self._decrypt(name, body)}}
        raise _Refused(405, "unsupported operation")

    def _key(self, name: str, status: int) -> TransitKey:
        if name not in self.keys:
            raise _Refused(status, *(["encryption key not found"] if status == 400 else []))
        return self.keys[name]

    def _encrypt(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """A real Vault makes a missing key here for tokens that may create; the gateway asks only in `renew`."""
        key = self._key(name, 400)
        nonce = os.urandom(12)
        aad = base64.b64decode(body.get("associated_data", ""))
        sealed = nonce + AESGCM(key.versions[-1]).encrypt(nonce, base64.b64decode(body["plaintext"]), aad)
        version = len(key.versions)
        return {"ciphertext": f"vault:v{version}:{base64.b64encode(sealed).decode()}", "key_version": version}

    def _decrypt(self, name: str, body: dict[str, Any]) -> str:
        key = self._key(name, 400)
        _, _, rest = body["ciphertext"].partition("vault:v")
        version, _, encoded = rest.partition(":")
        if not version.isdigit() or not 1 <= int(version) <= len(key.versions):
            raise _Refused(400, "invalid ciphertext: version is too new")
        if int(version) < key.min_decryption_version:
            raise _Refused(400, "ciphertext or signature version is disallowed by policy (too old)")
        sealed, aad = base64.b64decode(encoded), base64.b64decode(body.get("associated_data", ""))
        try:
            opened = AESGCM(key.versions[int(version) - 1]).decrypt(sealed[:12], sealed[12:], aad)
        except InvalidTag:
            raise _Refused(400, "cipher: message authentication failed") from None
        return base64.b64encode(opened).decode()


@contextmanager
def serving(server: TransitServer, certificate: Path | None = None) -> Iterator[TransitServer]:
    """On a free port of 127.0.0.1, with TLS where a PEM file of certificate and key is given."""

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            try:
                status, document = server.answer(self.command, self.path, self.headers, body)
            except _Refused as refused:
                status, document = refused.status, {"errors": list(refused.errors)}
            content = b"" if document is None else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _handle

        def log_message(self, *_: Any) -> None:
            """Nothing: a token must not reach the test's output."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    server.address = f"{'https' if certificate else 'http'}://127.0.0.1:{listening.server_port}"
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
