"""One question to a graph, in the form in which the graph wants it: its number type, its batch size.

Why: a worker prepares 32-bit floats and as many rows as there are; a graph that somebody exported in half precision,
or for a batch of four, answers them all the same. What comes back is not believed: it must have a row for every case,
be finite, and be probabilities where it says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.domain.errors import Fault
from models.runtime.graph import Graph, Tensor

Floats = npt.NDArray[np.float32]
SLACK: Final = 1e-2  # half precision adds up labels no better
_TYPES: Final[dict[str, np.dtype[Any]]] = {"FP16": np.dtype(np.float16), "FP64": np.dtype(np.float64)}


def ask(graph: Graph, outputs: Sequence[str], tensors: Mapping[str, Floats]) -> list[Floats]:
    """The named outputs, each with as many finite rows as the tensors have; Fault for anything else."""
    given, rows = _typed(graph, tensors), len(next(iter(tensors.values())))
    fixed = _fixed(graph)
    parts = []
    for start in range(0, rows, fixed or rows):
        part = {name: _padded(values[start : start + (fixed or rows)], fixed) for name, values in given.items()}
        count = min(fixed or rows, rows - start)
        parts.append([_rows(values, len(next(iter(part.values()))))[:count] for values in graph.run(outputs, part)])
    found = [np.concatenate(same) for same in zip(*parts, strict=True)]
    if not all(np.isfinite(values).all() for values in found):
        raise Fault("the model answered with a value that is not a number")
    return found


def check_probabilities(values: Floats, labels: int) -> None:
    """Fault where these are not (rows, labels) of chances that add up to one in each row."""
    if values.ndim != 2 or values.shape[1] != labels:
        raise Fault("the model's answer does not have a row for each case and a column for each label")
    if (values < -SLACK).any() or (np.abs(values.sum(1) - 1) > SLACK).any():
        raise Fault("the model answered with numbers that are no probabilities")


def _rows(values: Tensor, count: int) -> Floats:
    if values.ndim < 1 or len(values) != count:
        raise Fault("the model's answer does not have a row for each case")
    return np.asarray(values, np.float32)


def _typed(graph: Graph, tensors: Mapping[str, Floats]) -> dict[str, Tensor]:
    """In the type that each input declares; a number that does not fit into half precision is a Fault."""
    kinds = {port.name: _TYPES.get(port.datatype) for port in graph.inputs}
    found: dict[str, Tensor] = {}
    for name, values in tensors.items():
        kind = kinds.get(name)
        with np.errstate(over="ignore"):
            found[name] = values if kind is None else values.astype(kind)
        if np.isinf(found[name]).any() and not np.isinf(values).any():
            raise Fault(f"a value is too large for the graph's input {name}")
    return found


def _fixed(graph: Graph) -> int | None:
    """The batch size that the graph insists on, where it does."""
    sizes = {port.shape[0] for port in graph.inputs if port.shape}
    fixed = sizes.pop() if len(sizes) == 1 else None
    return fixed if fixed and fixed > 0 else None


def _padded(values: Tensor, fixed: int | None) -> Tensor:
    if fixed is None or len(values) == fixed:
        return values
    return np.concatenate([values, np.repeat(values[-1:], fixed - len(values), 0)])
