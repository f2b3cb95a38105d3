"""`dxgate model list|promote|retire|rollback|stop|resume`: which versions workers have announced, and what each may do.

A package that a worker has verified is a draft where models.activate_signed is off: a person decides, and the
audit trail names that person.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Literal

from gateway.commands.output import actor, print_rows, row_of, tell
from gateway.config import LoadedSettings
from gateway.domain.acceptance import Acceptance
from gateway.domain.errors import Conflict, Missing
from gateway.domain.model import ServedModel

if TYPE_CHECKING:
    from gateway.flow.govern import GovernModels

COLUMNS = (
    "name",
    "version",
    "state",
    "sha256",
    "provider",
    "announced_at",
    "stopped",
    "waiting",
    "approved_by",
    "acceptance",
)


def list_models(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from gateway import wiring

    with wiring.database(loaded.settings).read() as unit:
        stops = {each.model_id: each.reason for each in unit.governance.stops()}
        approvals = {each.model_id: each.by for each in unit.governance.approvals()}
        waiting = unit.governance.waiting()
        rows = [
            row_of(model)
            | {
                "stopped": stops.get(model.id),
                "waiting": waiting.get(model.id, 0),
                "approved_by": approvals.get(model.id),
                "acceptance": _accepted(unit.governance.acceptances(model, 1)),
            }
            for model in unit.models.all()
        ]
    print_rows(rows, COLUMNS, as_json=arguments.json)
    return 0


def _accepted(runs: list[Acceptance]) -> str | None:
    """The newest run of exactly this digest."""
    return f"{runs[0].verdict} {runs[0].at:%Y-%m-%d} by {runs[0].by}" if runs else None


def activate(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """Where models.approvals is 2, the first person's word is kept, and the second one's makes it active."""
    model = _chosen(loaded, arguments)
    waiting = _govern(loaded).promote(model.id, actor())
    if waiting is not None:
        tell(f"{_named(model)} is approved by {waiting.by}; it is active when a second person promotes it")
        return 0
    tell(f"{_named(model)} is active")
    return 0


def stop(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """Nothing is run with it from now on; what waits for it stays in sight."""
    model = _chosen(loaded, arguments)
    count = _govern(loaded).stop(model.id, arguments.reason, actor())
    tell(f"{_named(model)} is stopped; {count} task(s) wait: `dxgate model resume`, or `dxgate recall --mark`")
    return 0


def resume(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    model = _chosen(loaded, arguments)
    count = _govern(loaded).resume(model.id, actor())
    tell(f"{_named(model)} goes on; {count} task(s) waited")
    return 0


def promote(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """To `shadow` (runs, its findings are kept and not reported) or to `active`."""
    if arguments.to == "active":
        return activate(loaded, arguments)
    return _decide(loaded, arguments, "shadow")


def retire(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    return _decide(loaded, arguments, "retired")


def rollback(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """The version that was active before takes the place of the one that is."""
    model = _govern(loaded).rollback(arguments.name, actor())
    tell(f"{_named(model)} is active again")
    return 0


def _decide(loaded: LoadedSettings, arguments: argparse.Namespace, state: Literal["shadow", "retired"]) -> int:
    from gateway import wiring

    with wiring.database(loaded.settings).begin(actor()) as unit:
        model = chosen(unit.models.all(), arguments.name, arguments.version, arguments.sha256)
        if not unit.models.decide(model.id, state):
            raise Conflict(f"{model.name} {model.version} is {state} already")
        unit.governance.withdraw_approval(model.id)
        unit.commit()
    tell(f"{model.name} {model.version} ({model.sha256[:12]}) is {state}")
    return 0


def _govern(loaded: LoadedSettings) -> GovernModels:
    from gateway import wiring

    return wiring.govern(loaded.settings, wiring.database(loaded.settings))


def _chosen(loaded: LoadedSettings, arguments: argparse.Namespace) -> ServedModel:
    from gateway import wiring

    with wiring.database(loaded.settings).read() as unit:
        return chosen(unit.models.all(), arguments.name, arguments.version, arguments.sha256)


def _named(model: ServedModel) -> str:
    return f"{model.name} {model.version} ({model.sha256[:12]})"


def chosen(known: list[ServedModel], name: str, version: str, sha256: str) -> ServedModel:
    """Missing where no announced model fits; Conflict where the digest has to decide between two."""
    found = [
        model for model in known if (model.name, model.version) == (name, version) and model.sha256.startswith(sha256)
    ]
    if not found:
        raise Missing("no worker has announced such a model; `dxgate model list` names those that are known")
    if len(found) > 1:
        raise Conflict("two packages have this name and version; say which with --sha256")
    return found[0]
