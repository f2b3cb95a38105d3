"""The Reports page: what waits for a physician's signature, STAT first, and how physicians took what models said.

It shows no identity: whose report it is stands on the report's own page, where opening it is audited.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from gateway.domain.report import Report
from gateway.domain.review import ReviewFigures, figures
from gateway.ports import UnitOfWork
from gateway.servers.web.console.page import View, Visit
from gateway.servers.web.console.rights import may, require

ROWS: Final = 50
FIGURES_OVER: Final = timedelta(days=90)
MOST_REVIEWS: Final = 10_000
DONE: Final = {
    "accept": "The report is signed and final.",
    "amend": "The report is amended.",
    "correct": "The report is corrected.",
    "append": "The addendum stands in the report.",
    "reject": "The report is cancelled.",
    "retract": "The report is marked as entered in error.",
}
_FIRST_WORDS: Final = 140


def reports(visit: Visit) -> View:
    require(visit.person, "list reports")
    found = visit.unit.reports.waiting(ROWS + 1)
    data = {
        "rows": [(report, study, _said(visit.unit, report)) for report, study in found[:ROWS]],
        "more": len(found) > ROWS,
        "done": DONE.get(visit.field("done"), ""),
        "decides": may(visit.person, "decide about reports"),
        "figures": _figures(visit),
        "days": FIGURES_OVER.days,
    }
    return View("reports.html", "reports", data)


def _said(unit: UnitOfWork, report: Report) -> str:
    content = unit.reports.version(report.id, report.version).content
    words = " ".join(content.conclusion.split()) if content else ""
    return words if len(words) <= _FIRST_WORDS else f"{words[:_FIRST_WORDS]}…"


def _figures(visit: Visit) -> list[ReviewFigures]:
    since = visit.services.clock() - FIGURES_OVER
    reviews = visit.unit.reviews.since(since, MOST_REVIEWS)
    names = {str(model.id): f"{model.name} {model.version}" for model in visit.unit.models.all()}
    return figures(reviews, names) if reviews else []
