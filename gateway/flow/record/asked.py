"""What is asked of the FHIR store: one write in the words of R4 3.1.0, before anything was looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from gateway.domain.errors import Invalid
from gateway.domain.resource import Method, StoredVersion

Resource = dict[str, Any]
Criteria = tuple[tuple[str, str], ...]
Did = Literal["created", "updated", "deleted", "nothing"]
ANY_VERSION: Final = "*"
_MOST_CRITERIA: Final = 20


def criteria_of(query: str) -> Criteria:
    """The criteria of `name=value&name=value`; Invalid where there is none, or it would not be read as it is meant."""
    try:
        found = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_CRITERIA, errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise Invalid(f"a condition has at most {_MOST_CRITERIA} parameters in UTF-8") from None
    if not found or not all(value and f"{name}{value}".isprintable() for name, value in found):
        raise Invalid("a condition needs at least one parameter, and each of them a value")
    return tuple(found)


@dataclass(frozen=True)
class Asked:
    """`id` is empty where the server chooses it, or finds it by `criteria`.

    `resource` is for POST and PUT, `patch` for PATCH. `if_match` are version ids, one of which must be the current
    one, or ANY_VERSION; `if_none_match`: only where there is no such resource. `full_url` is by what other entries of
    a Bundle refer to it, `place` which entry it is. `stays`: what is there already must be of the patient of whom
    `resource` is, and is not moved.
    """

    method: Method
    kind: str
    id: str = ""
    criteria: Criteria | None = field(default=None, repr=False)
    resource: Resource | None = field(default=None, repr=False)
    patch: Callable[[Resource], Resource] | None = field(default=None, repr=False)
    if_match: frozenset[str] | None = None
    if_none_match: bool = False
    full_url: str = field(default="", repr=False)
    place: str = ""
    stays: bool = False


@dataclass(frozen=True)
class Written:
    """What became of one write. `stored` is None where there was nothing to delete; `body` is that of `stored`."""

    did: Did
    stored: StoredVersion | None
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Condition:
    """A search that a write depends on, and what it has found; `lock` is the same for all who ask the same."""

    kind: str
    criteria: Criteria = field(repr=False)
    limit: int
    found: tuple[int, ...]
    lock: int


@dataclass(frozen=True)
class Step:
    """One write, ready: `now` None where nothing is to be written."""

    asked: Asked
    was: StoredVersion | None
    now: StoredVersion | None
    body: bytes = field(default=b"", repr=False)
    resource: Resource | None = field(default=None, repr=False)
    previous: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Plan:
    """Writes that become durable together, planned on what was read; carried out only if that still holds."""

    steps: Sequence[Step]
    conditions: Sequence[Condition]

    @property
    def writes(self) -> list[tuple[Step, StoredVersion]]:
        return [(step, step.now) for step in self.steps if step.now is not None]
