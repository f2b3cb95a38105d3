"""A model pack on disk: sealed by a signature over the digest of every file, opened only if all of it fits.

Why signed: the graph decides what a physician is shown. A changed weight, threshold or sentence on the
card must be noticed before the first image. `pack.sig` lists the sha256 of every other file and carries an
Ed25519 signature (RFC 8032) of that list. What was verified in memory is what runs: files are read once. Only the
external data of a large graph stay on disk; they are hashed in pieces, and once more when they are loaded.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from gateway.domain.errors import Forbidden, Invalid
from models import card, external_data
from models.manifest import AnyManifest, RulesManifest, parse

SIGNATURE = "pack.sig"
RULES = "rules.json"  # the tables of a pack without a graph
COMMON = ("card.xml", "evaluation.json", "facts.md", "manifest.toml")
GRAPH = "model.onnx"
REMOTE = (*COMMON, "golden.npz")  # of a pack whose graph an inference server holds
REQUIRED = (*REMOTE, GRAPH)  # of a pack with a graph
MAX_FILES = 64
MAX_FILE = 512 * 1024 * 1024  # bytes of one that is held in memory
MAX_EXTERNAL = 1 << 40  # bytes of one that stays on disk
EXTERNAL = ".data"  # the ending of files with external data, by which alone they are known before they are read
_PIECE = 1 << 22
TRUST = Path(__file__).parent / "trust"
_HEAD = "dxgate-pack-1"


@dataclass(frozen=True)
class Package:
    """A verified pack: its manifest and the very bytes that were verified."""

    folder: Path
    manifest: AnyManifest
    content: Mapping[str, bytes]
    sha256: str  # of `manifest.artefact`: model.onnx, or the tables of a pack of rules
    card_sha256: str
    signer: str  # sha256 of the public key that signed, hexadecimal
    external: Mapping[str, str] = field(default_factory=dict)  # sha256 of each file with external data


def trusted_keys(folder: Path = TRUST) -> tuple[Ed25519PublicKey, ...]:
    """The public keys (`*.pem`) whose signature is accepted."""
    keys = []
    for path in sorted(folder.glob("*.pem")):
        key = load_pem_public_key(path.read_bytes())
        if not isinstance(key, Ed25519PublicKey):
            raise Invalid(f"{path.name} is not an Ed25519 public key")
        keys.append(key)
    return tuple(keys)


def sign(folder: Path, key: Ed25519PrivateKey) -> None:
    """Write `pack.sig` for the files that lie in `folder` now."""
    digests = _digest_list(*_contents(folder))
    seal = base64.b64encode(key.sign(digests)).decode("ascii")
    head = f"{_HEAD}\nkey {_key_id(key.public_key())}\nsignature {seal}\n"
    (folder / SIGNATURE).write_bytes(head.encode("ascii") + digests)


def verify(folder: Path, trusted: tuple[Ed25519PublicKey, ...]) -> Package:
    """Open the pack in `folder`, or refuse it with the reason.

    Raises `Forbidden` where a digest or the signature does not fit or the signer is not trusted, `Invalid`
    where a file is missing, the manifest or the card is wrong.
    """
    content, external = _contents(folder)
    _check_present(folder, content, _announced(content))
    signer = _check_signature(folder, _digest_list(content, external), trusted)
    manifest = _fitting(folder, content, external)
    if folder.name not in (manifest.name, f"{manifest.name}@{manifest.version}"):
        raise Invalid(
            f"folder name: {folder.name} holds {manifest.name} {manifest.version}; the folder must bear the model's "
            f"name, {manifest.name} or {manifest.name}@{manifest.version}"
        )
    return Package(
        folder=folder,
        manifest=manifest,
        content=MappingProxyType(content),
        sha256=_artefact_digest(content[manifest.artefact], external),
        card_sha256=hashlib.sha256(content["card.xml"]).hexdigest(),
        signer=signer,
        external=MappingProxyType(external),
    )


def check_fitting(folder: Path) -> None:
    """Refuse, before it is signed, what `verify` would refuse afterwards: files that do not fit the manifest."""
    content, external = _contents(folder)
    _check_present(folder, content, _announced(content))
    _fitting(folder, content, external)


def _fitting(folder: Path, content: Mapping[str, bytes], external: Mapping[str, str]) -> AnyManifest:
    """The manifest, where every file that it names is there and is that file, and the card is of its version."""
    manifest = parse(content["manifest.toml"])
    _check_present(folder, content, _required(manifest))
    digests = dict(external)
    for name, digest in manifest.files.items():
        if name in content:
            digests[name] = hashlib.sha256(content[name]).hexdigest()
        if digests.get(name) != digest:
            raise Forbidden(f"pack {folder.name}: {name} is not the file that the manifest names")
    _check_external(folder, content.get(GRAPH, b""), manifest, external)
    card.check(content["card.xml"], manifest.version)
    return manifest


def _announced(content: Mapping[str, bytes]) -> tuple[str, ...]:
    """What a pack must hold as far as can be told before its manifest is trusted; asked again afterwards."""
    if RULES in content:
        return COMMON
    return REMOTE if b'runs_on = "server"' in content.get("manifest.toml", b"") else REQUIRED


def _required(manifest: AnyManifest) -> tuple[str, ...]:
    if isinstance(manifest, RulesManifest):
        return COMMON
    return REMOTE if manifest.serving.runs_on == "server" else REQUIRED


def _artefact_digest(artefact: bytes, external: Mapping[str, str]) -> str:
    """Of the artefact; with external data, of the artefact followed by their digests, for they are the model too."""
    digest = hashlib.sha256(artefact)
    for name in sorted(external):
        digest.update(f"{external[name]}  {name}\n".encode())
    return digest.hexdigest()


def _check_external(folder: Path, graph: bytes, manifest: AnyManifest, external: Mapping[str, str]) -> None:
    """The graph may name external files of its own pack only, and the manifest must name each of them."""
    for name in sorted(external_data.locations(graph)):
        if name not in external:
            raise Forbidden(f"pack {folder.name}: the graph wants external data that the pack does not hold")
        if name not in manifest.files:
            raise Forbidden(f"pack {folder.name}: the manifest does not name {name}")


def _contents(folder: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """Every file of the pack but its signature, by its path inside the pack; external data by their digest."""
    found: dict[str, bytes] = {}
    external: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise Invalid(f"pack {folder.name}: {path.name} is a link")
        if path.is_dir() or path == folder / SIGNATURE:
            continue
        if not path.is_file():
            raise Invalid(f"pack {folder.name}: {path.name} is no file")
        most = MAX_EXTERNAL if path.suffix == EXTERNAL else MAX_FILE
        if len(found) + len(external) >= MAX_FILES or path.stat().st_size > most:
            raise Invalid(f"pack {folder.name} has more than {MAX_FILES} files or one beyond {most} bytes")
        name = path.relative_to(folder).as_posix()
        if path.suffix == EXTERNAL:
            external[name] = _hashed(path)
        else:
            found[name] = path.read_bytes()
    return found, external


def _hashed(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _check_present(folder: Path, content: Mapping[str, bytes], names: tuple[str, ...]) -> None:
    absent = sorted(set(names) - set(content))
    if absent:
        raise Invalid(f"pack {folder.name} lacks {', '.join(absent)}")


def _digest_list(content: Mapping[str, bytes], external: Mapping[str, str]) -> bytes:
    """What is signed: a line `sha256  path` for every file, sorted by path (a format law of `pack.sig`)."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    digests |= external
    lines = [f"{digests[name]}  {name}\n" for name in sorted(digests)]
    return "".join(lines).encode("utf-8")


def _check_signature(folder: Path, digests: bytes, trusted: tuple[Ed25519PublicKey, ...]) -> str:
    try:
        raw = (folder / SIGNATURE).read_bytes()
        head, key_line, seal_line, listed = raw.split(b"\n", 3)
        signer = key_line.removeprefix(b"key ").decode("ascii")
        seal = base64.b64decode(seal_line.removeprefix(b"signature "), validate=True)
    except (OSError, ValueError, binascii.Error) as error:
        raise Forbidden(f"pack {folder.name} has no readable {SIGNATURE}") from error
    if head != _HEAD.encode("ascii"):
        raise Forbidden(f"pack {folder.name}: {SIGNATURE} is of an unknown form")
    key = {_key_id(known): known for known in trusted}.get(signer)
    if key is None:
        raise Forbidden(f"pack {folder.name} is signed by a key that is not trusted")
    try:
        key.verify(seal, listed)
    except InvalidSignature as error:
        raise Forbidden(f"pack {folder.name}: the signature does not fit the digest list") from error
    if listed != digests:
        changed = sorted(set(digests.splitlines()) ^ set(listed.splitlines()))
        names = sorted({line.decode("utf-8", "replace")[66:] for line in changed})
        raise Forbidden(f"pack {folder.name}: changed after signing: {', '.join(names)}")
    return signer


def _key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()
