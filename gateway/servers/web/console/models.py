"""The Models page: what workers have announced, with digest, provider, state and card."""

from __future__ import annotations

from gateway.servers.web.console.page import View, Visit


def models(visit: Visit) -> View:
    """Active ones first, then by name and newest announcement."""
    found = sorted(visit.unit.models.all(), key=lambda model: model.announced_at, reverse=True)
    found.sort(key=lambda model: (model.state != "active", model.name))
    stops = {each.model_id: each for each in visit.unit.governance.stops()}
    waiting = visit.unit.governance.waiting()
    return View("models.html", "models", {"models": found, "stops": stops, "waiting": waiting})
