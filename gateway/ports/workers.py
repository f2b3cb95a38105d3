"""The way to a worker, and what one does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from gateway.domain.ids import InstanceId, ModelId, TaskId
from gateway.domain.prediction import Prediction
from gateway.domain.record import InputDocument
from gateway.domain.study import Priority


class Doorbell(Protocol):
    """Tells workers that a task waits. The broker holds the id alone; losing a ring loses no work."""

    def ring(self, task_id: TaskId, priority: Priority) -> None:
        """Unavailable where the broker cannot be reached."""
        ...

    def ring_pixels(self, instance_id: InstanceId, priority: Priority) -> None:
        """The same for the search of one object's pixels."""
        ...


class Inference(Protocol):
    """Runs a verified model on the de-identified Part 10 files of one study."""

    def predict(self, model_id: ModelId, instances: Iterable[bytes], priority: Priority = "routine") -> Prediction:
        """Unsupported: the study is outside the model's scope, with the reason that reaches the sender.

        What is `stat` goes before everything else that waits for the same model.
        """
        ...

    def predict_record(self, model_id: ModelId, document: InputDocument) -> Prediction:
        """The same on what was gathered from a record."""
        ...
