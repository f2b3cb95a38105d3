"""Packs for tests: the breast pack under another version, another graph or other words, sealed with a key of ours."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from models.manifest import parse
from models.package import sign
from models.registry import BUILT_IN

BREAST = BUILT_IN / "breast-ultrasound-cnn"


@dataclass(frozen=True)
class Workshop:
    """Makes and signs packs; `trust` is the folder with the public half of its key."""

    folder: Path
    key: Ed25519PrivateKey

    @classmethod
    def at(cls, folder: Path) -> Workshop:
        made = cls(folder, Ed25519PrivateKey.generate())
        made.trust.mkdir(parents=True)
        public = made.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (made.trust / "tests.pem").write_bytes(public)
        return made

    @property
    def public(self) -> Ed25519PublicKey:
        return self.key.public_key()

    @property
    def trust(self) -> Path:
        return self.folder / "trust"

    def breast(
        self, root: str = "packs", version: str = "2.0.0", change: Callable[[Path], object] = lambda _: None
    ) -> Path:
        """A copy in `root`, which `change` may alter before its digests are taken and it is sealed.

        Its version is none that promotion.toml holds back.
        """
        target = self.folder / root / BREAST.name
        shutil.rmtree(target, ignore_errors=True)
        making = self.folder / "making" / BREAST.name
        shutil.rmtree(making, ignore_errors=True)
        shutil.copytree(BREAST, making, ignore=shutil.ignore_patterns("pack.sig", "plots"))
        _set_version(making, version)
        change(making)
        _name_files(making)
        sign(making, self.key)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(making, target)
        return target


def say(old: str, new: str) -> Callable[[Path], None]:
    """A change of the manifest's words."""

    def change(folder: Path) -> None:
        page = folder / "manifest.toml"
        text = page.read_text("utf-8")
        assert old in text
        page.write_text(text.replace(old, new, 1), "utf-8")

    return change


def _set_version(folder: Path, version: str) -> None:
    now = parse((folder / "manifest.toml").read_bytes()).version
    say(f'version = "{now}"', f'version = "{version}"')(folder)
    card = folder / "card.xml"
    card.write_text(card.read_text("utf-8").replace(f"<ReleaseVersion>{now}<", f"<ReleaseVersion>{version}<"), "utf-8")
    graph = onnx.load(folder / "model.onnx")
    for prop in graph.metadata_props:
        if prop.key == "version":
            prop.value = version
    onnx.save(graph, folder / "model.onnx")


def _name_files(folder: Path) -> None:
    """The manifest's [files] for what lies there now."""
    page = folder / "manifest.toml"
    head, _, tail = page.read_text("utf-8").partition("[files]\n")
    rest = tail[re.search(r"^\[\[", tail, re.MULTILINE).start() :]  # type: ignore[union-attr]
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p != page)
    lines = [f'"{name}" = "{_digest(folder / name)}"\n' for name in names]
    page.write_text(f"{head}[files]\n{''.join(lines)}\n{rest}", "utf-8")


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def large(parameters: int, location: str = "weights.data") -> Callable[[Path], None]:
    """Replaces the graph by one of about `parameters` random half-precision weights in an external file.

    Square layers on the 784 pixels; its four outputs have the shapes of the pack's own, and its golden vectors are
    computed afterwards, so that it is a sound pack with a meaningless answer.
    """

    def change(folder: Path) -> None:
        from models.training.large_graph import write_large_graph

        written = write_large_graph(folder, parameters, metadata=onnx.load(folder / "model.onnx").metadata_props)
        assert written.name == "weights.data"
        if location != "weights.data":
            graph = onnx.load(folder / "model.onnx", load_external_data=False)
            for tensor in graph.graph.initializer:
                for entry in tensor.external_data:
                    if entry.key == "location":
                        entry.value = location
            onnx.save_model(graph, folder / "model.onnx")

    return change
