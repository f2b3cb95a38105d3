"""A report version as blocks for a page: what is printed, in which order; how it looks is the printer's matter.

HTML (printed_report.py) and PDF (printed_pdf.py) print the same blocks, so neither says more than the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from gateway.domain.finding import Finding, ImageFinding, Label, RecordAnswer
from gateway.formats.fhir.dicom_date import fhir_date
from gateway.formats.fhir.element import instant
from gateway.formats.fhir.human_name import display_name
from gateway.formats.fhir.identifier import dicom_uid
from gateway.formats.fhir.standing import banners, signatures
from gateway.formats.fhir.text import line
from gateway.ports import ReportDocument

PRINTED_IMAGES = 50  # images with their own section; the conclusion covers all
_PNG = b"\x89PNG\r\n\x1a\n"
Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Block:
    """One thing on the page. `text` and `rows` are as they came from outside: a printer escapes them."""

    kind: Literal["title", "by", "frame", "rows", "heading", "text", "picture", "note"]
    text: str = ""
    rows: Rows = ()
    picture: bytes = field(default=b"", repr=False)


def report_page(document: ReportDocument, organization_name: str) -> Iterator[Block]:
    content = document.version.content
    about = "a patient's record" if document.study.kind == "record" else "an imaging study"
    yield Block("title", f"AI analysis of {about}")
    yield Block("by", organization_name)
    for text in banners(document):
        yield Block("frame", text)
    yield Block("rows", rows=tuple(_heading(document)))
    if content is None:
        return
    yield Block("heading", "Conclusion")
    yield Block("text", content.conclusion)
    for finding in content.findings:
        yield from _finding(finding, document)
    for item in content.not_analysed:
        yield Block("note", f"Not analysed by {line(item.model_title)} ({line(item.outcome)}): {item.reason}")


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
    yield from signatures(document)


def _finding(finding: Finding, document: ReportDocument) -> Iterator[Block]:
    decided, made_by = finding.decided, finding.made_by
    yield Block("heading", finding.question.display)
    rows = [("Answer", _decided(decided) if decided else _undecided(finding)), ("In words", finding.conclusion)]
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
    yield Block("rows", rows=(*rows, *(_of_record(finding.answer) if finding.answer else ())))
    for image in finding.images[:PRINTED_IMAGES]:
        yield from _image(image, document)
    if len(finding.images) > PRINTED_IMAGES:
        yield Block("note", f"{len(finding.images) - PRINTED_IMAGES} more images are not printed here.")


def _decided(label: Label) -> str:
    """In the words of the model; findings of before have a code alone, beside which its probability stood."""
    return line(label.answer) if label.title else f"{line(label.code.display)} (probability {label.probability:.2f})"


def _undecided(finding: Finding) -> str:
    """Rules without probabilities decide nothing and are not inconclusive either."""
    return "" if finding.answer is not None and not finding.answer.labels else "Inconclusive"


def _of_record(answer: RecordAnswer) -> Iterator[tuple[str, str]]:
    for label in answer.labels:
        yield line(label.probability_of), f"{label.probability:.4f}"
    yield "Explanation", answer.explanation
    for gene in answer.phenotypes:
        yield gene.gene, f"{gene.genotype}: {gene.phenotype}\n{gene.source}"
    for drug in answer.advice:
        yield drug.drug, f"{drug.text or 'No advice in the tables.'}\nCPIC level {drug.level}; {drug.source}"
    for one in answer.proposals:
        yield f"Proposal {one.rule}", f"{one.text}\n{one.guideline}\nBecause: {'; '.join(one.because)}\n{one.caution}"


def _image(image: ImageFinding, document: ReportDocument) -> Iterator[Block]:
    uid = dicom_uid(document.original_uids.get(image.sop_instance_uid, "")) or "unknown"
    rows = [("Image", uid)]
    rows += [(line(label.probability_of), f"{label.probability:.4f}") for label in image.labels]
    rows.append(("Not scored", image.refusal) if image.refusal else ("Explanation", image.explanation))
    yield Block("rows", rows=tuple(rows))
    png = document.pictures.get(image.heat_map) if image.heat_map else None
    if png and png.startswith(_PNG):
        yield Block("picture", picture=png)
