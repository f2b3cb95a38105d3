"""What the pack `icu-deterioration-gru` says about itself."""

from __future__ import annotations

from models.training.value_words import Words

CHOICE = {
    "protocol": (
        "the trees' settings and their weight beside the networks are chosen for every outer fold by three folds "
        "within its training stays, one network and one booster each; the shipped model takes what is best on average "
        "over the outer folds. Event-1's threshold, calibration and quantiles come from the same inner folds. The "
        "summaries that trees read were compared beforehand within the training stays of the first outer fold alone. "
        "The networks' own recipe was taken over from 1.0.0, which chose it among ten on these five folds: what the "
        "networks add is optimistic by what that choice gained"
    ),
    "summaries, mean AUC of five folds within the first outer fold's training stays": {
        "last, first, mean, lowest, highest, count (255 bins, every summary at every split)": 0.8545,
        "with times of day, spread, gaps and ratios (63 bins, a fifth of the summaries at every split; taken)": 0.8619,
    },
    "networks_of_1.0.0, mean_auc_of_two": {
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
}


def words(sha256: str) -> Words:
    """What the card and the facts say."""
    return Words(
        name="icu-deterioration-gru",
        version="1.1.0",
        date="2026-11-29",
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
            "Three gated recurrent networks (GRU) over hourly values, masks and gaps, each beside a piecewise linear "
            "reading of summaries, and three sets of boosted trees on richer summaries; averaged as probabilities, "
            "each kind with its weight; missing values are handled inside the graph."
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
            "Five stratified folds of stays. A fold's trees, weights, threshold, calibration and quantiles come from "
            "folds within its training stays; its own stays choose nothing. The networks' recipe is the exception: "
            "see choice in evaluation.json."
        ),
        inputs=(
            "Timed values with UCUM units over 48 hours (see the manifest), at least six series and 36 hours; age and "
            "kind of unit."
        ),
        limits=(
            "Most of what it knows lies in the summaries: see the baselines for the trees alone, the networks alone, "
            "and boosting on plain summaries. Being measured is itself a sign of illness here. Deaths after discharge "
            "are not counted."
        ),
        bias="One hospital system's practice; origin is not delivered. See the groups by unit, sex and age.",
        risk="High if used clinically: a low number must never delay care, a high one never limit it. Research only.",
        goal="AUC of .85 and Event-1 of .53; boosting's .854 is the line to pass",
        not_known="Performance today, elsewhere, by origin; effect on care.",
        consent="Anonymised public data. A site must tell patients as its own law asks.",
        keywords=(
            "intensive care",
            "mortality",
            "GRU",
            "boosted trees",
            "missing values",
            "PhysioNet 2012",
            "research use only",
        ),
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
