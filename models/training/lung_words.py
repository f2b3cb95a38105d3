"""What the pack `lung-nodule` says about itself."""

from __future__ import annotations

from pathlib import Path

from models.training.lung_data import FILES
from models.training.value_pack import digest
from models.training.value_words import Words


def words(folder: Path) -> Words:
    """What the card and the facts say."""
    return Words(
        name="lung-nodule",
        version="1.0.1",
        date="2026-11-29",
        title="Segmented lung nodule: rated suspicious or not (research)",
        headline="Research only: radiologists' ratings, not pathology; the nodule must be found and cut out already.",
        intended=(
            "Research and integration testing. From the size, outline and grey levels of a solid lung nodule that was "
            "segmented on CT, the probability that radiologists rate it suspicious. Nothing is decided by the model."
        ),
        out_of_scope=(
            "Not for diagnosis or follow-up intervals, not for finding nodules, not for ground-glass or indeterminate "
            "nodules (rating 3 was never seen), not for patients with a known cancer. A low probability rules nothing "
            "out."
        ),
        how="Logistic regression on nine measures of the segmented nodule.",
        population="Adults with a solid nodule of 3 mm and more on diagnostic or screening chest CT, United States.",
        data=(
            "LIDC-IDRI, 80 % of the examinations (the rest is kept apart): 699 solid nodules of 393 examinations, 491 "
            "rated 1 or 2 and 208 rated 4 or 5; nodules rated 3 were left out by the source, which makes the task "
            "easier than it is. Areas are in pixels of the delivered slices, whose spacing differs between scanners."
        ),
        test="LIDC nodules, 5-fold cross-validation by examination",
        split="Folds and bootstrap by examination, so that two nodules of one patient are never torn apart.",
        inputs="Nine measures (see the manifest), up to five missing; area and slice count needed.",
        limits=(
            "Size explains almost all of it: see size alone. A network on the slices was trained in the same folds and "
            "is listed; where the interval of its difference holds zero, the picture adds nothing that could be shown. "
            "Radiologists rate size too, so agreement with a rating is not agreement with the truth."
        ),
        bias="Age, sex, smoking and origin are not delivered and could not be measured.",
        risk="High if used clinically: a missed cancer. Research only.",
        goal="More than area with slice count (AUC .881)",
        not_known="Agreement with pathology; performance by sex, age, scanner; effect on care.",
        consent="Public, without names. A site must tell patients as its own law asks.",
        keywords=("lung nodule", "CT", "LIDC-IDRI", "logistic regression", "research use only"),
        bibliography=(
            "@article{armato, author={Armato, S. G. and others}, title={The Lung Image Database Consortium (LIDC) and "
            "Image Database Resource Initiative (IDRI)}, journal={Medical Physics}, volume={38}, pages={915}, "
            "year={2011}}"
        ),
        sources=(
            {
                "name": "LIDC-IDRI solid nodules, 80 % of examinations (TCIA)",
                "licence": "CC BY 3.0",
                "citation": (
                    "Armato et al., Medical Physics 2011;38:915-931; Clark et al., J Digit Imaging 2013;26:1045."
                ),
                "sha256": digest(*(folder / name for name in FILES)),
            },
        ),
    )
