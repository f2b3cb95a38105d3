"""DICOM instances in, a prediction in plain Python out: the one call that a worker makes.

Per image: header guard, decode, prepare, run, distance guard, decide, explain. All but run happens in the caller's
thread; images of several callers meet in the model's `Batcher`. Per study: the image with the highest probability
speaks for the study. Nothing here raises for a bad image; it is refused by name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from gateway.domain.errors import Fault, GatewayError, Unsupported
from gateway.domain.finding import in_words
from models.manifest import ImageManifest, Scored
from models.runtime import guard
from models.runtime.batcher import Batcher, Feeder, Limits
from models.runtime.decoding import Decode, decode_here
from models.runtime.decoding import refusal as decoding_refusal
from models.runtime.explain import Box, explain
from models.runtime.guard import Refusal
from models.runtime.preprocess import Prepared, prepare, read
from models.runtime.session import Answer, Floats, Session

MAX_INSTANCES = 4096
AHEAD = 2  # batches of its own images that one caller may have prepared and not yet answered
QUEUE = 8  # batches that may wait for the model altogether
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


@dataclass(frozen=True)
class _Begun:
    """An image that was opened: refused, or on its way through the model."""

    uid: str
    opened: Prepared | Refusal
    answer: Future[Answer] | None = None


class Predictor:
    """A warm session with the manifest's rules around it. `predict` may be called from many threads."""

    def __init__(
        self, session: Session, decode: Decode = decode_here, wait_seconds: float = 0.0, owners: int = 1
    ) -> None:
        self.session = session
        self._decode = decode
        self.manifest: ImageManifest = session.manifest
        limits = Limits(session.most, wait_seconds, QUEUE * max(session.most, 4), owners)
        self.batcher: Batcher[Floats, Answer] = Batcher(session.run_each, limits, self.manifest.name)

    def predict(self, instances: Iterable[bytes], *, urgent: bool = False) -> Prediction:
        """Score DICOM files, in order, with no more than a few batches of them in memory.

        Raises `Unsupported` for too many, `Fault` where the model itself fails.
        """
        images: list[ImagePrediction] = []
        begun: deque[_Begun] = deque()
        with self.batcher.feeding(urgent=urgent) as feeder:
            for data in instances:
                if len(images) + len(begun) >= MAX_INSTANCES:
                    raise Unsupported(f"more than {MAX_INSTANCES} objects of a study are not analysed")
                begun.append(self._begin(feeder, data))
                if len(begun) > AHEAD * self.batcher.most:
                    images.append(self._end(feeder, begun.popleft()))
            images.extend(self._end(feeder, one) for one in begun)
        _check_model(images)
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

    def close(self) -> None:
        """What waits is answered first; then the model's memory is given back."""
        self.batcher.close()
        self.session.close()

    def _begin(self, feeder: Feeder[Floats, Answer], data: bytes) -> _Begun:
        uid, opened = self._open(data)
        if isinstance(opened, Refusal):
            return _Begun(uid, opened)
        return _Begun(uid, opened, feeder.submit(opened.tensor, opened.tensor.shape))

    def _end(self, feeder: Feeder[Floats, Answer], one: _Begun) -> ImagePrediction:
        if isinstance(one.opened, Refusal) or one.answer is None:
            return _refused(one.uid, one.opened if isinstance(one.opened, Refusal) else _UNREADABLE)
        try:
            answer = feeder.wait(one.answer)
        except Fault:
            try:  # once more: what passed meanwhile was not the image's doing
                answer = feeder.wait(feeder.submit(one.opened.tensor, one.opened.tensor.shape))
            except Fault:
                return _refused(one.uid, _NO_ANSWER)
        return self._decide(one.uid, one.opened, answer)

    def _open(self, data: bytes) -> tuple[str, Prepared | Refusal]:
        uid = ""
        try:
            dataset = read(data)
            uid = str(dataset.get("SOPInstanceUID") or "")
            refusal = guard.header_refusal(dataset, self.manifest.applies_to)
            if refusal is not None:
                return uid, refusal
            lacking = decoding_refusal(str(dataset.file_meta.TransferSyntaxUID))
            if lacking is not None:
                return uid, Refusal("transfer-syntax", f"Not scored: {lacking}.")
            prepared = prepare(dataset, self.manifest.input, self._decode)
        except Unsupported as error:
            return uid, Refusal("geometry", f"Not scored: {error}.")
        except GatewayError as error:
            return uid, Refusal("unreadable", f"Not scored: {error}.")
        except Exception as error:  # a header provokes whatever the parser raises when its values are asked for
            return uid, Refusal("unreadable", f"Not scored: the header cannot be used ({type(error).__name__}).")
        return uid, guard.picture_refusal(prepared, self.manifest) or prepared

    def _decide(self, uid: str, prepared: Prepared, answer: Answer) -> ImagePrediction:
        """`answer` holds one row: this image's."""
        manifest, prob = self.manifest, [float(value) for value in answer.prob[0]]
        measured = guard.distance(answer.embedding[0])
        shown = None if answer.shown is None else answer.shown[0]
        refusal = guard.distance_refusal(measured, manifest) or guard.shown_refusal(shown, manifest)
        if refusal is not None:
            return _refused(uid, refusal, measured)
        by_threshold, possible = decide(manifest, prob)
        decided = by_threshold if possible == (by_threshold,) else None
        told = explain(prepared, answer.cam[0, 0], answer.member[0], manifest)
        member = answer.member[0]
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
            distance=measured if manifest.output.embedding else None,
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


def _check_model(images: Sequence[ImagePrediction]) -> None:
    """Fault where the model answered for none of the images that it was given: then it is not they that are bad."""
    asked = [image for image in images if image.refusal is None or image.refusal.code in _MODEL_ANSWERED]
    if asked and all(image.refusal is _NO_ANSWER for image in asked):
        raise Fault("the model failed on every image")


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
    return f'{answer[:1].upper()}{answer[1:]}. Probability of "{manifest.output.positive}": {in_words(probability)}.'


_UNREADABLE = Refusal("unreadable", "Not scored: the instance could not be read.")
NO_ANSWER = "no-answer"  # the model failed on this image, twice
_NO_ANSWER = Refusal(NO_ANSWER, "Not scored: the model gave no usable answer for this image.")
_MODEL_ANSWERED = (NO_ANSWER, "unlike-training", "turned-over")  # refusals that come after the model was asked


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
