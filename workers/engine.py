"""The inference engine of one worker process: verified, warm models behind the Inference port.

It speaks the domain's words outwards and the model runtime's inwards, so that the flow knows neither ONNX nor
NumPy and the runtime knows neither tasks nor reports.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gateway.config import RemoteModelSettings, Settings
from gateway.domain.errors import GatewayError, Missing, Unsupported
from gateway.domain.finding import Label
from gateway.domain.ids import ModelId, derive_id
from gateway.domain.model import AppliesTo, ServedModel
from gateway.domain.prediction import Prediction, ScoredImage
from gateway.domain.record import InputDocument
from gateway.domain.study import Priority
from models import registry
from models.manifest import ImageManifest, RulesManifest
from models.package import TRUST, Package, trusted_keys
from models.promotion import start_of
from models.runtime.decoding import Decode, decode_here
from models.runtime.graph import Graph
from models.runtime.plan import PlanRules
from models.runtime.predict import ImagePrediction, Predictor
from models.runtime.providers import LEAST_MIB, Device, Policy, cuda_memory_mib, wish
from models.runtime.remote import RemoteGraph, Server
from models.runtime.rules import RulesTable
from models.runtime.session import Session, local_graph
from models.runtime.value_session import ValueSession
from workers import record_engine
from workers.needs import needs_of
from workers.record_engine import Answers
from workers.shelf import Shelf

log = logging.getLogger(__name__)
POLICIES = {"auto": Policy.PREFER_GPU, "cpu": Policy.CPU_ONLY, "cuda": Policy.REQUIRE_GPU}
SHARE: Final = 0.9  # of a GPU's memory; the rest is the driver's and the libraries'


@dataclass(frozen=True)
class Loaded:
    """What a worker found: models it serves, those of them that it can feed, and packages it refuses, with why.

    `seals` tells by a package's name what exactly was loaded, so that only a changed one is loaded again.
    """

    served: tuple[ServedModel, ...]
    shelf: Shelf[Predictor]
    refused: tuple[tuple[str, str], ...]
    seals: frozenset[str] = frozenset()
    answers: dict[str, Answers] = field(default_factory=dict)  # of models on records; one for the worker's life


def load_models(settings: Settings, decode: Decode = decode_here, before: Loaded | None = None) -> Loaded:
    """Verify, load and warm every package; one that fails is refused and the others are served.

    A package that takes a record, a series or genotypes names no modality: it is fed from patients' records, by what
    its announcement says that it needs.
    What was loaded `before` and has not changed is left alone, and not among the served ones of the answer.
    """
    packages, refused = find_packages(settings)
    shelf = before.shelf if before else Shelf[Predictor](budget_mib(settings))
    seals = set(before.seals) if before else set[str]()
    answers = before.answers if before else dict[str, Answers]()
    served: list[ServedModel] = []
    for package in packages:
        if seal(package) in seals:
            continue
        try:
            model = _load(settings, package, shelf, decode, answers)
        except GatewayError as error:
            refused.append((package.manifest.name, str(error)))
            continue
        served.append(model)
        seals.add(seal(package))
        log.info("model ready", extra={"fields": {"model": model.id, "provider": model.provider}})
    return Loaded(tuple(served), shelf, tuple(refused), frozenset(seals), answers)


def find_packages(settings: Settings) -> tuple[list[Package], list[tuple[str, str]]]:
    """Every package that verifies, and by name why others do not; a setting for an unknown one is told as well."""
    trusted = trusted_keys(TRUST)
    if settings.models.trusted_keys:
        trusted += trusted_keys(Path(settings.models.trusted_keys).expanduser())
    packages, rejected = registry.find([Path(folder).expanduser() for folder in settings.models.folders], trusted)
    refused = [(item.folder.name, item.reason) for item in rejected]
    absent = {remote.pack for remote in settings.models.remote} - {package.manifest.name for package in packages}
    refused += [(name, "models.remote names it, but no such package was found") for name in sorted(absent)]
    return packages, refused


def seal(package: Package) -> str:
    """Changes with any file that the manifest names, and with the manifest."""
    return hashlib.sha256(package.content["manifest.toml"] + package.sha256.encode()).hexdigest()


def device(settings: Settings, memory_mib: int = 0) -> Device:
    return Device(POLICIES[settings.worker.device], settings.worker.device_number, memory_mib)


def budget_mib(settings: Settings) -> int:
    """Device memory for all models: as set, or what the driver reports less a reserve; 0 is no limit."""
    if settings.worker.device_memory_mib or not wish(POLICIES[settings.worker.device])[0]:
        return settings.worker.device_memory_mib
    free = int(cuda_memory_mib(settings.worker.device_number) * SHARE) - LEAST_MIB  # the search for text has its own
    return max(free, 1)


def _load(
    settings: Settings, package: Package, shelf: Shelf[Predictor], decode: Decode, answers: dict[str, Answers]
) -> ServedModel:
    remote = next((one for one in settings.models.remote if one.pack == package.manifest.name), None)
    open_graph = _graph_of(settings, package, remote)
    policy = POLICIES[settings.worker.device]
    activate = settings.models.activate_signed
    if not isinstance(package.manifest, ImageManifest):
        return _answering(registry.load(package, policy, open_graph()), answers, activate=activate)

    def open_predictor() -> Predictor:
        session = registry.load(package, policy, open_graph())
        if not isinstance(session, Session):
            raise Unsupported(f"{package.manifest.name} does not take images")
        wait = settings.worker.batch_wait_ms / 1000 if session.most > 1 else 0.0
        return Predictor(session, decode, wait, owners=remote.connections if remote else 1)

    name = model_id(package.manifest.name, package.manifest.version, package.sha256)
    need = 0 if remote else _need(settings, package)
    return _served(shelf.admit(name, need, open_predictor).session, activate=activate)


def _answering(
    loaded: Session | ValueSession | RulesTable | PlanRules, answers: dict[str, Answers], *, activate: bool
) -> ServedModel:
    """A model on records, which is small and stays loaded."""
    if isinstance(loaded, Session):
        raise Unsupported("a model on images does not answer for a record")
    model = _served(loaded, activate=activate)
    answers[model.id] = record_engine.predictor(loaded)
    return model


def _need(settings: Settings, package: Package) -> int:
    """MiB of the device that a loaded model counts for."""
    declared = package.manifest.device_memory_mib
    return max(declared, LEAST_MIB) if wish(POLICIES[settings.worker.device])[0] else declared


def _graph_of(settings: Settings, package: Package, remote: RemoteModelSettings | None) -> Callable[[], Graph | None]:
    """Opens what runs the package's tensors; Unsupported where that cannot be what settings and manifest say."""
    manifest = package.manifest
    if isinstance(manifest, RulesManifest):
        if remote is not None:
            raise Unsupported("rules run in the worker; models.remote must not name them")
        return lambda: None
    if remote is not None:
        server = Server(**remote.model_dump(exclude={"pack"}))
        return lambda: RemoteGraph(server)
    if manifest.serving.runs_on == "server":
        raise Unsupported("its graph runs on an inference server, which models.remote has to name")
    return lambda: local_graph(package, device(settings, manifest.device_memory_mib))


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
        state=start_of(told["name"], told["version"], activate=activate),
        announced_at=datetime.now(UTC),
        needs=needs_of(session.package.manifest, session if isinstance(session, RulesTable) else None),
    )


class Engine:
    """Answers a task with one of the loaded models."""

    def __init__(self, shelf: Shelf[Predictor], answers: Mapping[str, Answers] | None = None) -> None:
        self._shelf = shelf
        self._answers = {} if answers is None else answers

    def predict_record(self, model_id: ModelId, document: InputDocument) -> Prediction:
        model = self._answers.get(model_id)
        if model is None:
            raise Missing("this worker does not serve the model")
        return record_engine.predict(model, document)

    def predict(self, model_id: ModelId, instances: Iterable[bytes], priority: Priority = "routine") -> Prediction:
        with self._shelf.use(model_id) as predictor:
            answer = predictor.predict(instances, urgent=priority == "stat")
            manifest = predictor.manifest
        if answer.study.scored == 0:
            raise Unsupported(answer.study.text)
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
