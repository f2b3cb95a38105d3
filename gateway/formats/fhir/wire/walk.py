"""Walks a resource along the table of R4 and finds what the JSON schema cannot say (R4 2.1.0, 2.4.0, 2.6.2).

Cardinality, missing and double `value[x]`, empty objects (ele-1), `null` in lists, calendar, base64, required codes,
reference targets, contained resources, narrative; invariants of types come from `invariants.py`. It takes nothing
for granted: the resource may be of any shape that JSON has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any, Final

from gateway.formats.fhir.wire.decimal_literal import WrittenDecimal
from gateway.formats.fhir.wire.definitions import RESOURCE, Codes, Member, Type, type_named
from gateway.formats.fhir.wire.findings import Findings, Place
from gateway.formats.fhir.wire.invariants import Invariant, invariants_of
from gateway.formats.fhir.wire.narrative import narrative_fault
from gateway.formats.fhir.wire.primitive import RULES, Rule
from gateway.formats.fhir.wire.reference import reference_fault
from gateway.formats.fhir.wire.supported import CONTAINED, SUPPORTED

_OUTSIDE: Final = frozenset(SUPPORTED)
_INSIDE: Final = frozenset((*SUPPORTED, *CONTAINED))
_SCALARS: Final = frozenset((str, int, bool, Decimal, WrittenDecimal))
_VERSIONED: Final = frozenset(("versionId", "lastUpdated"))
_FRAGMENTS: Final = frozenset(("uri", "url", "canonical"))


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done at one member of a type."""

    member: Member
    kind: str
    many: bool
    rule: Rule | None
    fragment: bool
    plain: bool  # one scalar of which the schema says everything
    coded: frozenset[str] | None  # the codes of one primitive
    simple: bool  # an object without rules of its place
    type: Type | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A Type made ready for walking."""

    steps: dict[str, Step]
    type: Type
    invariants: tuple[Invariant, ...]
    choices: tuple[frozenset[str], ...]  # with `_name` beside each name
    ruled: bool  # whether there is anything to ask of the whole


@dataclass(slots=True)
class Container:
    """A resource that may hold contained ones, and the fragments by which it speaks of them."""

    ids: dict[str, Place] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    references: list[tuple[str, Place]] = field(default_factory=list)


@cache
def plan(name: str) -> Plan:
    """The plan of a type of the table; KeyError never leaves: the names come from the table."""
    kind = type_named(name)
    if kind is None:
        raise LookupError(name)
    steps = {
        each.name: Step(
            each,
            each.kind,
            each.many,
            RULES.get(each.kind),
            each.kind in _FRAGMENTS,
            _is_plain(each),
            _coded(each),
            _is_simple(each),
            type_named(each.kind),
        )
        for each in kind.members.values()
    }
    choices = tuple(choice | {f"_{name}" for name in choice} for choice in kind.choices)
    invariants = invariants_of(kind.name)
    return Plan(steps, kind, invariants, choices, bool(kind.required or choices or invariants))


def _is_plain(member: Member) -> bool:
    ruled = member.kind in RULES or member.kind in _FRAGMENTS or member.kind == "xhtml" or member.codes is not None
    return member.primitive and not member.many and not ruled


def _coded(member: Member) -> frozenset[str] | None:
    return member.codes.all if member.codes is not None and member.primitive and not member.many else None


def _is_simple(member: Member) -> bool:
    ruled = member.kind in ("Reference", RESOURCE) or member.codes is not None
    return not (member.primitive or ruled)


def _says_all(value: str, step: Step) -> bool:
    """Text of which nothing more is to be asked: an allowed code, an address that is no fragment, any plain text."""
    if step.coded is not None:
        return value in step.coded
    return step.plain or (step.fragment and not step.member.many and value[:1] not in ("", "#"))


class Walk:
    """One walk over one resource."""

    def __init__(self, findings: Findings, *, searches: bool) -> None:
        self._add = findings.add
        self._below = findings.add_below
        self._searches = searches
        self._container = Container()

    def resource(self, node: Any, place: Place, *, inside: bool = False) -> None:
        """A resource by itself, in a Bundle or in Parameters; `inside`: a contained one."""
        if type(node) is not dict:
            return self._add("structure", place, "a resource is a JSON object")
        name = node.get("resourceType")
        if type(name) is not str:
            return self._add("required", place, "resourceType is missing")
        if name not in (_INSIDE if inside else _OUTSIDE):
            return self._add("not-supported", (place, "resourceType", None), "this resource type is not supported")
        if inside:
            return self._object(node, plan(name), place)
        outer, self._container = self._container, Container()
        self._object(node, plan(name), place)
        self._close()
        self._container = outer
        return None

    def _object(self, node: dict[str, Any], how: Plan, place: Place) -> None:
        self._members(node, how, place)
        if len(node) < 2 and (not node or "id" in node) and how.type.kind != "resource":
            self._add("invariant", place, "an element needs a value or children (ele-1)")
        if how.ruled:
            self._rules(node, how, place)

    def _rules(self, node: dict[str, Any], how: Plan, place: Place) -> None:
        kind = how.type
        for group in kind.required:
            if group[0] not in node and not any(name in node or f"_{name}" in node for name in group):
                self._missing(group, kind, place)
        for choice in how.choices:
            self._one_of(choice, node, place)
        for invariant in how.invariants:
            for below, text in invariant(node):
                self._below("invariant", place, below, text)

    def _members(self, node: dict[str, Any], how: Plan, place: Place) -> None:
        steps = how.steps
        for name, value in node.items():
            step = steps.get(name)
            kind = type(value)
            if step is None:
                self._other(node, name, value, how, place)
            elif (step.plain and kind in _SCALARS) or (kind is str and _says_all(value, step)):
                continue
            elif step.simple and kind is (list if step.many else dict) and value:
                if step.many:
                    self._objects(step, value, place, name)
                else:
                    self._object(value, plan(step.kind), (place, name, None))
            elif step.many:
                self._list(node, step, value, (place, name, None))
            elif kind is list:
                self._add("structure", (place, name, None), "this element may stand once, it is no list")
            elif step.member.primitive:
                self._primitive(step, value, (place, name, None))
            else:
                self._complex(step, value, (place, name, None))

    def _missing(self, group: tuple[str, ...], kind: Type, place: Place) -> None:
        name = kind.members[group[0]].element.removesuffix("[x]")
        self._add("required", (place, name, None), "this element is required")

    def _one_of(self, choice: frozenset[str], node: dict[str, Any], place: Place) -> None:
        found = [] if choice.isdisjoint(node) else [name for name in node if name in choice]
        if len(found) > 1 and len({name.lstrip("_") for name in found}) > 1:
            self._add("structure", (place, found[1].lstrip("_"), None), "only one type of this element may be there")

    def _list(self, node: dict[str, Any], step: Step, value: Any, place: Place) -> None:
        if type(value) is not list:
            return self._add("structure", place, "this element is a list")
        if not value:
            return self._add("structure", place, "a list may not be empty")
        parent, name, _ = place
        if step.simple:
            return self._objects(step, value, parent, name)
        act = self._primitive if step.member.primitive else self._complex
        beside = node.get(f"_{name}") if step.member.primitive else None
        for index, each in enumerate(value):
            if each is None and type(beside) is list and index < len(beside) and beside[index] is not None:
                continue  # the value is missing, its extension is there
            act(step, each, (parent, name, index))
        return None

    def _objects(self, step: Step, values: list[Any], parent: Place, name: str) -> None:
        how = plan(step.kind)
        for index, each in enumerate(values):
            if type(each) is dict:
                self._object(each, how, (parent, name, index))
            else:
                self._add("structure", (parent, name, index), "this element is a JSON object")

    def _primitive(self, step: Step, value: Any, place: Place) -> None:
        if value is None or type(value) is dict or type(value) is list:
            return self._add("structure", place, "this element is a plain value")
        text = step.rule(value) if step.rule is not None else None
        if text is not None:
            return self._add("value", place, text)
        if step.fragment and type(value) is str and value.startswith("#"):
            self._container.used.add(value[1:])
        elif step.member.codes is not None and value not in step.member.codes.all:
            self._add("code-invalid", place, "this code is not one of those allowed here")
        elif step.member.kind == "xhtml":
            self._narrative(value, place)
        return None

    def _narrative(self, value: Any, place: Place) -> None:
        fault = narrative_fault(value) if type(value) is str else "the narrative is not text"
        if fault is not None:
            self._add("invariant", place, fault)

    def _complex(self, step: Step, value: Any, place: Place) -> None:
        member = step.member
        if member.kind == RESOURCE:
            return self._inner(member, value, place)
        if type(value) is not dict:
            return self._add("structure", place, "this element is a JSON object")
        if step.type is None:
            return None
        self._object(value, plan(member.kind), place)
        if member.kind == "Reference":
            self._reference(value, member, place)
        elif member.codes is not None:
            self._coded(value, member, member.codes, place)
        return None

    def _inner(self, member: Member, value: Any, place: Place) -> None:
        if member.name != "contained":
            return self.resource(value, place)
        if type(value) is dict:
            meta = value.get("meta")
            if "contained" in value:
                self._add("invariant", (place, "contained", None), "a contained resource contains no other (dom-2)")
            if type(meta) is dict and meta.keys() & _VERSIONED:
                self._add("invariant", (place, "meta", None), "a contained resource has no version of its own (dom-4)")
            self._contain(value.get("id"), place)
        return self.resource(value, place, inside=True)

    def _contain(self, identifier: Any, place: Place) -> None:
        if type(identifier) is not str:
            self._add("required", (place, "id", None), "a contained resource needs an id")
        elif identifier in self._container.ids:
            self._add("invariant", (place, "id", None), "two contained resources have this id")
        else:
            self._container.ids[identifier] = place

    def _reference(self, value: dict[str, Any], member: Member, place: Place) -> None:
        fault = reference_fault(value, member.targets, searches=self._searches)
        if fault is not None:
            self._add("value", (place, "reference", None), fault)
        literal = value.get("reference")
        if type(literal) is str and literal.startswith("#"):
            self._container.used.add(literal[1:])
            self._container.references.append((literal[1:], (place, "reference", None)))

    def _close(self) -> None:
        """Every fragment finds its resource (ref-1), every contained resource is spoken of (dom-3)."""
        container = self._container
        for identifier, place in container.references:
            if identifier and identifier not in container.ids:
                self._add("invariant", place, "no contained resource has this id (ref-1)")
        for identifier, place in container.ids.items():
            if identifier not in container.used and "" not in container.used:
                self._add("invariant", place, "nothing refers to this contained resource (dom-3)")

    def _coded(self, value: dict[str, Any], member: Member, codes: Codes, place: Place) -> None:
        """A required value set on Coding and CodeableConcept; one fitting coding is enough (R4 4.1.5)."""
        many = member.kind == "CodeableConcept"
        codings = value.get("coding") if many else [value]
        if type(codings) is not list or not codings:
            if "extension" not in value:
                self._add("code-invalid", place, "a code of the value set is required here")
            return
        if not any(_fits(coding, codes) for coding in codings):
            at: Place = ((place, "coding", 0), "code", None) if many else (place, "code", None)
            self._add("code-invalid", at, "this code is not one of those allowed here")

    def _other(self, node: dict[str, Any], name: str, value: Any, how: Plan, place: Place) -> None:
        """A key that is no member: resourceType, `_name` beside a primitive, or a mistake."""
        here: Place = (place, name, None)
        if name == "resourceType" and how.type.kind == "resource":
            return None
        step = how.steps.get(name[1:]) if name.startswith("_") else None
        if step is None or not step.member.primitive:
            return self._add("structure", here, "there is an element that the type does not have")
        if not step.member.many:
            return self._beside(value, node.get(name[1:]), here)
        values = node.get(name[1:])
        if type(value) is not list or not value:
            return self._add("structure", here, "this element is a list")
        for index, each in enumerate(value):
            known = values[index] if type(values) is list and index < len(values) else None
            if each is not None or known is None:
                self._beside(each, known, (place, name, index))
        return None

    def _beside(self, value: Any, known: Any, place: Place) -> None:
        """The id and extensions of a primitive; without a value it must have an extension (ele-1)."""
        if type(value) is not dict:
            return self._add("structure", place, "this element is a JSON object")
        self._object(value, plan("Element"), place)
        if known is None and value.keys() == {"id"}:
            return None  # already said
        if known is None and "extension" not in value:
            self._add("invariant", place, "an element needs a value or children (ele-1)")
        return None


def _fits(coding: Any, codes: Codes) -> bool:
    if type(coding) is not dict:
        return False
    code, system = coding.get("code"), coding.get("system")
    if type(code) is not str:
        return False
    return code in codes.by_system.get(system, ()) if type(system) is str else False
