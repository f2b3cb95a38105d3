"""The report as one HTML page for people: no script, no link to anything outside, heat maps as data URIs.

It is what an EHR shows from DiagnosticReport.presentedForm. Everything that came from outside is escaped, and
a content security policy in the page forbids what escaping might miss.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from html import escape

from gateway.domain.finding import Finding, ImageFinding, RecordAnswer
from gateway.domain.report import NotAnalysed
from gateway.formats.fhir.dicom_date import fhir_date
from gateway.formats.fhir.element import instant
from gateway.formats.fhir.human_name import display_name
from gateway.formats.fhir.identifier import dicom_uid
from gateway.formats.fhir.text import line, paragraphs
from gateway.ports import ReportDocument

PRINTED_IMAGES = 50  # images with their own section; the conclusion covers all
_PNG = b"\x89PNG\r\n\x1a\n"
_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>AI analysis</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>body{font:14px/1.45 sans-serif;color:#111;max-width:52rem;margin:1rem auto;padding:0 1rem}
.mark{border:2px solid #a40000;color:#a40000;padding:.4rem .6rem;font-weight:bold}
table{border-collapse:collapse;margin:0 0 1rem}th{min-width:11rem}
th,td{text-align:left;vertical-align:top;padding:.1rem .8rem .1rem 0}
th{font-weight:normal;color:#555}td{overflow-wrap:anywhere}</style></head><body>
"""


def printed_report(document: ReportDocument, organization_name: str, unsigned: str) -> str:
    """The page; `unsigned` is the warning shown while nobody has signed."""
    content = document.version.content
    parts = [_HEAD, f"<h1>{_title(document)}</h1>\n<p>{_text(organization_name)}</p>\n"]
    if document.version.status == "preliminary":
        parts.append(f'<p class="mark">{_text(unsigned)}</p>\n')
    parts.append(_rows(_heading(document)))
    if content is not None:
        parts.append(f"<h2>Conclusion</h2>\n<p>{_block(content.conclusion)}</p>\n")
        for finding in content.findings:
            parts.extend(_finding(finding, document))
        parts.extend(_not_analysed(item) for item in content.not_analysed)
    return "".join([*parts, "</body></html>\n"])


def _undecided(finding: Finding) -> str:
    """Rules without probabilities decide nothing and are not inconclusive either."""
    return "" if finding.answer is not None and not finding.answer.labels else "Inconclusive"


def _title(document: ReportDocument) -> str:
    about = "a patient's record" if document.study.kind == "record" else "an imaging study"
    return f"AI analysis of {about}"


def _heading(document: ReportDocument) -> Iterator[tuple[str, str]]:
    identity, version = document.identity, document.version
    yield "Patient", display_name(identity.patient_name)
    yield "Patient ID", identity.patient_id
    yield "Born", fhir_date(identity.birth_date) or ""
    yield "Accession number", identity.accession_number
    yield "Study date", fhir_date(identity.study_date) or ""
    yield "Study", identity.study_description
    yield "Study Instance UID", identity.study_instance_uid
    yield "Report", f"{version.report_id}, version {version.version}, {version.status}"
    yield "Issued", instant(version.created_at)


def _finding(finding: Finding, document: ReportDocument) -> Iterator[str]:
    decided, made_by = finding.decided, finding.made_by
    yield f"<h2>{_text(finding.question.display)}</h2>\n"
    answer = f"{line(decided.code.display)} (probability {decided.probability:.2f})" if decided else _undecided(finding)
    rows = [("Answer", answer), ("In words", finding.conclusion)]
    if finding.threshold is not None:
        rows.append(("Decision threshold", f"{finding.threshold:.4f}"))
    model = document.models.get(made_by.model_id)
    rows += [
        ("Model", f"{model.title if model else made_by.model_name} ({made_by.model_name})"),
        ("Version", made_by.model_version),
        ("Model SHA-256", made_by.model_sha256),
        ("Run on", f"{made_by.provider}, {made_by.runtime}"),
        ("Analysed", instant(finding.created_at)),
        ("Intended use", model.intended_use if model else ""),
    ]
    yield _rows([*rows, *(_of_record(finding.answer) if finding.answer else ())])
    for image in finding.images[:PRINTED_IMAGES]:
        yield _image(image, document)
    if len(finding.images) > PRINTED_IMAGES:
        yield f"<p>{len(finding.images) - PRINTED_IMAGES} more images are not printed here.</p>\n"


def _of_record(answer: RecordAnswer) -> Iterator[tuple[str, str]]:
    for label in answer.labels:
        yield f"Probability of {line(label.code.display)}", f"{label.probability:.4f}"
    yield "Explanation", answer.explanation
    for gene in answer.phenotypes:
        yield gene.gene, f"{gene.genotype}: {gene.phenotype}\n{gene.source}"
    for drug in answer.advice:
        yield drug.drug, f"{drug.text or 'No advice in the tables.'}\nCPIC level {drug.level}; {drug.source}"
    for one in answer.proposals:
        yield f"Proposal {one.rule}", f"{one.text}\n{one.guideline}\nBecause: {'; '.join(one.because)}\n{one.caution}"


def _image(image: ImageFinding, document: ReportDocument) -> str:
    uid = dicom_uid(document.original_uids.get(image.sop_instance_uid, "")) or "unknown"
    rows = [("Image", uid)]
    rows += [(f"Probability of {line(label.code.display)}", f"{label.probability:.4f}") for label in image.labels]
    rows.append(("Not scored", image.refusal) if image.refusal else ("Explanation", image.explanation))
    return _rows(rows) + _picture(document.pictures.get(image.heat_map) if image.heat_map else None)


def _picture(png: bytes | None) -> str:
    if not png or not png.startswith(_PNG):
        return ""
    address = "data:image/png;base64," + b64encode(png).decode("ascii")
    return f'<p><img alt="Heat map: what the model used" src="{address}"></p>\n'


def _not_analysed(item: NotAnalysed) -> str:
    return f"<p>Not analysed by {_text(item.model_title)} ({_text(item.outcome)}): {_block(item.reason)}</p>\n"


def _rows(pairs: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><th>{_text(name)}</th><td>{_block(value)}</td></tr>\n" for name, value in pairs if value)
    return f"<table>\n{rows}</table>\n"


def _text(value: str) -> str:
    return escape(line(value), quote=True)


def _block(value: str) -> str:
    return escape(paragraphs(value, 8192), quote=True).replace("\n", "<br>")
