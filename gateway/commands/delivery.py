"""`dxgate delivery`: report versions on their way out, and sending one again."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from gateway.commands.output import actor, print_rows, row_of, tell
from gateway.config import LoadedSettings
from gateway.domain.errors import Conflict
from gateway.domain.ids import DeliveryId

COLUMNS = ("id", "report_id", "version", "destination", "state", "attempt", "due_at", "last_error")


def list_deliveries(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from gateway import wiring

    with wiring.database(loaded.settings).read() as unit:
        reports = unit.reports.find(limit=arguments.limit)
        rows = [row_of(delivery) for report in reports for delivery in unit.deliveries.of_report(report.id)]
    print_rows(rows, COLUMNS, as_json=arguments.json)
    return 0


def replay(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from gateway import wiring

    with wiring.database(loaded.settings).begin(actor()) as unit:
        if not unit.deliveries.replay(DeliveryId(arguments.id), datetime.now(UTC)):
            raise Conflict("this delivery is neither dead nor acknowledged, so there is nothing to send again")
        unit.commit()
    tell("the newest version of the report is on its way there again")
    return 0
