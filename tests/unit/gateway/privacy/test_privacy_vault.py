"""The vault: one secret per patient, identity back only with its row, audited, and never moved elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.domain.errors import Invalid, Missing
from gateway.ports import PatientRow
from gateway.privacy import vault as vault_module
from gateway.privacy.engine import deidentify, restore
from gateway.privacy.identity import OriginalIdentity
from gateway.privacy.keyring import IDENTITY_FILE, OBJECTS_FILE, KeyRing, Purpose, create, load
from gateway.privacy.pseudonyms import IdentityKey
from gateway.privacy.rules import INFERENCE, compile_rules
from gateway.privacy.sealing import open_sealed, seal
from gateway.privacy.vault import Vault, open_object_key

KEY = IdentityKey("HOSPITAL", "MRN-4711-X")
WHO = OriginalIdentity(patient_id="MRN-4711-X", patient_name="Doe^Jané", study_instance_uid="1.2.3")


class Rows:
    """The Identities port, the audit and the unit of work in dictionaries."""

    def __init__(self) -> None:
        self.by_index: dict[bytes, PatientRow] = {}
        self.studies: dict[str, bytes] = {}
        self.headers: list[tuple[str, bytes]] = []
        self.audited: list[tuple[Any, ...]] = []
        self.commits = 0
        self.lookups = 0
        self.identities = self
        self.audit = SimpleNamespace(record=lambda *args, **more: self.audited.append((*args, more)))

    @contextmanager
    def begin(self, actor: str) -> Iterator[Rows]:
        yield self

    @contextmanager
    def read(self) -> Iterator[Rows]:
        yield self

    def commit(self) -> None:
        self.commits += 1

    def find_patient(self, index: bytes) -> PatientRow | None:
        self.lookups += 1
        return self.by_index.get(index)

    def patient(self, pseudonym: str) -> PatientRow | None:
        return next((row for row in self.by_index.values() if row.pseudonym == pseudonym), None)

    def add_patient(self, row: PatientRow) -> PatientRow:
        return self.by_index.setdefault(row.index, row)

    def pseudonyms(self, id_index: bytes) -> list[str]:
        return [row.pseudonym for row in self.by_index.values() if row.id_index == id_index]

    def study_identity(self, study_id: str) -> bytes:
        return self.studies[study_id]

    def original_headers(self, study_id: str) -> list[tuple[str, bytes]]:
        return self.headers


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    create(tmp_path / "keys")
    return load(tmp_path / "keys", OBJECTS_FILE).joined(load(tmp_path / "keys", IDENTITY_FILE))


def vault_over(ring: KeyRing, rows: Rows) -> Vault:
    return Vault(ring, rows)  # type: ignore[arg-type]


def study(uid: str, pseudonym: str) -> Any:
    return SimpleNamespace(id="study-1", study_uid=uid, patient=pseudonym)


def object_key(ring: KeyRing, rows: Rows, pseudonym: str) -> Any:
    row = rows.patient(pseudonym)
    assert row is not None
    return open_object_key(row.wrapped_object_key, ring, pseudonym)


def test_a_patient_is_one_record_for_every_process(ring: KeyRing) -> None:
    """Two vaults over one store give one pseudonym, committed once; the second sight needs no look-up."""
    rows = Rows()
    vault = vault_over(ring, rows)
    one, again, elsewhere = vault.patient(KEY), vault.patient(KEY), vault_over(ring, rows).patient(KEY)
    assert one is again
    assert (rows.lookups, rows.commits) == (2, 1)
    assert one.pseudonym == elsewhere.pseudonym == one.pseudonymiser.patient_id()
    assert one.pseudonymiser.uid("1.2") == elsewhere.pseudonymiser.uid("1.2")
    assert vault.patient(IdentityKey("OTHER", "MRN-4711-X")).pseudonym != one.pseudonym


def test_a_lost_race_takes_the_winners_secret(ring: KeyRing) -> None:
    """When another process adds the patient first, its row is used."""
    rows = Rows()
    first = vault_over(ring, rows).patient(KEY)
    rows.find_patient = lambda index: None  # type: ignore[method-assign]
    assert vault_over(ring, rows).patient(KEY).pseudonym == first.pseudonym


def test_memory_holds_a_bounded_number_of_patients(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    """The least recently used patient leaves; coming back it is the same."""
    monkeypatch.setattr(vault_module, "_CACHED", 2)
    rows = Rows()
    vault = vault_over(ring, rows)
    seen = [vault.patient(IdentityKey("H", str(n))).pseudonym for n in range(5)]
    assert rows.lookups == 5
    assert vault.patient(IdentityKey("H", "0")).pseudonym == seen[0]
    assert rows.lookups == 6


def test_a_patient_is_found_by_identifier(ring: KeyRing) -> None:
    """With an issuer one patient is found, without one all of that identifier; nothing is stored in clear."""
    rows = Rows()
    vault = vault_over(ring, rows)
    one, two = vault.patient(KEY), vault.patient(IdentityKey("OTHER", "mrn-4711-x"))
    assert vault.patients(rows, "hospital", "mrn-4711-x") == [one.pseudonym]  # type: ignore[arg-type]
    assert set(vault.patients(rows, None, "MRN-4711-X")) == {one.pseudonym, two.pseudonym}  # type: ignore[arg-type]
    assert vault.patients(rows, "NOBODY", "MRN-4711-X") == []  # type: ignore[arg-type]
    assert "4711" not in repr(rows.by_index)


def test_opening_an_identity_is_audited(ring: KeyRing) -> None:
    """A sealed study identity comes back whole and leaves an audit row with its purpose."""
    rows = Rows()
    vault = vault_over(ring, rows)
    patient = vault.patient(KEY)
    rows.studies["study-1"] = vault.seal_study(patient, "2.25.1", WHO)
    found = vault.study_identity(rows, study("2.25.1", patient.pseudonym), "delivery", "outlet")  # type: ignore[arg-type]
    assert (found.patient_id, found.patient_name) == (WHO.patient_id, WHO.patient_name)
    assert rows.audited == [("identity:open", patient.pseudonym, "outlet", {"study": "study-1", "purpose": "delivery"})]
    assert all(word not in rows.studies["study-1"] for word in (b"MRN", b"Doe"))


def test_rows_cannot_change_places(ring: KeyRing) -> None:
    """A sealed identity moved to another study or patient does not open."""
    rows = Rows()
    vault = vault_over(ring, rows)
    patient, other = vault.patient(KEY), vault.patient(IdentityKey("HOSPITAL", "ELSE"))
    rows.studies["study-1"] = vault.seal_study(patient, "2.25.1", WHO)
    for moved in (study("2.25.2", patient.pseudonym), study("2.25.1", other.pseudonym)):
        with pytest.raises(Invalid):
            vault.study_identity(rows, moved, "delivery", "outlet")  # type: ignore[arg-type]


def test_an_instance_is_rebuilt_from_the_vault(ring: KeyRing, make: Any) -> None:
    """Through engine, vault, sealed object and back: the received bytes and the original UIDs."""
    rows = Rows()
    vault = vault_over(ring, rows)
    data = make({0x00100010: ("PN", b"Doe^Jane"), 0x7FE00010: ("OW", bytes(2000))})
    rules = compile_rules(INFERENCE)
    done = deidentify(data, "1.2.840.10008.1.2.1", rules, lambda key: vault.patient(key).pseudonymiser)
    patient = vault.patient(done.key)
    key = object_key(ring, rows, patient.pseudonym)
    blob = b"".join(seal(done.parts, key, b"instance-1"))
    sealed = vault.seal_instance(patient, "instance-1", done.identity, done.removed)
    rows.headers = [("instance-1", sealed)]
    file = open_sealed(blob, key.unwrap, b"instance-1")
    assert restore(file, vault.removed_from(patient, "instance-1", sealed)) == data
    named = study(done.header.study_instance_uid, patient.pseudonym)
    assert vault.original_uids(rows, named, "delivery", "outlet") == {  # type: ignore[arg-type]
        done.header.sop_instance_uid: "1.2.826.0.1.77.3",
        done.header.series_instance_uid: "1.2.826.0.1.77.2",
    }


def test_a_worker_opens_objects_and_not_identity(ring: KeyRing, tmp_path: Path) -> None:
    """With objects.json alone an object opens, and the vault does not."""
    rows = Rows()
    patient = vault_over(ring, rows).patient(KEY)
    blob = b"".join(seal([b"pixels"], object_key(ring, rows, patient.pseudonym), b"1"))
    workers = load(tmp_path / "keys", OBJECTS_FILE)
    assert open_sealed(blob, object_key(workers, rows, patient.pseudonym).unwrap, b"1") == b"pixels"
    with pytest.raises(Missing):
        vault_over(workers, rows)
    with pytest.raises(Missing):
        workers.key(Purpose.IDENTITY)


def test_keys_added_later_leave_earlier_rows_open(ring: KeyRing) -> None:
    """After a rotation of both keys, what was sealed before still opens."""
    rows = Rows()
    vault = vault_over(ring, rows)
    patient = vault.patient(KEY)
    blob = b"".join(seal([b"pixels"], object_key(ring, rows, patient.pseudonym), b"1"))
    newer = ring.with_new_key(Purpose.OBJECTS).with_new_key(Purpose.IDENTITY)
    assert vault_over(newer, rows).patient(KEY).pseudonym == patient.pseudonym
    assert open_sealed(blob, object_key(newer, rows, patient.pseudonym).unwrap, b"1") == b"pixels"


def test_destroying_the_row_shreds_and_unlinks(ring: KeyRing) -> None:
    """Without its row a patient's identity and objects stay shut, and a new sight gives another pseudonym."""
    rows = Rows()
    vault = vault_over(ring, rows)
    patient = vault.patient(KEY)
    rows.studies["study-1"] = vault.seal_study(patient, "2.25.1", WHO)
    blob = b"".join(seal([b"pixels"], object_key(ring, rows, patient.pseudonym), b"1"))
    rows.by_index.clear()
    vault.forget(patient.pseudonym)
    with pytest.raises(Missing, match="erased"):
        vault.study_identity(rows, study("2.25.1", patient.pseudonym), "delivery", "outlet")  # type: ignore[arg-type]
    anew = vault.patient(KEY)
    assert anew.pseudonym != patient.pseudonym
    with pytest.raises(Invalid):
        open_sealed(blob, replace(object_key(ring, rows, anew.pseudonym), kid=patient.pseudonym).unwrap, b"1")


def test_identity_has_no_text_form() -> None:
    """Neither repr nor str of an identity shows anything, and it survives its byte form."""
    assert repr(WHO) == str(WHO) == f"{WHO}" == "OriginalIdentity(…)"
    assert OriginalIdentity.from_bytes(WHO.to_bytes()) == WHO
