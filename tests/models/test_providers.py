"""Which processor runs a graph: what CUDA is told, that falling back is forbidden, and that a GPU answers as a CPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from harness.gpu import Gpu

from gateway.domain.errors import Fault, Invalid
from models.package import Package
from models.registry import find, load
from models.runtime import providers
from models.runtime.graph import LocalGraph
from models.runtime.predict import Predictor
from models.runtime.providers import LEAST_MIB, Device, Policy, cuda_memory_mib, cuda_options, open_on
from models.runtime.session import BATCH, GOLDEN_TOLERANCE, MAX_BATCH, Answer, Session, golden_vectors
from models.runtime.value_session import ValueSession


def test_cuda_is_told_its_device_and_its_limit() -> None:
    """The declared memory limits the arena, but never below what the libraries need; 0 sets no limit."""
    told = cuda_options(Device(Policy.REQUIRE_GPU, number=3, memory_mib=4096))
    assert (told["device_id"], told["gpu_mem_limit"]) == ("3", str(4096 << 20))
    assert cuda_options(Device(memory_mib=64))["gpu_mem_limit"] == str(LEAST_MIB << 20)
    assert "gpu_mem_limit" not in cuda_options(Device())


def test_a_device_that_is_not_there_has_no_memory() -> None:
    """The driver is asked, and nothing is assumed where it does not answer."""
    assert cuda_memory_mib(63) == 0


def test_a_failing_run_is_not_repeated_on_another_processor(package: Package) -> None:
    """ONNX Runtime's own fallback, which would start again on the CPU, is off; the run fails as a fault."""
    opened = open_on(package.content["model.onnx"], Device(Policy.CPU_ONLY))
    assert opened.session._enable_fallback is False
    with pytest.raises(Fault):
        LocalGraph(opened).run(["prob"], {"pixels": np.zeros((1, 3), np.float32)})


def test_what_is_no_graph_is_invalid() -> None:
    """Bytes that ONNX Runtime cannot open refuse their pack and end no worker."""
    with pytest.raises(Invalid, match="cannot be opened"):
        open_on(b"junk", Device(Policy.CPU_ONLY))


def test_batches_are_padded_to_few_sizes(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where batches pay, every number of images runs at one of the sizes that were made warm, with equal answers."""
    monkeypatch.setitem(BATCH, providers.CPU, 8)
    session = Session(package, Policy.CPU_ONLY)
    assert session.buckets == (1, 2, 4, 8)
    sizes: list[int] = []
    run = session.run

    def counted(batch: np.ndarray) -> Answer:  # type: ignore[type-arg]
        sizes.append(len(batch))
        return run(batch)

    monkeypatch.setattr(session, "run", counted)
    tensors = list(np.random.default_rng(1).integers(0, 255, (8, 28, 28, 1)).astype(np.float32))
    alone = [session.run_each([tensor])[0].prob[0] for tensor in tensors]
    for count in (3, 5, 8):
        together = session.run_each(tensors[:count])
        np.testing.assert_allclose([answer.prob[0] for answer in together], alone[:count], atol=1e-5)
    assert set(sizes) == {1, 4, 8}


def test_an_image_that_breaks_the_model_is_refused_and_the_others_are_scored(
    package: Package, demo: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bad image is named; the study of its neighbours is answered."""
    monkeypatch.setitem(BATCH, providers.CPU, 8)
    session = Session(package, Policy.CPU_ONLY)
    expected = [image.decided for image in Predictor(session).predict(demo).images]
    poison = _tensor_of(session, demo[1])
    run = session.run

    def breaks(batch: np.ndarray) -> Answer:  # type: ignore[type-arg]
        if any(np.array_equal(row, poison) for row in batch):
            raise Fault("the model answered with a value that is not a number")
        return run(batch)

    monkeypatch.setattr(session, "run", breaks)
    prediction = Predictor(session, wait_seconds=5.0).predict(demo)
    assert [image.refusal and image.refusal.code for image in prediction.images] == [None, "no-answer", None]
    assert [prediction.images[place].decided for place in (0, 2)] == [expected[0], expected[2]]
    assert (prediction.study.scored, prediction.study.refused) == (2, 1)


def test_a_model_that_fails_on_every_image_is_a_fault(
    package: Package, demo: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is not the images that are bad: the task is given back, not refused."""
    session = Session(package, Policy.CPU_ONLY)

    def broken(batch: np.ndarray) -> Answer:  # type: ignore[type-arg]
        raise Fault("device lost")

    monkeypatch.setattr(session, "run", broken)
    with pytest.raises(Fault, match="every image"):
        Predictor(session).predict(demo)


def _tensor_of(session: Session, data: bytes) -> np.ndarray:  # type: ignore[type-arg]
    from models.runtime.preprocess import prepare, read

    return prepare(read(data), session.manifest.input).tensor


@pytest.mark.peer("cuda")
def test_a_gpu_answers_as_a_cpu_does() -> None:
    """Every built-in pack with a graph, on images and on records: the same golden vectors within the tolerance of its
    own processor, and the same answers to inputs of no meaning, at the largest batch."""
    seen = [kind for package in find()[0] if (kind := agreement(package))]
    assert {"image", "record", "series"} <= set(seen)


def test_the_comparison_itself_compares(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for a GPU it agrees; where the stand-in is off by more than the tolerance it does not."""
    Gpu().install(monkeypatch)
    assert agreement(package) == "image"
    run = Session.run

    def off(self: Session, batch: np.ndarray) -> Answer:  # type: ignore[type-arg]
        answer = run(self, batch)
        shift = 2 * GOLDEN_TOLERANCE[providers.CUDA] if self.provider == providers.CUDA and len(batch) > 8 else 0
        return replace(answer, prob=answer.prob + np.float32(shift))

    monkeypatch.setattr(Session, "run", off)
    with pytest.raises((AssertionError, Fault)):
        agreement(package)


def agreement(package: Package) -> str:
    """The kind of pack whose graph answers on a GPU as on the CPU; empty where it has none."""
    there = load(package, Policy.REQUIRE_GPU)
    if not isinstance(there, Session | ValueSession):
        return ""
    here = load(package, Policy.CPU_ONLY)
    assert isinstance(here, type(there))
    assert (there.provider, here.provider) == (providers.CUDA, providers.CPU)
    noise = np.random.default_rng(7)
    if isinstance(there, Session) and isinstance(here, Session):
        shape = package.manifest.input
        batch = noise.integers(0, 256, (there.most, shape.height, shape.width, 1)).astype(np.float32)
        wanted = np.concatenate([here.run(batch[row : row + 1]).prob for row in range(len(batch))])
        found = there.run(batch).prob
    else:
        assert isinstance(there, ValueSession)
        assert isinstance(here, ValueSession)
        given = {name: golden_vectors(package, name)[0][:MAX_BATCH] for name in there.shapes}
        found, wanted = there.run(given)[0], here.run(given)[0]
    np.testing.assert_allclose(found, wanted, atol=GOLDEN_TOLERANCE[providers.CUDA])
    return package.manifest.kind
