"""A pack that is not signed yet, opened to be measured; no worker ever opens one this way."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import MappingProxyType

from gateway.domain.errors import Invalid, Unsupported
from models.bring import golden
from models.manifest import ImageManifest, RecordManifest, Scored, SeriesManifest, parse
from models.package import Package
from models.runtime.foreign_session import ForeignSession
from models.runtime.predict import Predictor
from models.runtime.providers import Policy
from models.runtime.record import RecordPredictor
from models.runtime.series import SeriesPredictor
from models.runtime.session import Session
from models.runtime.value_session import ValueSession

UNSIGNED = "unsigned"
_NO_DIGEST = "0" * 64


def page(folder: Path) -> str:
    """`manifest.toml` as text; raises `Invalid` where there is none."""
    try:
        return (folder / "manifest.toml").read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{folder} has no readable manifest.toml; `dxgate model init` makes one") from error


def manifest_of(folder: Path) -> Scored:
    """The manifest of a folder whose digests are not written yet."""
    text = page(folder)
    if "[files]" not in text:
        text += f'\n[files]\n"model.onnx" = "{_NO_DIGEST}"\n'
    found = parse(text.encode("utf-8"))
    if not isinstance(found, Scored):
        raise Unsupported("this works on packs with a graph; tables of rules are checked by `dxgate model verify`")
    return found


def opened(folder: Path) -> Package:
    """The folder as a package with golden vectors made now."""
    manifest, model = manifest_of(folder), (folder / "model.onnx").read_bytes()
    content = {"model.onnx": model, "golden.npz": golden.made(manifest, model), "card.xml": b""}
    digest = hashlib.sha256(model).hexdigest()
    return Package(folder, manifest, MappingProxyType(content), digest, _NO_DIGEST, UNSIGNED)  # type: ignore[arg-type]


def predictor(package: Package) -> Predictor | RecordPredictor | SeriesPredictor:
    """What answers for one case. Raises `Unsupported` for a pack without a graph."""
    manifest = package.manifest
    if isinstance(manifest, ImageManifest):
        kind = ForeignSession if manifest.origin == "third-party" else Session
        return Predictor(kind(package, Policy.CPU_ONLY))
    if isinstance(manifest, RecordManifest):
        return RecordPredictor(ValueSession(package, Policy.CPU_ONLY))
    if isinstance(manifest, SeriesManifest):
        return SeriesPredictor(ValueSession(package, Policy.CPU_ONLY))
    raise Unsupported("a pack of rules has no probabilities to measure")
