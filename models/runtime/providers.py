"""Which processor runs the model, chosen openly and read back from the session.

ONNX Runtime lists CUDA as available wherever its GPU build is installed and continues on the CPU, without
raising, where CUDA cannot be loaded. So nothing is believed that was not seen: the driver is asked first,
the built session is asked afterwards, and what it answers is what the result names.
"""

from __future__ import annotations

import ctypes
import logging
import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import onnxruntime

from gateway.domain.errors import Invalid, Unavailable, Unsupported

log = logging.getLogger(__name__)
CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
_CUDA_OPTIONS = {
    "arena_extend_strategy": "kSameAsRequested",
    "cudnn_conv_algo_search": "HEURISTIC",  # EXHAUSTIVE, the default, searches again for every batch size
    "cudnn_conv_use_max_workspace": "0",  # or one convolution may take what the pack declared for all of them
}
_COSTLY = frozenset(
    ("Attention", "Conv", "ConvTranspose", "Einsum", "FusedConv", "FusedGemm", "FusedMatMul", "GRU", "Gemm", "LSTM")
) | {"MatMul", "MultiHeadAttention", "RNN"}  # operators that a GPU is for
LEAST_MIB = 512  # of device memory for one session: libraries and workspaces, whatever a small pack declares


class Policy(Enum):
    """What the operator allows: `dxgate` settings carry these words."""

    PREFER_GPU = "prefer_gpu"
    REQUIRE_GPU = "require_gpu"
    CPU_ONLY = "cpu_only"


@dataclass(frozen=True)
class Device:
    """Which processor, and how much of its memory one session may take (0: no limit; a CPU has none).

    Without `arena` a CPU gives the memory of a run back after it: 23 MiB instead of 42 for the largest built-in pack,
    in about the same time. Where single runs take hundreds of MiB, asking for them anew costs a third more.
    """

    policy: Policy = Policy.PREFER_GPU
    number: int = 0
    memory_mib: int = 0
    threads: int | None = None
    arena: bool = True


@dataclass(frozen=True)
class Opened:
    """A session, the provider that it really uses, and why it is that one."""

    session: Any
    provider: str
    reason: str


def cuda_devices() -> int:
    """Number of NVIDIA devices that the driver itself reports; 0 without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def cuda_memory_mib(number: int = 0) -> int:
    """Memory of one NVIDIA device in MiB as the driver reports it; 0 without such a device."""
    if number >= cuda_devices():
        return 0
    driver, device, size = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(0), ctypes.c_size_t(0)
    if driver.cuDeviceGet(ctypes.byref(device), number) or driver.cuDeviceTotalMem_v2(ctypes.byref(size), device):
        return 0
    return size.value >> 20


def wish(policy: Policy) -> tuple[bool, str]:
    """Whether to try CUDA, and why or why not."""
    if policy is Policy.CPU_ONLY:
        return False, "policy allows the CPU only"
    if CUDA not in onnxruntime.get_available_providers():
        return False, "the installed ONNX Runtime has no CUDA build"
    if cuda_devices() == 0:
        return False, "the driver reports no NVIDIA device"
    return True, "the driver reports an NVIDIA device"


def options(threads: int | None = None, *, arena: bool = True) -> Any:
    """Session options for one owner thread: few threads, none of them spinning while it waits."""
    chosen = onnxruntime.SessionOptions()
    chosen.intra_op_num_threads = threads or min(_cores(), 4)
    chosen.inter_op_num_threads = 1
    chosen.enable_cpu_mem_arena = arena
    chosen.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    chosen.log_severity_level = 3
    return chosen


def open_on(model: bytes, device: Device, folder: Path | None = None) -> Opened:
    """Build a session from verified bytes; raises `Unavailable` where a GPU is required and not in use.

    `folder` holds the files with external data that the graph names.
    `Invalid` where the runtime cannot load the graph: a damaged file, or an operator that it does not know.
    `Unsupported` where a GPU is required and has no kernel for what costs the time.
    """
    policy = device.policy
    try_cuda, reason = wish(policy)
    if not try_cuda:
        if policy is Policy.REQUIRE_GPU:
            raise Unavailable(f"a GPU is required: {reason}")
        session = _built(model, False, device, folder)
        return Opened(session, str(session.get_providers()[0]), reason)
    session, failure = _tried(model, device, folder)
    if session is not None and session.get_providers()[0] == CUDA:
        placed = _placed(session)
        if placed is None or placed.on_cuda:
            return _on_cuda(session, placed, policy)
        failure = "CUDA has a kernel for no node of the graph"
    reason = failure or "CUDA was asked for and could not be loaded"
    session = session or _built(model, False, device, folder)  # Invalid, where it was the graph and not the device
    if policy is Policy.REQUIRE_GPU:
        raise Unavailable(f"a GPU is required: {reason}")
    log.warning("CUDA is not used", extra={"fields": {"reason": reason}})
    return Opened(session, CPU, reason)


@dataclass(frozen=True)
class _Placed:
    """How many nodes run where, and which of those on the CPU are of the kind that costs the time."""

    on_cuda: int
    on_cpu: int
    costly_on_cpu: tuple[str, ...]


def _on_cuda(session: Any, placed: _Placed | None, policy: Policy) -> Opened:
    if placed is None:
        return Opened(
            session, CUDA, "the driver reports an NVIDIA device; the runtime does not tell which node is where"
        )
    if placed.costly_on_cpu and policy is Policy.REQUIRE_GPU:
        raise Unsupported(f"a GPU is required: CUDA has no kernel for {', '.join(placed.costly_on_cpu)} of this graph")
    count = placed.on_cuda + placed.on_cpu
    reason = f"the driver reports an NVIDIA device; {placed.on_cuda} of {count} nodes run on it"
    if placed.costly_on_cpu:
        reason += f", not {', '.join(placed.costly_on_cpu)}"
        log.warning("part of the graph runs on the CPU", extra={"fields": {"reason": reason}})
    return Opened(session, CUDA, reason)


def _placed(session: Any) -> _Placed | None:
    """As the session tells; None where this ONNX Runtime does not.

    Shapes and indices are meant to be computed on the CPU, so that only costly operators there mean anything.
    """
    tells = getattr(session, "get_provider_graph_assignment_info", None)
    if tells is None:
        return None
    parts = tells()
    cpu = [node.op_type for part in parts if part.ep_name != CUDA for node in part.get_nodes()]
    cuda = sum(len(part.get_nodes()) for part in parts if part.ep_name == CUDA)
    return _Placed(cuda, len(cpu), tuple(sorted(_COSTLY & set(cpu))))


def cuda_options(device: Device) -> dict[str, str]:
    """What the CUDA provider is told: the device, and the limit of its memory arena."""
    told = _CUDA_OPTIONS | {"device_id": str(device.number)}
    if device.memory_mib:
        told["gpu_mem_limit"] = str(max(device.memory_mib, LEAST_MIB) << 20)
    return told


def _tried(model: bytes, device: Device, folder: Path | None) -> tuple[Any, str]:
    """A session for which CUDA was asked, or None and why not: no such device, too little memory, a missing library."""
    try:
        return _build(model, True, device, folder), ""
    except Exception as error:  # the runtime has exceptions of its own, and raises plain ones for its providers
        return None, f"CUDA failed ({type(error).__name__}): {_one_line(error)}"


def _built(model: bytes, cuda: bool, device: Device, folder: Path | None) -> Any:
    try:
        return _build(model, cuda, device, folder)
    except Exception as error:  # the runtime has an exception of its own for every fault of a graph
        raise Invalid(f"the graph cannot be opened ({type(error).__name__}): {str(error)[:300]}") from error


def _build(model: bytes, cuda: bool, device: Device, folder: Path | None) -> Any:
    wanted: list[Any] = [CPU]
    chosen = options(device.threads, arena=device.arena)
    if cuda:
        onnxruntime.preload_dlls()
        wanted = [(CUDA, cuda_options(device)), CPU]
        chosen.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if folder is not None:
        chosen.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    # without its fallback: a session or a run that fails must raise, not start again elsewhere and without our options
    session = onnxruntime.InferenceSession(model, chosen, providers=wanted, enable_fallback=0)
    session.disable_fallback()
    return session


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _cores() -> int:
    """Cores that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
