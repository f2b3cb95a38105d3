"""From settings to ready objects: the only folder that names adapters.

Each name is imported when it is first asked for, so that a command or a role brings only what it uses. Each role of
the gateway is one blocking function (`serve_dicom`, `serve_web`, `sweep`); its `stop` ends it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gateway.wiring.exports import choose_studies as choose_studies
    from gateway.wiring.exports import export_folder as export_folder
    from gateway.wiring.exports import export_keys as export_keys
    from gateway.wiring.exports import export_studies as export_studies
    from gateway.wiring.fhir_store import file_reports as file_reports
    from gateway.wiring.fhir_store import forget_events as forget_events
    from gateway.wiring.fhir_store import forget_messages as forget_messages
    from gateway.wiring.fhir_store import record as record
    from gateway.wiring.fhir_store import reindex as reindex
    from gateway.wiring.fhir_store import send_notifications as send_notifications
    from gateway.wiring.fhir_store import settle_records as settle_records
    from gateway.wiring.governance import acceptance_asked as acceptance_asked
    from gateway.wiring.governance import acceptance_limits as acceptance_limits
    from gateway.wiring.governance import govern as govern
    from gateway.wiring.governance import read_month as read_month
    from gateway.wiring.governance import stop_by_rule as stop_by_rule
    from gateway.wiring.intake import check as check
    from gateway.wiring.intake import receive as receive
    from gateway.wiring.intake import serve_dicom as serve_dicom
    from gateway.wiring.jobs import bulk_files as bulk_files
    from gateway.wiring.jobs import clear_jobs as clear_jobs
    from gateway.wiring.jobs import run_jobs as run_jobs
    from gateway.wiring.keys import all_keys as all_keys
    from gateway.wiring.keys import audit_key as audit_key
    from gateway.wiring.keys import audit_keys as audit_keys
    from gateway.wiring.keys import key_ring as key_ring
    from gateway.wiring.keys import object_keys as object_keys
    from gateway.wiring.reports import read_reports as read_reports
    from gateway.wiring.reports import recall as recall
    from gateway.wiring.reports import reidentify as reidentify
    from gateway.wiring.reports import review as review
    from gateway.wiring.reports import verify_reviews as verify_reviews
    from gateway.wiring.sign_in import access as access
    from gateway.wiring.sign_in import key_set_fetch as key_set_fetch
    from gateway.wiring.sign_in import sign_in_elsewhere as sign_in_elsewhere
    from gateway.wiring.storage import anchor_file as anchor_file
    from gateway.wiring.storage import blobs as blobs
    from gateway.wiring.storage import database as database
    from gateway.wiring.storage import database_under as database_under
    from gateway.wiring.storage import migrate as migrate
    from gateway.wiring.storage import object_seal as object_seal
    from gateway.wiring.storage import schema_revisions as schema_revisions
    from gateway.wiring.storage import vault as vault
    from gateway.wiring.sweeper import outlet as outlet
    from gateway.wiring.sweeper import sweep as sweep
    from gateway.wiring.upkeep import erase_patient as erase_patient
    from gateway.wiring.upkeep import prove_keys as prove_keys
    from gateway.wiring.upkeep import rotate_kek as rotate_kek
    from gateway.wiring.upkeep import rotate_keys as rotate_keys
    from gateway.wiring.web import serve_web as serve_web

STOP_SECONDS: Final = 15.0  # for running work to end after SIGTERM
_PARTS: Final = {
    "keys": "key_ring object_keys all_keys audit_key audit_keys",
    "storage": "database database_under schema_revisions migrate blobs object_seal vault anchor_file",
    "upkeep": "prove_keys rotate_keys rotate_kek erase_patient",
    "reports": "read_reports review recall verify_reviews reidentify",
    "fhir_store": "record reindex settle_records file_reports send_notifications forget_events forget_messages",
    "jobs": "bulk_files run_jobs clear_jobs",
    "sign_in": "access key_set_fetch sign_in_elsewhere",
    "exports": "export_keys choose_studies export_folder export_studies",
    "governance": "acceptance_asked acceptance_limits govern read_month stop_by_rule",
    "intake": "receive check serve_dicom",
    "web": "serve_web",
    "sweeper": "sweep outlet",
}
_HOMES: Final = {name: part for part, names in _PARTS.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """As PEP 562 has it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found
