"""How the console writes times, ids and states. A state's tone is a colour beside its word, never instead of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.flow.scopes import of_scope

TONES: dict[str, frozenset[str]] = {
    "good": frozenset(
        {"reported", "done", "acknowledged", "final", "amended", "corrected", "appended", "active"}
        | {"cleared", "passed", "agreed"}
    ),
    "busy": frozenset(
        {"receiving", "settled", "analysing", "doing", "sending", "shadow"} | {"unchecked", "masking", "waiting"}
    ),
    "wait": frozenset({"preliminary", "refused", "stat", "held", "disagreed", "contradictory", "missed"}),
    "bad": frozenset({"quarantined", "failed", "dead", "entered-in-error", "rejected"}),
    "quiet": frozenset(
        {"closed", "purged", "todo", "withdrawn", "pending", "superseded", "registered", "cancelled"}
        | {"draft", "retired", "routine"}
    ),
}


def tone(state: str) -> str:
    return next((name for name, states in TONES.items() if state in states), "quiet")


def moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def machine_time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def short(value: str) -> str:
    """The start of a long id or digest; pages give the whole in the title."""
    return value[:10]


def listed(values: Any) -> str:
    return ", ".join(str(value) for value in values)


def counted(values: Mapping[str, int]) -> str:
    """Counts by word: 3 cleared, 1 held."""
    return ", ".join(f"{count} {name}" for name, count in values.items())


def percent(value: float) -> str:
    return f"{value * 100:.1f} %"


def duration(seconds: float | None) -> str:
    """A span in the unit that reads best: 40 s, 12 min, 3.5 h, 2.0 d."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} d"


def capitalize_first(text: str) -> str:
    """A sentence's first letter; the rest stays as it is."""
    return text[:1].upper() + text[1:]


def day(value: str) -> str:
    """A DICOM date as people write it; anything else as it is."""
    return f"{value[:4]}-{value[4:6]}-{value[6:]}" if len(value) == 8 and value.isdigit() else value


def person_name(value: str) -> str:
    """A DICOM person name: its components in order of speech, its writings beside each other (PS3.5 6.2.1)."""
    writings = []
    for writing in value.split("=")[:3]:
        family, given, middle, prefix, suffix = (*writing.split("^"), "", "", "", "", "")[:5]
        spoken = " ".join(part for part in (prefix, given, middle, family, suffix) if part)
        if spoken:
            writings.append(spoken)
    return " · ".join(writings)


_LETTERS = {"c": "create", "r": "read", "u": "change", "d": "delete", "s": "search"}


_SIGN_IN = {
    "offline_access": "go on for a working day without asking you again",
    "openid": "know that it is you who has signed in",
    "fhirUser": "know your name and qualification",
    "launch": "know which report you have open, and about whom it is",
    "launch/patient": "know which patient it is about",
}


def scope_words(scope: str) -> str:
    """A SMART scope in words."""
    if scope in _SIGN_IN:
        return _SIGN_IN[scope]
    kind, letters = of_scope(scope)
    verbs = ", ".join(word for letter, word in _LETTERS.items() if letter in letters)
    whose = " of the one patient" if scope.startswith("patient/") else ""
    return f"{verbs}: {'everything but the audit trail' if kind == '*' else kind}{whose}"


FILTERS: dict[str, Callable[..., str]] = {
    "tone": tone,
    "moment": moment,
    "machine_time": machine_time,
    "short": short,
    "listed": listed,
    "counted": counted,
    "percent": percent,
    "duration": duration,
    "capitalize_first": capitalize_first,
    "day": day,
    "person_name": person_name,
    "scope_words": scope_words,
}
