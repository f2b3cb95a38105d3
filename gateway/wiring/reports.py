"""Reports read, decided about, recalled and verified, and the way back to a patient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.wiring.exports import export_keys
from gateway.wiring.keys import all_keys
from gateway.wiring.storage import blobs, object_seal, vault

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.flow.read_reports import ReadReports
    from gateway.flow.recall import RecallModel
    from gateway.flow.reidentify import Reidentify
    from gateway.flow.review import ReviewReport
    from gateway.flow.verify_reviews import VerifyReviews
    from gateway.ports import Database


def read_reports(settings: Settings, opened: Database) -> ReadReports:
    from gateway.flow.read_reports import ReadReports

    return ReadReports(
        vault(settings, opened), blobs(settings), object_seal(settings, opened), settings.gateway.dicomweb_url
    )


def review(settings: Settings, opened: Database, reports: ReadReports | None = None) -> ReviewReport:
    """For the console and the FHIR endpoint: it signs, so it needs the identity ring."""
    from gateway.flow.review import ReviewReport
    from gateway.privacy.signing import Signer

    return ReviewReport(
        database=opened,
        reports=reports or read_reports(settings, opened),
        signer=Signer(all_keys(settings)),
        base_url=settings.fhir_base_url,
        organization_name=settings.gateway.organization,
        destinations=tuple(destination.name for destination in settings.destinations),
    )


def recall(settings: Settings, opened: Database) -> RecallModel:
    from gateway.flow.recall import RecallModel

    return RecallModel(opened, tuple(destination.name for destination in settings.destinations))


def verify_reviews(settings: Settings, opened: Database) -> VerifyReviews:
    from gateway.flow.verify_reviews import VerifyReviews
    from gateway.privacy.signing import public_keys, verified

    return VerifyReviews(
        database=opened,
        reports=read_reports(settings, opened),
        claims=lambda jws: verified(jws, public_keys(all_keys(settings).keys)),
        base_url=settings.fhir_base_url,
        organization_name=settings.gateway.organization,
    )


def reidentify(settings: Settings, opened: Database) -> Reidentify:
    """For the console and the command line."""
    from gateway.flow.reidentify import Reidentify

    most = settings.privacy.reidentifications_per_hour
    return Reidentify(opened, vault(settings, opened), export_keys(settings), most)
