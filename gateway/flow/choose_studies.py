"""choose: what of the wanted studies may leave for research, and why the rest may not.

Only objects that the checker has cleared and whose pixels somebody or something has looked at leave; every rule
that withholds an object is a row of one list, with the reason that stands in the export's report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Final

from gateway.domain.errors import Conflict, Invalid, Missing
from gateway.domain.export import (
    LONGEST_TEXT,
    MOST_OBJECTS,
    MOST_STUDIES,
    ExportedStudy,
    ExportPlan,
    ExportRequest,
    Selection,
)
from gateway.domain.ids import StudyId
from gateway.domain.study import Instance, Study
from gateway.ports import Database, UnitOfWork
from gateway.privacy.export_rules import EXPORTABLE
from gateway.privacy.faces import may_show_face
from gateway.privacy.k_anonymity import StudyRecord, anonymise
from gateway.privacy.vault import Vault

COMPLETE: Final = frozenset({"settled", "analysing", "reported", "closed"})
SEARCHED: Final = frozenset({"clean", "masked", "released"})
_PAGE: Final = 200

Rule = tuple[str, Callable[[ExportRequest, Study, Instance], bool]]
RULES: Final[tuple[Rule, ...]] = (
    ("the study is not complete", lambda _, study, __: study.state not in COMPLETE),
    ("not cleared by the checker", lambda _, __, one: one.clearance != "cleared"),
    ("kind of object not on the allow-list", lambda _, __, one: one.sop_class_uid not in EXPORTABLE),
    ("CT or MR that may show a face", lambda _, __, one: may_show_face(one.modality, _text(one, "BodyPartExamined"))),
    (
        "pixels not searched for text",
        lambda asked, _, one: (
            one.pixels not in SEARCHED and not (one.pixels == "exempt" and asked.allow_unsearched_pixels)
        ),
    ),
)
"""Reason and test, in the order in which they are asked; the first that holds counts."""
SUPPRESSED: Final = "in a group of fewer patients than k"
ERASED: Final = "the patient was erased"


@dataclass(frozen=True)
class ChooseStudies:
    """Makes a plan; writes nothing."""

    database: Database
    vault: Vault

    def __call__(self, request: ExportRequest) -> ExportPlan:
        """Conflict where nothing may leave, Invalid where too much is asked for."""
        _check(request)
        withheld: Counter[str] = Counter()
        found: list[ExportedStudy] = []
        with self.database.read() as unit:
            for study in self._studies(unit, request.selection):
                one = self._of(unit, request, study, withheld)
                found += [one] if one is not None else []
                if len(found) > MOST_STUDIES or sum(withheld.values()) > MOST_OBJECTS:
                    raise Invalid(f"an export has at most {MOST_STUDIES} studies; choose fewer")
        plan = _anonymous(request, found, withheld)
        if plan.objects > MOST_OBJECTS:
            raise Invalid(f"an export has at most {MOST_OBJECTS} objects; choose fewer studies")
        if not plan.studies:
            told = "; ".join(f"{count} objects: {reason}" for reason, count in sorted(withheld.items()))
            raise Conflict(f"nothing may be exported ({told or 'no study fits'})")
        return plan

    def _studies(self, unit: UnitOfWork, chosen: Selection) -> Iterator[Study]:
        if chosen.studies or chosen.patients:
            ids = [*chosen.studies, *(one for name in chosen.patients for one in _of_patient(unit, name))]
            yield from (unit.studies.get(study_id) for study_id in dict.fromkeys(ids))
            return
        before = None
        if chosen.received_to is not None:
            before = datetime.combine(chosen.received_to + timedelta(days=1), time(), UTC)
        while page := unit.studies.newest(_PAGE, before):
            for study in page:
                if chosen.received_from is not None and study.last_received_at.date() < chosen.received_from:
                    return
                if _fits(study, chosen):
                    yield study
            before = page[-1].last_received_at

    def _of(
        self, unit: UnitOfWork, request: ExportRequest, study: Study, withheld: Counter[str]
    ) -> ExportedStudy | None:
        kept = []
        for instance in unit.studies.instances(study.id):
            reason = next((name for name, holds in RULES if holds(request, study, instance)), None)
            if reason is None:
                kept.append(instance)
            else:
                withheld[reason] += 1
        if not kept:
            return None
        try:
            year = self._year(unit, request, study)
        except Missing:
            withheld[ERASED] += len(kept)
            return None
        return ExportedStudy(
            study=study,
            instances=tuple(kept),
            age=next(filter(None, (_text(one, "PatientAge") for one in kept)), ""),
            sex=next(filter(None, (_text(one, "PatientSex") for one in kept)), ""),
            modality=_joined(one.modality for one in kept),
            body_part=_joined(_text(one, "BodyPartExamined") for one in kept),
            year=year,
        )

    def _year(self, unit: UnitOfWork, request: ExportRequest, study: Study) -> str:
        """The year as it will stand in the export; empty where dates are removed."""
        shifts = self.vault.for_recipient(unit, study.patient, request.recipient)
        if request.dates == "removed":
            return ""
        return (shifts.shift_date(study.study_date or "") or "")[:4]


def _check(request: ExportRequest) -> None:
    for name, text in (("recipient", request.recipient), ("purpose", request.purpose)):
        if not (0 < len(text.strip()) <= LONGEST_TEXT and text.isprintable()):
            raise Invalid(f"a {name} has 1 to {LONGEST_TEXT} printable characters")
    if not 1 <= request.k <= 1000:
        raise Invalid("k is a number from 1 to 1000")
    chosen = request.selection
    named = bool(chosen.studies or chosen.patients)
    described = any((chosen.modality, chosen.body_part, chosen.received_from, chosen.received_to))
    if named == described:
        raise Invalid("choose studies by name (study, patient) or by what they are (modality, days, body part)")


def _anonymous(request: ExportRequest, found: list[ExportedStudy], withheld: Counter[str]) -> ExportPlan:
    """The plan without the studies of groups that are too small; what they would have given is counted."""
    records = [
        StudyRecord(one.study.id, one.study.patient, one.age, one.sex, one.modality, one.body_part, one.year)
        for one in found
    ]
    anonymity = anonymise(records, request.k)
    suppressed = sum(len(one.instances) for one in found if one.study.id in anonymity.suppressed)
    if suppressed:
        withheld[SUPPRESSED] += suppressed
    return ExportPlan(
        request=replace(request, recipient=request.recipient.strip(), purpose=request.purpose.strip()),
        studies=tuple(one for one in found if one.study.id in anonymity.kept),
        withheld=dict(sorted(withheld.items())),
        band_years=anonymity.band_years,
        groups=anonymity.groups,
        smallest_group=anonymity.smallest,
    )


def _of_patient(unit: UnitOfWork, pseudonym: str) -> list[StudyId]:
    found = unit.studies.ids_by_patient(pseudonym)
    if not found:
        raise Missing("one of the named patients has no study here")
    return found


def _fits(study: Study, chosen: Selection) -> bool:
    return (not chosen.modality or chosen.modality in study.modalities) and (
        not chosen.body_part or chosen.body_part in study.body_parts
    )


def _text(instance: Instance, keyword: str) -> str:
    return str(instance.header.get(keyword) or "").strip()


def _joined(values: Iterator[str]) -> str:
    return "+".join(sorted({value.upper() for value in values if value}))
