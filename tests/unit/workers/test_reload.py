"""A worker at work: new versions without a stop, servers for graphs, memory that does not suffice, and its own end."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness.inference_server import InferenceServer, serving
from harness.packs import BREAST, Workshop, say
from harness.studies import demo_files

from gateway.config import Settings, load
from gateway.domain.errors import Unavailable, Unsupported
from gateway.domain.prediction import Prediction
from gateway.storage.database import SqlDatabase
from models import registry
from models.runtime import remote as remotes
from models.runtime.decoding import decode_here
from workers import engine as engines
from workers.engine import Engine, Loaded, budget_mib, load_models
from workers.in_service import InService, wanted_models
from workers.recycle import Recycle, resident_mib
from workers.reload import Reload
from workers.run import announce


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Makes packs; the built-in ones are out of the way."""
    monkeypatch.setattr(registry, "BUILT_IN", tmp_path / "none")
    return Workshop.at(tmp_path / "made")


def settings(workshop: Workshop, **variables: str) -> Settings:
    return load(
        {
            "DXGATE_WORKER_DEVICE": "cpu",
            "DXGATE_MODELS_FOLDERS": json.dumps([str(workshop.folder / "packs"), str(workshop.folder / "more")]),
            "DXGATE_MODELS_TRUSTED_KEYS": str(workshop.trust),
            **variables,
        }
    ).settings


def study() -> list[bytes]:
    return [path.read_bytes() for path in demo_files()]


def reloading(workshop: Workshop, database: SqlDatabase, **variables: str) -> Reload:
    chosen = settings(workshop, **variables)
    loaded = load_models(chosen, wanted=wanted_models(database))
    announce(database, loaded, "worker:1")
    in_service = InService(database, "worker:1", loaded.shelf, loaded.records)
    in_service()
    return Reload(
        chosen, database, decode_here, loaded, lambda again: announce(database, again, "worker:1"), in_service
    )


def active(database: SqlDatabase) -> list[tuple[str, str]]:
    with database.read() as unit:
        return [(model.version, model.id) for model in unit.models.active()]


def test_a_new_version_takes_over_and_no_task_is_lost(workshop: Workshop, sqlite_database: SqlDatabase) -> None:
    """While tasks run, the folder gets a new version: announced, active, and tasks for the old one still answered."""
    workshop.breast(version="2.0.0")
    reload = reloading(workshop, sqlite_database)
    ((_, old),) = active(sqlite_database)
    engine = Engine(reload.loaded.shelf)
    stop = threading.Event()

    def tasks() -> list[Prediction]:
        done = []
        while not stop.is_set() or not done:
            done.append(engine.predict(old, study()))  # type: ignore[arg-type]
        return done

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(tasks) for _ in range(2)]
        workshop.breast(version="2.0.1")
        assert not reload(), "a folder that has just changed may still be changing"
        assert reload()
        stop.set()
        answers = [answer for one in running for answer in one.result(60)]
    ((version, new),) = active(sqlite_database)
    assert (version, new == old) == ("2.0.1", False)
    late = engine.predict(old, study())  # type: ignore[arg-type]
    fresh = engine.predict(new, study())  # type: ignore[arg-type]
    assert {answer.conclusion for answer in (*answers, late, fresh)} == {fresh.conclusion}
    assert old not in reload.loaded.shelf.loaded()
    assert new in reload.loaded.shelf.loaded()


def test_a_version_that_a_person_promotes_is_loaded_before_its_first_study(
    workshop: Workshop, sqlite_database: SqlDatabase
) -> None:
    """Put away when a newer one came, it is made active again: the next look loads it, and it stays loaded."""
    workshop.breast(version="2.0.0")
    reload = reloading(workshop, sqlite_database)
    ((_, old),) = active(sqlite_database)
    workshop.breast(version="2.0.1")
    assert [reload(), reload()] == [False, True]
    shelf = reload.loaded.shelf
    assert old not in shelf.loaded()
    with sqlite_database.begin("person:ada") as unit:
        assert unit.models.activate(old)
        unit.commit()
    reload.in_service()
    assert old in shelf.loaded()
    assert Engine(shelf).predict(old, study()).images  # type: ignore[arg-type]
    assert old in shelf.loaded(), "a version in service is not put away after each study"


def test_nothing_new_loads_nothing(workshop: Workshop, sqlite_database: SqlDatabase) -> None:
    """Looks at unchanged folders change nothing, and a second pack does not load the first again."""
    workshop.breast()
    reload = reloading(workshop, sqlite_database)
    before = reload.loaded.shelf.loaded()
    assert [reload() for _ in range(3)] == [False, False, False]
    assert reload.loaded.shelf.loaded() == before
    (workshop.folder / "packs" / "note.txt").write_text("no pack")
    assert [reload(), reload()] == [False, True]
    assert reload.loaded.served == ()


def test_a_broken_pack_leaves_the_old_version_serving(workshop: Workshop, sqlite_database: SqlDatabase) -> None:
    """What does not verify, or does not reproduce its golden vectors, is refused aloud and replaces nothing."""
    workshop.breast()
    reload = reloading(workshop, sqlite_database)
    before = active(sqlite_database)
    pack = workshop.breast(version="2.0.1")
    (pack / "model.onnx").write_bytes(b"junk")
    assert [reload(), reload()] == [False, True]
    assert [name for name, _ in reload.loaded.refused] == [BREAST.name]
    workshop.breast(version="2.0.2", change=lambda folder: (folder / "golden.npz").write_bytes(b"junk"))
    assert [reload(), reload()] == [False, True]
    assert "golden" in reload.loaded.refused[0][1]
    assert active(sqlite_database) == before
    assert Engine(reload.loaded.shelf).predict(before[0][1], study()).images  # type: ignore[arg-type]


def test_a_changed_threshold_under_the_same_version_is_taken_up(
    workshop: Workshop, sqlite_database: SqlDatabase
) -> None:
    """The manifest is part of what a model is, though its graph and its number are the same."""
    workshop.breast()
    reload = reloading(workshop, sqlite_database)
    ((_, model_id),) = active(sqlite_database)
    workshop.breast(change=say("min_contrast = 4.0", "min_contrast = 250.0"))
    assert [reload(), reload()] == [False, True]
    assert active(sqlite_database) == [("2.0.0", model_id)]
    with pytest.raises(Exception, match="one grey level"):
        Engine(reload.loaded.shelf).predict(model_id, study())  # type: ignore[arg-type]


@pytest.fixture
def server() -> Iterator[InferenceServer]:
    with serving(InferenceServer((BREAST / "model.onnx").read_bytes(), BREAST.name)) as made:
        yield made


def remote(server: InferenceServer) -> dict[str, str]:
    return {"DXGATE_MODELS_REMOTE": json.dumps([{"pack": BREAST.name, "url": server.url}])}


def test_a_pack_whose_graph_is_on_a_server_needs_none_itself(workshop: Workshop, server: InferenceServer) -> None:
    """Without model.onnx the pack is proved by its golden vectors, serves, and names the server's platform."""

    def without_graph(folder: Path) -> None:
        (folder / "model.onnx").unlink()
        say("[question]", '[serving]\nruns_on = "server"\n\n[question]')(folder)

    workshop.breast(change=without_graph)
    alone = load_models(settings(workshop))
    assert alone.served == ()
    assert "models.remote" in alone.refused[0][1]
    loaded = load_models(settings(workshop, **remote(server)))
    (model,) = loaded.served
    assert (model.provider, loaded.refused) == ("remote:onnxruntime_onnx", ())
    answer = Engine(loaded.shelf).predict(model.id, study())
    assert answer.provider == "remote:onnxruntime_onnx"
    assert answer.runtime == "stubserver 1.2"
    assert server.broken == []


def test_a_pack_without_a_graph_is_checked_and_added_on_its_server(workshop: Workshop, server: InferenceServer) -> None:
    """The commands of a person ask the server that the settings name, and without one say what is wanting."""
    from models.bring.checks import checks
    from models.bring.install import add

    def without_graph(folder: Path) -> None:
        (folder / "model.onnx").unlink()
        say("[question]", '[serving]\nruns_on = "server"\n\n[question]')(folder)

    pack, site = workshop.breast(change=without_graph), workshop.folder / "site"
    with pytest.raises(Unsupported, match=r"models\.remote"):
        add(pack, site, (workshop.public,))
    *_, last = checks(pack, (workshop.public,))
    assert (last.holds, "models.remote" in last.found) == (False, True)
    servers = settings(workshop, **remote(server)).models.remote
    *_, last = checks(pack, (workshop.public,), servers)
    assert (last.name, last.holds) == ("golden vectors", True)
    assert add(pack, site, (workshop.public,), servers).name == f"{BREAST.name}@2.0.0"


def test_a_server_with_another_graph_is_refused_at_the_start(workshop: Workshop) -> None:
    """Golden vectors are asked of the server before the model is announced."""
    other = (BREAST.parent / "chest-film-pneumonia-cnn" / "model.onnx").read_bytes()
    workshop.breast()
    with serving(InferenceServer(other, BREAST.name)) as server:
        loaded = load_models(settings(workshop, **remote(server)))
    assert loaded.served == ()
    assert "golden" in loaded.refused[0][1] or "inputs" in loaded.refused[0][1]


def test_a_server_that_is_out_gives_the_task_back(
    workshop: Workshop, server: InferenceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task ends as unavailable, to be tried again, not as refused."""
    monkeypatch.setattr(remotes, "PAUSE", 0.001)
    workshop.breast()
    loaded = load_models(settings(workshop, **remote(server)))
    server.answers += [503] * 100
    with pytest.raises(Unavailable):
        Engine(loaded.shelf).predict(loaded.served[0].id, study())


def test_a_server_that_was_away_at_the_start_serves_when_it_is_back(
    workshop: Workshop, sqlite_database: SqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No folder changes, and still the package is tried again at every look; its refusal is audited once."""
    workshop.breast()
    with serving(InferenceServer((BREAST / "model.onnx").read_bytes(), BREAST.name)) as server:
        away = json.dumps([{"pack": BREAST.name, "url": server.url, "attempts": 1}])
        with monkeypatch.context() as while_away:
            while_away.setattr(remotes.RemoteGraph, "_describe", _away)
            reload = reloading(workshop, sqlite_database, DXGATE_MODELS_REMOTE=away)
            assert reload.loaded.served == ()
            assert [reload(), reload()] == [True, True]
            assert active(sqlite_database) == []
        assert reload()
        ((_, model_id),) = active(sqlite_database)
        assert Engine(reload.loaded.shelf).predict(model_id, study()).provider.startswith("remote:")  # type: ignore[arg-type]
        assert not reload(), "then there is nothing left to try"
    with sqlite_database.read() as unit:
        told = list(unit.audit.newest(limit=50, event="model:refuse"))
    assert len(told) == 1


def _away(self: object) -> None:
    raise Unavailable("the inference server cannot be reached")


def _drops_a_field(folder: Path) -> None:
    card = folder / "card.xml"
    told = card.read_text("utf-8")
    card.write_text(re.sub(r"<ClinicalRiskLevel>.*?</ClinicalRiskLevel>", "", told, flags=re.DOTALL), "utf-8")


def test_what_may_not_run_is_refused_in_words_and_in_the_audit_trail(
    workshop: Workshop, sqlite_database: SqlDatabase
) -> None:
    """A changed graph, a signature of somebody else's, a card that lacks a required field: each is not served, is not
    a row that a study could be planned for, and the audit trail says which and why."""
    changed = workshop.breast(root="packs")
    with (changed / "model.onnx").open("r+b") as graph:
        graph.seek(5000)
        graph.write(b"\0\0\0\0")
    stranger = Workshop.at(workshop.folder / "stranger").breast(root="packs", version="2.0.1")
    shutil.move(stranger, workshop.folder / "packs" / f"{BREAST.name}@2.0.1")
    workshop.breast(root="more", version="2.0.2", change=_drops_a_field)
    loaded = load_models(settings(workshop))
    announce(sqlite_database, loaded, "worker:1")
    assert loaded.served == ()
    with sqlite_database.read() as unit:
        told = {row.entry.details["reason"] for row in unit.audit.newest(limit=50, event="model:refuse")}
        assert unit.models.active() == []
    reasons = ("changed after signing: model.onnx", "signed by a key that is not trusted", "Warnings/ClinicalRiskLevel")
    assert len(told) == len(reasons)
    assert all(any(reason in one for one in told) for reason in reasons), told


def test_what_breaks_the_reader_of_folders_costs_its_folder(workshop: Workshop) -> None:
    """A name that is no text, a pipe that nobody writes to, a folder in place of a file: refused, the others serve."""
    workshop.breast(root="packs")
    broken = workshop.folder / "more"
    for name in ("latin", "pipe", "hollow"):
        (broken / name).mkdir(parents=True)
        for path in BREAST.iterdir():
            if path.is_file():
                (broken / name / path.name).write_bytes(path.read_bytes())
    (broken / "latin" / os.fsdecode(b"gr\xfcn.txt")).write_bytes(b"")
    os.mkfifo(broken / "pipe" / "notes")
    (broken / "hollow" / "model.onnx").unlink()
    (broken / "hollow" / "model.onnx").mkdir()
    loaded = load_models(settings(workshop))
    assert [model.version for model in loaded.served] == ["2.0.0"]
    assert sorted(name for name, _ in loaded.refused) == ["hollow", "latin", "pipe"]


def test_a_package_that_breaks_whatever_opens_it_costs_itself(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only errors of ours: a library that raises one of its own ends no worker."""
    workshop.breast()

    def breaks(*_: object, **__: object) -> None:
        raise RecursionError("patient data, perhaps")

    monkeypatch.setattr(engines.registry, "load", breaks)
    loaded = load_models(settings(workshop))
    assert loaded.refused == ((BREAST.name, "it cannot be loaded (RecursionError)"),)


def test_a_setting_for_an_unknown_pack_is_told(workshop: Workshop, server: InferenceServer) -> None:
    """A misspelt name in models.remote is not silently without effect."""
    loaded = load_models(settings(workshop, **remote(server)))
    assert loaded.refused == ((BREAST.name, "models.remote names it, but no such package was found"),)


def test_memory_that_does_not_suffice_is_shared_in_turn(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models of 64 MiB on 100 MiB: both are announced, one is loaded at a time, both answer."""
    monkeypatch.setattr(registry, "BUILT_IN", BREAST.parent)
    chosen = settings(workshop, DXGATE_WORKER_DEVICE_MEMORY_MIB="100")
    assert budget_mib(chosen) == 100
    loaded = load_models(chosen)
    images = [model for model in loaded.served if model.id in loaded.shelf.known()]
    assert len(images) >= 2
    loaded.shelf.keep({model.id for model in images})
    assert len(loaded.shelf.loaded()) == 1
    breast = next(model for model in images if model.name == BREAST.name)
    assert Engine(loaded.shelf).predict(breast.id, study()).images
    assert loaded.shelf.loaded() == {breast.id}


def test_a_model_larger_than_the_device_is_refused_by_both_numbers(workshop: Workshop) -> None:
    """It is not announced, so that no study waits for it."""
    workshop.breast(change=say("device_memory_mib = 64", "device_memory_mib = 4096"))
    loaded = load_models(settings(workshop, DXGATE_WORKER_DEVICE_MEMORY_MIB="1024"))
    assert loaded.served == ()
    assert "4096 MiB" in loaded.refused[0][1]
    assert "1024 MiB" in loaded.refused[0][1]


def test_a_gpu_has_a_budget_though_none_is_set(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine tenths of what the driver reports, less what the search for text takes; a CPU has no limit."""
    assert budget_mib(settings(workshop)) == 0
    monkeypatch.setattr(engines, "wish", lambda policy: (True, ""))
    monkeypatch.setattr(engines, "cuda_memory_mib", lambda number: 10_000)
    assert budget_mib(settings(workshop)) == 9_000 - engines.LEAST_MIB


@pytest.mark.parametrize(("tasks", "memory", "after"), [(3, 0, 3), (0, 100, 2), (0, 0, None)])
def test_a_worker_ends_once_after_its_share(tasks: int, memory: int, after: int | None) -> None:
    """After so many tasks of its own, or as soon as it is too large, it is stopped exactly once; else never."""
    events: list[str] = []
    sizes = iter([50, 120, 130, 140, 150])
    recycle = Recycle(tasks, memory, stop=lambda: events.append("stop"), resident=lambda: next(sizes))
    for _ in range(5):
        recycle("not ours")
        events.append("task")
        recycle("done")
    assert events.count("stop") == (1 if after else 0)
    assert after is None or events.index("stop") == after
    assert resident_mib() > 10


def test_what_was_loaded_is_told_from_what_was_not(workshop: Workshop) -> None:
    """A pack that was refused is looked at again the next time; one that serves is left alone."""
    workshop.breast()
    first = load_models(settings(workshop))
    again: Loaded = load_models(settings(workshop), decode_here, first)
    assert len(first.served) == 1
    assert again.served == ()
    assert again.shelf is first.shelf
