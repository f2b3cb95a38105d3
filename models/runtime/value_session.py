"""A loaded graph on structured values: one owner, metadata that fit the manifest, golden vectors reproduced.

The counterpart of `session` for packs whose input is a record or a series; missing values go in as NaN and
are the graph's business.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gateway.domain.errors import Fault, Invalid, Unsupported
from models.inputs import Field
from models.manifest import RecordManifest, SeriesManifest
from models.package import Package
from models.runtime.activation import probabilities
from models.runtime.ask import ask
from models.runtime.graph import Graph
from models.runtime.proof import Proof
from models.runtime.providers import Device, Policy
from models.runtime.session import (
    MAX_BATCH,
    check_metadata,
    difference,
    golden_vectors,
    inputs_fit,
    local_graph,
    within_tolerance,
)

Floats = npt.NDArray[np.float32]


class ValueSession:
    """`run` may be called from several threads."""

    def __init__(
        self,
        package: Package,
        policy: Policy = Policy.PREFER_GPU,
        threads: int | None = None,
        graph: Graph | None = None,
    ) -> None:
        if not isinstance(package.manifest, RecordManifest | SeriesManifest):
            raise Unsupported(f"{package.manifest.name} does not take values")
        self.graph = graph or local_graph(package, Device(policy, threads=threads))
        self.package = package
        self.manifest = package.manifest
        self.shapes = _shapes(package.manifest)
        self._typical = _typical(package.manifest)
        self.provider = self.graph.provider
        self.provider_reason = self.graph.reason
        self.runtime = self.graph.runtime
        self._check_contract()
        self._proof = Proof(self.graph, self._check_golden)

    @property
    def golden_error(self) -> float:
        """Largest difference to the golden vectors."""
        return self._proof.error

    def prove(self) -> None:
        """Whether what runs the graph still computes what it did; `Fault` where it does not."""
        self._proof.again()

    def run(self, tensors: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        """Raw values with NaN to (B, labels) probabilities and (B, fields) contributions, empty if not linear."""
        found = self._run(tensors)
        if not self._proof.holds():
            found = self._run(tensors)
        return found

    def _run(self, tensors: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        sizes = {len(values) for values in tensors.values()}
        if {name: values.shape[1:] for name, values in tensors.items()} != self.shapes or len(sizes) != 1:
            raise Fault("the tensors are not those that the manifest declares")
        if any(values.dtype != np.float32 for values in tensors.values()) or not 1 <= min(sizes) <= MAX_BATCH:
            raise Fault(f"values must be float32 in batches of 1 to {MAX_BATCH}")
        output = self.manifest.output
        names = [output.prob] + ([output.contribution] if output.contribution else [])
        got = ask(self.graph, names, self._filled(tensors))
        prob = probabilities(got[0], self.manifest)
        if output.contribution and got[1].shape != (len(prob), len(self.manifest.input.fields)):
            raise Fault("the model's answer does not have a contribution for each value")
        return prob, got[1] if output.contribution else np.zeros((len(prob), 0), np.float32)

    def _filled(self, tensors: Mapping[str, Floats]) -> dict[str, Floats]:
        """With the manifest's typical values in the holes of a third-party graph that takes none."""
        return {
            name: np.where(np.isnan(values), self._typical[name], values) if name in self._typical else values
            for name, values in tensors.items()
        }

    def close(self) -> None:
        self.graph.close()

    def _check_contract(self) -> None:
        check_metadata(self.graph, self.manifest)
        output = self.manifest.output
        outputs = {port.name for port in self.graph.outputs}
        if (
            not inputs_fit(self.graph, self.shapes)
            or not {output.prob, *filter(None, [output.contribution])} <= outputs
        ):
            raise Invalid(f"the graph of {self.manifest.name} has other inputs or outputs than its manifest")

    def _check_golden(self) -> float:
        """Largest difference to the recorded probabilities; raises `Fault` beyond the tolerance."""
        *given, expected = golden_vectors(self.package, *self.shapes, "prob")
        tensors = dict(zip(self.shapes, given, strict=True))
        error = 0.0
        for start in range(0, len(expected), MAX_BATCH):
            part = slice(start, start + MAX_BATCH)
            prob, _ = self._run({name: values[part] for name, values in tensors.items()})
            error = max(error, difference(prob, expected[part]))
        return within_tolerance(error, self.provider, self.manifest)


def _typical(manifest: RecordManifest | SeriesManifest) -> dict[str, Floats]:
    """(fields,) by tensor, where the manifest names any."""

    def row(fields: tuple[Field, ...]) -> Floats:
        return np.asarray([one.typical for one in fields], np.float32)

    rows = {manifest.input.tensor: row(manifest.input.fields)}
    if isinstance(manifest, SeriesManifest):
        rows[manifest.input.static_tensor] = row(manifest.input.statics)
    return {name: values for name, values in rows.items() if not np.isnan(values).all()}


def _shapes(manifest: RecordManifest | SeriesManifest) -> dict[str, tuple[int, ...]]:
    rule = manifest.input
    if isinstance(manifest, RecordManifest):
        return {manifest.input.tensor: (len(rule.fields),)}
    series = manifest.input
    return {series.tensor: (series.bins, len(series.fields)), series.static_tensor: (len(series.statics),)}
