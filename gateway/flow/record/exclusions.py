"""Which exclusions of a model a record holds: a diagnosis that was ever made, or a measurement that is recent.

A model that asks whether somebody has, or will get, a disease has nothing to say where the record answers it. That a
condition is over does not undo it: an old infarction is coronary disease. So more counts here than among the values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from gateway.domain.record import Exclusion, Sought
from gateway.flow.record.concept import codes, dicts
from gateway.flow.record.entries import DOUBTFUL, MOST_COMPONENTS, Resource, is_read, observed_at, time_of
from gateway.flow.record.genome_files import OBSERVED

_CLASSIFIED: Final = "/icd-"  # in the system of ICD-9 and ICD-10, where a category stands for what lies under it


def excluded(resources: Sequence[Resource], excludes: Sequence[Exclusion], at: datetime) -> tuple[str, ...]:
    """The titles of the exclusions that the record holds at `at`, in the order of the model."""
    read = [one for one in resources if is_read(one)] if excludes else []
    return tuple(one.title for one in excludes if any(_holds(resource, one, at) for resource in read))


def _holds(resource: Resource, exclusion: Exclusion, at: datetime) -> bool:
    """A resource that is not of the shape that FHIR gives it holds nothing."""
    try:
        kind = resource.get("resourceType")
        if kind == "Condition":
            return _diagnosed(resource, exclusion, at)
        return kind == "Observation" and _measured(resource, exclusion, at)
    except (AttributeError, TypeError, ValueError):
        return False


def _diagnosed(resource: Resource, exclusion: Exclusion, at: datetime) -> bool:
    verified = {code for _, code in codes(resource.get("verificationStatus"))}
    said = time_of(resource.get("onsetDateTime") or resource.get("recordedDate"))
    return not verified & DOUBTFUL and not _is_outside(said, exclusion, at) and _named(resource, exclusion.codes)


def _measured(resource: Resource, exclusion: Exclusion, at: datetime) -> bool:
    """Whatever its value and unit: that it was measured is what counts. Without a time it counts as recent."""
    if resource.get("status") not in OBSERVED or _is_outside(observed_at(resource), exclusion, at):
        return False
    parts = [resource, *dicts(resource.get("component"))[:MOST_COMPONENTS]]
    return any(_named(part, exclusion.codes) and _is_valued(part) for part in parts)


def _is_valued(part: Resource) -> bool:
    """A boolean that is false denies what its code says."""
    return any(name.startswith("value") and said is not False for name, said in part.items())


def _is_outside(said: datetime | None, exclusion: Exclusion, at: datetime) -> bool:
    if said is None:
        return False
    return said > at or (exclusion.days > 0 and at - said > timedelta(days=exclusion.days))


def _named(part: Resource, sought: Iterable[Sought]) -> bool:
    told = codes(part.get("code"))
    return any(system == one.system and _is_under(system, code, one.code) for system, code in told for one in sought)


def _is_under(system: str, code: str, sought: str) -> bool:
    return code == sought or (_CLASSIFIED in system and code.startswith(sought))
