"""What the final report of somebody else says beside what a model had said, and how often they agree.

A final report is compared where it speaks of the same study and answers the model's question in codes; free text is
counted and never interpreted. Nothing here holds who it is about: labels, outcomes, ids and blind indexes alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from gateway.domain.finding import Finding
from gateway.domain.ids import FindingId, ModelId, StudyId
from gateway.domain.proportion import Share

Outcome = Literal["agreed", "disagreed", "inconclusive", "contradictory", "uncoded", "several-studies"]
COMPARED: Final = frozenset({"agreed", "disagreed"})
LinkKind = Literal["study", "accession"]


@dataclass(frozen=True)
class StudyLink:
    """By what a report names a study: the blind index of its UID or of an accession number."""

    kind: LinkKind
    index: bytes


@dataclass(frozen=True)
class CodedAnswer:
    """What a report says to one question: `labels` of those that have codes (`known`); `positive` is one of these."""

    system: str
    question: str
    labels: tuple[str, ...]
    known: tuple[str, ...]
    positive: str


@dataclass(frozen=True)
class FinalReport:
    """A version that is in force of a report that another system has sent. `key` is that of the FHIR store."""

    key: int
    version: int
    patient: str
    received_at: datetime
    links: tuple[StudyLink, ...]
    answers: tuple[CodedAnswer, ...]

    def named(self, kind: LinkKind) -> frozenset[bytes]:
        return frozenset(link.index for link in self.links if link.kind == kind)


@dataclass(frozen=True)
class Comparison:
    """`said` is the model's label, `reference` the report's, each empty where it has none."""

    outcome: Outcome
    said: str = ""
    reference: str = ""
    positive: str = ""


@dataclass(frozen=True)
class Agreement:
    """One for a study and a model, however many reports and versions speak of it.

    `answered_at` is when the model answered: by it the months and the rules count.
    """

    study_id: StudyId
    model_id: ModelId
    finding_id: FindingId
    outcome: Outcome
    said: str
    reference: str
    positive: str
    answered_at: datetime
    compared_at: datetime = field(compare=False)


def compared(finding: Finding, reports: Sequence[FinalReport]) -> Comparison:
    """One finding beside all reports in force about its study; where these have codes of two labels it is neither."""
    asked = (finding.question.system, finding.question.value)
    given = [one for report in reports for one in report.answers if (one.system, one.question) == asked]
    said = finding.decided.name if finding.decided else ""
    references = {label for one in given for label in one.labels}
    if not references:
        return Comparison("uncoded", said)
    if len(references) > 1:
        return Comparison("contradictory", said)
    answer = next(one for one in given if one.labels)
    (reference,) = references
    if not said:
        return Comparison("inconclusive", "", reference, answer.positive)
    if said not in answer.known:
        return Comparison("uncoded", said)
    return Comparison("agreed" if said == reference else "disagreed", said, reference, answer.positive)


@dataclass(frozen=True)
class AgreementCount:
    """How many of one model's answers came out alike."""

    model_id: ModelId
    outcome: Outcome
    said: str
    reference: str
    positive: str
    count: int


@dataclass(frozen=True)
class AgreementFigures:
    """The received report is what is compared with, and no proof of what is true.

    So `positive` and `negative` are called positive and negative percent agreement (FDA, Statistical Guidance on
    Reporting Results from Studies Evaluating Diagnostic Tests, 2007) and not sensitivity and specificity. `kappa` is
    Cohen's (Educ Psychol Meas 1960), None where chance alone explains everything. Inconclusive answers are in none.
    """

    agreement: Share
    positive: Share
    negative: Share
    kappa: float | None
    inconclusive: int
    contradictory: int
    uncoded: int
    several_studies: int

    @property
    def received(self) -> int:
        """Answers to whose study a final report was received."""
        return self.agreement.of + self.inconclusive + self.contradictory + self.uncoded + self.several_studies

    @property
    def disagreement_rate(self) -> float | None:
        of = self.agreement.of
        return (of - self.agreement.hits) / of if of else None


def figures(counts: Iterable[AgreementCount]) -> AgreementFigures:
    """Of one model version."""
    found = list(counts)
    outcomes: Counter[str] = Counter()
    for one in found:
        outcomes[one.outcome] += one.count
    both = [one for one in found if one.outcome in COMPARED]
    return AgreementFigures(
        agreement=Share(outcomes["agreed"], outcomes["agreed"] + outcomes["disagreed"]),
        positive=_share([one for one in both if one.reference == one.positive]),
        negative=_share([one for one in both if one.reference != one.positive]),
        kappa=_kappa(both),
        inconclusive=outcomes["inconclusive"],
        contradictory=outcomes["contradictory"],
        uncoded=outcomes["uncoded"],
        several_studies=outcomes["several-studies"],
    )


def _share(counts: Sequence[AgreementCount]) -> Share:
    return Share(sum(one.count for one in counts if one.outcome == "agreed"), sum(one.count for one in counts))


def _kappa(both: Sequence[AgreementCount]) -> float | None:
    total = sum(one.count for one in both)
    if not total:
        return None
    said: Counter[str] = Counter()
    reference: Counter[str] = Counter()
    for one in both:
        said[one.said] += one.count
        reference[one.reference] += one.count
    alike = sum(one.count for one in both if one.outcome == "agreed") / total
    chance = sum(said[label] * reference[label] for label in said) / (total * total)
    return None if chance == 1 else (alike - chance) / (1 - chance)
