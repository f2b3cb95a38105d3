"""`dxgate export`: a research copy of chosen studies in a new folder, after a look at what it would hold."""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path

from gateway.commands.output import actor, tell
from gateway.config import LoadedSettings
from gateway.domain.errors import Conflict, Invalid
from gateway.domain.export import ExportPlan, ExportRequest, Selection
from gateway.domain.ids import StudyId


def export(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from gateway import wiring

    settings, request = loaded.settings, _request(arguments)
    opened = wiring.database(settings)
    plan = wiring.choose_studies(settings, opened)(request)
    _show(plan)
    if not arguments.yes:
        _confirm(plan)
    folder = wiring.export_folder(Path(arguments.out))
    done = wiring.export_studies(settings, opened)(plan, folder, actor(), tell)
    tell(f"export {done.id}: {plan.objects} objects, {done.bytes} bytes in {arguments.out}")
    tell("read report.md and inventory.csv before it is handed over")
    return 0


def _request(arguments: argparse.Namespace) -> ExportRequest:
    return ExportRequest(
        selection=Selection(
            studies=tuple(map(StudyId, arguments.study)),
            patients=tuple(arguments.patient),
            modality=arguments.modality.upper(),
            body_part=arguments.body_part.upper(),
            received_from=_day(arguments.received_from),
            received_to=_day(arguments.received_to),
        ),
        recipient=arguments.recipient,
        purpose=arguments.purpose,
        k=arguments.k,
        dates=arguments.dates,
        allow_unsearched_pixels=arguments.allow_unsearched_pixels,
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Invalid("a day is written YYYY-MM-DD") from None


def _show(plan: ExportPlan) -> None:
    asked = plan.request
    tell(f"{plan.objects} objects of {len(plan.studies)} studies of {plan.patients} patients for {asked.recipient}")
    tell(f"k={asked.k}: {plan.groups} groups, the smallest of {plan.smallest_group}; ages by {plan.band_years} years")
    for reason, count in plan.withheld.items():
        tell(f"withheld: {count} objects, {reason}")


def _confirm(plan: ExportPlan) -> None:
    if not sys.stdin.isatty():
        raise Invalid("standard input is no terminal; say --yes to export what is listed above")
    if input(f"Export {plan.objects} objects? Type yes: ").strip() != "yes":
        raise Conflict("nothing was exported")
