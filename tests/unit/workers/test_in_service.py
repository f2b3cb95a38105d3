"""What a worker holds: the models that tasks may come for, and no draft or retired one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from harness.packs import BREAST, Workshop
from harness.rows import AT, arrival, receive
from harness.studies import demo_files

from gateway.config import load
from gateway.domain.ids import ModelId
from gateway.domain.model import ModelState
from gateway.storage.database import SqlDatabase
from models import promotion, registry
from workers.engine import Engine, Loaded, load_models
from workers.in_service import InService, wanted_models
from workers.run import announce

WORKER = "worker:1"


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Makes packs; the built-in ones are out of the way."""
    monkeypatch.setattr(registry, "BUILT_IN", tmp_path / "none")
    return Workshop.at(tmp_path / "made")


def started(workshop: Workshop, database: SqlDatabase, *, activate: bool = False) -> tuple[Loaded, InService, ModelId]:
    """A worker with the one pack, as it starts where people activate: what it found, and the pack's id."""
    models = {
        "folders": (str(workshop.folder / "packs"),),
        "trusted_keys": str(workshop.trust),
        "activate_signed": activate,
    }
    settings = load({}, worker={"device": "cpu"}, models=models).settings
    loaded = load_models(settings, wanted=wanted_models(database))
    announce(database, loaded, WORKER)
    in_service = InService(database, WORKER, loaded.shelf, loaded.records)
    in_service()
    return loaded, in_service, loaded.served[0].id


def decide(database: SqlDatabase, model_id: ModelId, state: ModelState) -> None:
    with database.begin("person:ada") as unit:
        assert unit.models.activate(model_id) if state == "active" else unit.models.decide(model_id, state)  # type: ignore[arg-type]
        unit.commit()


def refusals(database: SqlDatabase) -> list[tuple[str, str]]:
    with database.read() as unit:
        rows = unit.audit.newest(limit=50, event="model:refuse")
    return [(row.entry.subject_id, str(row.entry.details["reason"])) for row in rows]


def test_a_draft_is_proved_and_announced_and_holds_no_memory(workshop: Workshop, sqlite_database: SqlDatabase) -> None:
    """With its real provider in the registry it waits for a person; no session and none of its bytes are kept."""
    workshop.breast()
    loaded, _, draft = started(workshop, sqlite_database)
    with sqlite_database.read() as unit:
        row = unit.models.get(draft)
    assert (row.state, row.provider) == ("draft", "CPUExecutionProvider")
    assert draft in loaded.shelf.known()
    assert loaded.shelf.loaded() == frozenset()


@pytest.mark.parametrize("state", ["active", "shadow"])
def test_what_a_person_promotes_is_loaded_without_a_restart(
    workshop: Workshop, sqlite_database: SqlDatabase, state: ModelState
) -> None:
    """The next look at the registry loads it, ahead of its first study; retired, it is put away at the next one."""
    workshop.breast()
    loaded, in_service, model_id = started(workshop, sqlite_database)
    decide(sqlite_database, model_id, state)
    in_service()
    assert loaded.shelf.loaded() == {model_id}
    assert Engine(loaded.shelf).predict(model_id, [demo_files()[0].read_bytes()]).images
    assert loaded.shelf.loaded() == {model_id}
    decide(sqlite_database, model_id, "retired")
    in_service()
    assert loaded.shelf.loaded() == frozenset()


def test_a_promoted_draft_is_kept_from_the_start_of_the_next_worker(
    workshop: Workshop, sqlite_database: SqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person's decision counts above how the pack would start: it is loaded once and stays."""
    workshop.breast()
    _, _, model_id = started(workshop, sqlite_database)
    decide(sqlite_database, model_id, "active")
    opened: list[str] = []
    monkeypatch.setattr(registry, "load", _noted(opened, registry.load))
    loaded, _, _ = started(workshop, sqlite_database)
    assert loaded.shelf.loaded() == {model_id}
    assert opened == [BREAST.name]


def _noted(names: list[str], load_pack: Callable[..., object]) -> Callable[..., object]:
    def noted(package: registry.Package, *rest: object) -> object:
        names.append(package.manifest.name)
        return load_pack(package, *rest)

    return noted


def test_a_retired_model_stays_while_a_task_waits_for_it(workshop: Workshop, sqlite_database: SqlDatabase) -> None:
    """A study that was planned before is answered without loading for each of its tasks; then it is put away."""
    workshop.breast()
    loaded, in_service, model_id = started(workshop, sqlite_database, activate=True)
    with sqlite_database.begin("settle") as unit:
        what = arrival()
        receive(unit, what)
        study = unit.studies.get(what.instance.study_id)
        (task,) = unit.tasks.plan(study, [unit.models.get(model_id)], AT)
        unit.commit()
    decide(sqlite_database, model_id, "retired")
    in_service()
    assert loaded.shelf.loaded() == {model_id}
    with sqlite_database.begin("receive") as unit:
        assert unit.tasks.withdraw_open(study.id, task.revision + 1) == 1
        unit.commit()
    in_service()
    assert loaded.shelf.loaded() == frozenset()


def test_a_draft_whose_file_has_changed_is_refused_by_name(workshop: Workshop, sqlite_database: SqlDatabase) -> None:
    """Promoted after a file was altered, it is not loaded; the audit trail names pack and file, once."""
    pack = workshop.breast()
    loaded, in_service, model_id = started(workshop, sqlite_database)
    graph = bytearray((pack / "model.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (pack / "model.onnx").write_bytes(graph)
    decide(sqlite_database, model_id, "active")
    for _ in range(3):
        in_service()
    assert loaded.shelf.loaded() == frozenset()
    ((name, reason),) = refusals(sqlite_database)
    assert name == BREAST.name
    assert "model.onnx" in reason
    graph[len(graph) // 2] ^= 1
    (pack / "model.onnx").write_bytes(graph)
    in_service.try_again()
    in_service()
    assert loaded.shelf.loaded() == {model_id}


def test_a_draft_that_was_replaced_by_another_version_does_not_open_as_that_one(
    workshop: Workshop, sqlite_database: SqlDatabase
) -> None:
    """A sound pack in its folder is not what a person has promoted."""
    workshop.breast()
    loaded, in_service, model_id = started(workshop, sqlite_database)
    workshop.breast(version="2.0.1")
    decide(sqlite_database, model_id, "active")
    in_service()
    assert loaded.shelf.loaded() == frozenset()
    assert [name for name, _ in refusals(sqlite_database)] == [BREAST.name]


def test_packs_on_records_rest_as_those_on_images_do(sqlite_database: SqlDatabase) -> None:
    """Where people activate, a new worker has proved every built-in pack and holds none; one promoted, it holds one."""
    settings = load({}, worker={"device": "cpu"}, models={"activate_signed": False}).settings
    loaded = load_models(settings)
    announce(sqlite_database, loaded, WORKER)
    in_service = InService(sqlite_database, WORKER, loaded.shelf, loaded.records)
    in_service()
    assert len(loaded.served) == len(loaded.shelf.known() | loaded.records.known()) > 10
    assert loaded.shelf.loaded() | loaded.records.loaded() == frozenset()
    gru = next(one.id for one in loaded.served if one.name == "icu-deterioration-gru")
    decide(sqlite_database, gru, "shadow")
    in_service()
    assert (loaded.shelf.loaded(), loaded.records.loaded()) == (frozenset(), {gru})


def test_what_starts_held_back_as_a_draft_rests(sqlite_database: SqlDatabase) -> None:
    """Of the built-in packs, where signed ones activate themselves, the drafts of promotion.toml alone rest."""
    loaded = load_models(load({}, worker={"device": "cpu"}).settings)
    drafts = {name for (name, _), rule in promotion.held_back().items() if rule.start == "draft"}
    resting = {one.name for one in loaded.served if one.id not in loaded.shelf.loaded() | loaded.records.loaded()}
    assert resting == drafts != set()


def test_where_two_people_are_asked_nothing_activates_itself(workshop: Workshop) -> None:
    """A signed pack is a draft as soon as models.approvals is 2, whatever models.activate_signed says."""
    workshop.breast()
    models = {"folders": (str(workshop.folder / "packs"),), "trusted_keys": str(workshop.trust)}
    for approvals, state in ((1, "active"), (2, "draft")):
        settings = load({}, worker={"device": "cpu"}, models=models | {"approvals": approvals}).settings
        assert [one.state for one in load_models(settings).served] == [state]
