"""Which packs start active: a signature alone is no evaluation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness.clinic import loaded
from harness.rows import model

from gateway.domain.errors import Fault
from gateway.domain.model import ServedModel
from gateway.storage.database import SqlDatabase
from models.promotion import held_back, in_place_of, parsed, start_of
from models.registry import BUILT_IN, find
from workers.engine import Loaded
from workers.run import announce
from workers.shelf import Shelf

RULE = '[[held_back]]\nname = "a"\nversion = "1.0.0"\nstart = "{start}"\nwhy = "{why}"\n'


def test_what_is_held_back_is_announced_so() -> None:
    """A worker announces two packs in the shadow, one as a draft, each for its rule's reason, and all others active."""
    states = {one.name: one.state for one in loaded().served}
    assert {name: state for name, state in states.items() if state != "active"} == {
        "tumour-recurrence": "shadow",
        "treatment-plan": "shadow",
        "breast-ultrasound-cnn": "draft",
    }
    assert {name for name, _ in held_back()} == {name for name, state in states.items() if state != "active"}
    held = {name for name, _ in held_back()}
    assert {state for name, state in states.items() if name not in held} == {"active"}


def test_a_model_no_better_than_chance_does_not_start_active() -> None:
    """The interval of the AUC of every pack that starts active lies above one half."""
    measured = 0
    for path in sorted(BUILT_IN.glob("*/evaluation.json")):
        told = json.loads(path.read_text("utf-8"))
        low = _low(told["test"].get("auc"))
        if low is not None and start_of(told["model"], told["version"], activate=True) == "active":
            measured += 1
            assert low > 0.5, told["model"]
    assert measured >= 8


def _low(told: dict[str, Any] | None) -> float | None:
    """The lower bound of the interval; None for rules, which have no AUC."""
    return float(told["ci95"][0]) if told else None


def test_rules_are_about_packs_that_exist() -> None:
    """Each rule names a version that is built in, so that none is left behind unseen."""
    known = {(one.manifest.name, one.manifest.version) for one in find()[0]}
    assert set(held_back()) <= known


def test_another_version_is_not_held_back() -> None:
    """A better version, or a hospital's own, starts as any signed pack; and nothing starts where activation is off."""
    assert start_of("tumour-recurrence", "1.1.0", activate=True) == "active"
    assert start_of("tumour-recurrence", "1.0.0", activate=True) == "shadow"
    assert start_of("diabetes-risk", "1.0.0", activate=False) == "draft"


@pytest.mark.parametrize(
    "text",
    [
        RULE.format(start="active", why="so"),
        RULE.format(start="shadow", why=""),
        RULE.format(start="shadow", why="so") * 2,
        '[[held_back]]\nname = "a"\n',
    ],
    ids=["start", "why", "twice", "lacking"],
)
def test_a_rule_that_is_not_whole_is_a_fault(text: str) -> None:
    """An unknown start, no reason, two rules for one version, or a missing key."""
    with pytest.raises(Fault):
        parsed(text)


def served(name: str, version: str = "1.0.0") -> ServedModel:
    state = start_of(name, version, activate=True)
    return model(name, version, state="active" if state == "active" else "draft")


def actives(database: SqlDatabase, *models: ServedModel) -> set[str]:
    """Names that are active once a worker has announced these."""
    announce(database, Loaded(models, Shelf(), ()), "worker:1")
    with database.read() as unit:
        return {one.name for one in unit.models.active()}


def test_a_pack_that_answers_the_same_question_takes_the_others_place(database: SqlDatabase) -> None:
    """After an upgrade the pack of the earlier release is retired by the new one, at each start of a worker."""
    ((better, former),) = in_place_of().items()
    assert actives(database, model(former)) == {former}
    for _ in range(2):
        assert actives(database, served(former, dict(list(held_back()))[former]), served(better, "1.0.1")) == {better}


def test_a_persons_choice_is_not_replaced(database: SqlDatabase) -> None:
    """Where a person has made the former one active, the other one starts as a draft, and stays one."""
    ((better, former),) = in_place_of().items()
    held = dict(list(held_back()))[former]
    actives(database, served(former, held))
    with database.begin("person:ada") as unit:
        assert unit.models.activate(model(former, held).id)
        unit.commit()
    for _ in range(2):
        assert actives(database, served(former, held), served(better, "1.0.1")) == {former}


def test_both_names_exist_and_ask_the_same() -> None:
    """The rule names built-in packs with one question, and the former one does not start active."""
    packs = {one.manifest.name: one.manifest for one in find()[0]}
    for better, former in in_place_of().items():
        assert packs[better].question == packs[former].question
        assert start_of(better, packs[better].version, activate=True) == "active"
        assert start_of(former, packs[former].version, activate=True) == "draft"
