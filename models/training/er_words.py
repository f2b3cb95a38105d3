"""What the pack `tumour-er-status` says about itself."""

from __future__ import annotations

from pathlib import Path

from models.training.value_pack import digest
from models.training.value_words import Words

FILES = tuple(f"genomics/{name}.parquet" for name in ("gse1992", "gse4335", "gse3143"))
GEO = (
    "@misc{geo, author={{NCBI Gene Expression Omnibus}}, title={Series GSE1992, GSE4335, GSE3143}, "
    "howpublished={https://www.ncbi.nlm.nih.gov/geo/}}"
)


def cohort_sources(folder: Path) -> tuple[dict[str, str], ...]:
    """The three cohorts as a card names them."""
    return tuple(
        {
            "name": Path(name).stem.upper(),
            "licence": "public (GEO)",
            "citation": f"NCBI Gene Expression Omnibus, {Path(name).stem.upper()}.",
            "sha256": digest(folder / name),
        }
        for name in FILES
    )


def words(folder: Path) -> Words:
    """What the card and the facts say."""
    return Words(
        name="tumour-er-status",
        version="1.0.1",
        date="2026-11-29",
        title="Oestrogen receptor status of a breast tumour, from gene expression (research)",
        headline="Research only: three small microarray cohorts; immunohistochemistry stays the test.",
        intended=(
            "Research and integration testing. From the expression of a panel of genes in one breast tumour, the "
            "probability that it is positive for the oestrogen receptor, as a check on the stain. Nothing is decided "
            "by the model."
        ),
        out_of_scope=(
            "Not for choosing endocrine treatment; immunohistochemistry decides. Not for other tumours, not for "
            "recurrence or survival, not for platforms without the panel's genes."
        ),
        how="Logistic regression on the panel's genes, ranked among themselves within the tumour.",
        population="Women with breast cancer in three published cohorts of about 2000 to 2006.",
        data=(
            "gse1992 (122 tumours with known status), gse4335 (113), gse3143 (158, level 0 negative, 1 to 3 positive): "
            "393 tumours, 7106 shared genes, three platforms. The panel of 80 genes is chosen anew in every training "
            "part."
        ),
        test="each cohort scored by a model of the other two",
        split=(
            "Two cohorts train for the third; panel, weights, calibration and threshold see the two only, and are "
            "chosen between them by leaving one out."
        ),
        inputs="Expression values of one platform, any unit (only their order counts), up to a fifth missing.",
        limits=(
            "Platforms differ and the threshold shifts with them: see sensitivity and specificity by cohort. In "
            "gse3143 the status is a level whose lowest value was taken as negative. Ranks within 80 genes lose what a "
            "whole profile tells."
        ),
        bias="Age and origin are hardly delivered; performance by origin is unknown.",
        risk="High if used clinically: a wrong receptor status misleads treatment. Research only.",
        goal="AUC of .80 to .91 across cohorts, scored one tumour at a time",
        not_known="Performance on RNA sequencing, in biopsies, by origin; effect on care.",
        consent="Published data without names. A site must tell patients as its own law asks.",
        keywords=("breast cancer", "oestrogen receptor", "gene expression", "ranks", "research use only"),
        bibliography=GEO,
        sources=cohort_sources(folder),
    )
