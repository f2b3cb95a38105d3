"""What the pack `tumour-recurrence` says about itself."""

from __future__ import annotations

from pathlib import Path

from models.training.er_words import GEO, cohort_sources
from models.training.value_words import Words


def words(folder: Path, rows: int) -> Words:
    """What the card and the facts say."""
    return Words(
        name="tumour-recurrence",
        version="1.0.0",
        date="2026-11-28",
        title="Event within three years after breast cancer, from gene expression (research)",
        headline="Research only: three small microarray cohorts, each with an event of its own kind.",
        intended=(
            "Research and integration testing. From the expression of a panel of genes in one breast tumour, the "
            "probability of an event (recurrence or death, as each cohort recorded it) within three years. Nothing is "
            "decided by the model."
        ),
        out_of_scope=(
            "Not for choosing or omitting chemotherapy or endocrine treatment; validated assays and guidelines exist "
            "for that. Not for other tumours, not for platforms without the panel's genes, not beyond three years."
        ),
        how="Logistic regression on the panel's genes, ranked among themselves within the tumour.",
        population="Women with breast cancer in three published cohorts of about 2000 to 2006, treated as then usual.",
        data=(
            f"gse1992, gse4335 and gse3143: {rows} tumours with an event within 36 months or followed for longer "
            "without one; those censored earlier are left out, which biases the share of events upwards. The delivered "
            "tables call the outcome `event` and do not say for each cohort whether it is recurrence, metastasis or "
            "death. 7106 shared genes, three platforms. The panel of 80 genes is chosen anew in every training part."
        ),
        test="each cohort scored by a model of the other two",
        split=(
            "Two cohorts train for the third; panel, weights, calibration and threshold see the two only, and are "
            "chosen by folds over their tumours. Panel size and penalty are those of the pack tumour-er-status, "
            "not tuned here."
        ),
        inputs="Expression values of one platform, any unit (only their order counts), up to a fifth missing.",
        limits=(
            "The horizon was chosen after looking: at five years the same procedure reached AUC .55, .65 and .63 only, "
            "so three years flatters. AUC is .70 to .73 within each cohort, but .48 over all three: each model has a "
            "scale of its own, and at its threshold hardly anybody is told that an event is unlikely. The level of one "
            "gene, GATA3, does as well (see the baselines). Stage, grade, nodes and treatment are not inputs. Event "
            "and share of events differ between cohorts, so neither threshold nor calibration carries over."
        ),
        bias="Age and origin are hardly delivered; performance by origin is unknown.",
        risk="High if used clinically: a wrong answer leads to too much or too little treatment. Research only.",
        goal="AUC of .70 across cohorts, scored one tumour at a time (published 5-year metastasis: about .72)",
        not_known="Performance on RNA sequencing, today, by origin; whether it adds to stage and grade.",
        consent="Published data without names. A site must tell patients as its own law asks.",
        keywords=("breast cancer", "recurrence", "gene expression", "ranks", "research use only"),
        bibliography=GEO,
        sources=cohort_sources(folder),
    )
