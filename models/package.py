"""A model pack on disk: sealed by a signature over the digest of every file, opened only if all of it fits.

Why signed: the graph decides what a physician is shown. A changed weight, threshold or sentence on the
card must be noticed before the first image. `pack.sig` lists the sha256 of every other file and carries an
Ed25519 signature (RFC 8032) of that list. What was verified in memory is what runs: files are read once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from gateway.domain.errors import Forbidden, Invalid
from models import card
from models.manifest import AnyManifest, RulesManifest, parse

SIGNATURE = "pack.sig"
RULES = "rules.json"  # the tables of a pack without a graph
COMMON = ("card.xml", "evaluation.json", "facts.md", "manifest.toml")
REQUIRED = (*COMMON, "golden.npz", "model.onnx")  # of a pack with a graph
MAX_FILES = 64
MAX_FILE = 512 * 1024 * 1024  # bytes
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
    digests = _digest_list(_contents(folder))
    seal = base64.b64encode(key.sign(digests)).decode("ascii")
    head = f"{_HEAD}\nkey {_key_id(key.public_key())}\nsignature {seal}\n"
    (folder / SIGNATURE).write_bytes(head.encode("ascii") + digests)


def verify(folder: Path, trusted: tuple[Ed25519PublicKey, ...]) -> Package:
    """Open the pack in `folder`, or refuse it with the reason.

    Raises `Forbidden` where a digest or the signature does not fit or the signer is not trusted, `Invalid`
    where a file is missing, the manifest or the card is wrong.
    """
    content = _contents(folder)
    _check_present(folder, content, COMMON if RULES in content else REQUIRED)
    signer = _check_signature(folder, content, trusted)
    manifest = parse(content["manifest.toml"])
    _check_present(folder, content, COMMON if isinstance(manifest, RulesManifest) else REQUIRED)
    if folder.name not in (manifest.name, f"{manifest.name}@{manifest.version}"):
        raise Invalid(f"pack {folder.name} holds a manifest for {manifest.name} {manifest.version}")
    for name, digest in manifest.files.items():
        if name not in content or hashlib.sha256(content[name]).hexdigest() != digest:
            raise Forbidden(f"pack {folder.name}: {name} is not the file that the manifest names")
    card.check(content["card.xml"], manifest.version)
    return Package(
        folder=folder,
        manifest=manifest,
        content=MappingProxyType(content),
        sha256=hashlib.sha256(content[manifest.artefact]).hexdigest(),
        card_sha256=hashlib.sha256(content["card.xml"]).hexdigest(),
        signer=signer,
    )


def _contents(folder: Path) -> dict[str, bytes]:
    """Every file of the pack but its signature, by its path inside the pack."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise Invalid(f"pack {folder.name}: {path.name} is a link")
        if path.is_dir() or path == folder / SIGNATURE:
            continue
        if len(found) >= MAX_FILES or path.stat().st_size > MAX_FILE:
            raise Invalid(f"pack {folder.name} has more than {MAX_FILES} files or one beyond {MAX_FILE} bytes")
        found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def _check_present(folder: Path, content: Mapping[str, bytes], names: tuple[str, ...]) -> None:
    absent = sorted(set(names) - set(content))
    if absent:
        raise Invalid(f"pack {folder.name} lacks {', '.join(absent)}")


def _digest_list(content: Mapping[str, bytes]) -> bytes:
    """What is signed: a line `sha256  path` for every file, sorted by path (a format law of `pack.sig`)."""
    lines = [f"{hashlib.sha256(content[name]).hexdigest()}  {name}\n" for name in sorted(content)]
    return "".join(lines).encode("utf-8")


def _check_signature(folder: Path, content: Mapping[str, bytes], trusted: tuple[Ed25519PublicKey, ...]) -> str:
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
    if listed != _digest_list(content):
        changed = sorted(set(_digest_list(content).splitlines()) ^ set(listed.splitlines()))
        names = sorted({line.decode("utf-8", "replace")[66:] for line in changed})
        raise Forbidden(f"pack {folder.name}: changed after signing: {', '.join(names)}")
    return signer


def _key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()
