"""HL7 v2 messages without identity: planted names in every field, joins, and messages that others still read."""

from __future__ import annotations

import contextlib
import hmac
import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import Invalid
from gateway.privacy.documents import EXPORT, CleanedDocument, Issuers, restore
from gateway.privacy.hl7.clean import deidentify
from gateway.privacy.hl7.message import parse
from gateway.privacy.hl7.rules import rules_for
from gateway.privacy.pseudonyms import IdentityKey, Pseudonymiser

GOLDEN = Path(__file__).parent / "golden"
TODAY = date(2026, 1, 1)
SCRIPTS = ("Quixley", "Zważyński", "Хворостова", "Παπαγεωργίου", "欧阳娜娜", "عبدالرحمن")
MSH = "MSH|^~\\&|SENDER|FACILITY|RECEIVER|PLACE|20240229081530||ORU^R01^ORU_R01|CTL-1|P|2.5.1||||||UNICODE UTF-8"
PID = "PID|1||MRN-4711-X^^^HOSP^MR~123-45-6789^^^SSA^SS||Smith^John^Q||19610203|M|||1 Elm St^^Town^ST||(555)123-4567"


def pseudonymiser_for(key: IdentityKey) -> Pseudonymiser:
    return Pseudonymiser(hmac.digest(b"s" * 32, key.indexed(), "sha256"), b"d" * 32)


def cleaned(*segments: str, **more: object) -> CleanedDocument:
    data = "".join(segment + "\r" for segment in (MSH, PID, *segments)).encode()
    return deidentify(data, pseudonymiser_for, today=TODAY, **more)  # type: ignore[arg-type]


def fields(document: CleanedDocument, name: str) -> list[str]:
    """The fields of the first segment of a name; [0] is the name."""
    lines = document.body.decode().split("\r")
    return next(line.split("|") for line in lines if line.startswith(name))


OWN = pseudonymiser_for(IdentityKey("HOSP", "MRN-4711-X"))


def test_the_patient_becomes_the_pseudonym() -> None:
    """Identifier and name give way to the patient's pseudonym, other numbers to others, contacts to nothing."""
    pid = fields(cleaned(), "PID")
    assert pid[3] == f"{OWN.patient_id()}^^^DXGATE^MR~{OWN.hl7_id('123-45-6789')}^^^DXGATE^SS"
    assert pid[5] == OWN.patient_id()
    assert pid[8] == "M"
    assert len(pid) == 9  # address and telephone are gone, and nothing is left behind them


def test_the_year_of_birth_is_on_the_moved_time_line() -> None:
    """Ages stay right, the day does not, and nobody is older than 89."""
    assert fields(cleaned(), "PID")[7] == (OWN.shift_date("19610203") or "")[:4]
    old = MSH + "\r" + PID.replace("19610203", "19340203") + "\r"
    assert "|19" not in deidentify(old.encode(), pseudonymiser_for, today=TODAY).body.decode().split("\r")[1]


def test_order_numbers_become_accession_numbers() -> None:
    """Whichever field carries the accession number, it becomes what DICOM's becomes."""
    accession = OWN.accession("ACC0099871")
    obr = fields(
        cleaned("OBR|1|PL-1^HIS|ACC0099871^RIS|30746-2^Chest^LN|||20240229|||||||||||ACC0099871|ACC0099871"), "OBR"
    )
    assert (obr[3], obr[18], obr[19]) == (accession, accession, accession)
    ipc = fields(cleaned("IPC|ACC0099871^RIS|RP1|1.2.826.0.1.77.1^^^ISO|SPS1|CT^CT^DCM"), "IPC")
    assert ipc[1] == accession
    assert ipc[3].split("^")[0] == OWN.uid("1.2.826.0.1.77.1")


def test_dates_move_with_the_patient_and_lose_their_offset() -> None:
    """Precision and time of day stay under inference; export keeps the day alone."""
    obr = "OBR|1||A1|1^X^L|||20240229081530.123+0800"
    assert fields(cleaned(obr), "OBR")[7] == (OWN.shift_date("20240229") or "") + "081530.123"
    assert fields(cleaned(obr, profile=EXPORT), "OBR")[7] == OWN.shift_date("20240229")


def test_texts_are_cleaned_for_inference_and_dropped_for_export() -> None:
    """The name that PID says is looked for in OBX-5 and NTE-3, through escapes."""
    segments = (
        "OBX|1|TX|18782-3^Report^LN||Seen \\T\\ stable\\.br\\Mr. SMITH, mrn 4711x||||||F",
        "NTE|1||call 555-123-4567",
    )
    document = cleaned(*segments)
    assert fields(document, "OBX")[5] == "Seen \\T\\ stable\\.br\\Mr. [NAME], [ID]"
    assert fields(document, "NTE")[3] == "call [PHONE]"
    assert document.record.counts["text NAME"] == 1
    assert "stable" not in cleaned(*segments, profile=EXPORT).body.decode()


def test_measurements_and_shared_codes_stay_as_written() -> None:
    """What a model reads is not touched: 72.50 stays 72.50."""
    obx = "OBX|1|NM|718-7^Hemoglobin^LN||72.50|g/L^^UCUM|70-105|L|||F"
    assert "|".join(fields(cleaned(obx), "OBX")) == obx
    snomed = fields(cleaned("OBX|2|CWE|1^x^L||422504002^Ischemic stroke^SCT||||||F"), "OBX")
    assert snomed[5] == "422504002^Ischemic stroke^SCT"


def test_a_person_in_a_coded_field_does_not_pass() -> None:
    """Senders put people where codes belong; a given name is no coding system and a surname no code."""
    body = cleaned("OBR|1||A1|1^X^L|||||||||||||||||||||||||||444-44-4444^HIPPOCRATES^HOWARD H^^^^MD").body.decode()
    assert "HIPPOCRATES" not in body
    assert "444" not in body
    assert "Atchinson" not in cleaned("OBX|1|NM|1^x^L||7||||||F|||||||||||||||Atchinson^Christopher").body.decode()


@pytest.mark.parametrize("kind", ["ED", "RP", "XPN", "XAD", "AD", "PN", "TN", "XTN", "XCN", "ZZ", ""])
def test_values_of_other_types_are_dropped(kind: str) -> None:
    """Pictures, documents, people and types that nobody knows do not stay in OBX-5."""
    assert fields(cleaned(f"OBX|1|{kind}|1^x^L||^text^^Base64^AAAA||||||F"), "OBX")[5] == ""


def test_unknown_segments_are_dropped_and_counted() -> None:
    """Z segments and those without a rule: next of kin, insurance, guarantor."""
    document = cleaned("ZDS|1.2.3^Smith", "NK1|1|Smith^Jane|SPO", "IN1|1|X|Y", "GT1|1||Smith^Jane", "QQQ|Smith")
    assert document.record.counts["segment dropped"] == 5
    assert [line[:3] for line in document.body.decode().split("\r") if line] == ["MSH", "PID"]


def test_the_sender_is_not_told() -> None:
    """MSH-3 is ours, MSH-4 to 6 are empty, MSH-10 is a pseudonym, the rest of the header stays."""
    msh = fields(cleaned(), "MSH")
    assert msh[2:6] == ["DXGATE", "", "", ""]
    assert msh[9] == OWN.hl7_id("CTL-1")
    assert msh[8] == "ORU^R01^ORU_R01"
    assert msh[17] == "UNICODE UTF-8"


def test_a_merge_names_both_pseudonyms() -> None:
    """MRG-1 becomes the pseudonym under which the prior patient's objects are."""
    prior = pseudonymiser_for(IdentityKey("HOSP", "OLD-1")).patient_id()
    assert fields(cleaned("MRG|OLD-1^^^HOSP^MR"), "MRG")[1].split("^")[0] == prior


def test_issuers_that_systems_name_differently_meet() -> None:
    """A mapped assigning authority gives the pseudonym of DICOM's issuer."""
    document = cleaned(issuers=Issuers({"HOSP": "GENERAL"}))
    assert document.key == IdentityKey("GENERAL", "MRN-4711-X")


def test_the_original_comes_back_bit_for_bit() -> None:
    """What is to be sealed is the message itself."""
    data = (MSH + "\r" + PID + "\n\n").encode()
    assert restore(deidentify(data, pseudonymiser_for, today=TODAY).removed) == data


def test_a_message_of_nobody_or_of_several_is_refused() -> None:
    """Without a patient there is no pseudonym; with two there is no telling whose."""
    with pytest.raises(Invalid, match="names no patient"):
        deidentify((MSH + "\rMSA|AA|1\r").encode(), pseudonymiser_for)
    with pytest.raises(Invalid, match="more than one patient"):
        deidentify("\r".join((MSH, PID, PID.replace("MRN-4711-X", "OTHER"))).encode(), pseudonymiser_for)
    nobody = deidentify((MSH + "\rMSA|AA|1\r").encode(), pseudonymiser_for, patient=IdentityKey("H", "1"))
    assert nobody.key == IdentityKey("H", "1")


@pytest.mark.parametrize("version", ["2.1", "2.3.1", "2.5.1", "2.8.2"])
def test_planted_identity_in_six_scripts_is_found_nowhere(version: str) -> None:
    """Every component of every field of every segment of the standard carries a name; none of them stays."""
    planted = "~".join("^".join(f"{name} {name}&{name}" for _ in range(6)) for name in SCRIPTS)
    whole = "^".join(SCRIPTS)
    header = MSH.replace("2.5.1", version)
    lines = [
        header.replace("SENDER", SCRIPTS[0]).replace("PLACE", SCRIPTS[4]),
        f"PID|1||MRN1^^^{SCRIPTS[0]}^MR||{whole}",
    ]
    for segment, row in rules_for(version).field_types.items():
        if segment not in ("MSH", "PID"):
            lines.append("|".join([segment, *(planted for _ in row)]))
    lines += [
        f"OBX|1|{kind}|1^x^L||{planted}" for kind in ("ST", "TX", "FT", "CE", "CWE", "NM", "DT", "SN", "CX", "ED", "TS")
    ]
    lines.append("PID" + "|" * 3 + "MRN1^^^" + SCRIPTS[0] + "^MR||" + whole + f"|{planted}" * 34)
    body = deidentify("".join(line + "\r" for line in lines).encode(), pseudonymiser_for, today=TODAY).body.decode()
    for name in SCRIPTS:
        assert name not in body
        assert name.upper() not in body.upper()


@pytest.mark.parametrize("name", ["ADT-A01", "ORU-R01", "OMI-O23"])
def test_golden_messages(name: str) -> None:
    """The whole message as it leaves; sources in golden/SOURCE.md."""
    made = deidentify((GOLDEN / f"{name}.hl7").read_bytes(), pseudonymiser_for, today=TODAY)
    expected = (GOLDEN / f"{name}.clean.hl7").read_text("utf-8")
    assert made.body.decode().replace("\r", "\n") == expected
    assert dict(made.record.counts) == json.loads((GOLDEN / f"{name}.counts.json").read_text("utf-8"))


@pytest.mark.parametrize("name", ["ADT-A01", "ORU-R01", "OMI-O23"])
def test_other_parsers_read_what_leaves(name: str) -> None:
    """python-hl7 and hl7apy find the same segments in the same order as we do."""
    hl7 = pytest.importorskip("hl7")
    parser = pytest.importorskip("hl7apy.parser")
    body = deidentify((GOLDEN / f"{name}.hl7").read_bytes(), pseudonymiser_for, today=TODAY).body
    ours = [segment.name for segment in parse(body).segments]
    assert [str(segment[0]) for segment in hl7.parse(body.decode())] == ours
    by_hl7apy = parser.parse_message(body.decode(), find_groups=False)
    assert [child.name for child in by_hl7apy.children] == ours
    assert by_hl7apy.pid.pid_3.value.split("~")[0] == "|".join(fields_of(body, "PID")[3:4]).split("~")[0]


def fields_of(body: bytes, name: str) -> list[str]:
    return next(line.split("|") for line in body.decode().split("\r") if line.startswith(name))


PIECES = st.sampled_from(
    ["|", "^", "~", "\\", "&", "PID", "OBX", "MSH", "\r", "2024", "CE", "\\X41\\", "1.2.3", '""', "Smith", "张", "\n"]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES | st.text(max_size=5), max_size=40))
def test_messages_of_any_shape_are_cleaned_or_refused(pieces: list[str]) -> None:
    """Whatever follows a sound header: a message without the known name, or Invalid."""
    data = f"{MSH}\r{PID}\r{''.join(pieces)}".encode("utf-8", "replace")
    with contextlib.suppress(Invalid):
        body = deidentify(data, pseudonymiser_for, today=TODAY).body
        assert b"Smith" not in body
        parse(body)
