"""A loaded model on images: one graph with one owner, proved against its golden vectors at every batch size.

Why golden vectors: a runtime, a driver or a kernel that computes something else than what was evaluated
must be found before the first patient, not after.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.domain.errors import Fault, Forbidden, Invalid, Unsupported
from models.manifest import ImageManifest, Scored
from models.package import Package
from models.runtime.ask import SLACK, ask, check_probabilities
from models.runtime.graph import Graph, LocalGraph
from models.runtime.private_copy import private_copy
from models.runtime.proof import Proof
from models.runtime.providers import CPU, CUDA, Device, Policy, open_on

Floats = npt.NDArray[np.float32]
MAX_BATCH = 64
GOLDEN_TOLERANCE = {CPU: 1e-4, CUDA: 1e-3}  # TF32 on newer GPUs
BATCH = {CPU: 1, CUDA: 32}  # a CPU gains nothing from batches
REMOTE_BATCH = 8


@dataclass(frozen=True)
class Answer:
    """The graph's outputs for a batch of B images."""

    prob: Floats  # (B, labels), calibrated, sums to 1
    member: Floats  # (B, members), the positive label's probability before calibration
    cam: Floats  # (B, 1, height, width), evidence for the positive label
    embedding: Floats  # (B, K), whitened
    shown: Floats | None = None  # (B, 1), probability that the image is upright and not inverted

    def rows(self, count: int) -> list[Answer]:
        """The first `count` images, each as a batch of one."""
        return [self._part(slice(row, row + 1)) for row in range(count)]

    def _part(self, at: slice) -> Answer:
        shown = None if self.shown is None else self.shown[at]
        return Answer(self.prob[at], self.member[at], self.cam[at], self.embedding[at], shown)


class Session:
    """A verified pack, loaded and warm. `run` may be called from several threads.

    `graph` None: the pack's own graph is opened here, as `policy` and `threads` allow.
    """

    def __init__(
        self,
        package: Package,
        policy: Policy = Policy.PREFER_GPU,
        threads: int | None = None,
        graph: Graph | None = None,
    ) -> None:
        if not isinstance(package.manifest, ImageManifest):
            raise Unsupported(f"{package.manifest.name} does not take images")
        self.graph = graph or local_graph(package, Device(policy, threads=threads))
        self.package = package
        self.manifest = package.manifest
        self.provider = self.graph.provider
        self.provider_reason = self.graph.reason
        self.runtime = self.graph.runtime
        self.buckets = _buckets(self.provider, self.manifest.serving.max_batch)
        self._check_contract()
        self._proof = Proof(self.graph, self._check_golden)

    @property
    def golden_error(self) -> float:
        """Largest difference to the golden vectors."""
        return self._proof.error

    def prove(self) -> None:
        """Whether what runs the graph still computes what it did; `Fault` where it does not."""
        self._proof.again()

    @property
    def most(self) -> int:
        """Images that are run together."""
        return self.buckets[-1]

    def run_each(self, tensors: Sequence[Floats]) -> list[Answer]:
        """An answer for each (height, width, channels); runs at the next larger batch size that is warm.

        Padding up to few sizes keeps a GPU from searching algorithms and growing its arena for every size.
        """
        size = next((bucket for bucket in self.buckets if bucket >= len(tensors)), len(tensors))
        batch = np.stack([*tensors, *[tensors[-1]] * (size - len(tensors))])
        answer = self.run(batch)
        if not self._proof.holds():
            answer = self.run(batch)
        return answer.rows(len(tensors))

    def close(self) -> None:
        self.graph.close()

    def run(self, batch: Floats) -> Answer:
        """(B, height, width, 1) raw grey levels to the graph's outputs; 1 <= B <= `MAX_BATCH`."""
        shape = self.manifest.input
        if batch.shape[1:] != (shape.height, shape.width, shape.channels) or batch.dtype != np.float32:
            raise Fault(f"batch has shape {batch.shape[1:]} and type {batch.dtype}")
        if not 1 <= len(batch) <= MAX_BATCH:
            raise Fault(f"batch of {len(batch)}; 1 to {MAX_BATCH} are served")
        answer = Answer(*ask(self.graph, _outputs(self.manifest), {shape.tensor: batch}))
        check_probabilities(answer.prob, len(self.manifest.labels))
        if not _well_formed(answer):
            raise Fault("the model's map, members or embedding do not have the form that the manifest promises")
        return answer

    @property
    def _proved(self) -> tuple[str, ...]:
        """What the golden vectors hold: every probability that decides about an image."""
        return ("prob", "shown") if self.manifest.output.shown else ("prob",)

    def _check_contract(self) -> None:
        """What the graph says about itself must be what the signed manifest says about it."""
        manifest, shape = self.manifest, self.manifest.input
        check_metadata(self.graph, manifest)
        outputs = {port.name for port in self.graph.outputs}
        expected = {shape.tensor: (shape.height, shape.width, shape.channels)}
        if not inputs_fit(self.graph, expected) or not set(_outputs(manifest)) <= outputs:
            raise Invalid(f"the graph of {manifest.name} has other inputs or outputs than its manifest")

    def _check_golden(self) -> float:
        """Largest difference to what was recorded over all batch sizes; `Fault` beyond the tolerance."""
        pixels, *expected = golden_vectors(self.package, "pixels", *self._proved)
        error = 0.0
        for bucket in reversed(self.buckets):  # the largest first: if memory is short, it is so before a patient waits
            part = np.resize(np.arange(len(pixels)), -(-len(pixels) // bucket) * bucket)
            for start in range(0, len(part), bucket):
                rows = part[start : start + bucket]
                got = self.run(pixels[rows])
                for name, wanted in zip(self._proved, expected, strict=True):
                    error = max(error, difference(getattr(got, name), wanted[rows]))
        return within_tolerance(error, self.provider, self.manifest)


def difference(got: Floats, recorded: Floats) -> float:
    """The largest between an answer and its record; Invalid where that is of another form, or holds no number."""
    if got.shape != recorded.shape or not np.isfinite(recorded).all():
        raise Invalid("golden.npz does not hold a finite number for each that the graph answers with")
    return float(np.abs(got - recorded).max())


def within_tolerance(error: float, provider: str, manifest: Scored) -> float:
    """`error`; Fault where it is more than this provider's rounding explains."""
    if not error <= GOLDEN_TOLERANCE.get(provider, 1e-3):
        raise Fault(f"{manifest.name} differs by {error:.1e} from its golden vectors")
    return error


def inputs_fit(graph: Graph, expected: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether the graph takes these tensors (shapes without the batch) and no others; a free size fits any."""
    if {port.name for port in graph.inputs} != set(expected):
        return False
    return all(
        len(port.shape) == len(expected[port.name]) + 1
        and all(size in (None, wanted) for size, wanted in zip(port.shape[1:], expected[port.name], strict=True))
        for port in graph.inputs
    )


def local_graph(package: Package, device: Device) -> Graph:
    """The pack's graph on a device here; external data, if any, are opened as a copy that nobody else can reach."""
    with private_copy(package) as folder:
        return LocalGraph(open_on(package.content["model.onnx"], device, folder))


def _buckets(provider: str, allowed: int) -> tuple[int, ...]:
    """The batch sizes that are made warm: powers of two up to the most that provider and pack allow."""
    most = min(allowed or MAX_BATCH, BATCH.get(provider, REMOTE_BATCH))
    return (*(size for size in (1, 2, 4, 8, 16, 32) if size < most), most)


def golden_vectors(package: Package, *names: str) -> list[Floats]:
    """The recorded tensors as 32-bit floats, all of one length; Invalid where they are not there."""
    try:
        with np.load(io.BytesIO(package.content["golden.npz"]), allow_pickle=False) as golden:
            found = [golden[name].astype(np.float32) for name in names]
    except Exception as error:  # the reader raises whatever a file of another form provokes
        raise Invalid(f"golden.npz of {package.manifest.name} cannot be read ({type(error).__name__})") from error
    if len({len(values) for values in found}) != 1 or not len(found[0]):
        raise Invalid(f"golden.npz of {package.manifest.name} has no vectors, or not the same number of each")
    return found


def check_metadata(graph: Graph, manifest: Scored) -> None:
    """What a graph's own metadata say must be what the signed manifest says; else `Forbidden`.

    An inference server does not tell them; there the golden vectors alone are the proof. A third-party graph stays
    byte for byte what its maker published, and says nothing either.
    """
    meta = graph.metadata
    if meta is None or manifest.origin == "third-party":
        return
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


def _well_formed(answer: Answer) -> bool:
    """What the words and the picture are made of: (B, 1, height, width), (B, K), chances of one network or more."""
    chances = [answer.member] if answer.shown is None else [answer.member, answer.shown]
    return (
        answer.cam.ndim == 4
        and answer.cam.shape[1] == 1
        and min(answer.cam.shape) >= 1
        and answer.embedding.ndim == 2
        and answer.embedding.shape[1] >= 1
        and all(one.ndim == 2 and one.shape[1] >= 1 for one in chances)
        and all(((one >= -SLACK) & (one <= 1 + SLACK)).all() for one in chances)
    )


def _outputs(manifest: ImageManifest) -> list[str]:
    output = manifest.output
    names = [output.prob, output.member, output.cam, output.embedding]
    return [*names, output.shown] if output.shown else names
