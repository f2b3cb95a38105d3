"""What guessing costs whoever has a stored secret, a key ring or a backup; the suite itself stretches less."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from harness.light_scrypt import SHIPPED

from gateway.privacy.key_backup import seal_backup
from gateway.privacy.providers import file


def test_a_secret_costs_what_owasp_advises() -> None:
    """Stored secrets and passwords are stretched with N = 2^14, r = 8 and five passes."""
    assert SHIPPED == (1 << 14, 8, 5)


def test_a_passphrase_costs_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ring's passphrase is stretched with N = 2^15, a backup's with N = 2^17, both with r = 8."""
    asked: list[tuple[int, int, int]] = []

    def noting(*, n: int, r: int, p: int, **other: Any) -> Scrypt:
        asked.append((n, r, p))
        return Scrypt(n=n, r=r, p=p, **other)

    monkeypatch.setattr(file, "Scrypt", noting)
    file.FileProvider("correct horse").wrap(b"k" * 32, b"context")
    seal_backup({}, "correct horse battery", datetime(2026, 11, 29, tzinfo=UTC))
    assert asked == [(1 << 15, 8, 1), (1 << 17, 8, 1)]
