"""Six patients in six scripts and five character sets, and objects that carry them wherever DICOM has a place.

Each word is unlikely enough to be searched for in whole files. The burned-in text is the Latin writing and the
numbers, which is what scanners draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from harness.ultrasound import COLUMNS, ROWS, Word, glyphs, ultrasound
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian, UltrasoundImageStorage, generate_uid


@dataclass(frozen=True)
class Patient:
    """`name` in up to three component groups (PS3.5 6.2.1); `codec` is Python's for the character set."""

    script: str
    name: str
    patient_id: str
    accession: str
    phone: str
    charset: tuple[str, ...]
    codec: str
    drawn: str

    @property
    def words(self) -> tuple[str, ...]:
        """What must be found nowhere: the parts of the name and the numbers."""
        parts = [part for group in self.name.split("=") for part in group.split("^")]
        return (*parts, self.patient_id, self.accession, self.phone)

    @property
    def burned(self) -> tuple[Word, ...]:
        return ((18, 12, self.drawn), (18, 40, self.accession), (18, 68, "1951-03-17"))


BORN = "19510317"
PATIENTS = (
    Patient(
        "Latin", "Přikrylová-Ståhlbäck^Žofřenka", "ŽP-7718201-Ň", "ACCLAT7718201", "+420 555 771820",
        ("ISO_IR 192",), "utf-8", "PRIKRYLOVA ZOFRENKA",
    ),
    Patient(
        "Cyrillic", "Щукинский^Святополк^Елпидифорович", "КАРТА-44390012", "ACCRUS4439001", "+7 555 4439001",
        ("ISO_IR 144",), "iso8859_5", "SHCHUKINSKIY SVYATOPOLK",
    ),
    Patient(
        "Greek", "Παπαξενόπουλος^Ξενοφών", "ΦΑΚΕΛΟΣ-33127719", "ACCGRE3312771", "+30 555 3312771",
        ("ISO_IR 126",), "iso8859_7", "PAPAXENOPOULOS XENOFON",
    ),
    Patient(
        "Arabic", "محفوظيان^عبدالقيوم", "ملفطبي-90112345", "ACCARA9011234", "+20 555 9011234",
        ("ISO_IR 127",), "iso8859_6", "MAHFOUZIAN ABDELQAYYUM",
    ),
    Patient(
        "Chinese", "Ouyangxiu^Nanashan=欧阳修^娜娜珊", "病历号码-88127733", "ACCCHN8812773", "+86 555 8812773",
        ("GB18030",), "gb18030", "OUYANGXIU NANASHAN",
    ),
    Patient(
        "Japanese", "Kisaragidani^Chizuruko=如月谷^千鶴子=きさらぎだに^ちづるこ", "JP-60778812-Q", "ACCJPN6077881",
        "+81 555 6077881", ("", "ISO 2022 IR 87"), "iso2022_jp", "KISARAGIDANI CHIZURUKO",
    ),
)  # fmt: skip

NAMES = (
    "PatientName", "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "ResponsiblePerson",
    "NameOfPhysiciansReadingStudy", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName",
)  # fmt: skip
TEXTS = (
    "StudyDescription", "SeriesDescription", "ProtocolName", "ImageComments", "PatientComments", "MedicalAlerts",
    "AdditionalPatientHistory", "InstitutionName", "InstitutionAddress", "StationName", "DerivationDescription",
    "RequestedProcedureDescription", "PatientAddress", "AdmittingDiagnosesDescription", "DeviceSerialNumber",
    "Occupation",
)  # fmt: skip
SHORT = frozenset({"StationName", "Occupation"})  # SH: 16 characters


def objects(patient: Patient) -> list[Dataset]:
    """One ultrasound image and one structured report of one study."""
    first, second = image(patient), report(patient)
    second.StudyInstanceUID = first.StudyInstanceUID
    return [first, second]


def image(patient: Patient) -> Dataset:
    """A frame with the name burned in, drawn again as an overlay plane, and written about in every corner."""
    made = _of(patient, UltrasoundImageStorage, "US")
    made.ImageType = ["ORIGINAL", "PRIMARY"]
    made.BodyPartExamined = "BREAST"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = ROWS, COLUMNS
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    made.PixelData = ultrasound(patient.burned).tobytes()
    _add_overlay(made, patient)
    return made


def report(patient: Patient) -> Dataset:
    """PS3.3 C.17.3: text, person names and a nested container that name the patient."""
    made = _of(patient, ComprehensiveSRStorage, "SR")
    made.ValueType, made.ContinuityOfContent = "CONTAINER", "SEPARATE"
    made.CompletionFlag, made.VerificationFlag = "COMPLETE", "VERIFIED"
    made.ConceptNameCodeSequence = Sequence([_code("18748-4", "LN", "Diagnostic imaging report")])
    made.VerifyingObserverName = patient.name
    said, who, inner = _item("TEXT"), _item("PNAME"), _item("CONTAINER")
    said.TextValue = f"Findings of {patient.name}, {patient.patient_id}, call {patient.phone}"
    who.PersonName = patient.name
    again = _item("TEXT")
    again.TextValue = f"Conclusion for {patient.name}"
    inner.ContinuityOfContent = "SEPARATE"
    inner.ContentSequence = Sequence([again])
    made.ContentSequence = Sequence([said, who, inner])
    return made


def _of(patient: Patient, sop_class: str, modality: str) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = sop_class
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.InstanceNumber = made.SeriesNumber = 1
    made.SpecificCharacterSet = list(patient.charset)
    made.PatientID, made.AccessionNumber = patient.patient_id, patient.accession
    made.IssuerOfPatientID = "HOSPITAL"
    made.PatientBirthDate, made.PatientSex, made.StudyDate, made.StudyTime = BORN, "F", "20260102", "101112"
    made.StudyID, made.PatientTelephoneNumbers, made.Modality = patient.accession, patient.phone, modality
    made.ReasonForStudy = f"asked for by {patient.name}"  # retired, still sent
    _describe(made, patient)
    made.OtherPatientIDsSequence = Sequence([_other_id(patient)])
    made.RequestAttributesSequence = Sequence([_nested(patient, 3)])
    made.ReferencedStudySequence = Sequence([_nested(patient, 2)])  # where no such attributes belong
    _add_private(made, patient)
    return made


def _describe(place: Dataset, patient: Patient) -> None:
    for keyword in NAMES:
        setattr(place, keyword, patient.name)
    for keyword in TEXTS:
        part = patient.words[0]
        setattr(place, keyword, part[:16] if keyword in SHORT else f"{part} {patient.patient_id}")


def _nested(patient: Patient, depth: int) -> Dataset:
    made = Dataset()
    _describe(made, patient)
    made.RequestedProcedureID = patient.accession
    _add_private(made, patient)
    if depth > 1:
        made.RequestedProcedureCodeSequence = Sequence([_nested(patient, depth - 1)])
    return made


def _other_id(patient: Patient) -> Dataset:
    made = Dataset()
    made.PatientID, made.TypeOfPatientID = patient.patient_id, "TEXT"
    return made


def _add_private(place: Dataset, patient: Patient) -> None:
    """Texts, a sequence, and bytes whose VR nobody knows: in the object's character set and in others."""
    block = place.private_block(0x0009, "ACME 1.1", create=True)
    block.add_new(0x01, "LO", patient.words[0])
    block.add_new(0x02, "PN", patient.name)
    block.add_new(0x03, "UN", f"{patient.name}|{patient.patient_id}".encode(patient.codec))
    block.add_new(0x04, "OB", f"{patient.name}|{patient.patient_id}".encode("utf-16-le"))
    inner = Dataset()
    inner.PatientName, inner.PatientID = patient.name, patient.patient_id
    block.add_new(0x05, "SQ", Sequence([inner]))


def _add_overlay(made: Dataset, patient: Patient) -> None:
    """PS3.3 C.9.2: a plane of one bit for each pixel, with its texts."""
    drawn = glyphs([(300, 300, patient.drawn)])
    made.add_new(0x60000010, "US", ROWS)
    made.add_new(0x60000011, "US", COLUMNS)
    made.add_new(0x60000022, "LO", patient.words[0])
    made.add_new(0x60000040, "CS", "G")
    made.add_new(0x60000050, "SS", [1, 1])
    made.add_new(0x60000100, "US", 1)
    made.add_new(0x60000102, "US", 0)
    made.add_new(0x60001500, "LO", patient.patient_id)
    made.add_new(0x60003000, "OW", np.packbits(drawn, bitorder="little").tobytes())


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, scheme, meaning
    return made


def _item(kind: str) -> Dataset:
    made = Dataset()
    made.RelationshipType, made.ValueType = "CONTAINS", kind
    made.ConceptNameCodeSequence = Sequence([_code("121071", "DCM", "Finding")])
    return made
