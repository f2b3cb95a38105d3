"""The official invariants of R4 types that are errors and that neither schema nor table can say, one function each.

Each takes the element's JSON object, of whatever shape, and yields (place below it, text); names of rules as in R4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from gateway.formats.fhir.wire.bundle_rules import bundle

Node = dict[str, Any]
Found = tuple[str, str]
Invariant = Callable[[Node], Iterable[Found]]


def invariants_of(name: str) -> tuple[Invariant, ...]:
    return _BY_TYPE.get(name, ())


def _has(node: Node, name: str) -> bool:
    return name in node or f"_{name}" in node


def needs(name: str, other: str, rule: str) -> Invariant:
    """`name` asks for `other` beside it."""

    def found(node: Node) -> Iterable[Found]:
        return ((other, f"{name} needs {other} ({rule})"),) if name in node and not _has(node, other) else ()

    return found


def excludes(name: str, other: str, rule: str) -> Invariant:
    """`name` and `other` do not go together."""

    def found(node: Node) -> Iterable[Found]:
        return ((other, f"{name} and {other} do not go together ({rule})"),) if name in node and other in node else ()

    return found


def any_of(names: str, rule: str) -> Invariant:
    """At least one of the names."""
    group = names.split()

    def found(node: Node) -> Iterable[Found]:
        return () if any(_has(node, name) for name in group) else (("", f"needs one of {', '.join(group)} ({rule})"),)

    return found


def one_of(names: str, rule: str) -> Invariant:
    """Exactly one of the names."""
    group = names.split()

    def found(node: Node) -> Iterable[Found]:
        there = [name for name in group if name in node]
        return () if len(there) == 1 else (("", f"needs exactly one of {', '.join(group)} ({rule})"),)

    return found


def not_negative(name: str, rule: str) -> Invariant:
    def found(node: Node) -> Iterable[Found]:
        value = node.get(name)
        return (
            ((name, f"{name} may not be negative ({rule})"),) if isinstance(value, int | Decimal) and value < 0 else ()
        )

    return found


def _items(node: Node, name: str) -> list[Any]:
    value = node.get(name)
    return value if type(value) is list else []


def extension(node: Node) -> Iterable[Found]:
    """ext-1: either a value or extensions; `_value[x]` counts as a value."""
    valued = any(name.lstrip("_").startswith("value") for name in node)
    return () if valued != ("extension" in node) else (("", "an extension has either a value or extensions (ext-1)"),)


def period(node: Node) -> Iterable[Found]:
    """per-1, as far as both ends are given; another time zone is left to the reader of dates."""
    start, end = node.get("start"), node.get("end")
    if type(start) is not str or type(end) is not str:
        return ()
    same_zone = start[19:][-6:] == end[19:][-6:] or start.endswith("Z") == end.endswith("Z") is True
    length = min(len(start), len(end), 10 if not same_zone else 19)
    return (("end", "a period ends before it starts (per-1)"),) if start[:length] > end[:length] else ()


def value_range(node: Node) -> Iterable[Found]:
    low, high = node.get("low"), node.get("high")
    if type(low) is not dict or type(high) is not dict or low.get("code") != high.get("code"):
        return ()
    least, most = low.get("value"), high.get("value")
    wrong = isinstance(least, int | Decimal) and isinstance(most, int | Decimal) and least > most
    return (("high", "a range ends below its start (rng-2)"),) if wrong else ()


def ratio(node: Node) -> Iterable[Found]:
    both = ("numerator" in node) == ("denominator" in node)
    there = "numerator" in node or "extension" in node
    return () if both and there else (("", "a ratio has both numerator and denominator (rat-1)"),)


def observation(node: Node) -> Iterable[Found]:
    """obs-6 and obs-7."""
    values = [name for name in node if name.startswith("value")]
    if values and "dataAbsentReason" in node:
        yield "dataAbsentReason", "there is a value, so none is absent (obs-6)"
    own = _codings(node.get("code"))
    if not values or not own:
        return
    for index, component in enumerate(_items(node, "component")):
        if type(component) is dict and own & _codings(component.get("code")):
            yield (
                f"component[{index}].code",
                "the whole has this code and a value (obs-7)",
            )


def observation_component(node: Node) -> Iterable[Found]:
    if "dataAbsentReason" in node and any(name.startswith("value") for name in node):
        yield "dataAbsentReason", "there is a value, so none is absent"


def _codings(concept: Any) -> set[tuple[Any, Any]]:
    if type(concept) is not dict:
        return set()
    found = [each for each in _items(concept, "coding") if type(each) is dict and type(each.get("code")) is str]
    return {(each["code"], each["system"] if type(each.get("system")) is str else None) for each in found}


def _code(node: Node, name: str) -> str:
    """The first code of a CodeableConcept, or nothing."""
    return next((str(code) for code, _ in _codings(node.get(name))), "")


def condition(node: Node) -> Iterable[Found]:
    """con-4 and con-5 (con-3 is a warning)."""
    status = _code(node, "clinicalStatus")
    if any(name.startswith("abatement") for name in node) and status not in ("inactive", "resolved", "remission", ""):
        yield "clinicalStatus", "a condition that has abated is not active (con-4)"
    if _code(node, "verificationStatus") == "entered-in-error" and "clinicalStatus" in node:
        yield "clinicalStatus", "what was entered in error has no clinical status (con-5)"


def allergy(node: Node) -> Iterable[Found]:
    """ait-1 and ait-2."""
    wrong = _code(node, "verificationStatus") == "entered-in-error"
    if wrong and "clinicalStatus" in node:
        yield "clinicalStatus", "what was entered in error has no clinical status (ait-2)"
    if not wrong and "clinicalStatus" not in node:
        yield "clinicalStatus", "this element is required (ait-1)"


def organization(node: Node) -> Iterable[Found]:
    """org-2 and org-3: an organization has no home."""
    for name, rule in (("address", "org-2"), ("telecom", "org-3")):
        for index, each in enumerate(_items(node, name)):
            if type(each) is dict and each.get("use") == "home":
                yield f"{name}[{index}].use", f"an organization has no home ({rule})"


def section(node: Node) -> Iterable[Found]:
    """cmp-1 and cmp-2."""
    if not any(name in node for name in ("text", "entry", "section")):
        yield "", "a section needs text, entry or section (cmp-1)"
    if "emptyReason" in node and "entry" in node:
        yield "emptyReason", "a section with entries is not empty (cmp-2)"


def questionnaire(node: Node) -> Iterable[Found]:
    """que-2: linkIds are unique."""
    seen: set[Any] = set()
    todo = [(f"item[{index}]", each) for index, each in enumerate(_items(node, "item"))]
    for path, each in todo:
        if type(each) is not dict:
            continue
        link = each.get("linkId")
        if type(link) is str and link in seen:
            yield f"{path}.linkId", "two items have this linkId (que-2)"
        seen.add(link if type(link) is str else None)
        todo += [(f"{path}.item[{index}]", inner) for index, inner in enumerate(_items(each, "item"))]


def questionnaire_item(node: Node) -> Iterable[Found]:
    """que-1: groups have items, displays have none."""
    if node.get("type") == "group" and "item" not in node:
        yield "item", "a group needs items (que-1)"
    if node.get("type") == "display" and "item" in node:
        yield "item", "a display has no items (que-1)"


def parameter(node: Node) -> Iterable[Found]:
    """inv-1 of Parameters.parameter: one value, one resource or parts."""
    values = any(name.lstrip("_").startswith("value") for name in node)
    if values + ("resource" in node) + ("part" in node) != 1 and "extension" not in node:
        yield "", "a parameter has one value, one resource or parts (inv-1)"


def task(node: Node) -> Iterable[Found]:
    """inv-1 of Task."""
    early, late = node.get("authoredOn"), node.get("lastModified")
    if type(early) is str and type(late) is str and late[:10] < early[:10][: len(late)]:
        yield "lastModified", "a task is modified after it was authored (inv-1)"


def list_rules(node: Node) -> Iterable[Found]:
    """lst-1, lst-2, lst-3."""
    if "emptyReason" in node and "entry" in node:
        yield "emptyReason", "a list with entries is not empty (lst-1)"
    for index, each in enumerate(_items(node, "entry")):
        if type(each) is dict and "deleted" in each and node.get("mode") != "changes":
            yield f"entry[{index}].deleted", "only a list of changes says what was deleted (lst-2)"
        if type(each) is dict and "date" in each and node.get("mode") != "working":
            yield f"entry[{index}].date", "only a working list dates its entries (lst-3)"


def appointment(node: Node) -> Iterable[Found]:
    """app-2, app-3, app-4; the last says `no-show` where the code is `noshow`, which is what is meant."""
    status = node.get("status")
    if _has(node, "start") != _has(node, "end"):
        yield "end" if _has(node, "start") else "start", "an appointment has both start and end, or neither (app-2)"
    if not _has(node, "start") and status not in ("proposed", "cancelled", "waitlist"):
        yield "start", "only what is proposed, cancelled or waits has no start (app-3)"
    if "cancelationReason" in node and status not in ("cancelled", "noshow"):
        yield "cancelationReason", "only what was cancelled or missed has a reason for it (app-4)"


def group(node: Node) -> Iterable[Found]:
    """grp-1."""
    if "member" in node and node.get("actual") is False:
        yield "member", "only an actual group has members (grp-1)"


_TIMING: Final = (
    needs("duration", "durationUnit", "tim-1"),
    needs("period", "periodUnit", "tim-2"),
    not_negative("duration", "tim-4"),
    not_negative("period", "tim-5"),
    needs("periodMax", "period", "tim-6"),
    needs("durationMax", "duration", "tim-7"),
    needs("countMax", "count", "tim-8"),
    excludes("timeOfDay", "when", "tim-10"),
)
_QUANTITY: Final = (needs("code", "system", "qty-3"),)
_BY_TYPE: Final[Mapping[str, tuple[Invariant, ...]]] = {
    "Age": _QUANTITY,
    "AllergyIntolerance": (allergy,),
    "Appointment": (appointment,),
    "Appointment.participant": (any_of("type actor", "app-1"),),
    "AppointmentResponse": (any_of("participantType actor", "apr-1"),),
    "Attachment": (needs("data", "contentType", "att-1"),),
    "AuditEvent.entity": (excludes("name", "query", "sev-1"),),
    "Bundle": (bundle,),
    "CarePlan.activity": (excludes("detail", "reference", "cpl-3"),),
    "Composition.section": (section,),
    "Condition": (condition,),
    "Condition.stage": (any_of("summary assessment", "con-1"),),
    "ContactPoint": (needs("value", "system", "cpt-2"),),
    "Count": _QUANTITY,
    "Distance": _QUANTITY,
    "Duration": _QUANTITY,
    "Extension": (extension,),
    "Group": (group,),
    "List": (list_rules,),
    "Observation": (observation,),
    "Observation.component": (observation_component,),
    "Observation.referenceRange": (any_of("low high text", "obs-3"),),
    "Organization": (any_of("name identifier", "org-1"), organization),
    "Parameters.parameter": (parameter,),
    "Patient.contact": (any_of("name telecom address organization", "pat-1"),),
    "Period": (period,),
    "Quantity": _QUANTITY,
    "Questionnaire": (questionnaire,),
    "Questionnaire.item": (questionnaire_item,),
    "Range": (value_range,),
    "Ratio": (ratio,),
    "RequestGroup.action": (excludes("resource", "action", "rqg-1"),),
    "Task": (task,),
    "Timing.repeat": _TIMING,
}
