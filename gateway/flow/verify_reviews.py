"""Verifies the signatures of a report: each is by a key of this gateway, and over what the version still says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.domain.errors import GatewayError
from gateway.domain.ids import ReportId
from gateway.domain.review import Review
from gateway.flow.read_reports import ReadReports
from gateway.formats.fhir.render import render
from gateway.formats.fhir.signed_content import content_digest, signed_content
from gateway.ports import Database


@dataclass(frozen=True)
class Verification:
    """What was found about one review; `problem` is empty where all is well."""

    review: Review
    problem: str


@dataclass(frozen=True)
class VerifyReviews:
    """`claims` verifies a JWS and returns what it says."""

    database: Database
    reports: ReadReports
    claims: Callable[[str], dict[str, Any]]
    base_url: str
    organization_name: str

    def __call__(self, report_id: ReportId, actor: str) -> list[Verification]:
        """Identity is opened for it, and audited. A rendering that a later release changed verifies no more."""
        with self.database.begin(actor) as unit:
            report = unit.reports.get(report_id)
            found = []
            for review in unit.reviews.of_report(report_id):
                document = self.reports.open(
                    unit, report, purpose="sign", actor=actor, version=review.version, pictures=False
                )
                digest = content_digest(signed_content(render(document, self.base_url, self.organization_name)))
                found.append(Verification(review, self._problem(review, digest)))
            unit.commit()
        return found

    def _problem(self, review: Review, digest: str) -> str:
        try:
            said = self.claims(review.signature)
        except GatewayError as error:
            return str(error)
        named = (said.get("report"), said.get("version"), said.get("outcome"))
        if named != (review.report_id, review.version, review.outcome):
            return "the signature is for another decision"
        return "" if said.get("content_sha256") == digest else "the content is not what was signed"
