"""SMART scopes: what a system, or a person through an app, may do with which types (SMART App Launch 2.2, 3.0).

v2 `system/DiagnosticReport.cruds` (any part of the letters, in this order) and v1 `.read`, `.write`, `.*` both count,
for the contexts `system` and `user`, and `patient` to read the record of the one patient who was chosen. What we do
not fully understand grants nothing. The audit trail is no part of `*`: who may read it has a scope that names
AuditEvent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from gateway.domain.access import Role
from gateway.domain.errors import Forbidden, Invalid

Permission = Literal["c", "r", "u", "d", "s"]
Context = Literal["system", "user", "patient"]
LONGEST_REQUEST = 2048
NAMED_ONLY = frozenset({"AuditEvent"})
SIGN_IN = ("openid", "fhirUser", "launch", "launch/patient", "offline_access")
"""Scopes without a type, of apps in which people sign in (SMART App Launch 2.2, 3.2)."""
_WITH_PATIENT = ("launch", "launch/patient")
ROLE_SCOPES: dict[Role, tuple[str, ...]] = {
    "physician": ("user/*.cruds", "patient/*.rs"),
    "admin": ("user/*.rs", "user/AuditEvent.rs"),
    "auditor": ("user/AuditEvent.rs",),
    "privacy-officer": (),
}
"""The most that an app can do for a person of that role."""
_SCOPE = re.compile(r"(system|user|patient)/(\*|[A-Z][A-Za-z]{1,63})\.(read|write|\*|c?r?u?d?s?)")
_V1 = {"read": "rs", "write": "cud", "*": "cruds"}


def permits(scopes: Iterable[str], resource_type: str, permission: Permission) -> bool:
    """Whether any of `scopes` allows that interaction (create, read, update, delete, search) on that type."""
    return any(
        permission in letters and _covers(kind, resource_type) for _, kind, letters in map(_parsed, scopes) if letters
    )


def check(scope: str) -> str:
    """`scope` as it is; Invalid where it would grant nothing."""
    if scope in SIGN_IN:
        return scope
    if "?" in scope:
        raise Invalid("scopes with ?parameter=value are not served: they would have to be checked in every search")
    context, _, letters = _parsed(scope)
    if not letters:
        text = "a scope is system/, user/ or patient/, a type or *, a dot, and letters of cruds or read, write or *"
        raise Invalid(text)
    if context == "patient" and set(letters) - {"r", "s"}:
        raise Invalid("a patient/ scope reads and searches alone: rs, r, s or read")
    return scope


def of_context(scopes: Iterable[str], context: Context) -> tuple[str, ...]:
    """Those of `scopes` that count in `context`."""
    return tuple(scope for scope in scopes if _parsed(scope)[0] == context)


def narrowed(granted: Iterable[str], requested: str | None, context: Context = "system") -> tuple[str, ...]:
    """What a token gets: all that is granted, or of the request the part that is; empty where there is none.

    Forbidden where the request holds a restriction that we would not keep.
    """
    held = of_context(granted, context)
    if not requested or not requested.strip():
        return held
    if len(requested) > LONGEST_REQUEST:
        raise Invalid(f"a scope parameter has at most {LONGEST_REQUEST} characters")
    if "?" in requested:
        raise Forbidden("scopes with ?parameter=value are not served here")
    return shared(held, requested.split(), context)


def shared(granted: Iterable[str], others: Iterable[str], context: Context = "system") -> tuple[str, ...]:
    """What of `others` is in what is granted; nothing where there are no others."""
    held = of_context(granted, context)
    return tuple(dict.fromkeys(scope for one in others for scope in _allowed(held, one, context)))


def covers(granted: Iterable[str], others: Iterable[str]) -> bool:
    """Whether all that `others` allow is in what is granted."""
    held, wanted = tuple(granted), map(of_scope, others)
    return all(permits(held, kind, letter) for kind, letters in wanted for letter in _letters(letters))


def of_scope(scope: str) -> tuple[str, str]:
    """Type and letters; both empty where the scope is not one of ours."""
    _, kind, letters = _parsed(scope)
    return kind, letters


def person_context(requested: str | None) -> Context:
    """In which context an app asks for a person; Invalid where in both, because one token is confined or is not."""
    asked = {word.partition("/")[0] for word in (requested or "").split()}
    if {"user", "patient"} <= asked:
        raise Invalid("ask for user/ or for patient/ scopes, not for both")
    return "patient" if "patient" in asked else "user"


def of_types(scopes: Iterable[str]) -> tuple[str, ...]:
    """Those of `scopes` that allow something with a type."""
    return tuple(scope for scope in scopes if _parsed(scope)[2])


def needs_patient(scopes: Iterable[str]) -> bool:
    """Whether a patient is to be chosen for them (SMART App Launch 2.2, 3.2.1)."""
    return any(scope in _WITH_PATIENT or _parsed(scope)[0] == "patient" for scope in scopes)


def of_person(granted: Iterable[str], requested: str | None, role: Role) -> tuple[str, ...]:
    """What an app gets for a person: of the request what the app holds and the role has; nothing of two contexts.

    Who may read no Patient has none to choose or to launch with.
    """
    held = tuple(granted)
    try:
        context = person_context(requested)
    except Invalid:
        return ()
    asked = narrowed(held, requested, context)
    types = narrowed(ROLE_SCOPES[role], " ".join(asked), context) if asked else ()
    words = (requested or "").split()
    barred = () if permits(ROLE_SCOPES[role], "Patient", "r") else _WITH_PATIENT
    return (*(word for word in SIGN_IN if word in words and word in held and word not in barred), *types)


def _allowed(held: tuple[str, ...], requested: str, context: Context) -> Iterable[str]:
    wanted, kind, letters = _parsed(requested)
    if wanted != context:
        return
    if kind == "*":  # of a wish for everything remains what was granted, type by type
        for scope in held:
            _, own, mine = _parsed(scope)
            both = "".join(letter for letter in letters if letter in mine)
            if both and own not in NAMED_ONLY:
                yield requested if own == "*" and both == letters else f"{context}/{own}.{both}"
        return
    both = "".join(letter for letter in _letters(letters) if permits(held, kind, letter))
    if both:
        yield requested if both == letters else f"{context}/{kind}.{both}"


def _covers(kind: str, resource_type: str) -> bool:
    return kind == resource_type or (kind == "*" and resource_type not in NAMED_ONLY)


def _letters(letters: str) -> list[Permission]:
    known: tuple[Permission, ...] = ("c", "r", "u", "d", "s")
    return [letter for letter in known if letter in letters]


def _parsed(scope: str) -> tuple[str, str, str]:
    """Context, type and letters; no letters where the scope is not one of ours."""
    match = _SCOPE.fullmatch(scope)
    if match is None:
        return "", "", ""
    return match[1], match[2], _V1.get(match[3], match[3])
