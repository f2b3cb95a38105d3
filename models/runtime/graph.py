"""A graph that can be run: the one shape in which a session knows ONNX Runtime here or an inference server elsewhere.

Why a seam of its own: what a pack promises (inputs, outputs, golden vectors, finite numbers) is checked in the same
words wherever its tensors are multiplied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from models.runtime.providers import Opened

Tensor = npt.NDArray[Any]
Shape = tuple[int | None, ...]  # None where the size is free


@dataclass(frozen=True)
class Port:
    """One input or output; `shape` with the batch first."""

    name: str
    shape: Shape


class Graph(Protocol):
    """What a session needs of whatever runs its graph."""

    provider: str
    reason: str
    runtime: str

    @property
    def inputs(self) -> tuple[Port, ...]: ...

    @property
    def outputs(self) -> tuple[Port, ...]: ...

    @property
    def metadata(self) -> Mapping[str, str] | None:
        """What the graph says about itself; None where its runtime does not tell."""
        ...

    def run(self, outputs: Sequence[str], tensors: Mapping[str, Tensor]) -> list[Tensor]:
        """The named outputs, in their order."""
        ...

    def close(self) -> None: ...


class LocalGraph:
    """A session of ONNX Runtime in this process."""

    def __init__(self, opened: Opened) -> None:
        self.provider = opened.provider
        self.reason = opened.reason
        self.runtime = f"onnxruntime {onnxruntime.__version__}"
        self._session: Any = opened.session

    @property
    def inputs(self) -> tuple[Port, ...]:
        return tuple(_port(node) for node in self._session.get_inputs())

    @property
    def outputs(self) -> tuple[Port, ...]:
        return tuple(_port(node) for node in self._session.get_outputs())

    @property
    def metadata(self) -> Mapping[str, str] | None:
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, outputs: Sequence[str], tensors: Mapping[str, Tensor]) -> list[Tensor]:
        return [np.asarray(value) for value in self._session.run(list(outputs), dict(tensors))]

    def close(self) -> None:
        """Its device memory is free when the last reference is gone."""
        self._session = None


def _port(node: Any) -> Port:
    return Port(node.name, tuple(size if isinstance(size, int) else None for size in node.shape))
