"""The vault: from an identifier to its pseudonym, and, on purpose only, from the pseudonym back.

Each patient has a random secret (sealed under the identity key) from which pseudonyms and the key of the sealed
identity derive, and a random object key (wrapped under the objects key) for the pixels. Destroying the patient's
row destroys both: nothing of that patient opens or links again. GDPR art. 4(5), ISO 25237 clause 7.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from gateway.domain.errors import Forbidden, Missing
from gateway.privacy.identity import OriginalIdentity
from gateway.privacy.keyring import KeyRing, Purpose
from gateway.privacy.pseudonyms import IdentityKey, Pseudonymiser, blind_index
from gateway.privacy.sealing import WrappingKey, column_key_id, open_column, seal_column


@dataclass(frozen=True)
class PatientRow:
    """One patient of the vault; `index` is unique, so is `pseudonym`."""

    pseudonym: str
    index: bytes
    secret: bytes = field(repr=False)  # sealed column, identity key
    object_kid: str  # the objects key that wraps `object_key`
    object_key: bytes = field(repr=False)


@dataclass(frozen=True)
class StudyIdentityRow:
    """The sealed identity of one study, under its patient's own key."""

    study_uid: str  # pseudonymous StudyInstanceUID
    pseudonym: str
    sealed: bytes = field(repr=False)


@dataclass(frozen=True)
class InstanceIdentityRow:
    """What was removed from one instance's header, sealed under its patient's own key."""

    sop_instance_uid: str  # pseudonymous SOPInstanceUID
    pseudonym: str
    sealed: bytes = field(repr=False)


class VaultStore(Protocol):
    """Where vault rows lie; one transaction around several calls is the caller's."""

    def find_patient(self, index: bytes) -> PatientRow | None:
        """The patient with this blind index."""
        ...

    def find_pseudonym(self, pseudonym: str) -> PatientRow | None:
        """The patient with this pseudonym."""
        ...

    def add_patient(self, row: PatientRow) -> PatientRow:
        """Insert, or give the row that already has this index: of two racing calls both get one row.

        Committed when it returns, in a transaction of its own: what the patient's secret replaced is stored
        later, and a secret that was rolled back would leave it without an owner.
        """
        ...

    def put_study_identity(self, row: StudyIdentityRow) -> None:
        """Insert or replace by study_uid."""
        ...

    def study_identity(self, study_uid: str) -> StudyIdentityRow | None:
        """The row of a study."""
        ...

    def put_instance_identity(self, row: InstanceIdentityRow) -> None:
        """Insert or replace by sop_instance_uid."""
        ...

    def instance_identity(self, sop_instance_uid: str) -> InstanceIdentityRow | None:
        """The row of an instance."""
        ...


@dataclass(frozen=True)
class PatientRecord:
    """A patient ready for use: what replaces the identity, and the key for the patient's objects."""

    pseudonym: str
    pseudonymiser: Pseudonymiser
    object_key: WrappingKey


class Vault:
    """Pseudonyms out, identity in; identity out again only with a purpose that the caller audits."""

    def __init__(self, ring: KeyRing, store: VaultStore, cached: int = 4096) -> None:
        """`ring` holds both key files; `cached` patients stay in memory."""
        self._ring = ring
        self._store = store
        self._cached = cached
        self._patients: OrderedDict[bytes, PatientRecord] = OrderedDict()
        self._lock = Lock()
        self._index_key = ring.key(Purpose.INDEX).key
        self._domain_key = ring.key(Purpose.PSEUDONYM).key

    def patient(self, key: IdentityKey) -> PatientRecord:
        """The record of a patient, made at first sight."""
        index = blind_index(self._index_key, key.indexed())
        with self._lock:
            known = self._patients.get(index)
            if known is not None:
                self._patients.move_to_end(index)
                return known
        row = self._store.find_patient(index) or self._store.add_patient(self._new_patient(index))
        record = self._record(row)
        with self._lock:
            self._patients[index] = record
            if len(self._patients) > self._cached:
                self._patients.popitem(last=False)
        return record

    def forget(self, pseudonym: str) -> None:
        """Drop a patient from this process's memory, after the row was erased."""
        with self._lock:
            for index in [index for index, one in self._patients.items() if one.pseudonym == pseudonym]:
                del self._patients[index]

    def seal_study(self, study_uid: str, patient: PatientRecord, identity: OriginalIdentity) -> StudyIdentityRow:
        """The row that keeps a study's identity; `study_uid` is the pseudonymous one."""
        sealed = _sealed(patient, identity.to_bytes(), "study_identity", study_uid)
        return StudyIdentityRow(study_uid, patient.pseudonym, sealed)

    def seal_instance(self, sop_instance_uid: str, patient: PatientRecord, removed: bytes) -> InstanceIdentityRow:
        """The row that keeps what an instance's header lost."""
        sealed = _sealed(patient, removed, "instance_identity", sop_instance_uid)
        return InstanceIdentityRow(sop_instance_uid, patient.pseudonym, sealed)

    def open_study(self, study_uid: str, purpose: str) -> OriginalIdentity:
        """Who a study is about. `purpose` is required and audited by the caller in its transaction."""
        _require(purpose)
        row = self._store.study_identity(study_uid)
        if row is None:
            raise Missing("the vault holds no identity for this study")
        opened = self._open(row.pseudonym, row.sealed, "study_identity", study_uid)
        return OriginalIdentity.from_bytes(opened)

    def open_instance(self, sop_instance_uid: str, purpose: str) -> bytes:
        """What was removed from an instance, for `engine.restore`; audited like `open_study`."""
        _require(purpose)
        row = self._store.instance_identity(sop_instance_uid)
        if row is None:
            raise Missing("the vault holds nothing removed from this instance")
        return self._open(row.pseudonym, row.sealed, "instance_identity", sop_instance_uid)

    def _new_patient(self, index: bytes) -> PatientRow:
        secret = secrets.token_bytes(32)
        pseudonym = Pseudonymiser(secret, self._domain_key).patient_id()
        identity, objects = self._ring.key(Purpose.IDENTITY), self._ring.key(Purpose.OBJECTS)
        sealed = seal_column(secret, identity, "patient", "secret", pseudonym)
        return PatientRow(pseudonym, index, sealed, objects.kid, objects.wrap(secrets.token_bytes(32)))

    def _record(self, row: PatientRow) -> PatientRecord:
        secret = open_column(row.secret, self._ring.by_id, "patient", "secret", row.pseudonym)
        pseudonymiser = Pseudonymiser(secret, self._domain_key)
        return PatientRecord(row.pseudonym, pseudonymiser, patient_object_key(row, self._ring))

    def _open(self, pseudonym: str, sealed: bytes, table: str, row_id: str) -> bytes:
        row = self._store.find_pseudonym(pseudonym)
        if row is None:
            raise Missing("this patient was erased: the identity cannot be opened")
        key = _identity_key(self._record(row))
        return open_column(sealed, lambda _: key, table, "sealed", row_id)


def patient_object_key(row: PatientRow, ring: KeyRing) -> WrappingKey:
    """The key that wraps the data keys of one patient's objects; all a worker needs is `objects.json`."""
    return WrappingKey(row.pseudonym, ring.unwrap(row.object_kid, row.object_key))


def rewrapped(row: PatientRow, ring: KeyRing) -> PatientRow:
    """The row under the current identity and objects keys: rotation touches rows only, never objects."""
    objects, identity = ring.key(Purpose.OBJECTS), ring.key(Purpose.IDENTITY)
    object_kid, object_key, secret = row.object_kid, row.object_key, row.secret
    if object_kid != objects.kid:
        object_kid, object_key = objects.kid, objects.wrap(ring.unwrap(object_kid, object_key))
    if column_key_id(secret) != identity.kid:
        opened = open_column(secret, ring.by_id, "patient", "secret", row.pseudonym)
        secret = seal_column(opened, identity, "patient", "secret", row.pseudonym)
    return PatientRow(row.pseudonym, row.index, secret, object_kid, object_key)


def _identity_key(patient: PatientRecord) -> WrappingKey:
    return WrappingKey(patient.pseudonym, patient.pseudonymiser.vault_key())


def _sealed(patient: PatientRecord, value: bytes, table: str, row_id: str) -> bytes:
    return seal_column(value, _identity_key(patient), table, "sealed", row_id)


def _require(purpose: str) -> None:
    if not purpose.strip():
        raise Forbidden("identity is opened for a named purpose only")
