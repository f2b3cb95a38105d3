"""That the model which answers is the one that was proved: golden vectors at the start, again for every new version.

Why again: an inference server can be given another model under the same name while a worker runs, and the protocol has
no digest by which it would be known. It does name the version that answered.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.domain.errors import Fault
from models.runtime.graph import Graph


class Proof:
    """`prove` raises where the golden vectors are not reproduced; it is called at once."""

    def __init__(self, graph: Graph, prove: Callable[[], float]) -> None:
        self._graph, self._prove = graph, prove
        self._refused: str | None = None
        self.error = prove()
        self._version = graph.version

    def again(self) -> None:
        """Asks for the golden vectors once more; raises where they are not reproduced any longer."""
        self.error = self._prove()

    def holds(self) -> bool:
        """Whether the latest answer may be used; if not, its version has been proved only now: ask again.

        Fault where the version does not reproduce the golden vectors; it is not asked for them a second time.
        """
        version = self._graph.version
        if version == self._version:
            return True
        if version == self._refused:
            raise Fault("the inference server answers with a version that is not the package's model")
        try:
            self.error = self._prove()
        except Fault:
            self._refused = version
            raise
        self._version = version
        return False
