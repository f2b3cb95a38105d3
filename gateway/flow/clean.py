"""clean: one data set as it came in, de-identified for inference, with its identity sealed for the vault.

The place where the receive step meets the privacy room: engine, pseudonyms and vault are used here and the flow
sees only what is clean or sealed.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain.ids import InstanceId, Pseudonym
from gateway.flow.receive import Buffer, CleanedObject
from gateway.privacy.engine import Deidentified, deidentify
from gateway.privacy.instance_header import InstanceHeader
from gateway.privacy.pseudonyms import IdentityKey, Pseudonymiser
from gateway.privacy.rules import Rules
from gateway.privacy.vault import Vault


@dataclass(frozen=True)
class CleanInstance:
    """Implements the Cleaner of the receive step under one compiled profile."""

    vault: Vault
    rules: Rules

    def __call__(self, dataset: Buffer, transfer_syntax_uid: str, instance_id: InstanceId) -> CleanedObject:
        cleaned = deidentify(dataset, transfer_syntax_uid, self.rules, self._pseudonymiser)
        patient = self.vault.patient(cleaned.key)
        header, identity = cleaned.header, cleaned.identity
        return CleanedObject(
            parts=cleaned.parts,
            patient=Pseudonym(patient.pseudonym),
            study_uid=header.study_instance_uid,
            series_uid=header.series_instance_uid,
            sop_instance_uid=header.sop_instance_uid,
            original_sop_instance_uid=identity.sop_instance_uid,
            original_sop_class_uid=header.sop_class_uid,
            modality=header.modality,
            body_part=header.body_part_examined,
            study_date=header.study_date or None,
            requested_priority=header.requested_procedure_priority,
            expected_count=header.number_of_study_related_instances,
            header=_by_keyword(header),
            deidentification=cleaned.record,
            accession_index=self._accession_index(cleaned),
            study_uid_index=self.vault.search_index("study-uid", identity.study_instance_uid),
            sealed_study_identity=self.vault.seal_study(patient, header.study_instance_uid, identity),
            sealed_original_header=self.vault.seal_instance(patient, instance_id, identity, cleaned.removed),
        )

    def forget(self, patient: Pseudonym) -> None:
        self.vault.forget(patient)

    def _pseudonymiser(self, key: IdentityKey) -> Pseudonymiser:
        return self.vault.patient(key).pseudonymiser

    def _accession_index(self, cleaned: Deidentified) -> bytes | None:
        number = cleaned.identity.accession_number
        return self.vault.search_index("accession", number) if number else None


def _by_keyword(header: InstanceHeader) -> dict[str, str | int | None]:
    """The de-identified attributes that models and reports ask for, by DICOM keyword."""
    return {
        "BodyPartExamined": header.body_part_examined,
        "Laterality": header.laterality,
        "ViewPosition": header.view_position,
        "PhotometricInterpretation": header.photometric_interpretation,
        "Manufacturer": header.manufacturer,
        "ManufacturerModelName": header.manufacturer_model_name,
        "PatientSex": header.patient_sex,
        "PatientAge": header.patient_age,
        "Rows": header.rows,
        "Columns": header.columns,
        "NumberOfFrames": header.number_of_frames,
    }
