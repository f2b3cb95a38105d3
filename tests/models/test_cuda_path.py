"""What happens on a machine with a GPU, told by stand-ins that answer and fail as ONNX Runtime and its driver do.

They were written from onnxruntime 1.32 (`onnxruntime_inference_collection.py`, error texts of the library): options are
checked as the library checks them, exceptions have its types. No kernel runs on a GPU here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

from gateway.domain.errors import Invalid, Unavailable, Unsupported
from models.package import Package
from models.runtime import providers
from models.runtime.providers import CPU, CUDA, Device, Policy, open_on
from models.runtime.session import GOLDEN_TOLERANCE, Session

OPTIONS = {  # of the CUDA provider, with what they take (provider options, onnxruntime documentation)
    "device_id": str.isdigit,
    "gpu_mem_limit": str.isdigit,
    "arena_extend_strategy": {"kNextPowerOfTwo", "kSameAsRequested"}.__contains__,
    "cudnn_conv_algo_search": {"EXHAUSTIVE", "HEURISTIC", "DEFAULT"}.__contains__,
    "cudnn_conv_use_max_workspace": {"0", "1"}.__contains__,
}


@dataclass
class Gpu:
    """An ONNX Runtime with CUDA over the real one of this machine: everything is computed on the CPU."""

    build: Callable[[], object] = lambda: None  # raises what the library raises
    loaded: bool = True  # whether the CUDA library could be loaded
    on_cpu: tuple[str, ...] = ("Shape", "Gather")
    on_cuda: tuple[str, ...] = ("Conv", "Gemm", "Relu")
    asked: list[tuple[list[str], dict[str, str]]] = field(default_factory=list)
    preloaded: int = 0

    def install(self, patch: pytest.MonkeyPatch) -> Gpu:
        real, gpu = onnxruntime.InferenceSession, self

        class InferenceSession(real):  # type: ignore[misc, valid-type]
            def __init__(
                self,
                model: bytes,
                sess_options: Any = None,
                providers: Sequence[Any] = (),
                provider_options: None = None,
                **words: Any,
            ) -> None:
                names = [one if isinstance(one, str) else one[0] for one in providers]
                told = next((one[1] for one in providers if not isinstance(one, str)), {})
                gpu.asked.append((names, told))
                assert all(OPTIONS[name](value) for name, value in told.items())
                self.cuda = CUDA in names and gpu.loaded
                if CUDA in names:
                    assert gpu.preloaded, "libraries are loaded before the first session that asks for CUDA"
                    gpu.build()
                    assert sess_options.get_session_config_entry("session.record_ep_graph_assignment_info") == "1"
                super().__init__(model, sess_options, providers=[CPU], **words)

            def get_providers(self) -> list[str]:
                return [CUDA, CPU] if self.cuda else [CPU]

            def get_provider_graph_assignment_info(self) -> list[Any]:
                parts = [(CUDA, gpu.on_cuda), (CPU, gpu.on_cpu)]
                return [
                    SimpleNamespace(ep_name=name, get_nodes=lambda ops=ops: [SimpleNamespace(op_type=op) for op in ops])
                    for name, ops in parts
                ]

        patch.setattr(providers.onnxruntime, "InferenceSession", InferenceSession)
        patch.setattr(
            providers.onnxruntime, "get_available_providers", lambda: ["TensorrtExecutionProvider", CUDA, CPU]
        )
        patch.setattr(providers.onnxruntime, "preload_dlls", self._preload)
        patch.setattr(providers, "cuda_devices", lambda: 1)
        return self

    def _preload(self) -> None:
        self.preloaded += 1


def graph(package: Package) -> bytes:
    return package.content["model.onnx"]


def raises(error: Exception) -> Callable[[], object]:
    def build() -> None:
        raise error

    return build


FAILURES = {
    "no such device": RuntimeError(
        "CUDA failure 101: invalid device ordinal ; GPU=7 ; hostname=h ; expr=cudaSetDevice"
    ),
    "no memory": RuntimeException(
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: BFCArena: Available memory of "
        "1048576 is smaller than requested bytes of 4194304"
    ),
    "a library of another version": Fail("[ONNXRuntimeError] : 1 : FAIL : Failed to load library libcudnn.so.9"),
}


def test_a_gpu_is_used_with_its_options_and_named(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    """Device, memory limit and batch sizes are those of a GPU; the provider is read back; every bucket is warm."""
    gpu = Gpu().install(monkeypatch)
    opened = open_on(graph(package), Device(Policy.REQUIRE_GPU, 2, 2048))
    assert (opened.provider, opened.session._enable_fallback) == (CUDA, False)
    assert "3 of 5 nodes" in opened.reason
    ((names, told),) = gpu.asked
    assert names == [CUDA, CPU]
    assert (told["device_id"], told["gpu_mem_limit"]) == ("2", str(2048 << 20))
    session = Session(package, Policy.REQUIRE_GPU)
    assert session.provider == CUDA
    assert session.buckets == (1, 2, 4, 8, 16, 32)
    assert session.golden_error <= GOLDEN_TOLERANCE[CUDA]
    tensors = list(np.random.default_rng(1).integers(0, 255, (5, 28, 28, 1)).astype(np.float32))
    assert len(session.run_each(tensors)) == 5


@pytest.mark.parametrize("error", FAILURES.values(), ids=FAILURES)
def test_a_device_that_fails_is_not_the_graphs_fault(
    package: Package, error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a GPU is only preferred, the CPU serves and says why; where it is required, nobody serves and says why.

    ONNX Runtime's own fallback would print the error and start again without our options.
    """
    gpu = Gpu(raises(error)).install(monkeypatch)
    opened = open_on(graph(package), Device(Policy.PREFER_GPU, 7))
    assert opened.provider == CPU
    assert type(error).__name__ in opened.reason
    assert [names for names, _ in gpu.asked] == [[CUDA, CPU], [CPU]]
    with pytest.raises(Unavailable, match=type(error).__name__):
        open_on(graph(package), Device(Policy.REQUIRE_GPU, 7))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("policy", [Policy.PREFER_GPU, Policy.REQUIRE_GPU])
def test_a_damaged_graph_is_the_graphs_fault_on_a_gpu_too(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused for good, and not tried again as if the device had been busy."""
    Gpu().install(monkeypatch)
    with pytest.raises(Invalid, match="cannot be opened"):
        open_on(b"junk", Device(policy))


def test_a_library_that_could_not_be_loaded_is_seen(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime then goes on with the CPU and raises nothing: the session is asked what it has."""
    Gpu(loaded=False).install(monkeypatch)
    opened = open_on(graph(package), Device())
    assert (opened.provider, opened.reason) == (CPU, "CUDA was asked for and could not be loaded")
    with pytest.raises(Unavailable, match="could not be loaded"):
        open_on(graph(package), Device(Policy.REQUIRE_GPU))


def test_a_graph_without_a_kernel_on_the_gpu_does_not_pass_for_one_that_ran_there(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider may be CUDA while every node runs on the CPU: the result then names the CPU."""
    Gpu(on_cuda=(), on_cpu=("Conv", "Shape")).install(monkeypatch)
    assert open_on(graph(package), Device()).provider == CPU
    with pytest.raises(Unavailable, match="no node"):
        open_on(graph(package), Device(Policy.REQUIRE_GPU))


def test_a_policy_that_forbids_the_cpu_forbids_it_for_costly_nodes_too(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shapes are computed on the CPU by design; a recurrent layer there is a fallback, and is named."""
    Gpu(on_cpu=("Shape", "GRU")).install(monkeypatch)
    preferred = open_on(graph(package), Device())
    assert preferred.provider == CUDA
    assert "not GRU" in preferred.reason
    with pytest.raises(Unsupported, match="GRU"):
        open_on(graph(package), Device(Policy.REQUIRE_GPU))


def test_an_older_runtime_that_does_not_tell_is_believed_its_provider(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which node runs where is told by recent versions only."""
    Gpu().install(monkeypatch)
    monkeypatch.setattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info", None)
    opened = open_on(graph(package), Device(Policy.REQUIRE_GPU))
    assert opened.provider == CUDA
    assert "does not tell" in opened.reason


def test_the_real_runtime_tells_which_node_runs_where(package: Package) -> None:
    """The names that are read of it exist: on this machine every node of the breast pack is on the CPU."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = onnxruntime.InferenceSession(graph(package), options, providers=[CPU], enable_fallback=0)
    placed = providers._placed(session)
    assert placed is not None
    assert (placed.on_cuda, placed.costly_on_cpu) == (0, ("Conv", "Gemm", "MatMul"))
    assert placed.on_cpu > 100
    assert hasattr(onnxruntime, "preload_dlls")
