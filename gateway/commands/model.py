"""`dxgate model list|promote|retire|rollback`: which versions workers have announced, and what each may do.

A package that a worker has verified is a draft where models.activate_signed is off: a person decides, and the
audit trail names that person.
"""

from __future__ import annotations

import argparse
from typing import Literal

from gateway.commands.output import actor, print_rows, row_of, tell
from gateway.config import LoadedSettings
from gateway.domain.errors import Conflict, Missing
from gateway.domain.model import ServedModel

COLUMNS = ("name", "version", "state", "sha256", "provider", "announced_at")


def list_models(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from gateway import wiring

    with wiring.database(loaded.settings).read() as unit:
        rows = [row_of(model) for model in unit.models.all()]
    print_rows(rows, COLUMNS, as_json=arguments.json)
    return 0


def activate(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from gateway import wiring

    with wiring.database(loaded.settings).begin(actor()) as unit:
        model = chosen(unit.models.all(), arguments.name, arguments.version, arguments.sha256)
        if not unit.models.activate(model.id):
            raise Conflict(f"{model.name} {model.version} is active already")
        unit.commit()
    tell(f"{model.name} {model.version} ({model.sha256[:12]}) is active")
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
    from gateway import wiring

    with wiring.database(loaded.settings).begin(actor()) as unit:
        model = unit.models.previous(arguments.name)
        unit.models.activate(model.id)
        unit.commit()
    tell(f"{model.name} {model.version} ({model.sha256[:12]}) is active again")
    return 0


def _decide(loaded: LoadedSettings, arguments: argparse.Namespace, state: Literal["shadow", "retired"]) -> int:
    from gateway import wiring

    with wiring.database(loaded.settings).begin(actor()) as unit:
        model = chosen(unit.models.all(), arguments.name, arguments.version, arguments.sha256)
        if not unit.models.decide(model.id, state):
            raise Conflict(f"{model.name} {model.version} is {state} already")
        unit.commit()
    tell(f"{model.name} {model.version} ({model.sha256[:12]}) is {state}")
    return 0


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
