"""Research copies: studies chosen, written out, and the keys by which they can be led back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.wiring.keys import all_keys
from gateway.wiring.storage import blobs, object_seal, vault

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config import Settings
    from gateway.flow.choose_studies import ChooseStudies
    from gateway.flow.export_studies import ExportStudies
    from gateway.outlets.export_folder import ExportFolder
    from gateway.ports import Database
    from gateway.storage.export_keys import ExportKeys


def export_keys(settings: Settings) -> ExportKeys:
    from gateway.storage.export_keys import ExportKeys

    return ExportKeys(exports_folder(settings), all_keys(settings))


def exports_folder(settings: Settings) -> Path:
    """Where the sealed key tables of exports lie."""
    return settings.home / "exports"


def choose_studies(settings: Settings, opened: Database) -> ChooseStudies:
    from gateway.flow.choose_studies import ChooseStudies

    return ChooseStudies(opened, vault(settings, opened))


def export_folder(target: Path) -> ExportFolder:
    from gateway.outlets.export_folder import ExportFolder

    return ExportFolder(target)


def export_studies(settings: Settings, opened: Database) -> ExportStudies:
    from gateway.flow.export_studies import ExportStudies

    return ExportStudies(
        opened, blobs(settings), object_seal(settings, opened), vault(settings, opened), export_keys(settings)
    )
