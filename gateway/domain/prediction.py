"""What the inference engine returns for one task, before its pictures are sealed and it becomes a finding."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.domain.finding import Code, Label, RecordAnswer


@dataclass(frozen=True)
class ScoredImage:
    """One image's answer; `heat_map` is a PNG. Where `refusal` is set the image was not scored."""

    sop_instance_uid: str
    labels: tuple[Label, ...]
    decided: str | None
    explanation: str
    heat_map: bytes | None = field(default=None, repr=False)
    refusal_code: str | None = None
    refusal: str | None = None
    distance: float | None = None


@dataclass(frozen=True)
class Prediction:
    """One model's answer for one study. `decided` is None where the answer is inconclusive."""

    question: Code
    decided: Label | None
    conclusion: str
    threshold: float | None
    images: tuple[ScoredImage, ...]
    provider: str
    runtime: str
    answer: RecordAnswer | None = None
