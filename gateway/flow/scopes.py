"""SMART scopes of systems: what a client may do with which resource types (SMART App Launch 2.2, 1.0).

v2 `system/DiagnosticReport.rs` and v1 `system/DiagnosticReport.read` both count. What we do not fully understand
(other contexts, `?` restrictions, unknown letters) grants nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, cast

from gateway.domain.errors import Invalid

Permission = Literal["c", "r", "u", "d", "s"]
_LETTERS = "cruds"
LONGEST_REQUEST = 2048
_SCOPE = re.compile(r"system/(\*|[A-Z][A-Za-z]{1,63})\.(read|write|\*|c?r?u?d?s?)")
_V1 = {"read": "rs", "write": "cud", "*": "cruds"}


def permits(scopes: Iterable[str], resource_type: str, permission: Permission) -> bool:
    """Whether any of `scopes` allows that type to be created, read, updated, deleted or searched."""
    return any(kind in ("*", resource_type) and permission in letters for kind, letters in map(_parsed, scopes))


def check(scope: str) -> str:
    """`scope` as it is; Invalid where it would grant nothing."""
    if not _parsed(scope)[1]:
        raise Invalid("a scope is system/<type or *>.<letters of cruds, or read, or write>")
    return scope


def narrowed(granted: Iterable[str], requested: str | None) -> tuple[str, ...]:
    """What a token gets: all that is granted, or of the request the part that is; empty where there is none."""
    held = tuple(granted)
    if not requested or not requested.strip():
        return held
    if len(requested) > LONGEST_REQUEST:
        raise Invalid(f"a scope parameter has at most {LONGEST_REQUEST} characters")
    allowed = (scope for one in requested.split() for scope in _allowed(held, one))
    return tuple(dict.fromkeys(allowed))


def _allowed(held: tuple[str, ...], requested: str) -> Iterable[str]:
    kind, letters = _parsed(requested)
    if kind == "*":  # of a wish for everything remains what was granted, type by type
        for scope in held:
            own, mine = _parsed(scope)
            both = "".join(letter for letter in _LETTERS if letter in letters and letter in mine)
            if both:
                yield requested if own == "*" and set(letters) <= set(mine) else f"system/{own}.{both}"
        return
    both = "".join(letter for letter in letters if permits(held, kind, cast(Permission, letter)))
    if both:
        yield requested if both == letters else f"system/{kind}.{both}"


def _parsed(scope: str) -> tuple[str, str]:
    """Type and letters of `cruds`; no letters where the scope is not one of ours."""
    match = _SCOPE.fullmatch(scope)
    if match is None:
        return "", ""
    letters = _V1.get(match[2], match[2])
    return match[1], "".join(letter for letter in _LETTERS if letter in letters)
