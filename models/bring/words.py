"""The card (CHAI Applied Model Card v0.2) and the facts page of a pack that somebody brings.

`init` writes both with FILL IN where a person has to write; what a person has written as `words.toml` is put in
at once. `pack` puts in the numbers, which come from `evaluation.json` and from nowhere else.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from gateway.domain.errors import Invalid
from models.bring.skeleton import FILL_IN
from models.card import NAMESPACE
from models.training.write_pack import FACTS, METRIC_TEXTS, METRICS, OPENNESS, RESOURCES, SECTIONS, card_xml, table

ASKED = {
    "ModelDeveloper": "who made the model",
    "DeveloperContact": "how to reach them",
    "ReleaseStage": "research only, pilot, or a device with its clearance",
    "IntendedUseAndWorkflow": "who uses the answer, when, for what",
    "CautionedOutOfScopeSettings": "where it must not be used",
    "KnownRisksAndLimitations": "what goes wrong, and how often",
    "KnownBiasesOrEthicalConsiderations": "for whom it is worse",
    "DevelopmentDataCharacterization": "training data: whom, where, when, how labelled",
    "Bibliography": "BibTeX of the paper or the repository",
}
NAMED = ("auc", "auprc", "accuracy", "sensitivity", "specificity", "precision", "f1", "brier", "ece")
NUMBERS = "<!-- numbers: written by `dxgate model pack` -->"
NO_GUARD = (
    "Nothing measures whether an input is like those that the model was trained on: the scope of the manifest is the "
    "only guard. The explanation covers or leaves out one part at a time; it is not the model's own."
)


def names() -> tuple[str, ...]:
    """Every text of the card, in its order."""
    inner = [name for section in SECTIONS.values() for name in section]
    return (*inner, *FACTS, *OPENNESS, *RESOURCES, "Bibliography")


def read(text: bytes) -> dict[str, str]:
    """`words.toml`: a text for each name of the card. Raises `Invalid` for a name that the card does not have."""
    try:
        found = tomllib.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid(f"the words are not TOML: {error}") from error
    unknown = sorted(set(found) - set(names()) - {"Keywords", "MetricGoal", "Title"})
    if unknown or not all(isinstance(value, str) for value in found.values()):
        raise Invalid(f"the words must be texts under names of the card; not known: {', '.join(unknown) or '-'}")
    return found


def card(name: str, version: str, words: Mapping[str, str]) -> bytes:
    """The card without numbers."""
    fixed = {"ModelName": name, "ReleaseVersion": version}
    texts = {one: words.get(one) or fixed.get(one) or f"{FILL_IN}: {ASKED.get(one, one)}" for one in names()}
    if NO_GUARD not in texts["KnownRisksAndLimitations"]:
        texts["KnownRisksAndLimitations"] += f" {NO_GUARD}"
    goal = words.get("MetricGoal", f"{FILL_IN}: what the number must be to be of use")
    waiting = {"results": {"not measured": None}, **dict.fromkeys(METRIC_TEXTS, "dxgate model evaluate writes this.")}
    keywords = [word.strip() for word in words.get("Keywords", "third-party").split(",")]
    return card_xml(texts, keywords, {each: {"MetricGoal": goal} | waiting for each in METRICS})


def facts(name: str, version: str, words: Mapping[str, str]) -> str:
    """The one-page facts without numbers, in the order of the DIHI Model Facts."""

    def said(key: str) -> str:
        return words.get(key) or f"{FILL_IN}: {ASKED.get(key, key)}"

    return f"""# Model facts: {name} {version}

**What it does.** {said("IntendedUseAndWorkflow")}

**What it must not be used for.** {said("CautionedOutOfScopeSettings")}

**From what.** {said("DevelopmentDataCharacterization")}

**How well** (95 % bootstrap interval in brackets):

{NUMBERS}

**Warnings.** {said("KnownRisksAndLimitations")} {NO_GUARD}
"""


def with_numbers(xml: bytes, found: Mapping[str, Any]) -> bytes:
    """The card with the metrics of an evaluation in place of those it had."""
    ElementTree.register_namespace("", NAMESPACE)
    root = ElementTree.fromstring(xml)  # noqa: S314 (checked by models.card before: no document type)
    results = {
        "UsefulnessUsabilityEfficacy": {f"test: {name}": found["test"][name] for name in NAMED},
        "FairnessEquity": {name: told for name, told in found["subgroups"].items()} or {"subgroups in the data": 0},
        "SafetyReliability": {f"conformal, test: {name}": told for name, told in found["conformal"]["test"].items()},
    }
    for group, told in results.items():
        node = root.find(f"{{{NAMESPACE}}}KeyMetrics/{{{NAMESPACE}}}{group}")
        if node is None:
            raise Invalid(f"card.xml lacks KeyMetrics/{group}")
        _fill(node, told, _texts(found))
    ElementTree.indent(root)
    made: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return made + b"\n"


def _texts(found: Mapping[str, Any]) -> dict[str, str]:
    test = found["test"]
    return {
        "Interpretation": (
            f"At the threshold {found['chosen_on_validation']['threshold']} it missed "
            f"{test['confusion']['false_negative']} of {test['positive']} and called "
            f"{test['confusion']['false_positive']} of {test['n'] - test['positive']} others positive."
        ),
        "TestType": "Retrospective, by `dxgate model evaluate` on data of whoever packed the model",
        "TestingDataDescription": f"{test['n']} cases, {test['positive']} positive; {found['refused']['n']} refused",
        "ValidationProcessAndJustification": (
            "Threshold and conformal quantiles were chosen on other groups of patients than those of the test. 95 % "
            "intervals by bootstrap over groups."
        ),
    }


def _fill(node: ElementTree.Element, results: Mapping[str, Any], texts: Mapping[str, str]) -> None:
    holder = node.find(f"{{{NAMESPACE}}}Results")
    if holder is None:
        raise Invalid("card.xml lacks Results")
    for child in list(holder):
        holder.remove(child)
    for label, value in results.items():
        result = ElementTree.SubElement(holder, f"{{{NAMESPACE}}}MetricResult")
        ElementTree.SubElement(result, f"{{{NAMESPACE}}}Label").text = label
        ElementTree.SubElement(result, f"{{{NAMESPACE}}}ValueJson").text = json.dumps(value)
    for name, text in texts.items():
        element = node.find(f"{{{NAMESPACE}}}{name}")
        if element is not None:
            element.text = text


def numbers(found: Mapping[str, Any]) -> str:
    """The table of the facts page."""
    test = found["test"]
    rows = [("measure", f"test (n {test['n']}, {test['positive']} positive)")]
    rows += [(name, f"{test[name]['value']:.3f} ({_range(test[name])})") for name in NAMED]
    held = found["conformal"]["test"]
    rows.append(("conformal set holds the truth, positive", f"{held['covered_positive']:.3f}"))
    rows.append(("conformal set holds the truth, negative", f"{held['covered_negative']:.3f}"))
    rows.append(("inconclusive", f"{held['both'] + held['neither']:.3f}"))
    return table(rows)


def _range(number: Mapping[str, Any]) -> str:
    return f"95 % CI {number['ci95'][0]:.3f} to {number['ci95'][1]:.3f}"
