"""What a worker can serve: a model's exact name, version and digest, and which studies it applies to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from gateway.domain.ids import ModelId, derive_id
from gateway.domain.record import Needs
from gateway.domain.study import Instance, Scope

ModelState = Literal["draft", "shadow", "active", "retired"]


@dataclass(frozen=True)
class AppliesTo:
    """The door of a model: no modality means that no image fits; no body part or SOP class, that any does."""

    modalities: tuple[str, ...]
    body_parts: tuple[str, ...] = ()
    sop_classes: tuple[str, ...] = ()

    def accepts(self, instance: Instance | Scope) -> bool:
        body_part = str(instance.header.get("BodyPartExamined") or "")
        return self.reads(instance) and (not self.body_parts or not body_part or body_part in self.body_parts)

    def reads(self, instance: Instance | Scope) -> bool:
        """An image of the model's kind, of whatever part of the body: its guard can say why it is not for it."""
        return instance.modality in self.modalities and (
            not self.sop_classes or instance.sop_class_uid in self.sop_classes
        )

    def accepts_any(self, instances: Iterable[Instance | Scope]) -> bool:
        return any(self.accepts(instance) for instance in instances)

    def given(self, instances: Sequence[Instance]) -> list[Instance]:
        """What of a study the model is given: what it accepts, else what it is to refuse."""
        accepted = [one for one in instances if self.accepts(one)]
        return accepted or [one for one in instances if self.reads(one)]


@dataclass(frozen=True)
class ServedModel:
    """A verified model package as announced by a worker. `sha256` is the digest of the ONNX file.

    `decided_by` names who decided about the state, which a worker's announcement then changes no more.
    """

    id: ModelId
    name: str
    version: str
    sha256: str
    title: str
    intended_use: str
    applies_to: AppliesTo
    card_sha256: str
    card: str
    provider: str
    state: ModelState
    announced_at: datetime
    decided_by: str | None = field(default=None, compare=False)
    activated_at: datetime | None = field(default=None, compare=False)
    needs: Needs | None = None  # of a model on records: what it asks of one


def model_id(name: str, version: str, sha256: str) -> ModelId:
    """The same name and version with another file is another model, never silently the same."""
    return ModelId(derive_id("model", name, version, sha256))
