"""A loaded model: one ONNX Runtime session with one owner, proved against its golden vectors.

Why golden vectors: a runtime, a driver or a kernel that computes something else than what was evaluated
must be found before the first patient, not after.
"""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from gateway.domain.errors import Fault, Forbidden, Invalid, Unsupported
from models.manifest import ImageManifest, Scored
from models.package import Package
from models.runtime.providers import Policy, open_session

Floats = npt.NDArray[np.float32]
MAX_BATCH = 64
GOLDEN_TOLERANCE = {"CPUExecutionProvider": 1e-4, "CUDAExecutionProvider": 1e-3}  # TF32 on newer GPUs


@dataclass(frozen=True)
class Answer:
    """The graph's outputs for a batch of B images."""

    prob: Floats  # (B, labels), calibrated, sums to 1
    member: Floats  # (B, members), the positive label's probability before calibration
    cam: Floats  # (B, 1, height, width), evidence for the positive label
    embedding: Floats  # (B, K), whitened


class Session:
    """A verified pack, loaded and warm. `run` may be called from several threads; they take turns."""

    def __init__(self, package: Package, policy: Policy = Policy.PREFER_GPU, threads: int | None = None) -> None:
        if not isinstance(package.manifest, ImageManifest):
            raise Unsupported(f"{package.manifest.name} does not take images")
        opened = open_session(package.content["model.onnx"], policy, threads)
        self.package = package
        self.manifest = package.manifest
        self.provider = opened.provider
        self.provider_reason = opened.reason
        self.runtime = f"onnxruntime {onnxruntime.__version__}"
        self._session = opened.session
        self._lock = threading.Lock()
        self._check_contract()
        self.golden_error = self._check_golden()

    def run(self, batch: Floats) -> Answer:
        """(B, height, width, 1) raw grey levels to the graph's outputs; 1 <= B <= `MAX_BATCH`."""
        shape = self.manifest.input
        if batch.shape[1:] != (shape.height, shape.width, shape.channels) or batch.dtype != np.float32:
            raise Fault(f"batch has shape {batch.shape[1:]} and type {batch.dtype}")
        if not 1 <= len(batch) <= MAX_BATCH:
            raise Fault(f"batch of {len(batch)}; 1 to {MAX_BATCH} are served")
        names = _outputs(self.manifest)
        with self._lock:
            values = self._session.run(names, {shape.tensor: batch})
        if not all(np.isfinite(value).all() for value in values):
            raise Fault("the model answered with a value that is not a number")
        return Answer(*values)

    def _check_contract(self) -> None:
        """What the file says about itself must be what the signed manifest says about it."""
        manifest = self.manifest
        check_metadata(self._session, manifest)
        inputs = [node.name for node in self._session.get_inputs()]
        outputs = {node.name for node in self._session.get_outputs()}
        if inputs != [manifest.input.tensor] or not set(_outputs(manifest)) <= outputs:
            raise Invalid(f"model.onnx of {manifest.name} has other inputs or outputs than its manifest")

    def _check_golden(self) -> float:
        """Largest difference to the recorded probabilities; raises `Fault` beyond the tolerance."""
        with np.load(io.BytesIO(self.package.content["golden.npz"]), allow_pickle=False) as golden:
            pixels, expected = golden["pixels"].astype(np.float32), golden["prob"]
        error = 0.0
        for start in range(0, len(pixels), MAX_BATCH):
            part = slice(start, start + MAX_BATCH)
            error = max(error, float(np.abs(self.run(pixels[part]).prob - expected[part]).max()))
        if error > GOLDEN_TOLERANCE.get(self.provider, 1e-3):
            raise Fault(f"{self.manifest.name} differs by {error:.1e} from its golden vectors")
        return error


def check_metadata(session: Any, manifest: Scored) -> None:
    """What a graph's own metadata say must be what the signed manifest says; else `Forbidden`.

    A third-party graph stays byte for byte what its maker published, and says nothing.
    """
    if manifest.origin == "third-party":
        return
    meta = session.get_modelmeta().custom_metadata_map
    stated = {
        "id": manifest.name,
        "version": manifest.version,
        "labels": ",".join(label.name for label in manifest.labels),
        "positive": manifest.output.positive,
        "threshold": repr(manifest.output.threshold),
    }
    for key, value in stated.items():
        if meta.get(key) != value:
            raise Forbidden(f"model.onnx and the manifest of {manifest.name} disagree about {key}")


def _outputs(manifest: ImageManifest) -> list[str]:
    output = manifest.output
    return [output.prob, output.member, output.cam, output.embedding]
