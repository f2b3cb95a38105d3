"""`dxgate recall`: what a model version had a part in, and withdrawing it."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.commands.model import chosen
from gateway.commands.output import actor, print_json, print_rows, tell
from gateway.config import LoadedSettings
from gateway.domain.errors import Invalid
from gateway.flow.recall import Affected, Consequences

COLUMNS = ("report", "patient", "status", "version", "says_it_now", "signed_by", "recipients")


def recall(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """1 where reports moved while they were marked: run it again."""
    from gateway import wiring

    step = wiring.recall(loaded.settings, wiring.database(loaded.settings))
    model = chosen(step.model(arguments.model, arguments.version), arguments.model, arguments.version, arguments.sha256)
    if arguments.mark and not arguments.reason:
        raise Invalid("--mark needs --reason")
    done = Consequences()
    if arguments.mark:
        done = step.mark(model.id, arguments.reason, actor())
    if arguments.rerun:
        again = step.rerun(model.id, actor())
        done = Consequences(
            done.cancelled, done.flagged, done.planned_again + again.planned_again, done.conflicts + again.conflicts
        )
    rows = [_row(each) for each in step.affected(model.id)]
    if arguments.json:
        print_json({"model": model.id, "done": vars(done), "reports": rows})
    else:
        print_rows(rows, COLUMNS, as_json=False)
        _tell(done, len(rows), marked=arguments.mark, again=arguments.rerun)
    return 1 if done.conflicts else 0


def _row(each: Affected) -> dict[str, Any]:
    return {
        "report": each.report.id,
        "patient": each.patient,
        "status": each.report.status,
        "version": each.report.version,
        "says_it_now": each.says_it_now,
        "signed_by": each.signed_by or None,
        "recipients": [f"{one.destination} v{one.version} {one.state}" for one in each.recipients],
    }


def _tell(done: Consequences, reports: int, *, marked: bool, again: bool) -> None:
    tell(f"{reports} report(s); patients are pseudonyms, and `dxgate identity open` leads one back, on record")
    if marked:
        tell(f"{done.cancelled} cancelled, {done.flagged} signed and flagged; the model is retired for good")
    if marked or again:
        tell(f"{done.planned_again} studies to be analysed again")
    if done.conflicts:
        tell(f"{done.conflicts} report(s) changed meanwhile; run it again")
