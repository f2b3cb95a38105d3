"""The resource types that the gateway speaks, and nothing else.

One list for codec, validation, search and CapabilityStatement; the committed table and schema in
`gateway/formats/fhir/data/` are cut to it by `deploy/tools/fhir_definitions.py`.
"""

from __future__ import annotations

from typing import Final

_TYPES: Final = """
Account AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic Binary BodyStructure Bundle
CapabilityStatement CarePlan CareTeam ChargeItem Claim ClaimResponse Communication Composition Condition Consent
Coverage DetectedIssue Device DiagnosticReport DocumentReference Encounter Endpoint FamilyMemberHistory Flag Goal Group
HealthcareService ImagingStudy Immunization List Location Media Medication MedicationAdministration MedicationDispense
MedicationRequest MedicationStatement MessageHeader MolecularSequence Observation OperationOutcome Organization
Parameters Patient Practitioner PractitionerRole Procedure Provenance Questionnaire QuestionnaireResponse RelatedPerson
RequestGroup RiskAssessment Schedule ServiceRequest Slot Specimen Subscription Task
"""
SUPPORTED: Final[tuple[str, ...]] = tuple(_TYPES.split())

# Accepted inside `contained` alone: an ingredient of a Medication, the answers of a Questionnaire, a request answered.
CONTAINED: Final = ("CommunicationRequest", "DeviceRequest", "Substance", "ValueSet")
