"""The KEK inside HashiCorp Vault or OpenBao: the Transit engine wraps, and the KEK never leaves it.

HTTP API v1: /v1/<mount>/encrypt|decrypt|keys/<name>. A wrapping's KEK id is the key's name and version. A service
that is out for a moment is asked again; one that is sealed or refuses is told to a person at once.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.domain.errors import Forbidden, GatewayError, Invalid, Missing, Unavailable
from gateway.privacy.key_provider import WrappedKey

_TYPE: Final = "aes256-gcm96"
_TRIES: Final = 3
_FIRST_PAUSE: Final = 0.2
_LONGEST_ANSWER: Final = 1 << 16
_TRY_AGAIN: Final = frozenset({412, 429, 472, 473, 500, 502, 504})
"""412 and 47x: a standby or replica that is behind."""


@dataclass(frozen=True, repr=False)
class TransitProvider:
    """Implements KeyProvider. The token is `token` or the first line of `token_file`, read anew for every call."""

    address: str
    key: str
    token: str = field(repr=False)
    token_file: str
    namespace: str
    mount: str
    ca: str
    timeout_seconds: float
    pause: Callable[[float], None] = time.sleep
    name: str = "vault"

    def wrap(self, key: bytes, context: bytes) -> WrappedKey:
        given = {"plaintext": _text(key), "associated_data": _text(context)}
        ciphertext = str(self._data(self._call("POST", f"encrypt/{self.key}", given), "ciphertext"))
        version = ciphertext.split(":", 2)[1] if ciphertext.count(":") == 2 else ""
        if not ciphertext.startswith("vault:v"):
            raise Unavailable("Vault gave a ciphertext of an unknown form; check keys.vault_mount")
        return WrappedKey(f"{self.key}-{version}", ciphertext.encode("ascii"))

    def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        given = {"ciphertext": wrapped.wrapped.decode("ascii", "replace"), "associated_data": _text(context)}
        try:
            return base64.b64decode(self._data(self._call("POST", f"decrypt/{self.key}", given), "plaintext"))
        except binascii.Error:
            raise Unavailable("Vault gave a plaintext of an unknown form") from None

    def renew(self) -> None:
        """A next version of the Transit key, or its first; earlier ones open until min_decryption_version is raised."""
        try:
            kind = self._data(self._call("GET", f"keys/{self.key}", None), "type")
        except Missing:
            self._call("POST", f"keys/{self.key}", {"type": _TYPE})
            return
        if kind != _TYPE:
            raise Invalid(f"the Transit key {self.key} is not of the type {_TYPE}")
        self._call("POST", f"keys/{self.key}/rotate", {})

    def _call(self, method: str, path: str, given: Mapping[str, str] | None) -> dict[str, Any]:
        """The answer's document. The token and all that was sent stay out of every message."""
        import httpx

        url = f"{self.address.rstrip('/')}/v1/{self.mount.strip('/')}/{path}"
        reason = ""
        for attempt in range(_TRIES):
            if attempt:
                self.pause(_FIRST_PAUSE * (1 << (attempt - 1)))
            try:
                with httpx.Client(
                    verify=self._trust(), timeout=self.timeout_seconds, headers=self._headers()
                ) as client:
                    answer = client.request(method, url, json=given)
            except httpx.HTTPError as error:
                reason = f"cannot be reached ({type(error).__name__})"
                continue
            if answer.status_code not in _TRY_AGAIN:
                return self._read(answer.status_code, answer.content)
            reason = f"answered {answer.status_code}"
        raise Unavailable(f"Vault at {self.address} {reason}; check keys.vault_address and the service")

    def _read(self, status: int, content: bytes) -> dict[str, Any]:
        if status in (200, 204):
            try:
                return dict(json.loads(content[:_LONGEST_ANSWER])) if content else {}
            except (ValueError, TypeError):
                raise Unavailable("Vault's answer is not JSON; check keys.vault_address") from None
        raise self._refusal(status, content[:_LONGEST_ANSWER])

    def _refusal(self, status: int, content: bytes) -> GatewayError:
        if status == 503:
            return Unavailable("Vault is sealed or in maintenance; unseal it, nothing is lost meanwhile")
        if status == 403:
            return Forbidden(f"Vault refuses the token for the Transit key {self.key}; check the token and its policy")
        if status == 404 or b"key not found" in content:
            return Missing(f"Vault has no Transit key {self.key} under {self.mount}; create it or check the settings")
        if b"too old" in content:
            return Missing(f"Vault no longer opens this version of {self.key}; lower its min_decryption_version")
        if status == 400:
            return Invalid("Vault does not open the key ring: altered, or wrapped under another key")
        return Unavailable(f"Vault answered {status}; check keys.vault_address and the service")

    def _data(self, document: dict[str, Any], name: str) -> Any:
        data = document.get("data")
        if not isinstance(data, dict) or not isinstance(data.get(name), str):
            raise Unavailable(f"Vault's answer lacks {name}; check keys.vault_address and keys.vault_mount")
        return data[name]

    def _headers(self) -> dict[str, str]:
        token = self.token
        if self.token_file:
            try:
                token = Path(self.token_file).expanduser().read_text("ascii").split("\n", 1)[0].strip()
            except (OSError, UnicodeDecodeError):
                raise Forbidden(f"the Vault token file {self.token_file} cannot be read") from None
        headers = {"X-Vault-Token": token, "X-Vault-Request": "true"}
        return {**headers, "X-Vault-Namespace": self.namespace} if self.namespace else headers

    def _trust(self) -> Any:
        import ssl

        try:
            return ssl.create_default_context(cafile=self.ca or None)
        except (OSError, ssl.SSLError):
            raise Invalid(f"keys.vault_ca names no readable PEM file: {self.ca}") from None


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
