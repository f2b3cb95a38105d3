"""What a pack on structured values says about itself: card, metrics and the one-page facts, from its evaluation.

A pack gives its own sentences (`Words`); every number is read from the evaluation, none is typed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.training.write_pack import table, with_interval

NAMED = ("auc", "sensitivity", "specificity", "precision", "accuracy", "f1", "auprc", "brier", "ece")


@dataclass(frozen=True)
class Words:
    """The sentences that one pack says and another does not."""

    name: str
    version: str
    date: str
    title: str
    headline: str  # one line in capitals or bold: what the data were
    intended: str
    out_of_scope: str
    how: str  # method, in a sentence
    population: str
    data: str  # what the development data were, with their faults
    test: str  # what "test" is
    split: str  # why nothing leaked
    inputs: str
    limits: str
    bias: str
    risk: str
    goal: str
    not_known: str
    consent: str
    keywords: tuple[str, ...]
    bibliography: str
    sources: tuple[dict[str, str], ...]
    fairness_goal: str = "Equal performance in all groups of patients"


def card(w: Words, found: dict[str, Any]) -> dict[str, str]:
    """The card's texts."""
    return _release(w) | _uses(w, found) | _system(w, found) | _background(w)


def _release(w: Words) -> dict[str, str]:
    return {
        "ModelName": w.title,
        "ModelDeveloper": "The dxgate project",
        "DeveloperContact": "The issue tracker of the dxgate repository",
        "ReleaseStage": "Research only; not a medical device; not cleared or approved anywhere",
        "ReleaseDate": w.date,
        "ReleaseVersion": w.version,
        "GlobalAvailability": "With the dxgate source code. Not offered for clinical use in any country.",
        "RegulatoryApproval": "None.",
    }


def _uses(w: Words, found: dict[str, Any]) -> dict[str, str]:
    test = found["test"]
    return {
        "Summary": (
            f"{w.how} {w.headline} On {w.test} (n {test['n']}, {test['positive']} positive) the AUC is "
            f"{with_interval(test['auc'])}; at the threshold chosen on training data the sensitivity is "
            f"{with_interval(test['sensitivity'])} and the specificity {with_interval(test['specificity'])}. "
            f"{reached(found)}"
        ),
        "IntendedUseAndWorkflow": w.intended,
        "PrimaryIntendedUsers": "Engineers who test the integration; researchers; physicians taking part in research.",
        "HowToUse": (
            f"{w.inputs} An answer is a label, 'inconclusive, refer to a physician', or a refusal with its reason. It "
            "stays preliminary until a physician signs."
        ),
        "TargetedPatientPopulation": w.population,
        "CautionedOutOfScopeSettings": w.out_of_scope,
        "KnownRisksAndLimitations": risks(w, found),
        "KnownBiasesOrEthicalConsiderations": w.bias,
        "ClinicalRiskLevel": w.risk,
    }


def _system(w: Words, found: dict[str, Any]) -> dict[str, str]:
    return {
        "OutcomesAndOutputs": (
            "A calibrated probability; the label at threshold "
            f"{found['chosen_on_validation']['threshold']}; a conformal set at alpha {found['conformal']['alpha']}; "
            f"what "
            "each input added to the log-odds; the inputs that were not known."
        ),
        "ModelType": w.how,
        "FoundationModels": "None.",
        "InputDataSource": "; ".join(f"{s['name']} ({s['licence']})" for s in w.sources),
        "OutputAndInputDataTypes": f"{w.inputs} Output: numbers and sentences.",
        "DevelopmentDataCharacterization": w.data,
        "BiasMitigationApproaches": f"{w.split} Trivial baselines beside every number.",
        "OngoingMaintenance": "Retrained from public data by one command; a new version is a new signed pack.",
        "Security": "Signed (Ed25519); the gateway refuses a changed file and checks golden vectors when it loads.",
        "Transparency": "Training code, data sources, evaluation and this card are in the repository.",
    }


def _background(w: Words) -> dict[str, str]:
    return {
        "FundingSource": "None.",
        "ThirdPartyInformation": (
            "The authors of the data (see the bibliography); scikit-learn, ONNX Runtime (software)."
        ),
        "StakeholdersConsulted": "None yet. No physician has reviewed this model.",
        "EvaluationReferences": "evaluation.json in the pack.",
        "PeerReviewedPublications": "None about this model.",
        "PatientConsentOrDisclosure": w.consent,
        "Bibliography": w.bibliography,
    }


def reached(found: dict[str, Any]) -> str:
    """Whether the line that the project drew was passed, in one sentence each."""
    said = []
    for name, line in found["targets"].items():
        value = line["measured"]
        verdict = "reached" if value >= line["wanted"] else "NOT reached"
        said.append(f"Line {name} {line['wanted']:.3f}: {verdict} ({value:.3f}).")
    return " ".join(said)


def risks(w: Words, found: dict[str, Any]) -> str:
    """Limits, misses, coverage and baselines."""
    test, conformal = found["test"], found["conformal"]["test"]
    confusion = test["confusion"]
    return (
        f"{w.limits} At the threshold it missed {confusion['false_negative']} of {test['positive']} and called "
        f"{confusion['false_positive']} of {test['n'] - test['positive']} others positive. The conformal set held the "
        f"truth for {conformal['covered_positive']:.0%} of positives and {conformal['covered_negative']:.0%} of others "
        f"(aim {1 - found['conformal']['alpha']:.0%}); {conformal['both'] + conformal['neither']:.0%} of answers are "
        f"inconclusive. {baselines(found)}"
    )


def baselines(found: dict[str, Any]) -> str:
    """Every baseline with its difference."""
    said = []
    for name, line in found["baselines"].items():
        gap = line["model_minus_baseline"]
        said.append(
            f"{name}: AUC {line['auc']:.3f} (model minus it {gap['value']:+.3f}, "
            f"95 % CI {gap['ci95'][0]:+.3f} to {gap['ci95'][1]:+.3f})"
        )
    return "Baselines on the same rows: " + "; ".join(said) + "."


def metrics(w: Words, found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The card's three groups of key metrics."""
    shared = {
        "TestType": "Retrospective, public data",
        "TestingDataDescription": f"{w.test}: {found['test']['n']} rows, {found['test']['positive']} positive",
        "ValidationProcessAndJustification": (
            f"{w.split} Scale, weights, calibration, threshold and quantiles are made inside the training part of a "
            "split. 95 % intervals by bootstrap, 1000 draws, over patients or groups."
        ),
    }
    return {
        "UsefulnessUsabilityEfficacy": shared | _useful(w, found),
        "FairnessEquity": shared | _fair(w, found),
        "SafetyReliability": shared | _safe(found),
    }


def _useful(w: Words, found: dict[str, Any]) -> dict[str, Any]:
    results: dict[str, Any] = {f"test: {name}": found["test"][name] for name in NAMED}
    results |= {f"over seeds: {name}": value for name, value in found["seeds"].items()}
    results |= {f"baseline: {name}": value for name, value in found["baselines"].items()}
    for name, external in found.get("external", {}).items():
        results |= {f"{name}: {key}": external[key] for key in ("auc", "sensitivity", "specificity", "brier")}
    return {"MetricGoal": w.goal, "results": results, "Interpretation": f"{reached(found)} {baselines(found)}"}


def _fair(w: Words, found: dict[str, Any]) -> dict[str, Any]:
    return {"MetricGoal": w.fairness_goal} | by_group(found)


def by_group(found: dict[str, Any]) -> dict[str, Any]:
    """The numbers by group for the card, and the span of the AUC over them."""
    groups = found["subgroups"]
    results: dict[str, Any] = {
        name: {key: value[key] for key in ("n", "auc", "sensitivity", "specificity")}
        for name, value in groups.items()
        if "auc" in value
    }
    told = {name: value["auc"]["value"] for name, value in groups.items() if "auc" in value}
    text = "No subgroup could be measured."
    if told:
        low, high = min(told, key=told.__getitem__), max(told, key=told.__getitem__)
        text = (
            f"AUC from {told[low]:.3f} ({low}) to {told[high]:.3f} ({high}). One threshold for all: sensitivity and "
            "specificity differ by group as shown. The goal is not claimed."
        )
    return {"results": results or {"subgroups that could be measured": 0}, "Interpretation": text}


def _safe(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "MetricGoal": f"The conformal set holds the truth for {1 - found['conformal']['alpha']:.0%} of each class",
        "results": {
            **{f"conformal, test: {k}": v for k, v in found["conformal"]["test"].items()},
            **{f"before calibration: {k}": v for k, v in found["before_calibration"].items()},
            "ONNX against the training framework, largest difference": max(found["parity"].values()),
        },
        "Interpretation": "Coverage is measured, not promised: patients elsewhere differ, which breaks it.",
    }


def facts(w: Words, found: dict[str, Any]) -> str:
    """One page for a physician, in the order of the DIHI Model Facts."""
    test = found["test"]
    external = found.get("external", {})
    rows = [("measure", f"{w.test} (n {test['n']})", *(f"{name} (n {e['n']})" for name, e in external.items()))]
    for name in NAMED:
        rows.append((name, with_interval(test[name]), *(with_interval(e[name]) for e in external.values())))
    seeds = "; ".join(
        f"{name} mean {value['mean']:.3f}, range {value['range'][0]:.3f} to {value['range'][1]:.3f}"
        for name, value in found["seeds"].items()
    )
    return f"""# Model facts: {w.name} {w.version}

**{w.headline} A physician decides.**

**What it does.** {w.intended}

**What it must not be used for.** {w.out_of_scope}

**How.** {w.how} Calibrated; threshold {found["chosen_on_validation"]["threshold"]}, chosen on training data for a
sensitivity of {found["recipe"]["sensitivity"]:.0%}. Where the calibrated evidence allows both answers or none, the
answer is "inconclusive, refer to a physician".

**From what.** {w.data}

**How well** (95 % bootstrap interval in brackets):

{table(rows)}

Over seeds: {seeds}. {reached(found)}
{baselines(found)}

By group:

{group_table(found)}

![ROC curve](plots/roc.png) ![Reliability](plots/reliability.png) ![Subgroups](plots/subgroups.png)

**Warnings.** {risks(w, found)}

**Not known.** {w.not_known}

**Sources.** {" ".join(source["citation"] for source in w.sources)}
"""


def group_table(found: dict[str, Any]) -> str:
    """Groups of patients or images with what could be measured, as a Markdown table."""
    rows: list[tuple[str, ...]] = [("group", "n", "AUC", "sensitivity", "specificity")]
    for name, value in found["subgroups"].items():
        if "auc" in value:
            cells = (with_interval(value[key], 2) for key in ("auc", "sensitivity", "specificity"))
            rows.append((name, str(value["n"]), *cells))
        else:
            rows.append((name, str(value["n"]), "too few to measure", "", ""))
    return table(rows) if len(rows) > 1 else "No subgroup could be measured."
