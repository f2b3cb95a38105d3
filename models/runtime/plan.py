"""Proposals from published guidelines: rules over findings and record, each naming its source and what made it speak.

Nothing is learnt: no data set at hand holds what treatment did to patients. A rule speaks only where every one of its
conditions is known and holds; what is not known makes no rule speak.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.domain.errors import Fault, Invalid, Unsupported
from models.inputs import Field
from models.manifest import PlanManifest
from models.package import Package
from models.runtime.guard import Refusal
from models.runtime.readings import Patient, Reading, by_name, number
from models.runtime.unit_words import unit_in_words

MAX_RULES = 1000
MAX_READINGS = 4096


@dataclass(frozen=True)
class Condition:
    """One of: a finding's answer (`question=label`), a value within bounds or equal to an answer, age, sex."""

    fact: str = ""
    value: str = ""
    at_least: float | None = None
    below: float | None = None
    answer: str = ""
    age_at_least: float | None = None
    age_below: float | None = None
    sex: str = ""


@dataclass(frozen=True)
class Rule:
    """What to propose, by which guideline, when, and with what caution."""

    id: str
    category: str
    text: str
    guideline: str
    caution: str
    when: tuple[Condition, ...]


@dataclass(frozen=True)
class Fired:
    """A rule that spoke, and why: the conditions in words, without a value."""

    rule: Rule
    because: tuple[str, ...]


@dataclass(frozen=True)
class _Tables:
    version: str
    rules: tuple[Rule, ...]


class PlanRules:
    """The rules of a verified pack; shared freely, nothing in it changes."""

    def __init__(self, package: Package) -> None:
        manifest = package.manifest
        if not isinstance(manifest, PlanManifest):
            raise Unsupported(f"{manifest.name} is no pack of rules for a plan")
        self.package = package
        self.manifest = manifest
        self.provider = "Python"
        self.runtime = "models.runtime.plan"
        tables = _parsed(package.content[manifest.artefact])
        self.version = tables.version
        self.rules = tables.rules
        self._fields = by_name(manifest.input.fields)
        for rule in self.rules:
            self._check(rule)

    def propose(self, readings: Iterable[Reading], facts: Sequence[str], patient: Patient) -> tuple[Fired, ...]:
        """The rules that speak, in their order."""
        known = self._values(list(readings)[:MAX_READINGS])
        found = []
        for rule in self.rules:
            because = [self._because(one, known, facts, patient) for one in rule.when]
            if all(because):
                found.append(Fired(rule, tuple(str(each) for each in because)))
        return tuple(found)

    def _values(self, readings: Sequence[Reading]) -> Mapping[str, float]:
        """In the manifest's units; a value that cannot be used is not known."""
        known = {}
        for reading in readings:
            if reading.name in self._fields:
                value = number(self._fields[reading.name][1], reading)
                if not isinstance(value, Refusal):
                    known[reading.name] = value
        return known

    def _because(
        self, one: Condition, known: Mapping[str, float], facts: Sequence[str], patient: Patient
    ) -> str | None:
        """The condition in words where it is known to hold."""
        if one.fact:
            return f"finding {one.fact}" if one.fact in facts else None
        if one.sex:
            return {"F": "female", "M": "male"}[one.sex] if patient.sex == one.sex else None
        if one.value:
            return self._of_value(one, known)
        age = patient.age_years
        holds = age is not None and _within(age, one.age_at_least, one.age_below)
        return f"age {_bounds(one.age_at_least, one.age_below, 'years')}" if holds else None

    def _of_value(self, one: Condition, known: Mapping[str, float]) -> str | None:
        rule: Field = self._fields[one.value][1]
        value = known.get(one.value)
        if value is None:
            return None
        if one.answer:
            return f"{rule.title}: {one.answer}" if value == rule.answers[one.answer] else None
        unit = unit_in_words(rule.unit)
        return (
            f"{rule.title} {_bounds(one.at_least, one.below, unit)}"
            if _within(value, one.at_least, one.below)
            else None
        )

    def _check(self, rule: Rule) -> None:
        """A rule without source, caution or condition, or about a value that is not gathered, is the pack's fault."""
        if not (rule.when and rule.text and rule.guideline and rule.caution):
            raise Fault(f"rule {rule.id} lacks a condition, its text, guideline or caution")
        for one in rule.when:
            kinds = [bool(one.fact), bool(one.value), bool(one.sex), (one.age_at_least, one.age_below) != (None, None)]
            if sum(kinds) != 1 or (one.value and one.value not in self._fields) or one.sex not in ("", "F", "M"):
                raise Fault(f"rule {rule.id} has a condition that is not understood")
            if one.answer and one.answer not in self._fields[one.value][1].answers:
                raise Fault(f"rule {rule.id} asks for an answer that {one.value} does not have")


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value < high)


def _bounds(low: float | None, high: float | None, unit: str) -> str:
    said = [f"at least {low:g}"] if low is not None else []
    said += [f"below {high:g}"] if high is not None else []
    return f"{' and '.join(said)} {unit}".strip()


def _parsed(raw: bytes) -> _Tables:
    try:
        tables: Any = msgspec.json.decode(raw, type=_Tables)
    except msgspec.MsgspecError as error:
        raise Invalid(f"rules.json is not a table of rules: {error}") from error
    found: _Tables = tables
    ids = [rule.id for rule in found.rules]
    if not 0 < len(ids) <= MAX_RULES or len(set(ids)) != len(ids):
        raise Invalid(f"rules.json must hold 1 to {MAX_RULES} rules, each with an id of its own")
    return found
