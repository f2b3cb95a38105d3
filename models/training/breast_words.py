"""What the breast ultrasound pack says about itself; every number is read from its evaluation."""

from __future__ import annotations

from typing import Any

from models.training.value_words import by_group, group_table
from models.training.write_pack import table, with_interval

NAME = "breast-ultrasound-cnn"
TITLE = "Breast ultrasound: malignant lesion or not (research)"
INTENDED = (
    "Research and integration testing. Gives a second opinion on a single B-mode breast ultrasound image that a "
    "physician has already chosen to look at: the probability that it shows a malignant lesion, with a coarse map. "
    "A physician reads every image; nothing is decided by the model."
)
OUT_OF_SCOPE = (
    "Not for diagnosis, screening, triage or treatment. Not for mammography, tomosynthesis or MRI. Not for Doppler, "
    "elastography, cine loops or images with burned-in measurements in the middle. Not for any other organ, for "
    "children, for men, or for follow-up after surgery. A low probability never rules out cancer."
)
SOURCES = [
    {
        "name": "BreastMNIST (MedMNIST v2), official split 546/78/156",
        "licence": "CC BY 4.0",
        "citation": "Yang et al., MedMNIST v2, Scientific Data 2023;10:41. doi:10.1038/s41597-022-01721-8",
    },
    {
        "name": "BUSI, Dataset of breast ultrasound images, 780 images, Baheya Hospital, Cairo, 2018",
        "licence": "CC BY 4.0",
        "citation": "Al-Dhabyani et al., Data in Brief 2020;28:104863. doi:10.1016/j.dib.2019.104863",
    },
]
BIBLIOGRAPHY = """@article{medmnistv2, author={Yang, Jiancheng and others}, title={MedMNIST v2}, \
journal={Scientific Data}, volume={10}, pages={41}, year={2023}}
@article{busi, author={Al-Dhabyani, Walid and others}, title={Dataset of breast ultrasound images}, \
journal={Data in Brief}, volume={28}, pages={104863}, year={2020}}
@article{cam, author={Zhou, Bolei and others}, title={Learning deep features for discriminative localization}, \
journal={CVPR}, year={2016}}"""
KEYWORDS = ["breast", "ultrasound", "convolutional network", "research use only", "BreastMNIST"]


def words(evaluation: dict[str, Any], version: str, date: str) -> dict[str, str]:
    """The card's texts."""
    return _release(version, date) | _uses(evaluation) | _system(evaluation) | _background()


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


def _uses(evaluation: dict[str, Any]) -> dict[str, str]:
    test = evaluation["test"]
    clean = evaluation["test_without_near_duplicates"]
    return {
        "Summary": (
            "Five small residual networks (about 175,000 weights each), averaged, look at a breast ultrasound image "
            "reduced to 28 by 28 pixels and give the probability that it shows a malignant lesion. ULTRASOUND, NOT "
            f"MAMMOGRAPHY. On the official BreastMNIST test part ({test['n']} images) the AUC is "
            f"{with_interval(test['auc'])}; without the images that have a near-duplicate in training or validation "
            f"({clean['n']} images left) it is {with_interval(clean['auc'])}."
        ),
        "IntendedUseAndWorkflow": INTENDED,
        "PrimaryIntendedUsers": "Engineers who test the integration; researchers; physicians taking part in research.",
        "HowToUse": (
            "Send single-frame Ultrasound Image Storage objects with Body Part Examined BREAST. An answer is a label, "
            "'inconclusive, refer to a physician', or a refusal with its reason. It stays preliminary until a "
            "physician signs."
        ),
        "TargetedPatientPopulation": "Women of 25 to 75 years, as in the BUSI collection (one hospital, Cairo, 2018).",
        "CautionedOutOfScopeSettings": OUT_OF_SCOPE,
        "KnownRisksAndLimitations": risks(evaluation),
        "KnownBiasesOrEthicalConsiderations": (
            "One hospital, one year, two scanner models. Age, ethnicity and breast density of the single images are "
            "unknown, so performance by subgroup of patients could not be measured. Images were cropped and chosen by "
            "the authors of the set; malignant images are more frequent than in practice (27 %). Some images carry "
            "measurement crosses or position labels, which give a lesion away; their effect was not measured. The set "
            "came without outlines of the lesions, so the place of the map was not measured either: in the "
            "demonstration image it lies beside the lesion."
        ),
        "ClinicalRiskLevel": (
            "High if it were used clinically: a missed cancer delays treatment. Research only for that reason."
        ),
    }


def _system(evaluation: dict[str, Any]) -> dict[str, str]:
    test = evaluation["test"]
    data = evaluation["data"]
    return {
        "OutcomesAndOutputs": (
            "Probability of 'malignant' and of 'not malignant' (normal or benign), calibrated inside the graph; the "
            f"label at threshold {test['threshold']}; a conformal set at alpha {evaluation['conformal']['alpha']}; a "
            "class activation map of 7 by 7 cells; the range over the five networks; a distance to the training images."
        ),
        "ModelType": "Convolutional residual network, ensemble of five, mirror averaging, Platt calibration, ONNX.",
        "FoundationModels": "None. Trained from random weights.",
        "InputDataSource": "BreastMNIST (MedMNIST v2), made from BUSI; both CC BY 4.0.",
        "OutputAndInputDataTypes": (
            "Input: DICOM Ultrasound Image Storage, one frame, grey or colour; window, polarity, centre square, "
            "bicubic reduction to 28 by 28. Output: numbers, a PNG map, sentences."
        ),
        "DevelopmentDataCharacterization": (
            f"780 images: training {data['images']['train']} ({data['malignant']['train']} malignant), validation "
            f"{data['images']['val']} ({data['malignant']['val']}), test {data['images']['test']} "
            f"({data['malignant']['test']}). In BreastMNIST malignant is label 0. No patient numbers exist, so images "
            f"of one patient may lie in several parts; {data['test_with_near_duplicate']} test images have a "
            "near-duplicate (correlation above .97) in training or validation. "
            "Calibration, threshold and quantiles come from the "
            f"{evaluation['chosen_on_validation']['n']} validation images without a near-duplicate in training."
        ),
        "BiasMitigationApproaches": (
            "Class weights; near-duplicates counted and left out of calibration; results given with and without them; "
            "baselines that need no network; intervals that resample groups of near-duplicates."
        ),
        "OngoingMaintenance": "Retrained from public data by one command; a new version is a new signed pack.",
        "Security": "Signed (Ed25519); the gateway refuses a changed file and checks golden vectors when it loads.",
        "Transparency": "Training code, data sources, evaluation and this card are in the repository.",
    }


def _background() -> dict[str, str]:
    return {
        "FundingSource": "None.",
        "ThirdPartyInformation": "BUSI authors and MedMNIST authors (data), PyTorch, ONNX Runtime (software).",
        "StakeholdersConsulted": "None yet. No physician has reviewed this model.",
        "EvaluationReferences": (
            "evaluation.json in the pack. Published for the same split: ResNet-18, AUC .901, accuracy .863 "
            "(MedMNIST v2)."
        ),
        "PeerReviewedPublications": "None about this model.",
        "PatientConsentOrDisclosure": (
            "The BUSI authors report ethical approval and de-identified images. A site that tries the model must tell "
            "patients as its own law asks."
        ),
        "Bibliography": BIBLIOGRAPHY,
    }


def risks(evaluation: dict[str, Any]) -> str:
    """What the card and the page warn of."""
    test, conformal = evaluation["test"], evaluation["conformal"]["test"]
    confusion, far = test["confusion"], evaluation["out_of_distribution"]
    films = far["chest films (PneumoniaMNIST test)"]
    return (
        f"Small single-centre set. At the threshold it missed {confusion['false_negative']} of {test['positive']} "
        f"malignant test images and called {confusion['false_positive']} of {test['n'] - test['positive']} others "
        f"malignant. {conformal['both'] + conformal['neither']:.0%} of test images are inconclusive; the conformal set "
        f"held the truth for {conformal['covered_positive']:.0%} of malignant and {conformal['covered_negative']:.0%} "
        "of other test images, and the promise of 90 % holds only for images like the validation images. "
        "28 by 28 pixels hide small lesions and fine margins. The map is 7 by 7 cells. The highest of several images "
        "speaks for a study, which raises false alarms with the number of images; this was not evaluated. "
        f"The distance check alone refuses {films:.0%} of chest films and {far['test images']:.0%} of test images, so "
        "the header checks matter."
    )


def metrics(evaluation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The card's three groups of key metrics."""
    test = evaluation["test"]
    clean = evaluation["test_without_near_duplicates"]
    shared = {
        "TestType": "Retrospective, public data, internal (same hospital as training)",
        "TestingDataDescription": (
            f"Official BreastMNIST test part: {test['n']} images, {test['positive']} malignant; and the {clean['n']} "
            "of them without a near-duplicate in training or validation"
        ),
        "ValidationProcessAndJustification": (
            "Nothing was chosen on test images. 95 % intervals by bootstrap over near-duplicate groups, 2000 draws. "
            "Resolution chosen by five-fold grouped cross-validation on training and validation images."
        ),
    }
    return {
        "UsefulnessUsabilityEfficacy": shared | _useful(evaluation),
        "FairnessEquity": shared | _fair(evaluation),
        "SafetyReliability": shared | _safe(evaluation),
    }


def _useful(evaluation: dict[str, Any]) -> dict[str, Any]:
    test = evaluation["test"]
    clean = evaluation["test_without_near_duplicates"]
    base = evaluation["baselines"]
    named = ("auc", "auprc", "accuracy", "sensitivity", "specificity", "precision", "f1", "brier", "ece")
    useful = {f"test: {name}": test[name] for name in named}
    useful |= {f"test without near-duplicates: {name}": clean[name] for name in named}
    useful |= {
        "test at threshold .5: accuracy": round(evaluation["test_at_half"]["accuracy"], 4),
        "members, test: auc": evaluation["members"]["auc"],
        "grouped cross-validation, one member: auc": evaluation["choice"]["fold_auc"]["28"],
        "baseline, test: grey-level statistics auc": base["grey_level_statistics_auc"],
        "baseline, test: mean grey level auc": base["mean_grey_level_auc"],
        "published ResNet-18, test: auc": evaluation["published"]["ResNet-18"]["auc"],
    }
    return {
        "MetricGoal": "Tell malignant from other images at least as well as the published ResNet-18 (AUC .901)",
        "results": useful,
        "Interpretation": (
            f"AUC {with_interval(test['auc'])} beside the published .901 and {base['grey_level_statistics_auc']} "
            "for grey-level statistics without a network. Near-duplicates flatter the official test: "
            f"{with_interval(clean['auc'])} without them. The intervals are wide; no claim of being better is made."
        ),
    }


def _fair(evaluation: dict[str, Any]) -> dict[str, Any]:
    told = by_group(evaluation)
    return {
        "MetricGoal": "Equal performance in all groups of patients",
        "results": told["results"],
        "Interpretation": (
            "The set names no age, ethnicity, device, density or size of a lesion, so the goal cannot be tested. "
            "Measured by groups of images: malignant against images without a lesion and against benign ones, and by "
            f"thirds of brightness and contrast, cut by the training images. {told['Interpretation']}"
        ),
    }


def _safe(evaluation: dict[str, Any]) -> dict[str, Any]:
    data = evaluation["data"]
    return {
        "MetricGoal": "The conformal set holds the truth for 90 % of each class; foreign images are refused",
        "results": {
            **{f"conformal, test: {k}": v for k, v in evaluation["conformal"]["test"].items()},
            **{f"refused by distance alone: {k}": v for k, v in evaluation["out_of_distribution"].items()},
            "through DICOM, test: auc": evaluation["through_dicom"]["auc"],
            "ONNX against torch, largest difference": max(evaluation["parity"].values()),
        },
        "Interpretation": (
            "Coverage is measured, not promised: the calibration part has only "
            f"{evaluation['chosen_on_validation']['positive']} malignant images, and "
            f"{data['test_with_near_duplicate']} test images are not independent of training."
        ),
    }


def on_the_test(evaluation: dict[str, Any]) -> str:
    """What was missed, what was inconclusive, and the published figures beside ours: of every breast pack alike."""
    test, conformal = evaluation["test"], evaluation["conformal"]["test"]
    half = evaluation["test_at_half"]
    missed = test["confusion"]["false_negative"]
    return f"""Missed at the threshold: {missed} of {test["positive"]} malignant test images.
Inconclusive: {conformal["both"] + conformal["neither"]:.0%} of test images; the conformal set held the truth for
{conformal["covered_positive"]:.0%} of malignant and {conformal["covered_negative"]:.0%} of other test images.
Published for the same test part: ResNet-18, AUC .901, accuracy .863; this model at threshold .5, as the published one:
accuracy {half["accuracy"]:.3f}, sensitivity {half["sensitivity"]:.3f}, specificity {half["specificity"]:.3f}."""


def facts(evaluation: dict[str, Any], version: str) -> str:
    """One page for a physician, in the order of the DIHI Model Facts."""
    test, clean = evaluation["test"], evaluation["test_without_near_duplicates"]
    named = ("auc", "sensitivity", "specificity", "precision", "accuracy", "f1", "auprc", "brier", "ece")
    rows = [("measure", f"official test (n {test['n']})", f"without near-duplicates (n {clean['n']})")]
    rows += [(name, with_interval(test[name]), with_interval(clean[name])) for name in named]
    return f"""# Model facts: {NAME} {version}

**Research only. Ultrasound, not mammography. A physician reads every image.**

**What it does.** {INTENDED}

**What it must not be used for.** {OUT_OF_SCOPE}

**How.** Five small networks, averaged, on 28 by 28 pixels; calibrated; threshold {test["threshold"]}, chosen on
validation images for a sensitivity of 90 %. Where the calibrated evidence allows both answers or none, the answer is
"inconclusive, refer to a physician".

**From what.** {evaluation["data"]["images"]["train"]} training images of one hospital (BUSI, Cairo, 2018, women of 25
to 75 years), as BreastMNIST, CC BY 4.0.

**How well** (95 % bootstrap interval in brackets):

{table(rows)}

{on_the_test(evaluation)}
Grey-level statistics without a network: AUC {evaluation["baselines"]["grey_level_statistics_auc"]:.3f}.

**By group of images** (no groups of patients: age, ethnicity, device and density are not delivered; brightness and
contrast in thirds of the training images, few images in each):

{group_table(evaluation)}

![ROC curve](plots/roc.png) ![Reliability](plots/reliability.png) ![Groups](plots/subgroups.png)

**Warnings.** {risks(evaluation)}

**Not known.** Performance by age, ethnicity, device or breast density; performance in another hospital; effect on care.

**Sources.** {" ".join(source["citation"] for source in SOURCES)}
"""
