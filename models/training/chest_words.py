"""What the chest film pack says about itself; every number is read from its evaluation."""

from __future__ import annotations

from typing import Any

from models.training.value_words import by_group, group_table
from models.training.write_pack import table, with_interval

NAME = "chest-film-pneumonia-cnn"
TITLE = "Chest film of a child: pneumonia or not (research)"
INTENDED = (
    "Research and integration testing. Gives a second opinion on one frontal chest film of a child of one to five "
    "years that a physician reads anyway: the probability that it shows pneumonia, with a coarse map. Nothing is "
    "decided by the model."
)
OUT_OF_SCOPE = (
    "Not for diagnosis, screening, triage or treatment. Not for adults, for infants under one year, for lateral films "
    "or CT. Not for telling bacterial from viral pneumonia. Not for other findings: a film called 'not suspicious' may "
    "show anything else. A low probability never rules out pneumonia."
)
SOURCES = [
    {
        "name": "PneumoniaMNIST (MedMNIST v2), official split 4708/524/624",
        "licence": "CC BY 4.0",
        "citation": "Yang et al., MedMNIST v2, Scientific Data 2023;10:41, doi:10.1038/s41597-022-01721-8; images from "
        "Kermany et al., Cell 2018;172:1122, doi:10.1016/j.cell.2018.02.010",
    },
]
BIBLIOGRAPHY = """@article{medmnistv2, author={Yang, Jiancheng and others}, title={MedMNIST v2}, \
journal={Scientific Data}, volume={10}, pages={41}, year={2023}}
@article{kermany, author={Kermany, Daniel S. and others}, title={Identifying medical diagnoses and treatable diseases \
by image-based deep learning}, journal={Cell}, volume={172}, pages={1122}, year={2018}}"""
KEYWORDS = ["chest film", "pneumonia", "children", "convolutional network", "research use only", "PneumoniaMNIST"]
NAMED = ("auc", "sensitivity", "specificity", "precision", "accuracy", "f1", "auprc", "brier", "ece")


def words(found: dict[str, Any], version: str, date: str) -> dict[str, str]:
    """The card's texts."""
    return _release(version, date) | _uses(found) | _system(found) | _background()


def _release(version: str, date: str) -> dict[str, str]:
    return {
        "ModelName": TITLE,
        "ModelDeveloper": "The dxgate project",
        "DeveloperContact": "The issue tracker of the dxgate repository",
        "ReleaseStage": "Research only; not a medical device; not cleared or approved anywhere",
        "ReleaseDate": date,
        "ReleaseVersion": version,
        "GlobalAvailability": "With the dxgate source code. Not offered for clinical use in any country.",
        "RegulatoryApproval": "None.",
    }


def _uses(found: dict[str, Any]) -> dict[str, str]:
    test = found["test"]
    return {
        "Summary": (
            "Five small residual networks (about 175,000 weights each), averaged, look at a child's chest film reduced "
            "to 28 by 28 pixels and give the probability of pneumonia. CHILDREN OF ONE TO FIVE YEARS ONLY. On the "
            f"official PneumoniaMNIST test part ({test['n']} images) the AUC is {with_interval(test['auc'])}; at the "
            f"threshold chosen on validation the sensitivity is {with_interval(test['sensitivity'])} and the "
            f"specificity {with_interval(test['specificity'])}."
        ),
        "IntendedUseAndWorkflow": INTENDED,
        "PrimaryIntendedUsers": "Engineers who test the integration; researchers; physicians taking part in research.",
        "HowToUse": (
            "Send single-frame CR or DX objects with Body Part Examined CHEST and the patient's age. An answer is a "
            "label, 'inconclusive, refer to a physician', or a refusal with its reason. It stays preliminary until a "
            "physician signs."
        ),
        "TargetedPatientPopulation": "Children of one to five years (one centre, Guangzhou, as the source says).",
        "CautionedOutOfScopeSettings": OUT_OF_SCOPE,
        "KnownRisksAndLimitations": _risks(found),
        "KnownBiasesOrEthicalConsiderations": (
            "One centre; three of four training films show pneumonia, far more than in practice. Sex, exact age and "
            "device of the single films are unknown, so performance by subgroup could not be measured."
        ),
        "ClinicalRiskLevel": "High if it were used clinically: a missed pneumonia delays treatment. Research only.",
    }


def _system(found: dict[str, Any]) -> dict[str, str]:
    data = found["data"]
    threshold = found["chosen_on_validation"]["threshold"]
    return {
        "OutcomesAndOutputs": (
            f"Calibrated probability of pneumonia; the label at threshold {threshold}; a conformal set at alpha "
            f"{found['conformal']['alpha']}; a class activation map of 7 by 7 cells; the range over the five networks; "
            "a distance to the training images."
        ),
        "ModelType": "Convolutional residual network, ensemble of five, mirror averaging, Platt calibration, ONNX.",
        "FoundationModels": "None. Trained from random weights.",
        "InputDataSource": "PneumoniaMNIST (MedMNIST v2), CC BY 4.0.",
        "OutputAndInputDataTypes": (
            "Input: DICOM CR or DX For Presentation, one grey frame; window, polarity, centre square, bicubic "
            "reduction to 28 by 28. Output: numbers, a PNG map, sentences."
        ),
        "DevelopmentDataCharacterization": (
            f"Training {data['images']['train']} films ({data['pneumonia']['train']} with pneumonia), validation "
            f"{data['images']['val']} ({data['pneumonia']['val']}), test {data['images']['test']} "
            f"({data['pneumonia']['test']}). No patient numbers were delivered, so several films of one child may lie "
            f"in training and validation; {data['validation_copies_of_training']} validation films are exact copies of "
            f"training films and were left out of calibration; {data['test_copies_elsewhere']} test films are."
        ),
        "BiasMitigationApproaches": "Class weights; exact copies left out; baselines that need no network.",
        "OngoingMaintenance": "Retrained from public data by one command; a new version is a new signed pack.",
        "Security": "Signed (Ed25519); the gateway refuses a changed file and checks golden vectors when it loads.",
        "Transparency": "Training code, data sources, evaluation and this card are in the repository.",
    }


def _background() -> dict[str, str]:
    return {
        "FundingSource": "None.",
        "ThirdPartyInformation": "Kermany et al. and MedMNIST authors (data), PyTorch, ONNX Runtime (software).",
        "StakeholdersConsulted": "None yet. No physician has reviewed this model.",
        "EvaluationReferences": (
            "evaluation.json in the pack. Published for the same split: ResNet-18, AUC .944, accuracy .854 "
            "(MedMNIST v2, quoted second-hand)."
        ),
        "PeerReviewedPublications": "None about this model.",
        "PatientConsentOrDisclosure": (
            "The authors of the set report institutional approval. A site that tries the model must tell patients as "
            "its own law asks."
        ),
        "Bibliography": BIBLIOGRAPHY,
    }


def _risks(found: dict[str, Any]) -> str:
    test, conformal, far = found["test"], found["conformal"]["test"], found["out_of_distribution"]
    confusion, val = test["confusion"], found["validation"]
    return (
        "The test part is harder than the validation part on which threshold and calibration were chosen: AUC "
        f"{val['auc']:.3f} there, {test['auc']['value']:.3f} here; specificity {val['specificity']:.2f} there, "
        f"{test['specificity']['value']:.2f} here. At the threshold it missed {confusion['false_negative']} of "
        f"{test['positive']} films with pneumonia and called {confusion['false_positive']} of "
        f"{test['n'] - test['positive']} others suspicious. The conformal set held the truth for "
        f"{conformal['covered_positive']:.0%} of films with and {conformal['covered_negative']:.0%} of films without "
        f"pneumonia, where 90 % was aimed at; {conformal['both'] + conformal['neither']:.0%} are inconclusive. "
        "Calibrating on validation films made the probabilities of test films worse, not better (Brier score "
        f"{found['before_calibration']['brier']:.3f} before, {test['brier']['value']:.3f} after): they are too high. "
        "Only 28 by 28 arrays were delivered: the way from a full-size film to 28 pixels was not evaluated, so "
        "results on real DICOM films are unknown. The distance check alone refuses "
        f"{far['adult chest films (NIH, 11)']:.0%} of eleven adult films and {far['test images']:.0%} of test images."
    )


def metrics(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The card's three groups of key metrics."""
    test = found["test"]
    shared = {
        "TestType": "Retrospective, public data, internal (same centre as training)",
        "TestingDataDescription": (
            f"Official PneumoniaMNIST test part: {test['n']} films, {test['positive']} with pneumonia"
        ),
        "ValidationProcessAndJustification": (
            "Nothing was chosen on test images. 95 % intervals by bootstrap, 2000 draws, over films, because patients "
            "are not named: the intervals are too narrow if a child has several films."
        ),
    }
    return {
        "UsefulnessUsabilityEfficacy": shared | _useful(found),
        "FairnessEquity": shared | _fair(found),
        "SafetyReliability": shared | _safe(found),
    }


def _useful(found: dict[str, Any]) -> dict[str, Any]:
    test = found["test"]
    base = found["baselines"]
    useful = {f"test: {name}": test[name] for name in NAMED}
    useful |= {
        "test at threshold .5: accuracy": round(found["test_at_half"]["accuracy"], 4),
        "members, test: auc": found["members"]["auc"],
        "baseline, test: grey-level statistics auc": base["grey_level_statistics_auc"],
        "baseline, test: mean grey level auc": base["mean_grey_level_auc"],
        "published ResNet-18, test: auc": found["published"]["ResNet-18"]["auc"],
    }
    return {
        "MetricGoal": "Tell pneumonia from other films at least as well as the published ResNet-18 (AUC .944)",
        "results": useful,
        "Interpretation": (
            f"AUC {with_interval(test['auc'])} beside the published .944 and "
            f"{base['grey_level_statistics_auc']:.3f} for grey-level statistics without a network."
        ),
    }


def _fair(found: dict[str, Any]) -> dict[str, Any]:
    told = by_group(found)
    return {
        "MetricGoal": "Equal performance in all groups of patients",
        "results": told["results"],
        "Interpretation": (
            "Sex, age, device and kind of pneumonia of the films are not delivered: the goal cannot be tested. "
            "Measured by thirds of brightness and contrast, cut by the training films, which stand for exposure and "
            f"device. {told['Interpretation']}"
        ),
    }


def _safe(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "MetricGoal": "The conformal set holds the truth for 90 % of each class; foreign images are refused",
        "results": {
            **{f"conformal, test: {k}": v for k, v in found["conformal"]["test"].items()},
            **{f"refused by distance alone: {k}": v for k, v in found["out_of_distribution"].items()},
            "ONNX against torch, largest difference": max(found["parity"].values()),
        },
        "Interpretation": "Coverage is measured, not promised: validation and test differ, which breaks it.",
    }


def facts(found: dict[str, Any], version: str) -> str:
    """One page for a physician, in the order of the DIHI Model Facts."""
    test, half = found["test"], found["test_at_half"]
    rows = [("measure", f"official test (n {test['n']})")]
    rows += [(name, with_interval(test[name])) for name in NAMED]
    return f"""# Model facts: {NAME} {version}

**Research only. Children of one to five years. A physician reads every film.**

**What it does.** {INTENDED}

**What it must not be used for.** {OUT_OF_SCOPE}

**How.** Five small networks, averaged, on 28 by 28 pixels; calibrated; threshold {test["threshold"]}, chosen on
validation images for a sensitivity of 90 %. Where the calibrated evidence allows both answers or none, the answer is
"inconclusive, refer to a physician".

**From what.** {found["data"]["images"]["train"]} training films of one centre (Guangzhou), as PneumoniaMNIST,
CC BY 4.0.

**How well** (95 % bootstrap interval in brackets):

{table(rows)}

Published for the same test part: ResNet-18, AUC .944, accuracy .854; this model at threshold .5:
accuracy {half["accuracy"]:.3f}, sensitivity {half["sensitivity"]:.3f}, specificity {half["specificity"]:.3f}.
Grey-level statistics without a network: AUC {found["baselines"]["grey_level_statistics_auc"]:.3f}.

**By group of films** (no groups of patients: sex, age and device are not delivered; brightness and contrast in thirds
of the training films):

{group_table(found)}

![ROC curve](plots/roc.png) ![Reliability](plots/reliability.png) ![Groups](plots/subgroups.png)

**Warnings.** {_risks(found)}

**Not known.** Performance by sex, age or device; in another hospital; on full-size films; effect on care.

**Sources.** {" ".join(source["citation"] for source in SOURCES)}
"""
