"""Named values as they come from a record, and the number in the manifest's unit that becomes of them.

A value in a unit that the manifest does not list is not used and not guessed: mg/dL and mmol/L differ
eighteenfold for glucose, and nothing in the number itself tells which it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from models.inputs import Field, PatientScope
from models.runtime.guard import Refusal
from models.runtime.unit_words import bounds_in_words

CODES = ("unknown-input", "twice", "unit", "range", "required", "too-little", "sex", "age", "unreadable")
MAX_READINGS = 200_000


@dataclass(frozen=True)
class Reading:
    """One value of one field; `unit` is UCUM ("" for a coded answer), `minute` counts from the first bin's start."""

    name: str
    value: float | str = field(repr=False)
    unit: str = ""
    minute: int = 0


@dataclass(frozen=True)
class Patient:
    """What the scope of a model asks about the patient; None where it is not known."""

    sex: str | None = None
    age_years: float | None = None


def number(rule: Field, reading: Reading) -> float | Refusal:
    """The reading in the field's unit, or why it cannot be used. No text holds the value."""
    value = reading.value
    if isinstance(value, str):
        known = rule.answers.get(value)
        return known if known is not None else Refusal("unreadable", f"{rule.title}: an answer that is not listed.")
    if not math.isfinite(value):
        return Refusal("unreadable", f"{rule.title}: not a number.")
    if reading.unit != rule.unit:
        known_units = {one.unit: one for one in rule.conversions}
        if reading.unit not in known_units:
            return Refusal("unit", f"{rule.title}: the unit is not one of {', '.join((rule.unit, *known_units))}.")
        value = value * known_units[reading.unit].factor + known_units[reading.unit].offset
    if not rule.low <= value <= rule.high:
        return Refusal("range", f"{rule.title}: outside {bounds_in_words(rule.low, rule.high, rule.unit)}.")
    return value


def by_name(fields: Iterable[Field]) -> Mapping[str, tuple[int, Field]]:
    """Field and column of each name."""
    return {rule.name: (place, rule) for place, rule in enumerate(fields)}


def patient_refusal(patient: Patient, scope: PatientScope) -> Refusal | None:
    """A patient for whom the model was not made."""
    if scope.sex and patient.sex and patient.sex not in scope.sex:
        return Refusal("sex", "The model was made from patients of another sex.")
    age = patient.age_years
    if age is not None and not scope.age_min_years <= age <= scope.age_max_years:
        return Refusal("age", f"The model is for ages {scope.age_min_years:g} to {scope.age_max_years:g} years.")
    return None
