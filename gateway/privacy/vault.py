"""The vault: from an identifier to its pseudonym, and, on purpose only, from the pseudonym back.

Each patient has a random secret (sealed under the identity key) from which pseudonyms and the key of the sealed
identity derive, and a random object key (sealed under the objects key) for the pixels. Destroying the patient's
rows destroys both: nothing of that patient opens or links again. GDPR art. 4(5), ISO 25237 clause 7.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock
from typing import Final, Literal

from gateway.domain.errors import Erased, Missing, Unavailable
from gateway.domain.identity import Purpose as OpeningPurpose
from gateway.domain.identity import StudyIdentity
from gateway.domain.study import Study
from gateway.ports import Database, PatientRow, UnitOfWork
from gateway.privacy.deposit import deposit_fingerprint, open_deposit
from gateway.privacy.identity import OriginalIdentity
from gateway.privacy.keyring import Purpose
from gateway.privacy.live_ring import Keys
from gateway.privacy.memory import forget_all
from gateway.privacy.pseudonyms import IdentityKey, Pseudonymiser, blind_index, normal_form, recipient_domain
from gateway.privacy.sealing import WrappingKey, column_key_id, open_column, seal_column

_CACHED: Final = 4096  # patients kept in memory by one process
_REMEMBERED: Final = 60.0  # seconds before a patient's row is asked again: an erased one leaves every process
_ACTOR: Final = "vault"
HOUSE: Final = IdentityKey("dxgate", "house")
"""Whose the resources are that belong to no patient: a row of the vault like a patient's, and no patient."""


@dataclass(frozen=True)
class PatientRecord:
    """A patient ready for use: what replaces the identity."""

    pseudonym: str
    pseudonymiser: Pseudonymiser

    @cached_property
    def identity_key(self) -> WrappingKey:
        """Under which this patient's identity is sealed."""
        return WrappingKey(self.pseudonym, self.pseudonymiser.vault_key())


@dataclass(frozen=True, repr=False)
class _SealedStudy:
    identity: OriginalIdentity
    sealed: bytes


class Vault:
    """Pseudonyms out, identity in; identity out again only for a named purpose, audited in the caller's unit.

    Implements the IdentityVault port.
    """

    def __init__(self, ring: Keys, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        """`ring` holds both key files."""
        self._clock = clock
        self._ring = ring
        self._database = database
        self._patients: OrderedDict[bytes, tuple[PatientRecord, float]] = OrderedDict()
        self._records: OrderedDict[str, tuple[PatientRecord, float]] = OrderedDict()
        self._studies: OrderedDict[tuple[str, str], _SealedStudy] = OrderedDict()
        self._lock = Lock()
        self._house: PatientRecord | None = None
        self._index_key = ring.key(Purpose.INDEX).key
        self._domain_key = ring.key(Purpose.PSEUDONYM).key

    def patient(self, key: IdentityKey, unit: UnitOfWork | None = None) -> PatientRecord:
        """The record of a patient, made at first sight; looked for in the caller's unit where there is one.

        A new secret is committed before it is used: what it replaced is stored later, and a secret that was
        rolled back would leave that without an owner.
        """
        index = self._index("patient", key.indexed())
        with self._lock:
            known, read_at = self._patients.get(index, (None, 0.0))
        if known is not None and self._clock() - read_at < _REMEMBERED:
            return known
        row = self._find(index, unit)
        if known is not None and (row is None or row.pseudonym != known.pseudonym):
            self.forget(known.pseudonym)
            known = None
        record = known or self._record(row or self._add(index, key))
        self._remember(index, record)
        return record

    def house(self) -> PatientRecord:
        """Under whose key lies what belongs to no patient. It is never erased, and so asked for once."""
        if self._house is None:
            self._house = self.patient(HOUSE)
        return self._house

    def record(self, unit: UnitOfWork, pseudonym: str) -> PatientRecord:
        """The record of a patient known by pseudonym; Erased where there is none any more. Opens nothing by itself."""
        with self._lock:
            known, read_at = self._records.get(pseudonym, (None, 0.0))
        now = self._clock()
        if known is not None and now - read_at < _REMEMBERED:
            return known
        row = unit.identities.patient(pseudonym)
        if row is None:
            self.forget(pseudonym)
            raise Erased("this patient was erased: nothing of it can be opened")
        record = known or self._record(row)
        with self._lock:
            self._records[pseudonym] = record, now
            self._records.move_to_end(pseudonym)
            while len(self._records) > _CACHED or now - next(iter(self._records.values()))[1] >= 2 * _REMEMBERED:
                self._records.popitem(last=False)
        return record

    def forget(self, pseudonym: str) -> None:
        """Drop a patient from this process's memory, after the rows were erased."""
        forget_all()
        with self._lock:
            self._records.pop(pseudonym, None)
            for study in [study for study in self._studies if study[0] == pseudonym]:
                del self._studies[study]
            for index in [index for index, (one, _) in self._patients.items() if one.pseudonym == pseudonym]:
                del self._patients[index]

    def seal_study(self, patient: PatientRecord, study_uid: str, identity: OriginalIdentity) -> bytes:
        """A study's identity under its patient's own key; `study_uid` is the pseudonymous one.

        Sealed once for all objects that say the same of it, their own UIDs apart.
        """
        of_study = replace(identity, sop_instance_uid="", series_instance_uid="")
        with self._lock:
            known = self._studies.get((patient.pseudonym, study_uid))
        if known is not None and known.identity == of_study:
            return known.sealed
        sealed = _sealed(patient, of_study.to_bytes(), "study_identity", study_uid)
        with self._lock:
            self._studies[patient.pseudonym, study_uid] = _SealedStudy(of_study, sealed)
            if len(self._studies) > _CACHED:
                self._studies.popitem(last=False)
        return sealed

    def seal_record(self, study: Study, identity: OriginalIdentity) -> bytes:
        """The same for a patient's record, which is known by its pseudonym alone; Erased where there is nobody."""
        with self._database.read() as unit:
            row = unit.identities.patient(study.patient)
        if row is None:
            raise Erased("this patient was erased")
        return _sealed(self._record(row), identity.to_bytes(), "study_identity", study.study_uid)

    def seal_instance(
        self, patient: PatientRecord, instance_id: str, identity: OriginalIdentity, removed: bytes
    ) -> bytes:
        """Original UIDs of one instance and what its header lost, under its patient's own key."""
        uids = f"{identity.sop_instance_uid}\n{identity.series_instance_uid}\n".encode()
        return _sealed(patient, uids + removed, "instance_identity", instance_id)

    def study_identity(self, unit: UnitOfWork, study: Study, purpose: OpeningPurpose, actor: str) -> StudyIdentity:
        """Who a study is about."""
        patient = self._open_patient(unit, study, purpose, actor)
        opened = _opened(patient, unit.identities.study_identity(study.id), "study_identity", study.study_uid)
        found = OriginalIdentity.from_bytes(opened)
        return StudyIdentity(
            patient_id=found.patient_id,
            issuer_of_patient_id=found.issuer,
            patient_name=found.patient_name,
            birth_date=found.birth_date,
            sex=found.sex,
            study_instance_uid=found.study_instance_uid,
            accession_number=found.accession_number,
            study_date=found.study_date,
            study_time=found.study_time,
            study_id=found.study_id,
            study_description=found.study_description or found.requested_procedure,
            referring_physician=found.referring_physician,
            institution=found.institution_name,
        )

    def original_uids(self, unit: UnitOfWork, study: Study, purpose: OpeningPurpose, actor: str) -> Mapping[str, str]:
        """Pseudonymous SOP and Series Instance UIDs of a study to the original ones."""
        patient = self._open_patient(unit, study, purpose, actor)
        found: dict[str, str] = {}
        for instance_id, sealed in unit.identities.original_headers(study.id):
            opened = _opened(patient, sealed, "instance_identity", instance_id)
            for original in opened.split(b"\n", 2)[:2]:
                found[patient.pseudonymiser.uid(original.decode())] = original.decode()
        return found

    def removed_from(self, patient: PatientRecord, instance_id: str, sealed: bytes) -> bytes:
        """What an instance's header lost, for `engine.restore`."""
        return _opened(patient, sealed, "instance_identity", instance_id).split(b"\n", 2)[2]

    def removed_header(
        self, unit: UnitOfWork, study: Study, instance_id: str, purpose: OpeningPurpose, actor: str
    ) -> bytes:
        """What the header of one instance lost, for `engine.restore`; Missing where the vault has nothing of it."""
        patient = self._open_patient(unit, study, purpose, actor)
        for known, sealed in unit.identities.original_headers(study.id):
            if known == instance_id:
                return self.removed_from(patient, instance_id, sealed)
        raise Missing("the vault holds no original header of this instance")

    def open_deposit(self, deposit: bytes, aad: bytes) -> bytes:
        """What a worker has sealed to this vault's public key, current or earlier."""
        private = self._ring.by_id(f"{Purpose.DEPOSIT_PRIVATE.value}-{deposit_fingerprint(deposit)}")
        return open_deposit(deposit, private.key, aad)

    def for_recipient(self, unit: UnitOfWork, pseudonym: str, recipient: str) -> Pseudonymiser:
        """What stands in for a patient in the copies of one recipient; opens no identity."""
        row = unit.identities.patient(pseudonym)
        if row is None:
            raise Erased("this patient was erased: nothing of it can be exported")
        return Pseudonymiser(self._secret(row), recipient_domain(self._domain_key, recipient))

    def patients(self, unit: UnitOfWork, issuer: str | None, patient_id: str) -> list[str]:
        """Pseudonyms of the patients known by this identifier, of any issuer where none is named."""
        if issuer is None:
            found = unit.identities.pseudonyms(self._id_index(patient_id))
            house = unit.identities.find_patient(self._index("patient", HOUSE.indexed()))
            return [pseudonym for pseudonym in found if house is None or pseudonym != house.pseudonym]
        if IdentityKey(issuer, patient_id) == HOUSE:
            return []
        row = unit.identities.find_patient(self._index("patient", IdentityKey(issuer, patient_id).indexed()))
        return [row.pseudonym] if row else []

    def search_index(self, kind: Literal["accession", "study-uid", "condition", "message"], value: str) -> bytes:
        """By what a study is found again without storing the value in clear."""
        return self._index(kind, normal_form(value).encode())

    def _index(self, kind: str, value: bytes) -> bytes:
        return blind_index(self._index_key, kind.encode() + b"\x1f" + value)

    def _id_index(self, patient_id: str) -> bytes:
        return self._index("patient-id", normal_form(patient_id).encode())

    def _find(self, index: bytes, unit: UnitOfWork | None) -> PatientRow | None:
        if unit is not None:
            return unit.identities.find_patient(index)
        with self._database.read() as own:
            return own.identities.find_patient(index)

    def _add(self, index: bytes, key: IdentityKey) -> PatientRow:
        """Once more where a key was retired between wrapping under it and writing: nothing may rest on a lost key."""
        try:
            return self._insert(index, key)
        except Unavailable:
            return self._insert(index, key)

    def _insert(self, index: bytes, key: IdentityKey) -> PatientRow:
        secret = secrets.token_bytes(32)
        pseudonym = Pseudonymiser(secret, self._domain_key).patient_id()
        row = PatientRow(
            index=index,
            id_index=self._id_index(key.patient_id),
            pseudonym=pseudonym,
            sealed_secret=seal_secret(secret, self._ring, pseudonym),
            wrapped_object_key=seal_object_key(secrets.token_bytes(32), self._ring, pseudonym),
        )
        with self._database.begin(_ACTOR) as unit:
            kept = unit.identities.add_patient(row)
            for wrapped in (kept.sealed_secret, kept.wrapped_object_key):  # the row is ours now; a retiring waits
                self._ring.confirm(column_key_id(wrapped))
            unit.commit()
        return kept

    def _record(self, row: PatientRow) -> PatientRecord:
        return PatientRecord(row.pseudonym, Pseudonymiser(self._secret(row), self._domain_key))

    def _secret(self, row: PatientRow) -> bytes:
        return open_secret(row.sealed_secret, self._ring, row.pseudonym)

    def _remember(self, index: bytes, record: PatientRecord) -> None:
        """In order of reading; those that nobody has asked for again leave."""
        now = self._clock()
        with self._lock:
            self._patients[index] = record, now
            self._patients.move_to_end(index)
            while len(self._patients) > _CACHED or now - next(iter(self._patients.values()))[1] >= 2 * _REMEMBERED:
                self._patients.popitem(last=False)

    def _open_patient(self, unit: UnitOfWork, study: Study, purpose: OpeningPurpose, actor: str) -> PatientRecord:
        row = unit.identities.patient(study.patient)
        if row is None:
            raise Erased("this patient was erased: the identity cannot be opened")
        unit.audit.record("identity:open", study.patient, actor, study=study.id, purpose=purpose)
        return self._record(row)


def seal_secret(secret: bytes, ring: Keys, pseudonym: str) -> bytes:
    """A patient's secret under the current identity key."""
    return seal_column(secret, ring.key(Purpose.IDENTITY), "patient", "secret", pseudonym)


def open_secret(sealed: bytes, ring: Keys, pseudonym: str) -> bytes:
    """From this secret follow all pseudonyms of one patient and the key of what was removed."""
    return open_column(sealed, ring.by_id, "patient", "secret", pseudonym)


def seal_object_key(key: bytes, ring: Keys, pseudonym: str) -> bytes:
    """A patient's object key under the current objects key."""
    return seal_column(key, ring.key(Purpose.OBJECTS), "patient", "object_key", pseudonym)


def open_object_key(sealed: bytes, ring: Keys, pseudonym: str) -> WrappingKey:
    """The key that wraps the data keys of one patient's objects; all a worker needs is `objects.json`."""
    return WrappingKey(pseudonym, object_key(sealed, ring, pseudonym))


def object_key(sealed: bytes, ring: Keys, pseudonym: str) -> bytes:
    """The bytes of a patient's object key, to be wrapped anew."""
    return open_column(sealed, ring.by_id, "patient", "object_key", pseudonym)


def _sealed(patient: PatientRecord, value: bytes, table: str, row_id: str) -> bytes:
    return seal_column(value, patient.identity_key, table, "sealed", row_id)


def _opened(patient: PatientRecord, sealed: bytes, table: str, row_id: str) -> bytes:
    key = patient.identity_key
    return open_column(sealed, lambda _: key, table, "sealed", row_id)
