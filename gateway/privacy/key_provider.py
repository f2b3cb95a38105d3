"""What holds the key above the key rings (the KMS key, or KEK): a passphrase, a variable, an HSM or a key service.

A ring's content is sealed under a fresh data key, and that data key is all a provider ever wraps: one small call
when a process starts and when a ring has changed, so that an HSM or Vault is in nobody's way (decision 0005).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, repr=False)
class WrappedKey:
    """A data key under a KEK, and the KEK's id as the provider names it. Has no text form."""

    kek: str
    wrapped: bytes = field(repr=False)

    def __repr__(self) -> str:
        return f"WrappedKey({self.kek!r}, …)"


class KeyProvider(Protocol):
    """Wraps and unwraps data keys of 32 bytes; `context` binds a wrapping to the file that it stands in.

    Errors say what to do, in one line. Forbidden: the passphrase, PIN or token is wrong. Missing: there is no such
    KEK. Unavailable: the HSM or service is away, sealed or silent. Invalid: the wrapping was altered.
    """

    @property
    def name(self) -> str:
        """`file`, `environment`, `pkcs11` or `vault`, as the setting `keys.provider` says it."""
        ...

    def wrap(self, key: bytes, context: bytes) -> WrappedKey:
        """Under the current KEK."""
        ...

    def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        """The data key inside, under the KEK that wrapped it."""
        ...

    def renew(self) -> None:
        """Make a new KEK the current one; Conflict where a person has to, with how."""
        ...
