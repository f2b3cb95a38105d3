"""The Models page: what workers have announced, with digest, provider, state and card."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.domain.agreement import AgreementFigures, figures
from gateway.domain.ids import ModelId
from gateway.ports import UnitOfWork
from gateway.servers.web.console.page import View, Visit

DAYS: Final = 30


def models(visit: Visit) -> View:
    """Active ones first, then by name and newest announcement."""
    found = sorted(visit.unit.models.all(), key=lambda model: model.announced_at, reverse=True)
    found.sort(key=lambda model: (model.state != "active", model.name))
    stops = {each.model_id: each for each in visit.unit.governance.stops()}
    waiting = visit.unit.governance.waiting()
    runs = {model.id: run for model in found for run in visit.unit.governance.acceptances(model, 1)}
    data = {
        "models": found,
        "stops": stops,
        "waiting": waiting,
        "agreement": _agreement(visit.unit),
        "days": DAYS,
        "runs": runs,
    }
    return View("models.html", "models", data)


def _agreement(unit: UnitOfWork) -> dict[ModelId, AgreementFigures]:
    """With the final reports received about what was answered in the last `DAYS` days, by model."""
    counts = unit.agreements.counts(datetime.now(UTC) - timedelta(days=DAYS))
    return {key: figures(one for one in counts if one.model_id == key) for key in {one.model_id for one in counts}}
