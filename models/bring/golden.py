"""Golden vectors of a graph: made-up inputs and what the graph answers to them on this machine's CPU.

No case of anybody's data is kept: noise and gradients for images, values between the manifest's limits for records.
"""

from __future__ import annotations

import io

import numpy as np

from models.inputs import Field
from models.manifest import ImageManifest, RecordManifest, Scored, SeriesManifest
from models.runtime.activation import probabilities
from models.runtime.ask import ask
from models.runtime.foreign_session import Floats, as_declared
from models.runtime.graph import LocalGraph
from models.runtime.providers import Device, Policy, open_on

CASES = 8


def made(manifest: Scored, model: bytes) -> bytes:
    """`golden.npz`."""
    graph = LocalGraph(open_on(model, Device(Policy.CPU_ONLY)))
    tensors = inputs(manifest)
    image = isinstance(manifest, ImageManifest)
    rows = []
    for case in range(CASES):
        given = {name: values[case : case + 1] for name, values in tensors.items()}
        if isinstance(manifest, ImageManifest):
            given = {manifest.input.tensor: as_declared(given["pixels"], manifest.input)}
        (raw,) = ask(graph, [manifest.output.prob], given)
        rows.append(probabilities(raw, manifest)[0])
    out = io.BytesIO()
    kept = {name: values.astype(np.uint8) if image else values for name, values in tensors.items()}
    np.savez_compressed(out, prob=np.stack(rows), **kept)  # type: ignore[arg-type]
    return out.getvalue()


def inputs(manifest: Scored) -> dict[str, Floats]:
    """Made-up cases: `pixels` (CASES, height, width, 1) of whole grey levels, or a tensor of values for each name."""
    noise = np.random.default_rng(0)
    if isinstance(manifest, ImageManifest):
        rule = manifest.input
        pixels = noise.integers(0, 256, (CASES, rule.height, rule.width, 1)).astype(np.float32)
        slope = np.linspace(0, 255, rule.width)[None, :, None].repeat(rule.height, 0)
        pixels[: CASES // 2] = np.rint(slope[None] * np.linspace(0.25, 1, CASES // 2)[:, None, None, None])
        return {"pixels": pixels}
    if isinstance(manifest, RecordManifest):
        return {manifest.input.tensor: _values(noise, manifest.input.fields, (CASES,))}
    assert isinstance(manifest, SeriesManifest)  # noqa: S101 (the kinds with a graph are these three)
    rule_ = manifest.input
    return {
        rule_.tensor: _values(noise, rule_.fields, (CASES, rule_.bins)),
        rule_.static_tensor: _values(noise, rule_.statics, (CASES,)),
    }


def _values(noise: np.random.Generator, fields: tuple[Field, ...], shape: tuple[int, ...]) -> Floats:
    low, high = np.asarray([f.low for f in fields]), np.asarray([f.high for f in fields])
    return np.asarray(low + (high - low) * noise.random((*shape, len(fields))), np.float32)
