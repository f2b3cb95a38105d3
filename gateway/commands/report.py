"""`dxgate report`: reports by their number, how results were taken, and whether signatures hold.

Nobody signs here: a decision needs a physician who has signed in.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.commands.output import actor, print_json, print_rows, row_of, tell
from gateway.config import LoadedSettings
from gateway.domain.errors import Invalid
from gateway.domain.ids import ReportId
from gateway.domain.lifecycle import REPORT
from gateway.domain.review import Review, figures

COLUMNS = ("id", "study_id", "status", "version", "updated_at")
VERSION_COLUMNS = ("version", "status", "created_at", "outcome", "verdict", "by", "reason")
DELIVERY_COLUMNS = ("version", "destination", "state", "attempt", "acknowledgement", "last_error")
FIGURE_COLUMNS = ("model", "reviewed", "as_is", "changed", "rejected", "override_rate", "median_seconds", "later")
VERIFIED_COLUMNS = ("version", "outcome", "by", "key", "verdict")
MOST_REVIEWS = 100_000


def list_reports(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """The newest; with --waiting those that wait for a physician, STAT first."""
    from gateway import wiring

    if arguments.status and arguments.status not in REPORT.states:
        raise Invalid(f"a status is one of {', '.join(REPORT.states)}")
    with wiring.database(loaded.settings).read() as unit:
        if arguments.waiting:
            found = [report for report, _ in unit.reports.waiting(arguments.limit)]
        else:
            statuses = (arguments.status,) if arguments.status else None
            found = unit.reports.find(statuses=statuses, limit=arguments.limit)
    print_rows([row_of(report) for report in found], COLUMNS, as_json=arguments.json)
    return 0


def show(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """Without identity: conclusion, versions with who decided, deliveries."""
    from gateway import wiring

    with wiring.database(loaded.settings).read() as unit:
        report = unit.reports.get(ReportId(arguments.id))
        versions = unit.reports.versions(report.id)
        reviews = {review.version: review for review in unit.reviews.of_report(report.id)}
        deliveries = [row_of(each) for each in unit.deliveries.of_report(report.id)]
    content = versions[-1].content
    history = [_version(row_of(version), reviews.get(version.version)) for version in versions]
    sent = [{name: each[name] for name in DELIVERY_COLUMNS} for each in deliveries]
    if arguments.json:
        said = content.conclusion if content else None
        print_json({"report": row_of(report), "conclusion": said, "versions": history, "deliveries": sent})
        return 0
    print_rows([row_of(report)], COLUMNS, as_json=False)
    tell(f"\n{content.conclusion if content else 'nothing is said yet'}\n")
    print_rows(history, VERSION_COLUMNS, as_json=False)
    tell("")
    print_rows(sent, DELIVERY_COLUMNS, as_json=False)
    return 0


def show_figures(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """Median time to sign and override rate, for all models and for each version."""
    from gateway import wiring

    since = datetime.now(UTC) - timedelta(days=arguments.days)
    with wiring.database(loaded.settings).read() as unit:
        reviews = unit.reviews.since(since, MOST_REVIEWS)
        names = {str(model.id): f"{model.name} {model.version}" for model in unit.models.all()}
    rows = [
        {
            "model": each.model or "all",
            "reviewed": each.reviewed,
            "as_is": each.accepted,
            "changed": each.changed,
            "rejected": each.rejected,
            "override_rate": None if each.override_rate is None else round(each.override_rate, 4),
            "median_seconds": None if each.median_seconds is None else round(each.median_seconds, 1),
            "later": each.changed_later,
        }
        for each in figures(reviews, names)
    ]
    print_rows(rows, FIGURE_COLUMNS, as_json=arguments.json)
    return 0


def verify(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """1 where a signature does not verify, or is not over what the report says."""
    from gateway import wiring

    found = wiring.verify_reviews(loaded.settings, wiring.database(loaded.settings))(ReportId(arguments.id), actor())
    rows = [
        {
            "version": each.review.version,
            "outcome": each.review.outcome,
            "by": each.review.reviewer.name,
            "key": each.review.key_id,
            "verdict": each.problem or "good",
        }
        for each in found
    ]
    print_rows(rows, VERIFIED_COLUMNS, as_json=arguments.json)
    return 1 if any(each.problem for each in found) else 0


def keys(loaded: LoadedSettings, _arguments: argparse.Namespace) -> int:
    """The public halves of the signing keys as a JSON Web Key Set (RFC 7517 5), for who verifies signatures."""
    from gateway import wiring
    from gateway.privacy.signing import public_keys

    print_json({"keys": list(public_keys(wiring.all_keys(loaded.settings).keys).values())})
    return 0


def _version(row: dict[str, Any], review: Review | None) -> dict[str, Any]:
    return {
        "version": row["version"],
        "status": row["status"],
        "created_at": row["created_at"],
        "outcome": review.outcome if review else None,
        "verdict": review.verdict if review else None,
        "by": review.reviewer.name if review else None,
        "reason": review.reason or None if review else None,
    }
