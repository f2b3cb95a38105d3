"""The worker's engine: what it serves, and how the runtime's answer becomes the domain's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from harness.rows import arrival
from harness.studies import DEMO, demo_files

from gateway.config import load
from gateway.domain.errors import Fault, Missing, Unavailable, Unsupported
from gateway.domain.ids import ModelId
from gateway.domain.model import model_id
from models.runtime.graph import LocalGraph, Tensor
from models.runtime.session import golden_vectors
from workers.engine import Engine, Loaded, load_models
from workers.recycle import Recycle

OUT_OF_SCOPE = DEMO.parent / "out-of-scope" / "cr-chest.dcm"


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load_models(load({"DXGATE_WORKER_DEVICE": "cpu"}).settings)


def breast(loaded: Loaded) -> ModelId:
    return next(model.id for model in loaded.served if model.name == "breast-ultrasound-cnn")


def test_every_built_in_package_is_served_by_the_cpu(loaded: Loaded) -> None:
    """Nothing that is shipped is refused, and each model names the provider that it really uses."""
    assert loaded.refused == ()
    rules = {model.name for model in loaded.served if model.provider == "Python"}
    assert rules == {"pgx-rules", "treatment-plan"}
    assert {model.provider for model in loaded.served} == {"CPUExecutionProvider", "Python"}


def test_what_reads_records_is_open_to_no_study(loaded: Loaded) -> None:
    """Packs on records, series, genotypes and plans say what they need of a record, and no image reaches them."""
    answering = loaded.shelf.known()
    waiting = [model for model in loaded.served if model.id not in answering]
    assert {model.name for model in waiting} >= {"diabetes-risk", "icu-deterioration-gru", "pgx-rules"}
    for model in waiting:
        assert model.applies_to.modalities == ()
        assert model.needs is not None
        assert model.id in loaded.records.known()
        with pytest.raises(Missing):
            Engine(loaded.shelf).predict(model.id, [OUT_OF_SCOPE.read_bytes()])
    assert all(model.applies_to.modalities for model in loaded.served if model.id in answering)


def test_a_model_without_modalities_accepts_no_instance(loaded: Loaded) -> None:
    """The door of such a model is shut for every modality, though it is active."""
    model = next(one for one in loaded.served if one.name == "diabetes-risk")
    assert not model.applies_to.accepts(arrival().instance)
    assert next(one for one in loaded.served if one.id == breast(loaded)).applies_to.accepts(arrival().instance)


def test_an_altered_package_is_refused_and_the_others_are_served(tmp_path: Path, loaded: Loaded) -> None:
    """One changed byte in a model file costs that model and no other; the reason is told."""
    source = (Path("models") / "packs" / "breast-ultrasound-cnn").resolve()
    copy = tmp_path / "altered"
    copy.mkdir()
    for path in source.rglob("*"):
        if path.is_file():
            target = copy / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    content = bytearray((copy / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "model.onnx").write_bytes(content)
    settings = load({"DXGATE_WORKER_DEVICE": "cpu", "DXGATE_MODELS_FOLDERS": f'["{tmp_path}"]'}).settings
    again = load_models(settings)
    assert [name for name, _ in again.refused] == ["altered"]
    assert {model.id for model in again.served} == {model.id for model in loaded.served}


def test_the_demo_study_is_answered_in_the_domains_words(loaded: Loaded) -> None:
    """Each image has labels that sum to one, a heat map and words; the study's answer is one of its images'."""
    answer = Engine(loaded.shelf).predict(breast(loaded), (path.read_bytes() for path in demo_files()))
    assert len(answer.images) == len(demo_files())
    assert all(sum(label.probability for label in image.labels) == pytest.approx(1) for image in answer.images)
    assert all(image.heat_map and image.heat_map.startswith(b"\x89PNG") for image in answer.images)
    assert all(image.explanation for image in answer.images)
    assert answer.decided is not None
    assert answer.decided in [label for image in answer.images for label in image.labels]


def test_a_study_with_no_image_in_scope_is_refused_with_the_reason(loaded: Loaded) -> None:
    """A chest film sent to the breast model is not scored, and the reason is not empty."""
    with pytest.raises(Unsupported, match="No image was scored"):
        Engine(loaded.shelf).predict(breast(loaded), [OUT_OF_SCOPE.read_bytes()])


def test_a_device_in_disorder_ends_the_worker_and_no_study_is_to_blame(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph that was proved here fails on every image and on its golden vectors too, as after a CUDA error that
    stays: the task is given back as unavailable, and the worker is told once to end. An image that alone breaks a sound
    graph ends nobody."""
    ended: list[str] = []
    recycle = Recycle(stop=lambda: ended.append("stop"))
    engine = Engine(loaded.shelf, loaded.records, broken=lambda: recycle.because("device"))
    study = [path.read_bytes() for path in demo_files()]
    with loaded.shelf.use(breast(loaded)) as predictor:
        (golden,) = golden_vectors(predictor.session.package, "pixels")
    run, fails = LocalGraph.run, {"always": False}

    def lost(self: LocalGraph, outputs: Sequence[str], tensors: Mapping[str, Tensor]) -> list[Tensor]:
        first = tensors["pixels"][0]
        if fails["always"] or not any(np.array_equal(first, one) for one in golden):
            raise Fault("the runtime failed (RuntimeException)")
        return run(self, outputs, tensors)

    monkeypatch.setattr(LocalGraph, "run", lost)
    with loaded.shelf.use(breast(loaded)):  # as one in service, it stays loaded
        with pytest.raises(Fault, match="every image"):
            engine.predict(breast(loaded), study)
        assert ended == []
        fails["always"] = True
        for _ in range(2):
            with pytest.raises(Unavailable, match="starts anew"):
                engine.predict(breast(loaded), study)
        assert ended == ["stop"]


def test_a_device_that_gives_out_in_the_middle_of_a_study_leaves_no_half_answer(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first image was scored, then the device was gone: the task is given back instead of a report on one image."""
    engine, run, left = Engine(loaded.shelf), LocalGraph.run, iter([True])

    def lost(self: LocalGraph, outputs: Sequence[str], tensors: Mapping[str, Tensor]) -> list[Tensor]:
        if not next(left, False):
            raise Fault("the runtime failed (RuntimeException)")
        return run(self, outputs, tensors)

    with loaded.shelf.use(breast(loaded)):
        monkeypatch.setattr(LocalGraph, "run", lost)
        with pytest.raises(Unavailable, match="starts anew"):
            engine.predict(breast(loaded), [path.read_bytes() for path in demo_files()])


def test_a_model_that_is_not_served_is_missing(loaded: Loaded) -> None:
    """A task for another worker's model is not guessed at."""
    with pytest.raises(Missing):
        Engine(loaded.shelf).predict(ModelId("nobody"), [])


def test_another_file_is_another_model() -> None:
    """Name and version do not make a model: its digest is part of its identity."""
    assert model_id("a", "1.0.0", "0" * 64) != model_id("a", "1.0.0", "1" * 64)
