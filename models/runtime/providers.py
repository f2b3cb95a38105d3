"""Which processor runs the model, chosen openly and read back from the session.

ONNX Runtime lists CUDA as available wherever its GPU build is installed and continues on the CPU, without
raising, where CUDA cannot be loaded. So nothing is believed that was not seen: the driver is asked first,
the built session is asked afterwards, and what it answers is what the result names.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import onnxruntime

from gateway.domain.errors import Invalid, Unavailable

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
_CUDA_OPTIONS = {
    "arena_extend_strategy": "kSameAsRequested",
    "cudnn_conv_algo_search": "HEURISTIC",  # EXHAUSTIVE, the default, searches again for every batch size
    "cudnn_conv_use_max_workspace": "0",  # or one convolution may take what the pack declared for all of them
}
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
    """
    policy = device.policy
    try_cuda, reason = wish(policy)
    if policy is Policy.REQUIRE_GPU and not try_cuda:
        raise Unavailable(f"a GPU is required: {reason}")
    session = _build(model, try_cuda, device, folder)
    provider = str(session.get_providers()[0])
    if try_cuda and provider != CUDA:
        reason = "CUDA was asked for and could not be loaded"
        if policy is Policy.REQUIRE_GPU:
            raise Unavailable(f"a GPU is required: {reason}")
    return Opened(session, provider, reason)


def cuda_options(device: Device) -> dict[str, str]:
    """What the CUDA provider is told: the device, and the limit of its memory arena."""
    told = _CUDA_OPTIONS | {"device_id": str(device.number)}
    if device.memory_mib:
        told["gpu_mem_limit"] = str(max(device.memory_mib, LEAST_MIB) << 20)
    return told


def _build(model: bytes, cuda: bool, device: Device, folder: Path | None) -> Any:
    wanted: list[Any] = [CPU]
    if cuda:
        onnxruntime.preload_dlls()
        wanted = [(CUDA, cuda_options(device)), CPU]
    chosen = options(device.threads, arena=device.arena)
    if folder is not None:
        chosen.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    try:
        session = onnxruntime.InferenceSession(model, chosen, providers=wanted)
    except Exception as error:  # the runtime has an exception of its own for every fault of a graph
        raise Invalid(f"the graph cannot be opened ({type(error).__name__}): {str(error)[:300]}") from error
    session.disable_fallback()  # a failed run must raise, not start again on another processor
    return session


def _cores() -> int:
    """Cores that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
