"""The model card inside a pack: the CHAI Applied Model Card v0.2, checked before a model may run.

Standard: Coalition for Health AI, namespace below. The full XML schema lies in `models/schema` and is
applied by the tests; at run time every required element must be present and hold text, which needs no XML
schema library.
"""

from __future__ import annotations

from xml.etree import ElementTree

from gateway.domain.errors import Invalid

NAMESPACE = "https://mc.chai.org/v0.2/schema.xsd"
CARD_LIMIT = 512 * 1024  # bytes
_METRIC = (
    "MetricGoal",
    "Results/MetricResult/Label",
    "Results/MetricResult/ValueJson",
    "Interpretation",
    "TestType",
    "TestingDataDescription",
    "ValidationProcessAndJustification",
)
_FACTS = (
    "OutcomesAndOutputs",
    "ModelType",
    "InputDataSource",
    "OutputAndInputDataTypes",
    "DevelopmentDataCharacterization",
    "BiasMitigationApproaches",
    "OngoingMaintenance",
)
REQUIRED = (
    *(f"BasicInfo/{name}" for name in ("ModelName", "ModelDeveloper", "DeveloperContact")),
    *(f"ReleaseInfo/{name}" for name in ("ReleaseStage", "ReleaseDate", "ReleaseVersion", "GlobalAvailability")),
    "ModelSummary/Summary",
    *(
        f"UsesAndDirections/{name}"
        for name in (
            "IntendedUseAndWorkflow",
            "PrimaryIntendedUsers",
            "HowToUse",
            "TargetedPatientPopulation",
            "CautionedOutOfScopeSettings",
        )
    ),
    *(
        f"Warnings/{name}"
        for name in ("KnownRisksAndLimitations", "KnownBiasesOrEthicalConsiderations", "ClinicalRiskLevel")
    ),
    *(f"TrustIngredients/AISystemFacts/{name}" for name in _FACTS),
    *(f"TrustIngredients/TransparencyInformation/{name}" for name in ("FundingSource", "StakeholdersConsulted")),
    *(
        f"KeyMetrics/{group}/{name}"
        for group in ("UsefulnessUsabilityEfficacy", "FairnessEquity", "SafetyReliability")
        for name in _METRIC
    ),
    *(f"Resources/{name}" for name in ("PeerReviewedPublications", "PatientConsentOrDisclosure")),
    "Bibliography",
)


def check(xml: bytes, version: str) -> None:
    """Refuse a card that lacks a required field, is empty in one, or is for another version of the model."""
    root = _root(xml)
    for path in REQUIRED:
        texts = root.findall("/".join(f"{{{NAMESPACE}}}{part}" for part in path.split("/")))
        if not texts or any(not (element.text or "").strip() for element in texts):
            raise Invalid(f"model card lacks {path}")
    stated = root.findtext(f"{{{NAMESPACE}}}ReleaseInfo/{{{NAMESPACE}}}ReleaseVersion", "").strip()
    if stated != version:
        raise Invalid(f"model card is for version {stated}, the manifest for {version}")


def metrics(xml: bytes) -> dict[str, str]:
    """Every `MetricResult` of a card: its label and its value, which is JSON text."""
    results = _root(xml).iter(f"{{{NAMESPACE}}}MetricResult")
    return {
        result.findtext(f"{{{NAMESPACE}}}Label", ""): result.findtext(f"{{{NAMESPACE}}}ValueJson", "")
        for result in results
    }


def _root(xml: bytes) -> ElementTree.Element:
    if len(xml) > CARD_LIMIT:
        raise Invalid(f"model card is longer than {CARD_LIMIT} bytes")
    if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml:  # no entity of any kind: nothing to expand, nothing to fetch
        raise Invalid("model card declares a document type")
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314 (no document type can be declared, see above)
    except ElementTree.ParseError as error:
        raise Invalid("model card is not XML") from error
    if root.tag != f"{{{NAMESPACE}}}AppliedModelCard":
        raise Invalid("model card is not a CHAI Applied Model Card v0.2")
    return root
