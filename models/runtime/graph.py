"""A graph that can be run: the one shape in which a session knows ONNX Runtime here or an inference server elsewhere.

Why a seam of its own: what a pack promises (inputs, outputs, golden vectors, finite numbers) is checked in the same
words wherever its tensors are multiplied.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from gateway.domain.errors import Fault
from models.runtime.providers import Opened

Tensor = npt.NDArray[Any]
Shape = tuple[int | None, ...]  # None where the size is free
_DATATYPES = {"tensor(float)": "FP32", "tensor(float16)": "FP16", "tensor(double)": "FP64", "tensor(int64)": "INT64"}


@dataclass(frozen=True)
class Port:
    """One input or output; `shape` with the batch first, `datatype` as the Open Inference Protocol names it."""

    name: str
    shape: Shape
    datatype: str


class Graph(Protocol):
    """What a session needs of whatever runs its graph."""

    provider: str
    reason: str
    runtime: str
    version: str  # of the model, as its runtime told with the latest answer; empty where it does not

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
    """A session of ONNX Runtime in this process. Callers from several threads take turns."""

    def __init__(self, opened: Opened) -> None:
        self.provider = opened.provider
        self.reason = opened.reason
        self.runtime = f"onnxruntime {onnxruntime.__version__}"
        self.version = ""
        self._session: Any = opened.session
        self._turn = threading.Lock()

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
        """Fault where the runtime fails, for want of memory above all."""
        with self._turn:
            try:
                values = self._session.run(list(outputs), dict(tensors))
            except Exception as error:  # the runtime has exceptions of its own, and words that quote names and sizes
                raise Fault(f"the runtime failed ({type(error).__name__})") from error
        return [np.asarray(value) for value in values]

    def close(self) -> None:
        """Its device memory is free when the last reference is gone."""
        with self._turn:
            self._session = None


def _port(node: Any) -> Port:
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return Port(node.name, shape, _DATATYPES.get(str(node.type), str(node.type)))
