"""From a fitted ensemble to one checked ONNX file: exported, halved in size, compared, signed off in its metadata.

Weights are halves already (`network.halve`); here they are stored as halves behind a Cast, which ONNX
Runtime folds when it loads the file. The parity gate compares every output to torch at batch 1, 3 and 64.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnx import numpy_helper

from models.training.detail_network import Detail
from models.training.network import OUTPUTS, Ensemble

OPSET = 17
IR_VERSION = 10  # ONNX Runtime 1.31 reads up to 13; onnx 1.23 would write 14
TOLERANCE = 1e-5


def export(net: Ensemble | Detail, metadata: Mapping[str, str]) -> bytes:
    """The network as ONNX bytes with `metadata_props` filled."""
    sample, names = torch.zeros(2, net.side, net.side, 1), named(net)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            net.eval(),
            (sample,),
            path,
            dynamo=False,
            input_names=["pixels"],
            output_names=list(names),
            dynamic_axes={name: {0: "batch"} for name in ("pixels", *names)},
            opset_version=OPSET,
        )
        model = onnx.load(path)
    model.ir_version = IR_VERSION
    _store_halves(model)
    del model.metadata_props[:]
    for key, value in sorted(metadata.items()):
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


def named(net: Ensemble | Detail) -> tuple[str, ...]:
    """The network's outputs, in its order."""
    return net.outputs if isinstance(net, Detail) else OUTPUTS


def _store_halves(model: onnx.ModelProto) -> None:
    """Keep large initialisers that lose nothing as float16, with a Cast to float32 in front of their use."""
    graph, casts, kept = model.graph, [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        half = values.astype(np.float16) if values.dtype == np.float32 and values.size >= 256 else None
        if half is None or not np.array_equal(half.astype(np.float32), values):
            kept.append(tensor)
            continue
        kept.append(numpy_helper.from_array(half, f"{tensor.name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{tensor.name}.half"], [tensor.name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)


def parity(net: Ensemble | Detail, model: bytes, pixels: npt.NDArray[np.float32]) -> dict[str, float]:
    """Largest difference between torch and ONNX Runtime, per output, over batches of 1, 3 and 64.

    `cam` and `embedding` have no natural unit, so theirs is relative to the largest value. Raises
    `AssertionError` beyond `TOLERANCE`.
    """
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = named(net)
    worst = dict.fromkeys(names, 0.0)
    for size in (1, 3, 64):
        batch = pixels[:size]
        with torch.no_grad():
            expected = [part.numpy() for part in net(torch.from_numpy(batch))]
        got = session.run(list(names), {"pixels": batch})
        for name, have, want in zip(names, got, expected, strict=True):
            scale = max(1.0, float(np.abs(want).max()))
            worst[name] = max(worst[name], float(np.abs(have - want).max()) / scale)
    if max(worst.values()) > TOLERANCE:
        raise AssertionError(f"ONNX Runtime differs from torch: {worst}")
    return worst


def outputs(model: bytes, pixels: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    """All outputs for (N, side, side, 1) raw pixels through ONNX Runtime: the numbers that are shipped."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    parts = [session.run(names, {"pixels": pixels[k : k + 64]}) for k in range(0, len(pixels), 64)]
    return {name: np.concatenate([part[place] for part in parts]) for place, name in enumerate(names)}
