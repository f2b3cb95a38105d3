"""model_month: reads what models said and what physicians made of it, month by month, and compares with before.

The time before is `BEFORE` days, of the same version at this site, so the figures say whether the site has changed,
not whether the model fits it: that is measured once, with `dxgate model evaluate` on the site's own cases.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import fmean
from typing import Final

from gateway.domain.acceptance import Acceptance
from gateway.domain.agreement import AgreementFigures
from gateway.domain.agreement import figures as agreement_figures
from gateway.domain.drift import drift
from gateway.domain.errors import GatewayError
from gateway.domain.finding import Finding, Label
from gateway.domain.ids import ModelId, StudyId
from gateway.domain.model import ServedModel
from gateway.domain.model_month import PROBABILITY, ModelMonth, ShadowPair
from gateway.domain.review import Review, figures
from gateway.ports import Database, UnitOfWork

BEFORE: Final = timedelta(days=90)
MOST_OPENED: Final = 5000  # inputs of records that are opened for one model and time
MOST_VALUES: Final = 20_000  # of one number of one model and time that are compared; a study has thousands of images
MOST_REVIEWS: Final = 100_000
DISTANCE: Final = "distance to the training images"
MISSING: Final = "inputs that were missing"
Inputs = Callable[[Finding], Mapping[str, float]]
"""The numbers that a record's model was given; raises a GatewayError where they cannot be opened any more."""
Question = tuple[str, str]
Place = tuple[StudyId, int, Question]


@dataclass
class _Said:
    """What one version said in one time."""

    answers: int = 0
    inconclusive: int = 0
    images: int = 0
    opened: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    numbers: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, values: Sequence[float]) -> None:
        """Findings come by their ids, which is as good as by lot: the first ones stand for all."""
        kept = self.numbers[name]
        kept += values[: MOST_VALUES - len(kept)]


@dataclass(frozen=True)
class ReadMonth:
    """`inputs` None: what records gave is not opened, and its drift is not told."""

    database: Database
    inputs: Inputs | None = None

    def __call__(self, since: datetime, before: datetime) -> tuple[list[ModelMonth], list[ShadowPair]]:
        with self.database.read() as unit:
            models = {model.id: model for model in unit.models.all()}
            stops = {stop.model_id: stop.reason for stop in unit.governance.stops()}
            earlier = self._said(unit.governance.answers(since - BEFORE, since))
            pairs = _Pairs()
            now = self._said(pairs.noted(unit.governance.answers(since, before)))
            reviews = unit.reviews.since(since, MOST_REVIEWS, before)
            ends = _ends(unit, since, before)
            counts = unit.agreements.counts(since, before)
            runs = {key: unit.governance.acceptances(model, 1) for key, model in models.items()}
        nothing, reviewed = _Said(), {model_id for one in reviews for model_id in one.models}
        found = [
            _month(
                models[key],
                now.get(key, nothing),
                earlier.get(key, nothing),
                stopped=stops.get(key, ""),
                ends=ends.get(key, {}),
                reviews=[one for one in reviews if key in one.models],
                agreement=agreement_figures(one for one in counts if one.model_id == key),
                acceptance=next(iter(runs[key]), None),
            )
            for key in sorted(models, key=lambda one: (models[one].name, models[one].version))
            if key in now or key in ends or key in reviewed
        ]
        return found, pairs.compared()

    def _said(self, answers: Iterator[tuple[Finding, bool]]) -> dict[ModelId, _Said]:
        found: defaultdict[ModelId, _Said] = defaultdict(_Said)
        for finding, _ in answers:
            self._note(found[finding.made_by.model_id], finding)
        return dict(found)

    def _note(self, said: _Said, finding: Finding) -> None:
        said.answers += 1
        said.images += len(finding.images)
        said.refusals.update(image.refusal_code for image in finding.images if image.refusal_code)
        label = first_label(finding)
        if label is not None:
            said.inconclusive += finding.decided is None
            said.add(PROBABILITY, [label.probability])
        said.add(DISTANCE, [image.distance for image in finding.images if image.distance is not None])
        if finding.answer is not None and finding.answer.labels:
            said.add(MISSING, [float(len(finding.answer.missing))])
            self._open(said, finding)

    def _open(self, said: _Said, finding: Finding) -> None:
        if self.inputs is None or said.opened >= MOST_OPENED:
            return
        said.opened += 1
        try:
            given = self.inputs(finding)
        except GatewayError:  # its patient was erased, or it was tidied away
            return
        for name, value in given.items():
            said.add(f"input {name}", [value])


def first_label(finding: Finding) -> Label | None:
    """The label that a pack names first, as its probability stands in the image where it is highest."""
    if finding.answer is not None:
        return finding.answer.labels[0] if finding.answer.labels else None
    return max((image.labels[0] for image in finding.images if image.labels), key=_probability, default=None)


def _probability(label: Label) -> float:
    return label.probability


def _ends(unit: UnitOfWork, since: datetime, before: datetime) -> dict[ModelId, dict[str, int]]:
    found: defaultdict[ModelId, dict[str, int]] = defaultdict(dict)
    for model_id, state, count in unit.governance.ends(since, before):
        found[model_id][state] = count
    return dict(found)


def _month(
    model: ServedModel,
    now: _Said,
    before: _Said,
    *,
    stopped: str,
    ends: Mapping[str, int],
    reviews: Sequence[Review],
    agreement: AgreementFigures,
    acceptance: Acceptance | None,
) -> ModelMonth:
    names = sorted(name for name in now.numbers.keys() | before.numbers.keys() if now.numbers[name])
    return ModelMonth(
        model_id=model.id,
        model=f"{model.name} {model.version}",
        state=model.state,
        stopped=stopped,
        ends=ends,
        answers=now.answers,
        inconclusive=now.inconclusive,
        images=now.images,
        refusals=dict(sorted(now.refusals.items())),
        drifts={name: drift(before.numbers[name], now.numbers[name]) for name in names},
        reviews=figures(reviews, {})[0],
        agreement=agreement,
        acceptance=acceptance,
    )


@dataclass(frozen=True, slots=True)
class _Word:
    """What is compared of a finding; those of a month are in memory together."""

    model: str
    decided: str | None
    first: str | None
    probability: float


@dataclass
class _Pairs:
    """What was said in the shadow and what was reported, by study, revision and question."""

    shadows: dict[Place, list[_Word]] = field(default_factory=dict)
    reported: dict[Place, list[_Word]] = field(default_factory=dict)

    def noted(self, answers: Iterator[tuple[Finding, bool]]) -> Iterator[tuple[Finding, bool]]:
        for finding, is_shadow in answers:
            place = (finding.study_id, finding.revision, (finding.question.system, finding.question.value))
            (self.shadows if is_shadow else self.reported).setdefault(place, []).append(_word(finding))
            yield finding, is_shadow

    def compared(self) -> list[ShadowPair]:
        found: defaultdict[tuple[str, str], list[tuple[_Word, _Word]]] = defaultdict(list)
        for place, shadows in self.shadows.items():
            for shadow in shadows:
                for reported in self.reported.get(place, []):
                    found[shadow.model, reported.model].append((shadow, reported))
        return [_pair(*names, both) for names, both in sorted(found.items())]


def _word(finding: Finding) -> _Word:
    first = first_label(finding)
    return _Word(
        model=f"{finding.made_by.model_name} {finding.made_by.model_version}",
        decided=finding.decided.name if finding.decided else None,
        first=first.name if first else None,
        probability=first.probability if first else 0.0,
    )


def _pair(shadow: str, reported: str, both: list[tuple[_Word, _Word]]) -> ShadowPair:
    gaps = [abs(one.probability - two.probability) for one, two in both if one.first and one.first == two.first]
    return ShadowPair(
        shadow=shadow,
        reported=reported,
        studies=len(both),
        same=sum(one.decided == two.decided for one, two in both),
        only_shadow_decided=sum(one.decided is not None and two.decided is None for one, two in both),
        only_reported_decided=sum(one.decided is None and two.decided is not None for one, two in both),
        apart=fmean(gaps) if gaps else None,
    )
