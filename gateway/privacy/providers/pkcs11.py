"""The KEK inside a PKCS#11 token (an HSM): AES-256 that never leaves it, AES-GCM done by the token.

The vendor's library runs in a child process for each call (pkcs11_call.py): it may hang, crash or start threads,
and a process can be ended where a call inside this one could not. Calls are rare: a start, a changed ring.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Final

from gateway.domain.errors import Fault, Forbidden, GatewayError, Invalid, Missing, Unavailable, Unsupported
from gateway.privacy.key_provider import WrappedKey

_CALL: Final = "gateway.privacy.providers.pkcs11_call"
_ERRORS: Final[dict[str, type[GatewayError]]] = {
    kind.category.value: kind for kind in (Forbidden, Invalid, Missing, Unavailable, Fault)
}
_LONGEST_ANSWER: Final = 1 << 16


@dataclass(frozen=True, repr=False)
class Pkcs11Provider:
    """Implements KeyProvider. `label` names the KEK; of several keys with this label the newest wraps."""

    module: str
    token: str
    label: str
    pin: str = field(repr=False)
    timeout_seconds: float
    name: str = "pkcs11"

    def wrap(self, key: bytes, context: bytes) -> WrappedKey:
        answer = self._call("wrap", key=_text(key), context=_text(context))
        return WrappedKey(str(answer["kek"]), base64.b64decode(answer["wrapped"]))

    def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        answer = self._call("unwrap", kek=wrapped.kek, wrapped=_text(wrapped.wrapped), context=_text(context))
        return base64.b64decode(answer["key"])

    def renew(self) -> None:
        """Generates another AES key in the token; the earlier ones stay, until an HSM officer removes them."""
        self._call("generate")

    def _call(self, what: str, **given: str) -> dict[str, Any]:
        if find_spec("pkcs11") is None:
            raise Unsupported("keys.provider is pkcs11, but python-pkcs11 is absent; install the extra `pkcs11`")
        request = {"do": what, "module": self.module, "token": self.token, "label": self.label, "pin": self.pin}
        try:
            done = subprocess.run(  # noqa: S603 - our own module, and nothing secret among the arguments
                [sys.executable, "-m", _CALL],
                input=json.dumps({**request, **given}).encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=self.timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            waited = f"{self.timeout_seconds:g} s"
            raise Unavailable(f"the HSM has not answered in {waited}; check its connection and token") from None
        return self._read(done.returncode, done.stdout)

    def _read(self, code: int, output: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(output[:_LONGEST_ANSWER])
        except ValueError:
            raise Unavailable(
                f"the PKCS#11 library {self.module} ended with code {code}; check pkcs11_module"
            ) from None
        if "error" in answer:
            raise _ERRORS.get(answer["error"], Fault)(answer["message"])
        return dict(answer)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
