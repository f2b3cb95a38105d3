"""What the pack `mammography-findings` says about itself."""

from __future__ import annotations

from pathlib import Path

from models.training.value_pack import digest
from models.training.value_words import Words

FILES = tuple(
    f"cbis_ddsm_descriptors/{kind}_case_description_{part}_set.csv"
    for kind in ("mass", "calc")
    for part in ("train", "test")
)
UCI = "uci_mammographic_mass/mammographic_masses.data"


def words(folder: Path) -> Words:
    """What the card and the facts say."""
    return Words(
        name="mammography-findings",
        version="1.0.0",
        date="2026-11-23",
        title="Mammographic mass or calcification, as described: malignant or not (research)",
        headline="Research only. It reads a radiologist's words, not the mammogram.",
        intended=(
            "Research and integration testing. From the BI-RADS descriptors that a radiologist gave to one mass or "
            "group of calcifications, the probability that it is malignant, as a check on the description. Nothing is "
            "decided by the model."
        ),
        out_of_scope=(
            "Not for diagnosis, not for deciding on biopsy or recall, not for a breast in which nothing was found, not "
            "for pixels. Never a reason to lower a radiologist's assessment."
        ),
        how=(
            "Logistic regression on the descriptors, breast density and, if given, the BI-RADS assessment; other "
            "weights "
            "where it is not given."
        ),
        population=(
            "Women with a mass or calcifications in a digitised film mammogram, United States, about 1990 to 1999."
        ),
        data=(
            "CBIS-DDSM case descriptions, official split: masses 1318 training and 378 test rows, calcifications 1546 "
            "and 326. A row is a lesion in one view. Pathology is proven except for findings that were benign without "
            "call back. Almost half the findings are malignant, far more than in screening. UCI's 961 masses "
            "(Erlangen) are tested, never trained on."
        ),
        test="CBIS-DDSM official test part, both kinds",
        split=(
            "Official split; training rows of patients who are in the other kind's test part left out; folds and "
            "bootstrap by patient."
        ),
        inputs="Coded findings (see the manifest); only the kind of finding is needed.",
        limits=(
            "With BI-RADS given, the radiologist's own conclusion is an input and does much of the work: see both "
            "numbers. The form of the model was changed once after its first result on the test part had been seen "
            "(weights apart for each kind of finding and for with and without BI-RADS; without it the AUC on "
            "masses was "
            ".823 before), so the test numbers are slightly optimistic; the UCI masses had no part in that. "
            "Descriptors "
            "are those of film. In the UCI set the codes mean nearly, not exactly, the same."
        ),
        bias="Women of two or three states of one country; age and origin are not delivered and could not be measured.",
        risk="High if used clinically: a missed cancer. Research only.",
        goal="AUC of .864 on masses (.835 without BI-RADS) and .763 on calcifications",
        not_known="Performance by age or origin, on digital mammography, tomosynthesis, in screening; effect on care.",
        consent="Public, without names. A site must tell patients as its own law asks.",
        keywords=("mammography", "BI-RADS", "CBIS-DDSM", "logistic regression", "research use only"),
        bibliography=(
            "@article{cbis, author={Lee, R. S. and others}, title={A curated mammography data set for use in "
            "computer-aided detection and diagnosis research}, journal={Scientific Data}, volume={4}, pages={170177}, "
            "year={2017}}\n"
            "@article{elter, author={Elter, M. and Schulz-Wendtland, R. and Wittenberg, T.}, title={The prediction of "
            "breast cancer biopsy outcomes using two CAD approaches}, journal={Medical Physics}, volume={34}, "
            "pages={4164}, year={2007}}"
        ),
        sources=(
            {
                "name": "CBIS-DDSM case descriptions (TCIA)",
                "licence": "CC BY 3.0",
                "citation": "Lee et al., Scientific Data 2017;4:170177.",
                "sha256": digest(*(folder / name for name in FILES)),
            },
            {
                "name": "UCI Mammographic Mass (external test only)",
                "licence": "CC BY 4.0",
                "citation": "Elter et al., Medical Physics 2007;34:4164.",
                "sha256": digest(folder / UCI),
            },
        ),
    )
