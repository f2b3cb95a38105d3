"""What can be compared of a DiagnosticReport of another system: whether it counts, and what it answers in codes.

It counts where somebody stands behind it (R4 10.3.3: final and what follows it), where it is about imaging, and where
it is not our own result that comes back. What it says is read from codes alone: `conclusionCode`, and the coded,
true-or-false and present-or-absent values of its result Observations. A text is never interpreted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.flow.record.concept import MOST_CODINGS, codes, dicts
from gateway.flow.record.genome_files import OBSERVED
from gateway.formats.fhir.agreement_codes import Coding
from gateway.formats.fhir.coding import AI_ASSERTED, AI_CONFIDENCE, INLINE_LABEL, LOINC, THO
from gateway.formats.fhir.diagnostic_report import CODE
from gateway.formats.fhir.standing import MARKS

Resource = Mapping[str, Any]
IN_FORCE: Final = frozenset({"final", "amended", "corrected", "appended"})
OURS: Final = "urn:dxgate:"
MOST_RESULTS: Final = 100
MOST_CONCLUSIONS: Final = 64
MOST_PARTS: Final = 64
_SNOMED: Final = "http://snomed.info/sct"
_YES_NO: Final = f"{THO}/v2-0136"
_SECTIONS: Final = f"{THO}/v2-0074"
IMAGING: Final = frozenset(
    {(_SECTIONS, code) for code in ("RAD", "IMG", "RX", "CT", "CUS", "NMR", "NMS", "OUS", "RUS", "VUS", "XRC")}
    | {(LOINC, "LP29684-5"), (_SNOMED, "394914008"), (_SNOMED, "363679005")}
)
YES: Final = frozenset(
    {(_SNOMED, code) for code in ("52101004", "410515003", "373066001", "10828004")}
    | {(LOINC, "LA9633-4"), (_YES_NO, "Y")}
)
NO: Final = frozenset(
    {(_SNOMED, code) for code in ("2667000", "272519000", "410516002", "373067005", "260385009")}
    | {(LOINC, "LA9634-2"), (_YES_NO, "N")}
)


@dataclass
class Said:
    """Codes of what is said to be so, and of what is denied."""

    codes: set[Coding] = field(default_factory=set)
    denied: set[Coding] = field(default_factory=set)


def is_in_force(report: Resource) -> bool:
    """Whether somebody stands behind it. A section that is no imaging's, as a laboratory's, is not for us."""
    if report.get("status") not in IN_FORCE:
        return False
    sections = [codes(one) for one in dicts(report.get("category"))]
    return bool(dicts(report.get("imagingStudy"))) or not sections or any(one & IMAGING for one in sections)


def is_our_own(report: Resource, base: str) -> bool:
    """A result of ours that another system sends back, or of any AI: no independent report."""
    meta = report.get("meta")
    if isinstance(meta, Mapping) and _is_at(str(meta.get("source", "")), base):
        return True
    if is_from_ai(report):
        return True
    if any(map(_is_us, [*dicts(report.get("performer")), *dicts(report.get("resultsInterpreter"))])):
        return True
    code = report.get("code")
    if isinstance(code, Mapping) and code.get("text") == CODE["text"]:
        return True
    marked = str(report.get("conclusion", "")).startswith(tuple(MARKS.values()))
    return marked or _is_labelled(report.get("_conclusion"))


def _is_at(source: str, base: str) -> bool:
    """Our address or one below it; another server's may begin alike."""
    rest = source.removeprefix(base)
    return rest != source and rest[:1] in ("", "/", "#", "?")


def is_from_ai(resource: Resource) -> bool:
    """Whether the whole resource says that an AI asserted it or is sure of it, or one of ours is named as what it
    is."""
    meta = resource.get("meta")
    labels = dicts(meta.get("security")) if isinstance(meta, Mapping) else []
    return (
        any(one.get("code") == AI_ASSERTED["code"] for one in labels)
        or any(one.get("url") == AI_CONFIDENCE for one in dicts(resource.get("extension")))
        or any(str(one.get("system", "")).startswith(OURS) for one in dicts(resource.get("identifier")))
    )


def said(report: Resource, results: Sequence[Resource]) -> Said:
    """What the report and its result Observations say in codes; nothing where there is more than can be looked at."""
    found = Said()
    conclusions = dicts(report.get("conclusionCode"))
    if len(conclusions) > MOST_CONCLUSIONS or len(dicts(report.get("result"))) > MOST_RESULTS:
        return found
    if not all(map(_is_whole, conclusions)) or not all(_is_whole(part) for one in results for part in _all_parts(one)):
        return found
    for one in conclusions:
        if not _is_labelled(one):
            found.codes |= codes(one)
    for result in results:
        for part in _parts(result):
            _add(found, part)
    return found


def _parts(result: Resource) -> Iterator[Resource]:
    """The Observation and its components; of one that is not final, or of an AI, none."""
    if result.get("status") not in OBSERVED or is_from_ai(result):
        return
    yield from _all_parts(result)


def _all_parts(result: Resource) -> list[Resource]:
    return [result, *dicts(result.get("component"))]


def _is_whole(element: Resource) -> bool:
    """Whether nothing of a concept, or of a part of a result, is more than what is read."""
    concepts = [one for one in (element, element.get("code"), element.get("valueCodeableConcept")) if one is not None]
    fits = all(len(dicts(one.get("coding"))) <= MOST_CODINGS for one in concepts if isinstance(one, Mapping))
    return fits and len(dicts(element.get("component"))) <= MOST_PARTS


def _add(found: Said, part: Resource) -> None:
    """A value that says yes or no is about what the code names; any other coded value is itself what is said."""
    about, value = codes(part.get("code")), codes(part.get("valueCodeableConcept"))
    truth = part.get("valueBoolean")
    if _is_labelled(part.get("valueCodeableConcept")) or (value & YES and value & NO):
        return
    if truth is True or value & YES:
        found.codes |= about
    elif truth is False or value & NO:
        found.denied |= about
    else:
        found.codes |= value


def _is_us(reference: Resource) -> bool:
    """Who we say that we are; a Device may not stand there (R4 10.3)."""
    identifier = reference.get("identifier")
    return isinstance(identifier, Mapping) and str(identifier.get("system", "")).startswith(OURS)


def _is_labelled(element: Any) -> bool:
    """Whether the element is marked as asserted by an AI (DS4P inline security label)."""
    if not isinstance(element, Mapping):
        return False
    return any(
        one.get("url") == INLINE_LABEL
        and isinstance(one.get("valueCoding"), Mapping)
        and one["valueCoding"].get("code") == AI_ASSERTED["code"]
        for one in dicts(element.get("extension"))
    )
