"""What the pack `icu-deterioration-gru` says about itself."""

from __future__ import annotations

from models.training.value_words import Words

CHOICE = {
    "protocol": (
        "ten settings were compared by five folds of set a, two networks each, before this one was taken: the reported "
        "AUC is optimistic by what that choice gained. The first seven used other folds than the last three and this "
        "evaluation"
    ),
    "mean_auc_of_two": {
        "linear summaries, hidden 48, 14 epochs, dropout .4": 0.8425,
        "linear summaries, hidden 32, 10 epochs, dropout .5": 0.8532,
        "linear summaries, hidden 64, 8 epochs, decay .1": 0.8518,
        "linear summaries, hidden 32, 8 epochs, dropout .6": 0.8504,
        "linear summaries, hidden 24, 12 epochs, decay .3": 0.8523,
        "linear summaries, hidden 32, every fourth hour": 0.8513,
        "linear summaries, hidden 32, 20 epochs, decay .3": 0.8507,
        "bent summaries, hidden 32, 10 epochs, dropout .5 (taken)": 0.8525,
        "bent summaries, dropout .7": 0.8487,
        "hidden layer over summaries": 0.8502,
    },
    "five networks with linear summaries, this evaluation's folds": 0.8502,
}


def words(sha256: str) -> Words:
    """What the card and the facts say."""
    return Words(
        name="icu-deterioration-gru",
        version="1.0.0",
        date="2026-11-23",
        title="Death in hospital, from the first 48 hours of intensive care (research)",
        headline="Research only: US intensive care of 2001 to 2008, stays of 48 hours and more.",
        intended=(
            "Research and integration testing. From the laboratory values and vital signs of the first 48 hours in "
            "intensive care, the probability of dying in that hospital stay, as a prompt to look again. Nothing is "
            "decided by the model."
        ),
        out_of_scope=(
            "Not for limiting or withdrawing treatment, not for triage of beds, not before 48 hours, not for children, "
            "not as an alarm. It was made from what was measured, so a change of habits in measuring changes its "
            "answers."
        ),
        how=(
            "Five gated recurrent networks (GRU) over hourly values, masks and gaps, each beside a piecewise linear "
            "reading of summaries; averaged; missing values are handled inside the graph."
        ),
        population="Adults of 16 years and more, in one of four kinds of intensive care unit for at least 48 hours.",
        data=(
            "PhysioNet/CinC Challenge 2012, set a: 4000 stays, 554 deaths in hospital; 37 series, four of five hourly "
            "values missing. Set b is kept apart. Patient numbers are not delivered: a person with two stays would not "
            "be noticed. Mechanical ventilation is only ever recorded as 1, so only its presence counts. Values "
            "outside plausible ranges count as missing. Length of stay and survival are outcomes and no inputs."
        ),
        test="PhysioNet 2012 set a, 5-fold cross-validation",
        split=(
            "Five stratified folds of stays. A fold's threshold, calibration and quantiles come from the other folds' "
            "held-out stays (whose networks had seen the fold). Settings were compared on the same folds: see choice "
            "in evaluation.json."
        ),
        inputs=(
            "Timed values with UCUM units over 48 hours (see the manifest), at least six series and 36 hours; age and "
            "kind of unit."
        ),
        limits=(
            "Gradient boosting on plain summaries ranks at least as well in the same folds (see the baselines): "
            "no gain "
            "from the sequence could be shown. Being measured is itself a sign of illness here. Deaths after discharge "
            "are not counted."
        ),
        bias="One hospital system's practice; origin is not delivered. See the groups by unit, sex and age.",
        risk="High if used clinically: a low number must never delay care, a high one never limit it. Research only.",
        goal="AUC of .85 and Event-1 of .53; boosting's .854 is the line to pass",
        not_known="Performance today, elsewhere, by origin; effect on care.",
        consent="Anonymised public data. A site must tell patients as its own law asks.",
        keywords=("intensive care", "mortality", "GRU", "missing values", "PhysioNet 2012", "research use only"),
        bibliography=(
            "@article{silva, author={Silva, I. and Moody, G. and Scott, D. J. and Celi, L. A. and Mark, R. G.}, "
            "title={Predicting in-hospital mortality of ICU patients}, journal={Computing in Cardiology}, volume={39}, "
            "pages={245}, year={2012}}\n"
            "@article{che, author={Che, Z. and others}, title={Recurrent neural networks for multivariate time series "
            "with missing values}, journal={Scientific Reports}, volume={8}, pages={6085}, year={2018}}"
        ),
        sources=(
            {
                "name": "PhysioNet/CinC Challenge 2012, set a",
                "licence": "ODC-BY 1.0",
                "citation": (
                    "Silva et al., Computing in Cardiology 2012;39:245-248; Goldberger et al., Circulation "
                    "2000;101:e215."
                ),
                "sha256": sha256,
            },
        ),
    )
