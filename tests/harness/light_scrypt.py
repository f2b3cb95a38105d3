"""scrypt at the least cost: what tests stretch is no secret, and at the shipped cost it is a tenth of the suite.

What is shipped is claimed in test_scrypt_cost.py and, for rings of earlier releases, in test_privacy_keyring.py.
"""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gateway.flow import secret_hash
from gateway.privacy.providers import file

SHIPPED = (secret_hash._N, secret_hash._R, secret_hash._P)


def lighten_secrets() -> None:
    """Hashes of secrets and passwords name their cost, so other processes read them; for the rest of this process."""
    secret_hash._N, secret_hash._R, secret_hash._P = 1 << 8, 8, 1


def lighten_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files under a passphrase do not name theirs: none that is written now opens in another process or later."""

    def light(*, salt: bytes, length: int, n: int, r: int, p: int) -> Any:
        return Scrypt(salt=salt, length=length, n=min(n, 1 << 8), r=r, p=p)

    monkeypatch.setattr(file, "Scrypt", light)
