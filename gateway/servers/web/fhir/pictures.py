"""Heat maps of a report version, opened after the reading unit of work has ended.

They are de-identified and sealed under the patient's object key; without them a report is tagged SUBSETTED.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.domain.ids import BlobKey
from gateway.domain.report import ReportVersion
from gateway.flow.read_reports import OpenedReport
from gateway.formats.fhir.printed_report import PRINTED_IMAGES
from gateway.servers.web.services import WebServices

MAX_PICTURES = 4 * PRINTED_IMAGES  # in one answer


def picture_keys(version: ReportVersion) -> list[BlobKey]:
    findings = version.content.findings if version.content else ()
    return [image.heat_map for finding in findings for image in finding.images if image.heat_map]


def with_pictures(services: WebServices, document: OpenedReport) -> OpenedReport:
    """The same document with its heat maps, unless it has more than an answer can hold."""
    keys = picture_keys(document.version)
    if not keys or len(keys) > MAX_PICTURES:
        return document
    reports = services.reports
    opened: dict[str, bytes] = {}
    for key in keys:
        opened[key] = reports.seal.open(document.study.patient, key, reports.blobs.get(key))
    return replace(document, pictures=opened)
