"""A stand-in for an ONNX Runtime with CUDA: it answers and fails as the library does, and computes on the CPU.

Written from onnxruntime 1.32 (`onnxruntime_inference_collection.py`): options are checked as the library checks them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from models.runtime import providers
from models.runtime.providers import CPU, CUDA

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
