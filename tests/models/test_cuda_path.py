"""What happens on a machine with a GPU, told by a stand-in that answers and fails as ONNX Runtime does.

Exceptions have the library's types and words. No kernel runs on a GPU here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
from harness.gpu import Gpu
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

from gateway.domain.errors import Invalid, Unavailable, Unsupported
from models.package import Package
from models.runtime import providers
from models.runtime.providers import CPU, CUDA, Device, Policy, open_on
from models.runtime.session import GOLDEN_TOLERANCE, Session


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
