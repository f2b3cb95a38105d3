"""verify: every check that a pack has to pass, one by one, with what was found.

The worker does the same when it starts; here a person sees which check failed and why, before a worker is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.config import RemoteModelSettings
from gateway.domain.errors import GatewayError
from models import registry
from models.package import Package, verify


@dataclass(frozen=True)
class Check:
    """One check: what it was, whether it held, and what was found."""

    name: str
    holds: bool
    found: str


def checks(
    folder: Path, trusted: tuple[Ed25519PublicKey, ...], servers: Sequence[RemoteModelSettings] = ()
) -> Iterator[Check]:
    """Ends with the first that fails: what lies behind it has no meaning any more."""
    try:
        package = verify(folder, trusted)
    except (GatewayError, OSError) as error:
        yield Check("pack", False, str(error))
        return
    manifest = package.manifest
    yield Check("files", True, f"{len(package.content)} files, none beyond those that were signed")
    yield Check("signature", True, f"Ed25519 by key {package.signer[:16]}, which is trusted")
    yield Check("manifest", True, f"{manifest.name} {manifest.version}, kind {manifest.kind}")
    yield Check("digests", True, f"{len(manifest.files)} files as the manifest names them")
    yield Check("model card", True, f"CHAI v0.2, every required field, for version {manifest.version}")
    yield from _loaded(package, servers)


def _loaded(package: Package, servers: Sequence[RemoteModelSettings]) -> Iterator[Check]:
    try:
        session = registry.load_at_hand(package, servers)
    except GatewayError as error:
        yield Check("graph and golden vectors", False, str(error))
        return
    yield Check("graph", True, f"loads with {session.runtime}, inputs and outputs as the manifest says")
    error_found: float | None = getattr(session, "golden_error", None)
    if error_found is not None:
        yield Check("golden vectors", True, f"reproduced, largest difference {error_found:.1e}")
