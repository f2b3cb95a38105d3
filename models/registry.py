"""The packs that a worker finds, verifies and announces.

A worker announces what it can serve as rows, so that the gateway needs neither this package nor ONNX
Runtime. A pack that does not verify is not announced; the reason is given to the caller to be logged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypedDict

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.config import RemoteModelSettings
from gateway.domain.errors import GatewayError, Unsupported
from models.manifest import ImageManifest, PlanManifest, RulesManifest, Scored
from models.package import Package, trusted_keys, verify
from models.runtime.foreign_session import ForeignSession
from models.runtime.graph import Graph
from models.runtime.plan import PlanRules
from models.runtime.providers import Policy
from models.runtime.remote import RemoteGraph, Server
from models.runtime.rules import RulesTable
from models.runtime.session import Session
from models.runtime.value_session import ValueSession

BUILT_IN = Path(__file__).parent / "packs"
MAX_PACKS = 256


class ModelDescription(TypedDict):
    """What the gateway's `model` row is made from: plain values, JSON-ready."""

    name: str
    version: str
    input_kind: str
    sha256: str
    title: str
    intended_use: str
    out_of_scope: str
    question: dict[str, str]
    modalities: list[str]
    body_parts: list[str]
    sop_classes: list[str]
    labels: list[str]
    positive: str | None
    threshold: float | None
    card_sha256: str
    card: str
    signer: str
    device: str
    provider: str
    runtime: str


@dataclass(frozen=True)
class Rejected:
    """A folder that looked like a pack and may not run, with the reason."""

    folder: Path
    reason: str


def find(
    extra: Iterable[Path] = (), trusted: tuple[Ed25519PublicKey, ...] | None = None
) -> tuple[list[Package], list[Rejected]]:
    """Verify every pack in the built-in folder and in `extra`; a later pack replaces one of the same version.

    Versions of one name lie side by side, the later folder last.
    """
    keys = trusted_keys() if trusted is None else trusted
    found: dict[tuple[str, str], Package] = {}
    rejected: list[Rejected] = []
    folders = [folder for root in (BUILT_IN, *extra) for folder in _pack_folders(root)]
    for folder in folders[:MAX_PACKS]:
        try:
            package = verify(folder, keys)
        except (GatewayError, OSError) as error:
            rejected.append(Rejected(folder, str(error)))
            continue
        except Exception as error:  # an edge: what lies in one folder costs the others nothing
            rejected.append(Rejected(folder, f"it cannot be read ({type(error).__name__})"))
            continue
        found[package.manifest.name, package.manifest.version] = package
    rejected.extend(Rejected(folder, f"more than {MAX_PACKS} packs") for folder in folders[MAX_PACKS:])
    return list(found.values()), rejected


class Runs(Protocol):
    """A loaded pack of any kind: an image or value session, or a table of rules."""

    package: Package
    provider: str
    runtime: str


def describe(session: Runs) -> ModelDescription:
    """A loaded pack as a worker announces it, with the provider that it really uses.

    Only a pack on images names modalities; without any, no study is ever planned for it.
    """
    package = session.package
    manifest = package.manifest
    question = manifest.question
    scope = manifest.applies_to if isinstance(manifest, ImageManifest) else None
    scored = manifest if isinstance(manifest, Scored) else None
    return ModelDescription(
        name=manifest.name,
        version=manifest.version,
        input_kind=manifest.kind,
        sha256=package.sha256,
        title=manifest.title,
        intended_use=manifest.intended_use,
        out_of_scope=manifest.out_of_scope,
        question={
            "system": question.system,
            "scheme": question.scheme,
            "value": question.value,
            "display": question.display,
        },
        modalities=list(scope.modality) if scope else [],
        body_parts=list(scope.body_part) if scope else [],
        sop_classes=list(scope.sop_class) if scope else [],
        labels=[label.name for label in scored.labels] if scored else [],
        positive=scored.output.positive if scored else None,
        threshold=scored.output.threshold if scored else None,
        card_sha256=package.card_sha256,
        card=package.content["card.xml"].decode("utf-8"),
        signer=package.signer,
        device=_device(session.provider),
        provider=session.provider,
        runtime=session.runtime,
    )


def _device(provider: str) -> str:
    if provider.startswith("remote:"):
        return "remote"
    return "gpu" if provider == "CUDAExecutionProvider" else "cpu"


def load(
    package: Package, policy: Policy = Policy.PREFER_GPU, graph: Graph | None = None
) -> Session | ValueSession | RulesTable | PlanRules:
    """Warm the pack, whatever it takes, and prove it against its golden vectors; raises a `GatewayError`.

    `graph` runs in place of the pack's own, opened as `policy` allows.
    """
    manifest = package.manifest
    if isinstance(manifest, ImageManifest):
        kind = ForeignSession if manifest.origin == "third-party" else Session
        return kind(package, policy, graph=graph)
    if isinstance(manifest, PlanManifest):
        return PlanRules(package)
    if isinstance(manifest, RulesManifest):
        return RulesTable(package)
    return ValueSession(package, policy, graph=graph)


def load_at_hand(
    package: Package, servers: Iterable[RemoteModelSettings] = ()
) -> Session | ValueSession | RulesTable | PlanRules:
    """For a person's command: on the CPU, or on the server that the settings name for the pack."""
    return load(package, Policy.CPU_ONLY, remote_graph(package, servers))


def remote_graph(package: Package, servers: Iterable[RemoteModelSettings]) -> RemoteGraph | None:
    """The pack's graph on the server that the settings name for it; None where it runs here.

    Unsupported where that cannot be what settings and manifest say.
    """
    manifest = package.manifest
    server = next((one for one in servers if one.pack == manifest.name), None)
    if isinstance(manifest, RulesManifest):
        if server is not None:
            raise Unsupported("rules run in the worker; models.remote must not name them")
        return None
    if server is not None:
        return RemoteGraph(Server(**server.model_dump(exclude={"pack"})))
    if manifest.serving.runs_on == "server":
        raise Unsupported("its graph runs on an inference server, which models.remote has to name")
    return None


def _pack_folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    seen = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    return [path for path in seen if (path / "manifest.toml").is_file()]
