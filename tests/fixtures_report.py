"""Opened report versions for tests: what the flow hands to an encoder, in every shape it takes."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from datetime import UTC, datetime

from gateway.domain.finding import Code, Finding, ImageFinding, Label, Provenance
from gateway.domain.identity import StudyIdentity
from gateway.domain.ids import BlobKey, FindingId, InstanceId, ModelId, Pseudonym, StudyId, TaskId, derive_id
from gateway.domain.model import AppliesTo, ServedModel
from gateway.domain.report import NotAnalysed, Report, ReportContent, ReportVersion, report_id
from gateway.domain.study import Instance, Study
from gateway.flow.read_reports import OpenedReport

AT = datetime(2026, 11, 3, 9, 30, 15, 250000, tzinfo=UTC)
STUDY = StudyId(derive_id("study", "sample"))
MODEL = ModelId(derive_id("model", "breast-ultrasound", "1.0.0"))
HEAT_MAP = BlobKey("heat/0001")
ORIGINAL_STUDY_UID = "1.2.826.0.1.3680043.8.498.77182"
SCT = "http://snomed.info/sct"

IDENTITIES = {
    "english": ("Quillfeather^Zebulon^Xavier^Dr^Jr", "MRN-7718201", "1.2.36.146.595.217.0.1", "M"),
    "german": ("Überkühn^Jörgß", "KH-5520199", "Städtisches Klinikum", "F"),
    "chinese": ("Ouyang^Nana=欧阳^娜娜", "病历-88127733", "https://hospital.example/mrn", "F"),
    "japanese": ("Yamada^Tarou=山田^太郎=やまだ^たろう", "JP-000417", "", "M"),
}
CARD = "# Breast ultrasound\n\nA card in markdown, with ümlauts.\n"


def png(grey: int = 128) -> bytes:
    """A valid PNG of one grey pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes([0, grey]))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def code(value: str, display: str) -> Code:
    return Code(SCT, "SCT", value, display)


BENIGN = code("30807003", "Benign neoplasm of breast")
MALIGNANT = code("254837009", "Malignant neoplasm of breast")
QUESTION = code("126926005", "Neoplasm of breast")


def identity(name: str = "english") -> StudyIdentity:
    person, patient_id, issuer, sex = IDENTITIES[name]
    return StudyIdentity(
        patient_id=patient_id,
        issuer_of_patient_id=issuer,
        patient_name=person,
        birth_date="19510317",
        sex=sex,
        study_instance_uid=ORIGINAL_STUDY_UID,
        accession_number="ACC-2026-0042",
        study_date="20261103",
        study_time="091500",
        study_id="S1",
        study_description="Breast ultrasound, left",
        referring_physician="Referrer^Rita",
        institution="General Hospital",
    )


def instances() -> list[Instance]:
    return [
        Instance(
            id=InstanceId(derive_id("instance", str(number))),
            study_id=STUDY,
            series_uid="2.25.500",
            sop_instance_uid=f"2.25.60{number}",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.6.1",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            modality="US",
            blob_key=BlobKey(f"object/{number}"),
            size=4096,
            digest=bytes([number]) * 32,
            header={"BodyPartExamined": "BREAST", "SeriesNumber": 1, "InstanceNumber": number},
            received_at=AT,
            received_from="MODALITY",
        )
        for number in (1, 2)
    ]


ORIGINAL_UIDS = {
    "2.25.500": "1.2.826.0.1.3680043.8.498.500",
    "2.25.601": "1.2.826.0.1.3680043.8.498.601",
    "2.25.602": "1.2.826.0.1.3680043.8.498.602",
}


def study() -> Study:
    return Study(
        id=STUDY,
        study_uid="2.25.4711",
        patient=Pseudonym(derive_id("patient", "sample")),
        state="reported",
        revision=1,
        priority="routine",
        modalities=("US",),
        body_parts=("BREAST",),
        instance_count=2,
        expected_count=None,
        first_received_at=AT,
        last_received_at=AT,
        settle_at=AT,
        settled_by="quiet-time",
        study_date="20261105",
    )


def model(card: str = CARD) -> ServedModel:
    return ServedModel(
        id=MODEL,
        name="breast-ultrasound",
        version="1.0.0",
        sha256="ab" * 32,
        title="Breast lesion on ultrasound",
        intended_use="Second reading of focused breast ultrasound in adults.",
        applies_to=AppliesTo(("US",), ("BREAST",)),
        card_sha256="cd" * 32,
        card=card,
        provider="CPUExecutionProvider",
        state="active",
        announced_at=AT,
    )


def finding(decided: Label | None, probability: float, heat_map: BlobKey | None = None) -> Finding:
    labels = (Label("benign", BENIGN, 1 - probability), Label("malignant", MALIGNANT, probability))
    said = f"{decided.code.display}." if decided else "Inconclusive, refer to a physician."
    return Finding(
        id=FindingId(derive_id("finding", str(probability))),
        task_id=TaskId(derive_id("task", "sample")),
        study_id=STUDY,
        revision=1,
        question=QUESTION,
        decided=decided,
        conclusion=f'{said} Probability of "malignant": {probability:.2f}.',
        threshold=0.4375,
        images=(
            ImageFinding(
                sop_instance_uid="2.25.601",
                labels=labels,
                decided=decided.name if decided else None,
                explanation="What speaks most for it lies in rows 40 to 96 of 480.",
                heat_map=heat_map,
            ),
            ImageFinding("2.25.602", (), None, "", None, "contrast", "Not scored: the picture is empty."),
        ),
        made_by=Provenance(
            model_id=MODEL,
            model_name="breast-ultrasound",
            model_version="1.0.0",
            model_sha256="ab" * 32,
            provider="CPUExecutionProvider",
            runtime="onnxruntime 1.24.1",
            worker="worker-1",
            input_digests=("01" * 32, "02" * 32),
        ),
        created_at=AT,
    )


def opened(
    content: ReportContent | None,
    status: str = "preliminary",
    *,
    version: int = 1,
    who: str = "english",
    pictures: dict[str, bytes] | None = None,
) -> OpenedReport:
    number = report_id(STUDY)
    return OpenedReport(
        report=Report(number, STUDY, status, version, AT, AT),
        version=ReportVersion(number, version, status, 1, AT, content),
        study=study(),
        instances=instances(),
        identity=identity(who),
        models={MODEL: model()},
        original_uids=ORIGINAL_UIDS,
        pictures=pictures or {},
    )


def benign(who: str = "english") -> OpenedReport:
    found = finding(Label("benign", BENIGN, 0.9688), 0.0312)
    return opened(ReportContent((found,), (), found.conclusion), who=who)


def malignant(who: str = "english", status: str = "preliminary", version: int = 1) -> OpenedReport:
    found = finding(Label("malignant", MALIGNANT, 0.8731), 0.8731, HEAT_MAP)
    content = ReportContent((found,), (), found.conclusion)
    return opened(content, status, version=version, who=who, pictures={HEAT_MAP: png()})


def inconclusive(who: str = "english") -> OpenedReport:
    found = finding(None, 0.45)
    return opened(ReportContent((found,), (), found.conclusion), who=who)


def refused(who: str = "english") -> OpenedReport:
    missed = NotAnalysed(MODEL, "Breast lesion on ultrasound", "refused", "the study has no breast image")
    said = "No model could analyse this study.\nBreast lesion on ultrasound: not analysed (refused)"
    return opened(ReportContent((), (missed,), said), "cancelled", who=who)


def registered(who: str = "english") -> OpenedReport:
    return opened(None, "registered", version=0, who=who)


def hostile(text: str = "<script>alert(1)</script>\x00\x1b[31m\u202e\ud800\"'&") -> OpenedReport:
    """A malignant report in which every text from outside is `text`."""
    report = malignant()
    texts = {field.name: text for field in dataclasses.fields(report.identity)}
    return dataclasses.replace(report, identity=StudyIdentity(**texts))


SAMPLES = {
    "benign": benign,
    "malignant": malignant,
    "inconclusive": inconclusive,
    "refused": refused,
    "registered": registered,
}
