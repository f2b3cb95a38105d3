"""stop_rules: stops a model by itself when physicians or final reports keep gainsaying it, or what it says has shifted.

A rule can only stop. A person resumes; what was reviewed and said before that is not held against it again. The rules
look at a bounded sample, so that an hourly look costs the same in a hospital of any size.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.domain.agreement import AgreementFigures
from gateway.domain.agreement import figures as agreement_figures
from gateway.domain.drift import Drift, drift
from gateway.domain.errors import Conflict
from gateway.domain.ids import ModelId
from gateway.domain.review import Review, ReviewFigures, figures
from gateway.flow.govern import GovernModels
from gateway.flow.model_month import BEFORE, MOST_REVIEWS, first_label
from gateway.ports import UnitOfWork

log = logging.getLogger(__name__)
WINDOW: Final = timedelta(days=30)
ACTOR: Final = "sweep:stop-rule"
MOST_SAID: Final = 2000  # findings of one model and time that are read; which is as good as by lot


@dataclass(frozen=True)
class Rules:
    """0 switches a rule off. `override_rate` holds from `least_reviews` reviews on, `disagreement_rate` from
    `least_comparisons` on; `shift` is a PSI."""

    override_rate: float = 0.0
    least_reviews: int = 20
    shift: float = 0.0
    disagreement_rate: float = 0.0
    least_comparisons: int = 20

    @property
    def any(self) -> bool:
        return max(self.override_rate, self.shift, self.disagreement_rate) > 0

    def overruled(self, told: ReviewFigures) -> str:
        """Why the model must stop; empty where it need not."""
        rate, asked = told.override_rate, self.override_rate
        if not asked or rate is None or told.reviewed < self.least_reviews or rate < asked:
            return ""
        return f"physicians overruled {rate:.0%} of {told.reviewed} results; the rule allows less than {asked:.0%}"

    def gainsaid(self, told: AgreementFigures) -> str:
        """Why the model must stop; empty where it need not."""
        rate, asked, of = told.disagreement_rate, self.disagreement_rate, told.agreement.of
        if not asked or rate is None or of < self.least_comparisons or rate < asked:
            return ""
        return f"final reports said otherwise of {rate:.0%} of {of} answers; the rule allows less than {asked:.0%}"

    def shifted(self, found: Drift) -> str:
        """Why the model must stop; empty where it need not."""
        if not self.shift or not found.is_shifted(self.shift):
            return ""
        return f"what it says has shifted: PSI {found.index:.2f}; the rule allows less than {self.shift:.2f}"


@dataclass(frozen=True)
class StopByRule:
    """Looks at the last 30 days of every running model that is not stopped; the number that it stopped."""

    govern: GovernModels
    rules: Rules
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self) -> int:
        if not self.rules.any:
            return 0
        now = self.now()
        with self.govern.database.read() as unit:
            stopped = {stop.model_id for stop in unit.governance.stops()}
            models = [model.id for model in unit.models.running() if model.id not in stopped]
            reviews = unit.reviews.since(now - WINDOW, MOST_REVIEWS) if self.rules.override_rate else []
        return sum(self._judge(model_id, reviews, now) for model_id in models)

    def _judge(self, model_id: ModelId, reviews: Sequence[Review], now: datetime) -> bool:
        with self.govern.database.read() as unit:
            resumed = _resumed(unit, model_id)
            reason = self.rules.overruled(_figures(model_id, reviews, resumed))
            if not reason and self.rules.disagreement_rate:
                reason = self.rules.gainsaid(_agreement(unit, model_id, resumed, now))
            if not reason and self.rules.shift:
                reason = self.rules.shifted(_drift(unit, model_id, resumed, now))
        if not reason:
            return False
        try:
            self.govern.stop(model_id, reason, ACTOR)
        except Conflict:  # somebody has stopped it meanwhile
            return False
        log.warning("model stopped by rule", extra={"fields": {"model": model_id, "reason": reason}})
        return True


def _figures(model_id: ModelId, reviews: Sequence[Review], resumed: datetime | None) -> ReviewFigures:
    """Of results that were written since the resume."""
    mine = [one for one in reviews if model_id in one.models and (resumed is None or one.base_at >= resumed)]
    return figures(mine, {})[0]


def _agreement(unit: UnitOfWork, model_id: ModelId, resumed: datetime | None, now: datetime) -> AgreementFigures:
    """Of answers given since the resume."""
    since = max(now - WINDOW, resumed) if resumed is not None else now - WINDOW
    return agreement_figures(unit.agreements.counts(since, model_id=model_id))


def _drift(unit: UnitOfWork, model_id: ModelId, resumed: datetime | None, now: datetime) -> Drift:
    """After a resume beside the days before it alone: whoever resumed has seen these and let the model go on."""
    since, first = now - WINDOW, now - WINDOW - BEFORE
    if resumed is not None:
        since, first = max(since, resumed), max(first, resumed - WINDOW)
    return drift(_said(unit, model_id, first, since), _said(unit, model_id, since, now))


def _said(unit: UnitOfWork, model_id: ModelId, since: datetime, before: datetime) -> list[float]:
    found = unit.governance.sample(model_id, since, before, MOST_SAID)
    return [label.probability for label in map(first_label, found) if label is not None]


def _resumed(unit: UnitOfWork, model_id: ModelId) -> datetime | None:
    rows = unit.audit.newest(limit=1, event="model:resume", subject_id=model_id)
    return rows[0].at if rows else None
