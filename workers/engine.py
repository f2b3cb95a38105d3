"""The inference engine of one worker process: verified, warm models behind the Inference port.

It speaks the domain's words outwards and the model runtime's inwards, so that the flow knows neither ONNX nor
NumPy and the runtime knows neither tasks nor reports.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gateway.config import Settings
from gateway.domain.errors import GatewayError, Missing, Unsupported
from gateway.domain.finding import Label
from gateway.domain.ids import ModelId, derive_id
from gateway.domain.model import AppliesTo, ServedModel
from gateway.domain.prediction import Prediction, ScoredImage
from gateway.domain.record import InputDocument
from gateway.domain.study import Priority
from models import registry
from models.manifest import ImageManifest
from models.package import TRUST, trusted_keys
from models.runtime.predict import ImagePrediction, Predictor
from models.runtime.providers import Policy
from models.runtime.rules import RulesTable
from models.runtime.session import Session
from workers import record_engine
from workers.needs import needs_of
from workers.record_engine import Answers

log = logging.getLogger(__name__)
POLICIES = {"auto": Policy.PREFER_GPU, "cpu": Policy.CPU_ONLY, "cuda": Policy.REQUIRE_GPU}


@dataclass(frozen=True)
class Loaded:
    """What a worker found: models it serves, with their predictors, and packages it refuses, with the reason."""

    served: tuple[ServedModel, ...]
    predictors: Mapping[str, Predictor]
    refused: tuple[tuple[str, str], ...]
    answers: Mapping[str, Answers] = field(default_factory=dict)  # of models on records


def load_models(settings: Settings) -> Loaded:
    """Verify, load and warm every package; one that fails is refused and the others are served.

    A package that takes a record, a series or genotypes names no modality: it is fed from patients' records, by what
    its announcement says that it needs.
    """
    trusted = trusted_keys(TRUST)
    if settings.models.trusted_keys:
        trusted += trusted_keys(Path(settings.models.trusted_keys).expanduser())
    packages, rejected = registry.find([Path(folder).expanduser() for folder in settings.models.folders], trusted)
    refused = [(item.folder.name, item.reason) for item in rejected]
    served: list[ServedModel] = []
    predictors: dict[str, Predictor] = {}
    answers: dict[str, Answers] = {}
    for package in packages:
        try:
            session = registry.load(package, POLICIES[settings.worker.device])
        except GatewayError as error:
            refused.append((package.manifest.name, str(error)))
            continue
        model = _served(session, activate=settings.models.activate_signed)
        served.append(model)
        if isinstance(session, Session):
            predictors[model.id] = Predictor(session)
        else:
            answers[model.id] = record_engine.predictor(session)
        log.info("model ready", extra={"fields": {"model": model.id, "provider": session.provider}})
    return Loaded(tuple(served), predictors, tuple(refused), answers)


def model_id(name: str, version: str, sha256: str) -> ModelId:
    """The same name and version with another file is another model, never silently the same."""
    return ModelId(derive_id("model", name, version, sha256))


def _served(session: registry.Runs, *, activate: bool) -> ServedModel:
    told = registry.describe(session)
    return ServedModel(
        id=model_id(told["name"], told["version"], told["sha256"]),
        name=told["name"],
        version=told["version"],
        sha256=told["sha256"],
        title=told["title"],
        intended_use=told["intended_use"],
        applies_to=AppliesTo(tuple(told["modalities"]), tuple(told["body_parts"]), tuple(told["sop_classes"])),
        card_sha256=told["card_sha256"],
        card=told["card"],
        provider=told["provider"],
        state="active" if activate else "draft",
        announced_at=datetime.now(UTC),
        needs=needs_of(session.package.manifest, session if isinstance(session, RulesTable) else None),
    )


class Engine:
    """Answers a task with one of the loaded models."""

    def __init__(self, predictors: Mapping[str, Predictor], answers: Mapping[str, Answers] | None = None) -> None:
        self._predictors = predictors
        self._answers = answers or {}

    def predict_record(self, model_id: ModelId, document: InputDocument) -> Prediction:
        model = self._answers.get(model_id)
        if model is None:
            raise Missing("this worker does not serve the model")
        return record_engine.predict(model, document)

    def predict(self, model_id: ModelId, instances: Iterable[bytes], priority: Priority = "routine") -> Prediction:
        predictor = self._predictors.get(model_id)
        if predictor is None:
            raise Missing("this worker does not serve the model")
        answer = predictor.predict(instances, urgent=priority == "stat")
        if answer.study.scored == 0:
            raise Unsupported(answer.study.text)
        manifest = predictor.manifest
        images = tuple(_scored(image, manifest) for image in answer.images)
        speaking = next(image for image in images if image.sop_instance_uid == answer.study.sop_instance_uid)
        return Prediction(
            question=manifest.question,
            decided=next((label for label in speaking.labels if label.name == answer.study.decided), None),
            conclusion=answer.study.text,
            threshold=answer.threshold,
            images=images,
            provider=answer.provider,
            runtime=answer.runtime,
        )


def _scored(image: ImagePrediction, manifest: ImageManifest) -> ScoredImage:
    codes = {label.name: label.code for label in manifest.labels}
    return ScoredImage(
        sop_instance_uid=image.sop_instance_uid,
        labels=tuple(Label(name, codes[name], probability) for name, probability in image.probabilities),
        decided=image.decided,
        explanation=image.explanation,
        heat_map=image.heat_map,
        refusal_code=image.refusal.code if image.refusal else None,
        refusal=image.refusal.text if image.refusal else None,
    )
