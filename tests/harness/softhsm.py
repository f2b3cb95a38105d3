"""A SoftHSM token of its own for one test: the HSM that Debian has in a package."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

LIBRARIES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)


def library() -> str | None:
    return next((path for path in LIBRARIES if Path(path).exists()), None)


@dataclass(frozen=True)
class SoftToken:
    """`configuration` is what SOFTHSM2_CONF must name."""

    configuration: Path
    label: str
    pin: str


def soft_token(folder: Path, label: str = "dxgate-test", pin: str = "271828") -> SoftToken:
    """A fresh, initialised token in `folder`."""
    tokens = folder / "tokens"
    tokens.mkdir(parents=True, mode=0o700)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", "31415926"]
    environment = {"SOFTHSM2_CONF": str(configuration), "PATH": "/usr/bin:/bin:/usr/local/bin"}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=30)
    return SoftToken(configuration, label, pin)
