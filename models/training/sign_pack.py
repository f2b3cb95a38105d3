"""Signing packs with a key that is kept outside the repository.

    python -m models.training.sign_pack --key KEY.pem PACK [PACK ...]

A key that does not exist yet is made (mode 0600); its public half is written beside it as KEY.pub.pem, to
be placed in `models/trust` by the person who decides whom to trust.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from models.package import sign


def key_at(path: Path) -> Ed25519PrivateKey:
    """The private key in `path`, made now if there is none."""
    if not path.exists():
        key = Ed25519PrivateKey.generate()
        body = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(body)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        path.with_suffix(".pub.pem").write_bytes(public)
        return key
    loaded = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(loaded, Ed25519PrivateKey):
        raise TypeError(f"{path.name} is not an Ed25519 private key")
    return loaded


def main() -> None:
    """Sign every named pack folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("packs", type=Path, nargs="+")
    args = parser.parse_args()
    key = key_at(args.key)
    for folder in args.packs:
        sign(folder, key)
        print(f"signed {folder.name}")


if __name__ == "__main__":
    main()
