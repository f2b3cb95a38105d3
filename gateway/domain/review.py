"""A physician's word on a report version: what was decided, by whom, over what, and the signature made of it.

FHIR R4 10.3.3 for the statuses; which decision leads where is the report's state table (lifecycle.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from types import MappingProxyType
from typing import Final, Literal

from gateway.domain.access import Person
from gateway.domain.ids import PersonId, ReportId
from gateway.domain.lifecycle import REPORT

Outcome = Literal["accept", "amend", "correct", "append", "reject", "retract"]
Verdict = Literal["as-is", "changed", "rejected"]

EVENTS: Final[Mapping[Outcome, str]] = MappingProxyType(
    {
        "accept": "sign",
        "amend": "amend",
        "correct": "correct",
        "append": "append",
        "reject": "cancel",
        "retract": "retract",
    }
)
"""The event of the report's state table that each outcome is."""

NEEDS_REASON: Final = frozenset({"amend", "correct", "reject", "retract"})
"""What takes back or changes something says why."""

SAYS_CONCLUSION: Final = frozenset({"amend", "correct", "append"})
"""Outcomes that are nothing without a text of the physician."""

SIGNED: Final = frozenset({"final", "amended", "corrected", "appended", "entered-in-error"})
"""Statuses that only a physician's signature leads to."""

ENDS: Final = frozenset({"reject", "retract"})
"""Outcomes after which nothing of the version is vouched for."""

MAY_SIGN: Final = frozenset({"physician"})
"""Roles of people who may review reports."""


@dataclass(frozen=True)
class Reviewer:
    """Who reviewed, as the person was called when it happened. `identifier` is `system|value`, or empty."""

    id: PersonId
    name: str
    qualification: str = ""
    identifier: str = ""


@dataclass(frozen=True)
class Review:
    """One decision: version `base_version` was read, version `version` is what came of it.

    `signature` is the JWS over the rendered content (formats/fhir/signed_content.py), by the key `key_id`.
    """

    report_id: ReportId
    version: int
    base_version: int
    base_at: datetime
    outcome: Outcome
    verdict: Verdict
    reviewer: Reviewer
    reason: str
    at: datetime
    models: tuple[str, ...]
    signature: str
    key_id: str

    @property
    def waited_seconds(self) -> float:
        """From the version that was read to the decision."""
        return max(0.0, (self.at - self.base_at).total_seconds())


@dataclass(frozen=True)
class ReviewFigures:
    """What physicians did with first versions; `model` is empty for all models together."""

    model: str
    reviewed: int
    accepted: int
    changed: int
    rejected: int
    changed_later: int
    median_seconds: float | None

    @property
    def override_rate(self) -> float | None:
        """The share of first decisions that did not take the result as it was."""
        return (self.changed + self.rejected) / self.reviewed if self.reviewed else None


def reviewer(person: Person) -> Reviewer:
    return Reviewer(person.id, person.display_name or person.name, person.qualification, person.identifier)


def offered(status: str) -> tuple[Outcome, ...]:
    """What a physician may decide about a report of this status, by the state table."""
    if status == REPORT.initial or status == "cancelled":  # noqa: PLR1714 - nothing that could be judged
        return ()
    return tuple(outcome for outcome, event in EVENTS.items() if (status, event) in REPORT.moves)


def in_force(reviews: Sequence[Review], status: str, version: int) -> tuple[Review, ...]:
    """The reviews that speak for a version of this status, oldest first; none for what a model alone has said."""
    known = [review for review in reviews if review.version <= version]
    if status not in SIGNED:
        return tuple(known[-1:]) if known and known[-1].version == version else ()
    last_reject = max((place for place, each in enumerate(known) if each.outcome == "reject"), default=-1)
    return tuple(known[last_reject + 1 :])


def figures(reviews: Sequence[Review], names: Mapping[str, str]) -> list[ReviewFigures]:
    """For all models together, then by model as `names` calls it; first decisions count, later changes apart."""
    labels = sorted({label for review in reviews for label in _labels(review, names)})
    of_model = ([each for each in reviews if label in _labels(each, names)] for label in labels)
    return [_counted("", reviews), *(_counted(label, own) for label, own in zip(labels, of_model, strict=True))]


def _labels(review: Review, names: Mapping[str, str]) -> Iterator[str]:
    yield from (names.get(model, model) for model in review.models)


def _counted(label: str, reviews: Sequence[Review]) -> ReviewFigures:
    first = [each for each in reviews if each.outcome in ("accept", "reject")]
    count = {verdict: sum(each.verdict == verdict for each in first) for verdict in ("as-is", "changed", "rejected")}
    waited = [each.waited_seconds for each in first]
    return ReviewFigures(
        model=label,
        reviewed=len(first),
        accepted=count["as-is"],
        changed=count["changed"],
        rejected=count["rejected"],
        changed_later=len(reviews) - len(first),
        median_seconds=median(waited) if waited else None,
    )
