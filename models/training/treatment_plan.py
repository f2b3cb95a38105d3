"""Making the pack `treatment-plan`: rules of published guidelines, walked through and written down. Nothing is learnt.

    python -m models.training.treatment_plan --data DIR --out models/packs --seed 1
    dxgate model sign models/packs/treatment-plan --key KEY.pem

The evaluation is a walk: every rule is made to speak by the least that it asks for, and falls silent when any one of
its conditions is taken away or its value lies just outside.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

from models.manifest import PlanManifest, parse
from models.package import Package
from models.runtime.plan import Condition, PlanRules, Rule
from models.runtime.readings import Patient, Reading
from models.training import value_pack
from models.training.plan_rules import RULES
from models.training.rank import say
from models.training.value_pack import input_field, local, other_unit
from models.training.write_pack import METRICS, card_xml, table, write

NAME, VERSION, DATE = "treatment-plan", "1.0.1", "2026-11-29"
TITLE = "Proposals from published guidelines (research)"
INTENDED = (
    "Research and integration testing. From findings of models and values of a record, proposals that published "
    "guidelines make, each with its source and with what made it speak, for a physician to accept, change or refuse."
)
OUT_OF_SCOPE = (
    "Not an order, prescription or diagnosis. Not complete: silence of the rules says nothing. Knows no allergies, "
    "kidneys, pregnancy or wishes of the patient. Guidelines change and differ by country; these are of the United "
    "States and of two international societies."
)
_SMOKES = {"no": 0.0, "yes": 1.0}
FIELDS = (
    input_field(
        *("hba1c", "HbA1c", "%", 3, 20, "4548-4", "59261-8"),
        conversions=[other_unit("mmol/mol", 0.09148, 2.152)],  # IFCC to NGSP, the master equation
    ),
    input_field("systolic", "Systolic blood pressure", "mm[Hg]", 60, 260, "8480-6"),
    input_field("diastolic", "Diastolic blood pressure", "mm[Hg]", 20, 160, "8462-4"),
    input_field(
        "ldl", "LDL cholesterol", "mg/dL", 5, 700, "2089-1", "13457-7", conversions=[other_unit("mmol/L", 38.67)]
    ),
    input_field("bmi", "Body mass index", "kg/m2", 10, 100, "39156-5"),
    input_field("smoker", "Smokes now", "1", 0, 1, answers=_SMOKES),
    input_field("birads", "BI-RADS assessment", "1", 0, 6, answers={str(k): float(k) for k in range(7)}),
    input_field(
        "nodule_diameter", "Diameter of the nodule", "mm", 2, 60, "33728-7", conversions=[other_unit("cm", 10.0)]
    ),
)


def manifest(files: dict[str, bytes]) -> bytes:
    """`manifest.toml`; the digests are those of `files`."""
    sources = dict.fromkeys(rule["guideline"] for rule in RULES)
    return value_pack.as_toml(
        {
            "name": NAME,
            "version": VERSION,
            "title": TITLE,
            "task": "rules",
            "licence": "Apache-2.0; the guidelines are cited, not copied",
            "intended_use": INTENDED,
            "out_of_scope": OUT_OF_SCOPE,
            "device_memory_mib": 0,
            "question": local(NAME, "Proposals from published guidelines"),
            "input": {"kind": "plan", "rules": "rules.json", "fields": list(FIELDS)},
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
            "sources": [
                {"name": name, "licence": "cited", "citation": f"{name}.", "sha256": "none: cited"} for name in sources
            ],
        }
    )


def given(rule: Rule, without: int = -1, outside: int = -1) -> tuple[list[Reading], list[str], Patient]:
    """The least that makes a rule speak; `without` leaves one condition out, `outside` puts a value below its bound."""
    readings, facts, age, sex = [], [], None, None
    units = {one["name"]: one["unit"] for one in FIELDS}
    for place, one in enumerate(rule.when):
        if place == without:
            continue
        if one.fact:
            facts.append(one.fact)
        elif one.value and one.answer:
            readings.append(Reading(one.value, one.answer))
        elif one.value:
            readings.append(Reading(one.value, _number(one, place == outside), units[one.value]))
        elif one.sex:
            sex = one.sex
        else:
            age = (one.age_at_least or 0.0) - (0.5 if place == outside else 0.0)
    return readings, facts, Patient(sex, age)


def _number(one: Condition, outside: bool) -> float:
    at = one.at_least if one.at_least is not None else (one.below or 0.0) - 0.1
    return at - 0.02 if outside else at


def walk(rules: PlanRules) -> dict[str, Any]:
    """How many rules speak by the least they ask, and fall silent without any one condition and just outside."""
    spoke = silent = conditions = outside = bounds = 0
    for rule in rules.rules:
        spoke += rule in [one.rule for one in rules.propose(*given(rule))]
        for place, one in enumerate(rule.when):
            conditions += 1
            silent += rule not in [each.rule for each in rules.propose(*given(rule, without=place))]
            if one.at_least is not None or one.age_at_least is not None:
                bounds += 1
                outside += rule not in [each.rule for each in rules.propose(*given(rule, outside=place))]
    return {
        "rules": len(rules.rules),
        "rules_that_speak": spoke,
        "conditions": conditions,
        "silent_without_a_condition": silent,
        "lower_bounds": bounds,
        "silent_below_a_bound": outside,
        "guidelines": len({rule.guideline for rule in rules.rules}),
        "proposals_on_an_empty_record": len(rules.propose([], [], Patient())),
    }


def facts(found: dict[str, Any]) -> str:
    """One page for a physician."""
    rows = [("rule", "proposal", "guideline", "caution")]
    rows += [(rule["id"], rule["text"], rule["guideline"], rule["caution"]) for rule in RULES]
    test = found["test"]
    return f"""# Model facts: {NAME} {VERSION}

**Research only. Proposals, never orders; a physician decides each item.**

**What it does.** {INTENDED}

**What it must not be used for.** {OUT_OF_SCOPE}

**How.** {test["rules"]} rules of {test["guidelines"]} published guidelines; nothing is learnt, for no data at hand hold
what treatment did to patients. A rule speaks only where each of its conditions is known and holds.

**Checked.** {test["rules_that_speak"]} of {test["rules"]} rules speak by the least that they ask for;
{test["silent_without_a_condition"]} of {test["conditions"]} times a rule falls silent when one condition is missing;
{test["silent_below_a_bound"]} of {test["lower_bounds"]} times just below a bound. No physician has reviewed the rules.

{table(rows)}
"""


def card(found: dict[str, Any]) -> bytes:
    """The card."""
    test = found["test"]
    guidelines = "; ".join(dict.fromkeys(rule["guideline"] for rule in RULES))
    words = {
        "ModelName": TITLE,
        "ModelDeveloper": "The dxgate project",
        "DeveloperContact": "The issue tracker of the dxgate repository",
        "ReleaseStage": "Research only; not a medical device; not cleared or approved anywhere",
        "ReleaseDate": DATE,
        "ReleaseVersion": VERSION,
        "GlobalAvailability": "With the dxgate source code. Not offered for clinical use in any country.",
        "RegulatoryApproval": "None.",
        "Summary": f"{test['rules']} rules of {test['guidelines']} guidelines, nothing learnt; each is sourced.",
        "IntendedUseAndWorkflow": INTENDED,
        "PrimaryIntendedUsers": "Engineers who test the integration; physicians taking part in research.",
        "HowToUse": "Fed from the patient's record and from reported findings; the answer is a CarePlan.",
        "TargetedPatientPopulation": "Adults, by the ages that each guideline names.",
        "CautionedOutOfScopeSettings": OUT_OF_SCOPE,
        "KnownRisksAndLimitations": (
            "Proposals rest on findings of research models and on single values. Rules do not know contraindications. "
            "A guideline may have been replaced since. Silence is not reassurance."
        ),
        "KnownBiasesOrEthicalConsiderations": "Guidelines carry the populations of their studies with them.",
        "ClinicalRiskLevel": "High if followed without thought. Research only.",
        "OutcomesAndOutputs": "Proposals with rule, guideline, reasons and caution.",
        "ModelType": "Rules; nothing learnt.",
        "FoundationModels": "None.",
        "InputDataSource": guidelines,
        "OutputAndInputDataTypes": "Values with UCUM units and answers of models; sentences out.",
        "DevelopmentDataCharacterization": "None: no data set with outcomes of treatment was used.",
        "BiasMitigationApproaches": "Age bounds of the guidelines; race is no input.",
        "OngoingMaintenance": "Guidelines are looked through at every release; a changed rule is a new version.",
        "Security": "Signed (Ed25519); the gateway refuses a changed file.",
        "Transparency": "Rules, sources and the walk through them are in the repository.",
        "FundingSource": "None.",
        "ThirdPartyInformation": "The guidelines' authors.",
        "StakeholdersConsulted": "None yet. No physician has reviewed these rules.",
        "EvaluationReferences": "evaluation.json in the pack.",
        "PeerReviewedPublications": "None about this pack; the guidelines are published.",
        "PatientConsentOrDisclosure": "No patients' data were used.",
        "Bibliography": "@misc{guidelines, title={" + guidelines + "}}",
    }
    metric = {
        "MetricGoal": "Every rule speaks exactly where its guideline does",
        "results": test,
        "Interpretation": "The walk proves the rules' mechanics, not that following them helps.",
        "TestType": "Walk over all rules and conditions",
        "TestingDataDescription": "Made-up records at and just below each bound",
        "ValidationProcessAndJustification": "No outcome data exist here; benefit is not claimed.",
    }
    keywords = ["guidelines", "rules", "care plan", "proposal", "no learning", "research use only"]
    return card_xml(words, keywords, dict.fromkeys(METRICS, metric))


def main() -> None:
    """Rules, walk, pack folder. `--data` and `--seed` are taken for uniformity; nothing is read or random."""
    args = value_pack.arguments(__doc__)
    raw = (json.dumps({"version": DATE, "rules": RULES}, indent=1) + "\n").encode("utf-8")
    draft = parse(manifest({"rules.json": raw}))
    if not isinstance(draft, PlanManifest):
        raise TypeError("a pack of rules for a plan was meant")
    content = MappingProxyType({"rules.json": raw})
    package = Package(Path(NAME), draft, content, hashlib.sha256(raw).hexdigest(), "", "")
    found = {"model": NAME, "version": VERSION, "test": walk(PlanRules(package))}
    files = {
        "rules.json": raw,
        "evaluation.json": (json.dumps(found, indent=1) + "\n").encode(),
        "card.xml": card(found),
        "facts.md": facts(found).encode("utf-8"),
    }
    write(args.out / NAME, files | {"manifest.toml": manifest(files)})
    say(files["facts.md"].decode("utf-8"))


if __name__ == "__main__":
    main()
