"""stop_rules: stops a model by itself when physicians keep overruling it, or when what it says has shifted.

A rule can only stop. A person resumes; what was reviewed and said before that is not held against it again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.domain.ids import ModelId
from gateway.domain.model_month import PROBABILITY, ModelMonth
from gateway.flow.govern import GovernModels
from gateway.flow.model_month import ReadMonth

log = logging.getLogger(__name__)
WINDOW: Final = timedelta(days=30)
ACTOR: Final = "sweep:stop-rule"


@dataclass(frozen=True)
class Rules:
    """0 switches a rule off. `override_rate` holds from `least_reviews` reviews on; `shift` is a PSI."""

    override_rate: float = 0.0
    least_reviews: int = 20
    shift: float = 0.0

    @property
    def any(self) -> bool:
        return self.override_rate > 0 or self.shift > 0

    def broken(self, month: ModelMonth) -> str:
        """Why the model must stop; empty where it need not."""
        rate, asked = month.override_rate, self.override_rate
        if asked and rate is not None and month.reviewed >= self.least_reviews and rate >= asked:
            told = f"physicians overruled {rate:.0%} of {month.reviewed} results"
            return f"{told}; the rule allows less than {asked:.0%}"
        found = month.drifts.get(PROBABILITY)
        if self.shift and found is not None and found.index is not None and found.index >= self.shift:
            return f"what it says has shifted: PSI {found.index:.2f}; the rule allows less than {self.shift:.2f}"
        return ""


@dataclass(frozen=True)
class StopByRule:
    """Looks at the last 30 days of every running model that is not stopped; the number that it stopped."""

    govern: GovernModels
    read: ReadMonth
    rules: Rules
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self) -> int:
        if not self.rules.any:
            return 0
        now = self.now()
        months, _ = self.read(now - WINDOW, now)
        return sum(self._judge(month, now) for month in months if month.state in ("active", "shadow"))

    def _judge(self, month: ModelMonth, now: datetime) -> bool:
        if month.stopped:
            return False
        since = self._resumed(month.model_id)
        if since is not None and since > now - WINDOW:
            again = [one for one in self.read(since, now)[0] if one.model_id == month.model_id]
            if not again:
                return False
            month = again[0]
        reason = self.rules.broken(month)
        if not reason:
            return False
        self.govern.stop(month.model_id, reason, ACTOR)
        log.warning("model stopped by rule", extra={"fields": {"model": month.model_id, "reason": reason}})
        return True

    def _resumed(self, model_id: ModelId) -> datetime | None:
        with self.govern.database.read() as unit:
            rows = unit.audit.newest(limit=1, event="model:resume", subject_id=model_id)
        return rows[0].at if rows else None
