"""Values of token and reference parameters, taken apart (R4 3.1.1.4.10, 3.1.1.4.12, escapes 3.1.1.4.19)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.domain.errors import Invalid

MAX_ALTERNATIVES = 50
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True)
class TokenValue:
    """`system` None: any system; empty: identifiers without one."""

    system: str | None
    value: str

    def fits(self, system: str, code: str) -> bool:
        return self.value == code and self.system in (None, system)


def alternatives(name: str, text: str) -> list[str]:
    """The values between unescaped commas, any of which may match; escapes stay in."""
    found = [part for part in _split(text, ",") if part]
    if not found:
        raise Invalid(f"the parameter {name} has no value")
    if len(found) > MAX_ALTERNATIVES:
        raise Invalid(f"the parameter {name} has more than {MAX_ALTERNATIVES} alternatives")
    return found


def token(name: str, text: str) -> TokenValue:
    parts = _split(text, "|")
    if len(parts) > 2 or not parts[-1]:
        raise Invalid(f"the parameter {name} must be [system]|value or value")
    value = _unescaped(parts[-1])
    return TokenValue(_unescaped(parts[0]) if len(parts) == 2 else None, value)


def reference(name: str, text: str, kind: str, base: str) -> str:
    """The id of a reference to `kind`: bare, relative, or absolute on our own base."""
    local = _unescaped(text).removeprefix(f"{base}/")
    named, slash, own_id = local.rpartition("/")
    if (slash and named != kind) or not ID.fullmatch(own_id):
        raise Invalid(f"the parameter {name} must be {kind}/[id]")
    return own_id


def _split(text: str, separator: str) -> list[str]:
    return re.split(rf"(?<!\\){re.escape(separator)}", text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([\\,|$])", r"\1", text)
