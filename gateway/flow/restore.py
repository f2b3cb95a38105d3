"""restore: rebuilds an object as it was received, bit for bit, from its masked file, the deposits and the vault.

The way back of mask and receive: each deposit gives the file before it, the sealed original header gives the data set
that the modality sent. Only the vault's roles hold the keys; the opening is audited.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from gateway.domain.errors import Fault, Invalid
from gateway.domain.identity import Purpose
from gateway.domain.study import Instance, Study
from gateway.ports import BlobStore, ObjectSeal, UnitOfWork
from gateway.privacy.engine import restore
from gateway.privacy.masked_file import restore_pixels
from gateway.privacy.part10 import split
from gateway.privacy.removed_pixels import bound_to, read_removed
from gateway.privacy.vault import Vault

_MOST_DEPOSITS: Final = 64


@dataclass(frozen=True)
class RestoredObject:
    """The data set as received, without group 0002, in its transfer syntax."""

    dataset: bytes
    transfer_syntax_uid: str

    def __repr__(self) -> str:
        return "RestoredObject(…)"


@dataclass(frozen=True)
class RestoreObject:
    """Needs the identity ring: a worker cannot build it."""

    vault: Vault
    blobs: BlobStore
    seal: ObjectSeal

    def __call__(
        self, unit: UnitOfWork, study: Study, instance: Instance, purpose: Purpose, actor: str
    ) -> RestoredObject:
        """Writes its audit row in `unit`. Invalid where a part does not fit the others, Missing where one is gone."""
        removed = self.vault.removed_header(unit, study, instance.id, purpose, actor)
        file = self.unmasked(study, instance)
        syntax, _ = split(file)
        return RestoredObject(restore(file, removed), syntax)

    def unmasked(self, study: Study, instance: Instance) -> bytes:
        """The de-identified file as the engine wrote it, with the pixels that the modality sent."""
        file = self._stored(study, instance)
        digest, key = instance.read_digest, instance.removed_pixels_key
        for _ in range(_MOST_DEPOSITS):
            if key is None:
                break
            deposit = self.seal.open(study.patient, key, self.blobs.get(key))
            lost = read_removed(self.vault.open_deposit(deposit, bound_to(instance.id, digest)))
            file, key = restore_pixels(file, lost.removed), lost.previous
            digest = hashlib.sha256(file).digest()
        if key is not None:
            raise Fault(f"an object was masked more than {_MOST_DEPOSITS} times")
        if digest != instance.digest:
            raise Invalid("the rebuilt file is not the one that was received")
        return file

    def _stored(self, study: Study, instance: Instance) -> bytes:
        file = self.seal.open(study.patient, instance.blob_key, self.blobs.get(instance.blob_key))
        if hashlib.sha256(file).digest() != instance.read_digest:
            raise Invalid("the stored file is not the one that its row names")
        return file
