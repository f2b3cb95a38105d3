"""UIDs from the wire: text only when they obey PS3.5 section 9.1, so that none can carry a path or a NUL.

Leading zeros in a component are tolerated, because devices in the field send them.
"""

from __future__ import annotations

import re

_FORM = re.compile(rb"[0-9]+(?:\.[0-9]+)*")
_MOST_BYTES = 64


def parse_uid(value: bytes) -> str | None:
    """The UID, without its padding byte (NUL by the standard, space by habit), or None if it is none."""
    if value[-1:] in (b"\0", b" "):
        value = value[:-1]
    if len(value) > _MOST_BYTES or not _FORM.fullmatch(value):
        return None
    return value.decode("ascii")


def encode_uid(uid: str) -> bytes:
    """The UID padded with NUL to even length, as command sets need it."""
    value = uid.encode("ascii")
    return value + b"\0" if len(value) % 2 else value
