"""What is done to all that is kept: keys proved and rotated, a patient erased."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.privacy.providers.choose import provider_for
from gateway.storage.database import SqlDatabase
from gateway.wiring.exports import exports_folder
from gateway.wiring.keys import audit_key
from gateway.wiring.storage import anchor_file, blobs, database, database_under, object_seal, vault

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.flow.erase import ErasePatient
    from gateway.flow.prove_keys import ProveKeys
    from gateway.flow.rotate_keys import RotateKeys
    from gateway.privacy.keyring import KeyRing
    from gateway.privacy.providers.choose import Kind


def prove_keys(settings: Settings, ring: KeyRing) -> ProveKeys:
    from gateway.flow.prove_keys import ProveKeys
    from gateway.storage.audit_verify import last_row_opens

    opened = database_under(settings, ring)
    return ProveKeys(opened, lambda ring: last_row_opens(opened, ring.keys))


def rotate_keys(settings: Settings) -> RotateKeys:
    from gateway.flow.count_deposits import count_deposits
    from gateway.flow.rotate_keys import RotateKeys
    from gateway.storage.export_keys import ExportTables

    opened = database(settings)
    return RotateKeys(
        opened,
        settings.key_folder,
        lambda name: provider_for(settings.keys, name),
        anchors=lambda: anchor_file(settings).counts(),
        deposits=lambda: count_deposits(opened, blobs(settings), object_seal(settings, opened)),
        tables=ExportTables(exports_folder(settings)),
    )


def rotate_kek(settings: Settings, actor: str, moved_from: Kind | None) -> dict[str, str]:
    """The KEK id of each ring. `moved_from` is the provider that wraps them until now, where it is another."""
    from gateway.flow import rotate_keys as flow

    return flow.rotate_kek(
        SqlDatabase(settings.database_url, lambda: audit_key(settings), pool_size=1),  # asked when the rings are moved
        settings.key_folder,
        lambda name: provider_for(settings.keys, name),
        actor,
        moved_from and (lambda name: provider_for(settings.keys, name, moved_from)),
    )


def erase_patient(settings: Settings) -> ErasePatient:
    from gateway.flow.erase import ErasePatient
    from gateway.storage.scrub import scrub

    opened = database(settings)
    of_patients = vault(settings, opened)
    return ErasePatient(opened, blobs(settings), lambda: scrub(opened), house=lambda: of_patients.house().pseudonym)
