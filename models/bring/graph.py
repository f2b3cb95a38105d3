"""What an ONNX file says of itself: inputs, outputs, shapes. Read with ONNX Runtime alone, nothing is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gateway.domain.errors import Unsupported
from models.runtime.providers import Device, Policy, open_on

FLOATS: Final = ("tensor(float)", "tensor(float16)", "tensor(double)")


@dataclass(frozen=True)
class Tensor:
    """One input or output; a dimension that is not fixed is None."""

    name: str
    type: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Graph:
    """Inputs and outputs of a graph, in its order."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def look(model: bytes) -> Graph:
    """Raises `Invalid` where ONNX Runtime cannot load the file."""
    session = open_on(model, Device(Policy.CPU_ONLY)).session
    return Graph(
        tuple(_tensor(node) for node in session.get_inputs()), tuple(_tensor(node) for node in session.get_outputs())
    )


def answer(graph: Graph) -> tuple[Tensor, str]:
    """The output that is taken for the answer, and the activation that its shape and name suggest.

    A suggestion for a page that a person reads and corrects: a name is no proof of what a number means.
    """
    floats = [one for one in graph.outputs if one.type in FLOATS]
    if not floats:
        raise Unsupported("the graph has no output of floats; classifiers with ZipMap give maps: export without")
    named = [one for one in floats if any(word in one.name.lower() for word in ("prob", "logit", "score"))]
    chosen = (named or floats)[0]
    columns = chosen.shape[1] if len(chosen.shape) > 1 else 1
    is_prob = "prob" in chosen.name.lower()
    if columns == 1:
        return chosen, "positive" if is_prob else "sigmoid"
    return chosen, "none" if is_prob else "softmax"


def _tensor(node: Any) -> Tensor:
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in node.shape)
    return Tensor(str(node.name), str(node.type), shape)
