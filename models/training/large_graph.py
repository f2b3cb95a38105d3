"""A graph of any size for measuring: random half-precision weights in an external file, the shapes of an image pack.

It answers nothing meaningful. What is measured is how packs of many gigabytes are hashed, loaded and run.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

PIXELS = 28
MEMBERS, EMBEDDING = 5, 32
WEIGHTS = "weights.data"
_SEED = 20261128
_PART = 1 << 24  # weights that are made at a time
_GOLDEN = 8


def write_large_graph(folder: Path, parameters: int, metadata: Iterable[Any] = (), golden: bool = True) -> Path:
    """`model.onnx`, `weights.data` and, computed on the CPU, `golden.npz` in `folder`; the path of the weights."""
    inputs = PIXELS * PIXELS
    width = int(min(max(256, (parameters / 8) ** 0.5), 16384)) // 64 * 64
    layers = max(1, round((parameters - 2 * inputs * width) / width**2))
    shapes = [(inputs, width), *[(width, width)] * layers, (width, _outputs())]
    tensors, offset = [], 0
    chance = np.random.default_rng(_SEED)
    with (folder / WEIGHTS).open("wb") as out:
        for number, shape in enumerate(shapes):
            size = _write_weights(out, chance, shape)
            tensors.append(_external(f"w{number}", shape, offset, size))
            offset += size
    graph = helper.make_graph(*_body(len(shapes)), initializer=[*tensors, *_constants()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    for prop in metadata:
        entry = model.metadata_props.add()
        entry.key, entry.value = prop.key, prop.value
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    if golden:
        _write_golden(folder)
    return folder / WEIGHTS


def _outputs() -> int:
    return MEMBERS + EMBEDDING + PIXELS * PIXELS + 2


def _write_weights(out: Any, chance: np.random.Generator, shape: tuple[int, int]) -> int:
    """Values that keep a layer's output as large as its input."""
    left, scale = shape[0] * shape[1], np.float32(1 / shape[0] ** 0.5)
    for start in range(0, left, _PART):
        part = chance.standard_normal(min(_PART, left - start), np.float32) * scale
        out.write(part.astype("<f2").tobytes())
    return left * 2


def _external(name: str, shape: tuple[int, int], offset: int, size: int) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT16, data_location=TensorProto.EXTERNAL)
    tensor.dims.extend(shape)
    for key, value in (("location", WEIGHTS), ("offset", str(offset)), ("length", str(size))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def _constants() -> list[TensorProto]:
    return [
        helper.make_tensor("flat", TensorProto.INT64, [2], [-1, PIXELS * PIXELS]),
        helper.make_tensor("grid", TensorProto.INT64, [4], [-1, 1, PIXELS, PIXELS]),
        helper.make_tensor("grey", TensorProto.FLOAT, [1], [1 / 255]),
        helper.make_tensor("parts", TensorProto.INT64, [4], [2, MEMBERS, EMBEDDING, PIXELS * PIXELS]),
    ]


def _body(layers: int) -> tuple[list[Any], str, list[Any], list[Any]]:
    node = helper.make_node
    nodes = [
        node("Reshape", ["pixels", "flat"], ["rows"]),
        node("Mul", ["rows", "grey"], ["scaled"]),
        node("Cast", ["scaled"], ["a0"], to=TensorProto.FLOAT16),
    ]
    for number in range(layers):
        nodes.append(node("MatMul", [f"a{number}", f"w{number}"], [f"m{number}"]))
        last = number == layers - 1
        nodes.append(node("Identity" if last else "Tanh", [f"m{number}"], [f"a{number + 1}"]))
    nodes += [
        node("Cast", [f"a{layers}"], ["wide"], to=TensorProto.FLOAT),
        node("Split", ["wide", "parts"], ["logits", "raw_member", "embedding", "raw_cam"], axis=1),
        node("Softmax", ["logits"], ["prob"], axis=1),
        node("Sigmoid", ["raw_member"], ["member"]),
        node("Reshape", ["raw_cam", "grid"], ["cam"]),
    ]
    info, kind = helper.make_tensor_value_info, TensorProto.FLOAT
    inputs = [info("pixels", kind, ["batch", PIXELS, PIXELS, 1])]
    shapes = {"prob": [2], "member": [MEMBERS], "cam": [1, PIXELS, PIXELS], "embedding": [EMBEDDING]}
    outputs = [info(name, kind, ["batch", *shape]) for name, shape in shapes.items()]
    return nodes, "large", inputs, outputs


def _write_golden(folder: Path) -> None:
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(_SEED).integers(0, 256, (_GOLDEN, PIXELS, PIXELS, 1)).astype(np.uint8)
    (prob,) = session.run(["prob"], {"pixels": pixels.astype(np.float32)})
    np.savez(folder / "golden.npz", pixels=pixels, prob=prob)
