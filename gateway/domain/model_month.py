"""What models did in a month, as figures: for whoever answers for them, and for the rules that stop one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.domain.acceptance import Acceptance
from gateway.domain.agreement import AgreementFigures
from gateway.domain.drift import Drift
from gateway.domain.ids import ModelId
from gateway.domain.review import ReviewFigures

PROBABILITY = "probability"
"""The name under which the drift of what a model says stands; every other one is of what it was given."""


@dataclass(frozen=True)
class ModelMonth:
    """One version. `ends` counts tasks planned in the month by their state now, `refusals` images by reason.

    `drifts` compare the month with the time before it, by name: `PROBABILITY`, the distance of images to the training
    images, how many inputs were missing, and each input of a record. `agreement` is with the final reports that were
    received about what was answered in the month, whenever they came; `acceptance` the newest run of its digest.
    """

    model_id: ModelId
    model: str
    state: str
    stopped: str
    ends: Mapping[str, int]
    answers: int
    inconclusive: int
    images: int
    refusals: Mapping[str, int]
    drifts: Mapping[str, Drift]
    reviews: ReviewFigures
    agreement: AgreementFigures
    acceptance: Acceptance | None = None

    @property
    def refused_images(self) -> int:
        return sum(self.refusals.values())


@dataclass(frozen=True)
class ShadowPair:
    """Studies that a model in the shadow and a reported one both answered, to the same question.

    `apart` is the mean absolute difference of the probabilities of their first label, where both have one of its name.
    """

    shadow: str
    reported: str
    studies: int
    same: int
    only_shadow_decided: int
    only_reported_decided: int
    apart: float | None
