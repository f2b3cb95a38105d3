"""DICOM instances in, a prediction in plain Python out: the one call that a worker makes.

Per image: header guard, decode, prepare, run, distance guard, decide, explain. Per study: the image with
the highest probability speaks for the study. Nothing here raises for a bad image; it is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from gateway.domain.errors import Busy, GatewayError, Unsupported
from models.manifest import ImageManifest, Scored
from models.runtime import guard
from models.runtime.explain import Box, explain
from models.runtime.guard import Refusal
from models.runtime.preprocess import Prepared, prepare, read
from models.runtime.session import Answer, Session

MAX_INSTANCES = 4096
BATCH = {"CPUExecutionProvider": 1, "CUDAExecutionProvider": 32}  # a CPU gains nothing from batches
INCONCLUSIVE = "inconclusive, refer to a physician"


@dataclass(frozen=True)
class ImagePrediction:
    """One image's answer, or its refusal; then `probabilities` is empty and `decided` None."""

    sop_instance_uid: str  # empty where the file could not be parsed
    probabilities: tuple[tuple[str, float], ...]  # label name, calibrated probability
    by_threshold: str | None  # the label that the threshold alone would give
    possible: tuple[str, ...]  # the conformal set
    decided: str | None  # None: inconclusive, or refused
    text: str
    heat_map: bytes | None  # PNG
    box: Box | None
    explanation: str
    member_range: tuple[float, float] | None
    distance: float | None
    refusal: Refusal | None


@dataclass(frozen=True)
class StudyPrediction:
    """What the images say together. `decided` None with `probability` set means inconclusive."""

    decided: str | None
    probability: float | None  # of the positive label, in the image that speaks for the study
    sop_instance_uid: str | None
    scored: int
    refused: int
    text: str


@dataclass(frozen=True)
class Prediction:
    """Everything a report needs, and exactly what made it."""

    images: tuple[ImagePrediction, ...]
    study: StudyPrediction
    model_name: str
    model_version: str
    model_sha256: str
    positive: str
    threshold: float
    provider: str
    runtime: str


class Predictor:
    """A warm session with the manifest's rules around it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.manifest: ImageManifest = session.manifest

    def predict(self, instances: Iterable[bytes]) -> Prediction:
        """Score DICOM files, in order, with no more than a batch of them in memory.

        Raises `Busy` for too many, `Fault` where the model itself fails.
        """
        images: list[ImagePrediction] = []
        for batch in _batches(instances, BATCH.get(self.session.provider, 1)):
            if len(images) + len(batch) > MAX_INSTANCES:
                raise Busy(f"more than {MAX_INSTANCES} instances in one call")
            images.extend(self._score(batch))
        manifest = self.manifest
        return Prediction(
            images=tuple(images),
            study=self._study(images),
            model_name=manifest.name,
            model_version=manifest.version,
            model_sha256=self.session.package.sha256,
            positive=manifest.output.positive,
            threshold=manifest.output.threshold,
            provider=self.session.provider,
            runtime=self.session.runtime,
        )

    def _score(self, instances: Sequence[bytes]) -> list[ImagePrediction]:
        opened = [self._open(data) for data in instances]
        ready = [item for _, item in opened if isinstance(item, Prepared)]
        answer = self.session.run(np.stack([item.tensor for item in ready])) if ready else None
        out, row = [], 0
        for uid, item in opened:
            if isinstance(item, Refusal) or answer is None:
                out.append(_refused(uid, item if isinstance(item, Refusal) else _UNREADABLE))
                continue
            out.append(self._decide(uid, item, answer, row))
            row += 1
        return out

    def _open(self, data: bytes) -> tuple[str, Prepared | Refusal]:
        uid = ""
        try:
            dataset = read(data)
            uid = str(dataset.get("SOPInstanceUID") or "")
            refusal = guard.header_refusal(dataset, self.manifest.applies_to)
            if refusal is not None:
                return uid, refusal
            prepared = prepare(dataset, self.manifest.input)
        except Unsupported as error:
            return uid, Refusal("geometry", f"Not scored: {error}.")
        except GatewayError as error:
            return uid, Refusal("unreadable", f"Not scored: {error}.")
        except Exception as error:  # a header provokes whatever the parser raises when its values are asked for
            return uid, Refusal("unreadable", f"Not scored: the header cannot be used ({type(error).__name__}).")
        return uid, guard.picture_refusal(prepared, self.manifest) or prepared

    def _decide(self, uid: str, prepared: Prepared, answer: Answer, row: int) -> ImagePrediction:
        manifest, prob = self.manifest, [float(value) for value in answer.prob[row]]
        measured = guard.distance(answer.embedding[row])
        refusal = guard.distance_refusal(measured, manifest)
        if refusal is not None:
            return _refused(uid, refusal, measured)
        by_threshold, possible = decide(manifest, prob)
        decided = by_threshold if possible == (by_threshold,) else None
        told = explain(prepared, answer.cam[row, 0], answer.member[row], manifest)
        member = answer.member[row]
        return ImagePrediction(
            sop_instance_uid=uid,
            probabilities=tuple((label.name, p) for label, p in zip(manifest.labels, prob, strict=True)),
            by_threshold=by_threshold,
            possible=possible,
            decided=decided,
            text=sentence(manifest, decided, prob[manifest.positive_column]),
            heat_map=told.png,
            box=told.box,
            explanation=told.text,
            member_range=(float(member.min()), float(member.max())),
            distance=measured,
            refusal=None,
        )

    def _study(self, images: Sequence[ImagePrediction]) -> StudyPrediction:
        scored = [image for image in images if image.refusal is None]
        refused = len(images) - len(scored)
        if not scored:
            reasons = sorted({image.refusal.text for image in images if image.refusal})
            text = " ".join(["No image was scored.", *reasons])
            return StudyPrediction(None, None, None, 0, refused, text)
        positive = self.manifest.output.positive
        top = max(scored, key=lambda image: dict(image.probabilities)[positive])
        text = f"{top.text} {len(scored)} of {len(images)} images were scored; the highest is reported."
        probability = dict(top.probabilities)[positive]
        return StudyPrediction(top.decided, probability, top.sop_instance_uid, len(scored), refused, text)


def _batches(instances: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    waiting = iter(instances)
    while batch := list(islice(waiting, size)):
        yield batch


def decide(manifest: Scored, prob: Sequence[float]) -> tuple[str, tuple[str, ...]]:
    """The label by the threshold, and the conformal set: every label with 1 - p no larger than its quantile."""
    names = [label.name for label in manifest.labels]
    column = manifest.positive_column
    if prob[column] >= manifest.output.threshold:
        by_threshold = names[column]
    else:
        others = [place for place in range(len(names)) if place != column]
        by_threshold = names[max(others, key=lambda place: prob[place])]
    quantiles = manifest.conformal.quantiles
    possible = tuple(name for name, p in zip(names, prob, strict=True) if 1 - p <= quantiles[name])
    return by_threshold, possible


def sentence(manifest: Scored, decided: str | None, probability: float) -> str:
    """The answer in words with its probability; None is inconclusive."""
    titles = {label.name: label.title for label in manifest.labels}
    answer = titles[decided] if decided is not None else INCONCLUSIVE
    return f'{answer[:1].upper()}{answer[1:]}. Probability of "{manifest.output.positive}": {probability:.2f}.'


_UNREADABLE = Refusal("unreadable", "Not scored: the instance could not be read.")


def _refused(uid: str, refusal: Refusal, distance: float | None = None) -> ImagePrediction:
    return ImagePrediction(
        sop_instance_uid=uid,
        probabilities=(),
        by_threshold=None,
        possible=(),
        decided=None,
        text=refusal.text,
        heat_map=None,
        box=None,
        explanation="",
        member_range=None,
        distance=distance,
        refusal=refusal,
    )
