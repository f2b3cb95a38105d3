"""prove: that rings of keys are the ones of this database, by opening one row of each purpose.

A backup that was never tried is a hope. Nothing that is opened leaves this step, and the opening of an identity is
audited like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.domain.errors import GatewayError, Missing
from gateway.ports import Database, UnitOfWork
from gateway.privacy.keyring import KeyRing, Purpose
from gateway.privacy.pseudonyms import Pseudonymiser
from gateway.privacy.vault import Vault, open_object_key, open_secret

Proof = Literal["opens", "does not open", "no row"]


@dataclass(frozen=True)
class ProveKeys:
    """`chain_opens` says whether a ring verifies the last row of the audit trail; None where there is none."""

    database: Database
    chain_opens: Callable[[KeyRing], bool | None]

    def __call__(self, ring: KeyRing, actor: str) -> Mapping[Purpose, Proof]:
        """The verdict for every purpose that the ring holds and that rows rest on."""
        chain = self._proof(lambda: self.chain_opens(ring))
        with self.database.begin(actor) as unit:
            proofs = {
                Purpose.AUDIT: chain,
                Purpose.OBJECTS: self._proof(lambda: self._object_key(unit, ring)),
                Purpose.IDENTITY: self._proof(lambda: self._secret(unit, ring) is not None),
                Purpose.PSEUDONYM: self._proof(lambda: self._pseudonym(unit, ring)),
                Purpose.INDEX: self._proof(lambda: self._index(unit, ring, actor)),
            }
            if chain != "does not open":  # the audit rows of an opening must not be chained under a foreign key
                unit.commit()
        return {purpose: proof for purpose, proof in proofs.items() if purpose in ring.current}

    def _proof(self, attempt: Callable[[], bool | None]) -> Proof:
        try:
            opened = attempt()
        except _NoRow:
            return "no row"
        except GatewayError:
            return "does not open"
        return "no row" if opened is None else "opens" if opened else "does not open"

    def _object_key(self, unit: UnitOfWork, ring: KeyRing) -> bool:
        for pseudonym, cell in unit.key_rows.outside("objects", "", 1):
            return bool(open_object_key(cell, ring, pseudonym))
        raise _NoRow

    def _secret(self, unit: UnitOfWork, ring: KeyRing) -> tuple[str, bytes]:
        for pseudonym, cell in unit.key_rows.outside("identity", "", 1):
            return pseudonym, open_secret(cell, ring, pseudonym)
        raise _NoRow

    def _pseudonym(self, unit: UnitOfWork, ring: KeyRing) -> bool:
        """The pseudonym follows from the secret and this key."""
        pseudonym, secret = self._secret(unit, ring)
        return Pseudonymiser(secret, ring.key(Purpose.PSEUDONYM).key).patient_id() == pseudonym

    def _index(self, unit: UnitOfWork, ring: KeyRing, actor: str) -> bool:
        """A study's blind index follows from its original UID and this key."""
        vault = Vault(ring, self.database)
        pseudonym, _ = self._secret(unit, ring)
        for study_id in unit.studies.ids_by_patient(pseudonym):
            study = unit.studies.get(study_id)
            identity = vault.study_identity(unit, study, "check", actor)
            return vault.search_index("study-uid", identity.study_instance_uid) == study.study_uid_index
        raise _NoRow


class _NoRow(Missing):
    """The database holds nothing yet that rests on this key."""
