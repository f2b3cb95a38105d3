"""The inference engine of one worker process: verified, warm models behind the Inference port.

It speaks the domain's words outwards and the model runtime's inwards, so that the flow knows neither ONNX nor
NumPy and the runtime knows neither tasks nor reports.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.config import Settings
from gateway.domain.errors import Category, Fault, GatewayError, Unavailable, Unsupported
from gateway.domain.finding import Label
from gateway.domain.ids import ModelId
from gateway.domain.model import AppliesTo, ServedModel, model_id
from gateway.domain.prediction import Prediction, ScoredImage
from gateway.domain.record import InputDocument
from gateway.domain.study import Priority
from models import registry
from models.manifest import ImageManifest, RulesManifest, Scored
from models.package import TRUST, Package, trusted_keys
from models.promotion import start_of
from models.runtime.decoding import Decode, decode_here
from models.runtime.graph import Graph
from models.runtime.plan import PlanRules
from models.runtime.predict import NO_ANSWER, ImagePrediction, Predictor
from models.runtime.providers import LEAST_MIB, Device, Policy, cuda_memory_mib, wish
from models.runtime.rules import RulesTable
from models.runtime.session import Session, local_graph
from models.runtime.value_session import ValueSession
from workers import record_engine
from workers.needs import needs_of
from workers.record_engine import Answering
from workers.shelf import Shelf
from workers.source import Source, seal

log = logging.getLogger(__name__)
POLICIES = {"auto": Policy.PREFER_GPU, "cpu": Policy.CPU_ONLY, "cuda": Policy.REQUIRE_GPU}
MAY_PASS: Final = frozenset({Category.BUSY, Category.UNAVAILABLE})
IN_SERVICE: Final = frozenset({"active", "shadow"})
SHARE: Final = 0.9  # of a GPU's memory; the rest is the driver's and the libraries'


@dataclass(frozen=True)
class Loaded:
    """What a worker found: models it serves, on images and on records, and packages it refuses, with why.

    `seals` tells by a package's name what exactly was loaded, so that only a changed one is loaded again.
    """

    served: tuple[ServedModel, ...]
    shelf: Shelf[Predictor]
    refused: tuple[tuple[str, str], ...]
    seals: frozenset[str] = frozenset()
    records: Shelf[Answering] = field(default_factory=Shelf)  # without a budget: these are small
    again: bool = False  # one was refused for what may pass: its inference server was away


def load_models(
    settings: Settings,
    decode: Decode = decode_here,
    before: Loaded | None = None,
    wanted: Collection[ModelId] = (),
) -> Loaded:
    """Verify, load and prove every package; one that fails is refused and the others are served.

    It stays loaded where it starts in service or is `wanted`; else it rests, so that nobody can promote what was not
    proved on this very machine, and a draft takes no memory.
    A package that takes a record, a series or genotypes names no modality: it is fed from patients' records, by what
    its announcement says that it needs.
    What was loaded `before` and has not changed is left alone, and not among the served ones of the answer.
    """
    packages, refused = find_packages(settings)
    shelf = before.shelf if before else Shelf[Predictor](budget_mib(settings))
    records = before.records if before else Shelf[Answering]()
    seals = set(before.seals) if before else set[str]()
    served: list[ServedModel] = []
    again = False
    while packages:
        package = packages.pop(0)  # what is not loaded is not kept either
        if seal(package) in seals:
            continue
        source = Source(package, trusted(settings))
        try:
            model = _load(settings, source, shelf, records, decode)
        except GatewayError as error:
            refused.append((package.manifest.name, str(error)))
            again = again or error.category in MAY_PASS
            continue
        except Exception as error:  # an edge: whatever one package provokes costs that package
            refused.append((package.manifest.name, f"it cannot be loaded ({type(error).__name__})"))
            continue
        if model.state not in IN_SERVICE and model.id not in wanted:
            (shelf if model.id in shelf.known() else records).rest(model.id)
            source.forget()
        served.append(model)
        seals.add(seal(package))
        log.info("model ready", extra={"fields": {"model": model.id, "provider": model.provider}})
    return Loaded(tuple(served), shelf, tuple(refused), frozenset(seals), records, again)


def trusted(settings: Settings) -> tuple[Ed25519PublicKey, ...]:
    """The keys of this project and those of the site."""
    keys = trusted_keys(TRUST)
    if settings.models.trusted_keys:
        keys += trusted_keys(Path(settings.models.trusted_keys).expanduser())
    return keys


def find_packages(settings: Settings) -> tuple[list[Package], list[tuple[str, str]]]:
    """Every package that verifies, and by name why others do not; a setting for an unknown one is told as well."""
    keys = trusted(settings)
    packages, rejected = registry.find([Path(folder).expanduser() for folder in settings.models.folders], keys)
    refused = [(item.folder.name, item.reason) for item in rejected]
    absent = {remote.pack for remote in settings.models.remote} - {package.manifest.name for package in packages}
    refused += [(name, "models.remote names it, but no such package was found") for name in sorted(absent)]
    return packages, refused


def device(settings: Settings, memory_mib: int = 0) -> Device:
    policy = POLICIES[settings.worker.device]
    return Device(policy, settings.worker.device_number, memory_mib, arena=False)


def budget_mib(settings: Settings) -> int:
    """Device memory for all models: as set, or what the driver reports less a reserve; 0 is no limit."""
    if settings.worker.device_memory_mib or not wish(POLICIES[settings.worker.device])[0]:
        return settings.worker.device_memory_mib
    free = int(cuda_memory_mib(settings.worker.device_number) * SHARE) - LEAST_MIB  # the search for text has its own
    return max(free, 1)


def _load(
    settings: Settings, source: Source, shelf: Shelf[Predictor], records: Shelf[Answering], decode: Decode
) -> ServedModel:
    package = source.package()
    manifest = package.manifest
    remote = next((one for one in settings.models.remote if one.pack == manifest.name), None)
    name = model_id(manifest.name, manifest.version, package.sha256)
    own = not isinstance(manifest, Scored) or manifest.origin == "own"  # of somebody else's a person decides
    activate = own and settings.models.activate_signed and settings.models.approvals == 1

    def open_session() -> Session | ValueSession | RulesTable | PlanRules:
        now = source.package()
        return registry.load(now, POLICIES[settings.worker.device], _graph_of(settings, now))

    def open_answering() -> Answering:
        session = open_session()
        if isinstance(session, Session):
            raise Unsupported("a model on images does not answer for a record")
        return record_engine.answering(session)

    def open_predictor() -> Predictor:
        session = open_session()
        if not isinstance(session, Session):
            raise Unsupported(f"{manifest.name} does not take images")
        wait = settings.worker.batch_wait_ms / 1000 if session.most > 1 else 0.0
        return Predictor(session, decode, wait, owners=remote.connections if remote else 1)

    if not isinstance(manifest, ImageManifest):
        return _served(records.admit(name, 0, open_answering).loaded, activate=activate)
    need = 0 if remote else _need(settings, package)
    return _served(shelf.admit(name, need, open_predictor).session, activate=activate)


def _need(settings: Settings, package: Package) -> int:
    """MiB of the device that a loaded model counts for."""
    declared = package.manifest.device_memory_mib
    return max(declared, LEAST_MIB) if wish(POLICIES[settings.worker.device])[0] else declared


def _graph_of(settings: Settings, package: Package) -> Graph | None:
    """What runs the package's tensors; None where there are none, but rules."""
    remote = registry.remote_graph(package, settings.models.remote)
    if remote is not None or isinstance(package.manifest, RulesManifest):
        return remote
    return local_graph(package, device(settings, package.manifest.device_memory_mib))


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
    """Answers a task with one of the loaded models.

    `broken` is called where a graph that was proved on this very device does not reproduce its golden vectors any
    more: the device is gone or in disorder, and only a new process can have it again.
    """

    def __init__(
        self,
        shelf: Shelf[Predictor],
        records: Shelf[Answering] | None = None,
        broken: Callable[[], None] = lambda: None,
    ) -> None:
        self._shelf = shelf
        self._records = Shelf[Answering]() if records is None else records
        self._broken = broken

    def predict_record(self, model_id: ModelId, document: InputDocument) -> Prediction:
        with self._records.use(model_id) as model:
            try:
                return record_engine.predict(model.answers, document)
            except Fault:
                self._suspect(model.loaded)
                raise

    def predict(self, model_id: ModelId, instances: Iterable[bytes], priority: Priority = "routine") -> Prediction:
        with self._shelf.use(model_id) as predictor:
            try:
                answer = predictor.predict(instances, urgent=priority == "stat")
            except Fault:
                self._suspect(predictor.session)
                raise
            if any(image.refusal and image.refusal.code == NO_ANSWER for image in answer.images):
                self._suspect(predictor.session)  # half a study is no answer, if it was the device that gave out
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

    def _suspect(self, loaded: object) -> None:
        """Unavailable where it is not the input that is to blame; of a server's graph no new process is the cure."""
        if not isinstance(loaded, Session | ValueSession):
            return
        try:
            loaded.prove()
        except GatewayError as error:
            fields = {"provider": loaded.provider, "reason": str(error)}
            log.error("model in disorder", extra={"fields": fields})  # noqa: TRY400 - no trace, no values
            if loaded.provider.startswith("remote:"):
                raise Unavailable("the inference server does not answer as it did") from error
            self._broken()
            raise Unavailable("the device does not compute what it did; the worker starts anew") from error


def _scored(image: ImagePrediction, manifest: ImageManifest) -> ScoredImage:
    rules = {label.name: label for label in manifest.labels}
    return ScoredImage(
        sop_instance_uid=image.sop_instance_uid,
        labels=tuple(Label(name, rules[name].code, prob, rules[name].title) for name, prob in image.probabilities),
        decided=image.decided,
        explanation=image.explanation,
        heat_map=image.heat_map,
        refusal_code=image.refusal.code if image.refusal else None,
        refusal=image.refusal.text if image.refusal else None,
        distance=image.distance,
    )
