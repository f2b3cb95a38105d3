"""The de-identification engine on whole objects: what stays, what goes, what comes back."""

from __future__ import annotations

import hashlib
import io
import zlib
from typing import Any

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.errors import GatewayError, Invalid
from gateway.privacy import engine
from gateway.privacy.dataset import EXPLICIT, EXPLICIT_BIG, IMPLICIT, Encoding
from gateway.privacy.engine import Deidentified, deidentify, restore
from gateway.privacy.identity import STUDY_ISSUER
from gateway.privacy.part10 import split
from gateway.privacy.pseudonyms import IdentityKey, Pseudonymiser
from gateway.privacy.rules import BASIC, INFERENCE, Action, Option, Profile, compile_rules

EXPLICIT_LE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
INSTANCE, STUDY, SERIES = 0x00080018, 0x0020000D, 0x0020000E


def run(
    data: bytes, pseudonymiser: Pseudonymiser, profile: Profile = INFERENCE, syntax: str = EXPLICIT_LE
) -> Deidentified:
    return deidentify(data, syntax, compile_rules(profile), lambda key: pseudonymiser)


def whole(done: Deidentified) -> bytes:
    return b"".join(done.parts)


def read(done: Deidentified) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(whole(done)))


def test_the_header_says_what_the_object_says(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """The returned header equals what pydicom reads from the output."""
    done = run(
        make(
            {
                0x00080020: ("DA", b"20240229"),
                0x00080070: ("LO", b"ACME"),
                0x00100010: ("PN", b"Doe^Jane"),
                0x00081090: ("LO", b"SCANNER 9"),
                0x00101010: ("AS", b"097Y"),
                0x00100040: ("CS", b"F"),
                0x00180015: ("CS", b"CHEST"),
                0x00185101: ("CS", b"PA"),
                0x00201208: ("IS", b"12"),
                0x00280008: ("IS", b"3"),
                0x00280010: ("US", b"\x00\x02"),
                0x00280011: ("US", b"\x01\x02"),
                0x00401003: ("SH", b"STAT"),
            }
        ),
        pseudonymiser,
    )
    header, result = done.header, read(done)
    assert header.study_instance_uid == result.StudyInstanceUID == pseudonymiser.uid("1.2.826.0.1.77.1")
    assert header.sop_instance_uid == result.SOPInstanceUID == result.file_meta.MediaStorageSOPInstanceUID
    assert header.patient_age == result.PatientAge == "090Y"
    assert header.study_date == result.StudyDate == pseudonymiser.shift_date("20240229")
    assert (header.rows, header.columns, header.number_of_frames) == (512, 513, 3)
    assert (header.manufacturer, header.manufacturer_model_name) == ("ACME", "SCANNER 9")
    assert (header.body_part_examined, header.view_position, header.patient_sex) == ("CHEST", "PA", "F")
    assert (header.number_of_study_related_instances, header.requested_procedure_priority) == (12, "STAT")
    assert result.PatientID == result.PatientName == pseudonymiser.patient_id()


def test_identity_is_returned_apart_and_has_no_text_form(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """The original identity comes back for the vault, and no repr shows it."""
    data = make(
        {
            0x00080005: ("CS", b"ISO_IR 192"),
            0x00080050: ("SH", b"ACC-99871"),
            0x00080051: ("SQ", [{0x00400031: ("UT", b"HOSPITAL-A")}]),
            0x00100010: ("PN", "张^伟".encode()),
            0x00100021: ("LO", b"issuer-q"),
        }
    )
    done = run(data, pseudonymiser)
    assert done.identity.patient_name == "张^伟"
    assert done.identity.accession_number == "ACC-99871"
    assert done.identity.accession_issuer == "HOSPITAL-A"
    assert done.key == IdentityKey("ISSUER-Q", "mrn-4711-x")
    for secret in ("4711", "99871", "张", "ISSUER-Q"):
        assert secret not in repr(done)
        assert secret.encode() not in whole(done)


SCRIPTS = {
    "latin": ("ISO_IR 100", "latin-1", "Müller-Lüdenscheidt^Jürgen", "Lüdenscheidt"),
    "greek": ("ISO_IR 126", "iso8859-7", "Διονυσιος^Παπας", "Διονυσιος"),
    "cyrillic": ("ISO_IR 144", "iso8859-5", "Люкceмбypг^Роза", "Люкceмбypг"),
    "arabic": ("ISO_IR 127", "iso8859-6", "قباني^لنزار", "قباني"),
    "hebrew": ("ISO_IR 138", "iso8859-8", "שרון^דבורה", "דבורה"),
    "chinese": ("GB18030", "gb18030", "Wang^XiaoDong=王^小东", "王小东"),
    "chinese utf-8": ("ISO_IR 192", "utf-8", "欧阳^娜娜", "欧阳娜娜"),
    "japanese": ("\\ISO 2022 IR 87", "iso2022_jp", "Yamada^Tarou=山田^太郎", "山田"),
    "korean": ("\\ISO 2022 IR 149", None, "Hong^Gildong=\x1b$)C홍^\x1b$)C길동", "\x1b$)C길동"),
}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("profile", [BASIC, INFERENCE], ids=["basic", "inference"])
def test_a_name_in_any_script_is_found_nowhere_in_the_output(
    script: str, profile: Profile, make: Any, pseudonymiser: Pseudonymiser
) -> None:
    """Planted in listed, unlisted, nested and private attributes, no part of the name survives."""
    charset, codec, name, part = SCRIPTS[script]
    planted = name.encode(codec or "euc_kr")
    word = part.encode(codec or "euc_kr")
    note = ("LO", b"seen " + word + b" today")
    data = make(
        {
            0x00080005: ("CS", charset.encode()),
            0x00081030: ("LO", b"CHEST " + word),
            0x0008103E: note,
            0x00100010: ("PN", planted),
            0x00101001: ("PN", planted + b"\\" + planted),
            0x00181160: ("SH", word),
            0x00201040: note,
            0x00204000: ("LT", word),
            0x00082218: ("SQ", [{0x00080104: note, 0x0040A123: ("PN", planted)}]),
            0x00110010: ("LO", b"ACME"),
            0x00111001: ("LT", word),
        }
    )
    out = whole(run(data, pseudonymiser, profile))
    assert word not in out
    assert all(piece not in out for piece in planted.replace(b"=", b"^").split(b"^") if len(piece) > 3)


def test_identifiers_in_kept_text_are_found(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Patient id, accession and birth date in attributes nobody lists make those attributes empty."""
    notes = {
        0x00181160: ("SH", b"mrn-4711-x"),
        0x00181210: ("SH", b"B ACC-99871"),
        0x00201040: ("LO", b"born 03.02.1961"),
        0x00181020: ("LO", b"V 5.1"),
    }
    data = make({0x00080050: ("SH", b"ACC-99871"), 0x00100030: ("DA", b"19610203"), **notes})
    result = read(run(data, pseudonymiser))
    assert [result[tag].value for tag in sorted(notes)] == ["V 5.1", "", "", ""]


def test_descriptions_stay_only_when_every_word_is_technical(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Clean Descriptors keeps known words, and removes a text with one unknown word."""
    kept = read(run(make({0x0008103E: ("LO", b"AX T2 FLAIR BRAIN 5 mm")}), pseudonymiser))
    gone = read(run(make({0x0008103E: ("LO", b"AX BRAIN SMITH")}), pseudonymiser))
    coded = read(run(make({0x0008103E: ("LO", b"CHEST 2021-00441")}), pseudonymiser))
    named = make({0x0008103E: ("LO", b"CHEST PA"), 0x00100010: ("PN", b"Chest^Jo")})
    assert kept.SeriesDescription == "AX T2 FLAIR BRAIN 5 mm"
    for result in (gone, coded, read(run(named, pseudonymiser))):
        assert "SeriesDescription" not in result


def test_a_name_in_a_nested_character_set_is_found_in_the_root(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """An item's own character set counts when its name is looked for elsewhere."""
    item = {0x00080005: ("CS", b"ISO_IR 144"), 0x0040A123: ("PN", "Пушкин^А".encode("iso8859-5"))}
    note = ("LO", "как Пушкин".encode())
    data = make({0x00080005: ("CS", b"ISO_IR 192"), 0x00082218: ("SQ", [item]), 0x00181160: note})
    assert "Пушкин".encode() not in whole(run(data, pseudonymiser))


def test_more_names_or_text_than_can_be_searched_keep_no_text(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """The search is bounded: past its bounds free text is emptied or replaced, never passed unread."""
    note = {0x00181160: ("SH", b"FILTER")}
    people = [{0x0040A123: ("PN", b"Name%d^Given%d" % (n, n))} for n in range(600)]
    crowded = read(run(make({0x00082218: ("SQ", people)} | note), pseudonymiser))
    lengthy = read(run(make({0x00080119: ("UC", b"A" * 70_000)} | note), pseudonymiser))
    assert crowded[0x00181160].value in ("", None)
    assert (lengthy.LongCodeValue or "", lengthy[0x00181160].value) == ("REMOVED", "FILTER")


def test_a_value_that_is_not_of_its_vr_is_not_kept(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """A date in a time, a name in a number or an age: what could not be read is emptied, what could stays."""
    wrong = {
        0x00080031: ("TM", b"19610203"),
        0x00180050: ("DS", b"SMITH"),
        0x00181150: ("IS", b"12 Main St"),
        0x00101010: ("AS", b"JANE"),
        0x00280009: ("AT", b"\x18\x00\x63\x10"),
        0x00080032: ("TM", b"10:11:12.5"),
        0x00181152: ("IS", b"85"),
    }
    out = whole(run(make(wrong), pseudonymiser))
    result = pydicom.dcmread(io.BytesIO(out))
    assert not [word for word in (b"19610203", b"SMITH", b"Main", b"JANE") if word in out]
    assert (str(result.AcquisitionTime), result.Exposure, result.FrameIncrementPointer) == (
        "10:11:12.5",
        85,
        0x00181063,
    )


def test_what_has_no_place_is_dropped(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Private groups, overlays, curves, group 0004, unknown tags, UN and hostile VRs do not pass."""
    canary = b"CANARYXX"
    data = make(
        {
            0x00041430: ("CS", canary),
            0x00090010: ("LO", canary),
            0x00091001: ("SQ", [{0x00091002: ("LO", canary)}]),
            0x00100099: ("LO", canary),
            0x00180050: ("DS", canary),
            0x00181020: ("UN", canary),
            0x00180088: ("LO", canary),
            0x00281199: ("UI", canary),
            0x00282000: ("OB", canary),
            0x50000022: ("LO", canary),
            0x60000022: ("LO", canary),
            0x60003000: ("OW", canary),
            0x7FE10010: ("OB", canary),
            0xFFFCFFFC: ("OB", canary),
        }
    )
    done = run(data.replace(b"\x18\x00\x88\x00LO", b"\x18\x00\x88\x00DS"), pseudonymiser)
    assert canary not in whole(done)
    assert done.record.counts["remove"] >= 10


def test_preamble_and_group_0002_are_ours(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """The output has a zero preamble and a group 0002 that names neither sender nor source."""
    done = run(make(), pseudonymiser)
    out = whole(done)
    assert out[:132] == bytes(128) + b"DICM"
    meta = read(done).file_meta
    assert {element.keyword for element in meta} == {
        "FileMetaInformationGroupLength",
        "FileMetaInformationVersion",
        "MediaStorageSOPClassUID",
        "MediaStorageSOPInstanceUID",
        "TransferSyntaxUID",
        "ImplementationClassUID",
        "ImplementationVersionName",
    }
    assert split(out)[0] == EXPLICIT_LE


def test_stamps_tell_profile_and_options(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """The output carries the four stamps with the CID 7050 codes of its profile."""
    result = read(run(make(), pseudonymiser))
    assert result.PatientIdentityRemoved == "YES"
    assert result.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = [item.CodeValue for item in result.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113103", "113104", "113105", "113107", "113108"]


def test_earlier_methods_are_kept_and_ours_added_once(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """De-identifying twice keeps the first round's methods and adds none a second time."""
    first = run(make(), pseudonymiser, BASIC)
    again = run(bytes(split(whole(first))[1]), pseudonymiser, INFERENCE)
    third = run(bytes(split(whole(again))[1]), pseudonymiser, INFERENCE)
    for result in (read(again), read(third)):
        codes = [item.CodeValue for item in result.DeidentificationMethodCodeSequence]
        assert codes == ["113100", "113103", "113104", "113105", "113107", "113108"]
        assert list(result.DeidentificationMethod) == [
            "dxgate PS3.15 2026d basic",
            "dxgate PS3.15 2026d inference",
        ]
        assert result.LongitudinalTemporalInformationModified == "REMOVED"


@pytest.mark.parametrize(
    ("encoding", "syntax"),
    [(IMPLICIT, "1.2.840.10008.1.2"), (EXPLICIT, EXPLICIT_LE), (EXPLICIT_BIG, "1.2.840.10008.1.2.2")],
)
def test_what_was_removed_restores_the_original(
    encoding: Encoding, syntax: str, make: Any, pseudonymiser: Pseudonymiser
) -> None:
    """Output and removed part give the received bytes again, in every layout."""
    nested = [{0x00080050: ("SH", b"ACC-1"), 0x00111001: ("LO", b"P")}, {}]
    data = make({0x00082218: ("SQ", nested), 0x00090010: ("LO", b"X"), 0x7FE00010: ("OW", bytes(999))}, encoding)
    done = run(data, pseudonymiser, syntax=syntax)
    assert restore(done.parts, done.removed) == data
    assert restore(whole(done), done.removed) == data


def test_another_objects_removed_part_is_refused(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Restoring with what was removed from another object, or with damaged bytes, is Invalid."""
    one = run(make(), pseudonymiser)
    other = run(make({0x00181020: ("LO", b"VERSION")}), pseudonymiser)
    for wrong in (other.removed, one.removed[:-4], b"", b"junk"):
        with pytest.raises(Invalid):
            restore(whole(one), wrong)


def test_a_deflated_object_stays_deflated(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Deflated in, deflated out; the restored data set inflates to the original."""
    data = make({0x00100010: ("PN", b"Doe^Jane")})
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    done = run(packer.compress(data) + packer.flush(), pseudonymiser, syntax=DEFLATED)
    assert read(done).PatientID == pseudonymiser.patient_id()
    assert zlib.decompress(restore(done.parts, done.removed), -15) == data


def test_few_deflated_objects_are_inflated_at_a_time(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """While one is being worked on its place is taken, and afterwards it is free again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(make()) + packer.flush()
    free: list[int] = []

    def counted(_: object) -> Pseudonymiser:
        free.append(engine._INFLATING._value)
        return pseudonymiser

    deidentify(packed, DEFLATED, compile_rules(INFERENCE), counted)
    assert free == [1]
    assert engine._INFLATING._value == 2


def test_pixel_data_is_a_slice_of_what_was_received(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """The pixels are handed on without a copy."""
    data = make({0x7FE00010: ("OW", b"\x01\x02" * 5000)})
    last = run(data, pseudonymiser).parts[-1]
    assert isinstance(last, memoryview)
    assert last.obj is data
    assert len(last) >= 10_000


def test_the_same_input_gives_the_same_bytes_everywhere(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """The output is a function of input and keys: its hash is fixed over processes and versions."""
    data = make(
        {
            0x00080020: ("DA", b"20240229"),
            0x00080050: ("SH", b"ACC-99871"),
            0x00081140: ("SQ", [{0x00081155: ("UI", b"1.2.826.0.1.77.9")}]),
            0x00100010: ("PN", b"Doe^Jane"),
        }
    )
    digest = hashlib.sha256(whole(run(data, pseudonymiser))).hexdigest()
    assert digest == "112a1ebd4eb4c2e73d9a1c0f7a5a26237e43550f77b802580eb028df6580f163"


def test_references_between_instances_stay_closed(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """A reference to another instance of the patient names that instance's new UID; well-known ones stay."""
    image = run(make({INSTANCE: ("UI", b"1.2.3.4.5")}), pseudonymiser)
    well_known = b"1.2.840.10008.15.1.1"
    report = make(
        {
            0x00081140: ("SQ", [{0x00081150: ("UI", b"1.2.840.10008.5.1.4.1.1.2"), 0x00081155: ("UI", b"1.2.3.4.5")}]),
            0x00200052: ("UI", well_known),
        }
    )
    result = read(run(report, pseudonymiser))
    assert result.ReferencedImageSequence[0].ReferencedSOPInstanceUID == image.header.sop_instance_uid
    assert result.ReferencedImageSequence[0].ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert well_known.decode() == result.FrameOfReferenceUID


def test_an_object_without_patient_belongs_to_its_study(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """An empty PatientID is replaced by the study as the identity; without a study the object is Invalid."""
    done = run(make({0x00100020: ("LO", b"  ")}), pseudonymiser)
    assert done.key == IdentityKey(STUDY_ISSUER, "1.2.826.0.1.77.1")


@pytest.mark.parametrize("tag", [0x00080016, INSTANCE, STUDY, SERIES])
def test_an_object_without_its_uids_is_invalid(tag: int, make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Class, instance, study and series must be named."""
    with pytest.raises(Invalid, match=r"has no .* UID"):
        run(make({tag: ("UI", b"")}), pseudonymiser)


def test_compound_codes_follow_the_attribute_type() -> None:
    """X/Z/D gives a dummy where the IOD requires a value and removal where it does not."""
    rules = compile_rules(BASIC)
    content_date, protocol, ct = 0x00080023, 0x00181030, "1.2.840.10008.5.1.4.1.1.2"
    enhanced_mr = "1.2.840.10008.5.1.4.1.1.4.1"
    assert rules.chosen(content_date, enhanced_mr, nested=False) is Action.DUMMY
    assert rules.chosen(content_date, ct, nested=False) is Action.EMPTY
    assert rules.chosen(protocol, ct, nested=False) is Action.REMOVE
    assert rules.chosen(protocol, "1.2.3.4", nested=False) is Action.REMOVE


def test_options_that_exclude_each_other_are_refused() -> None:
    """Full and modified dates together are Invalid."""
    both = frozenset({Option.RETAIN_FULL_DATES, Option.RETAIN_MODIFIED_DATES})
    with pytest.raises(Invalid, match="exclude"):
        compile_rules(Profile("both", both))


def test_ten_thousand_private_blocks_are_dropped(bare: Any, make: Any, pseudonymiser: Pseudonymiser) -> None:
    """A data set of ten thousand private elements comes out without any, and comes back whole."""
    private = {0x00090000 + 0x20000 * (n // 5000) + 0x1000 + n % 5000: ("LO", b"P%d" % n) for n in range(10_000)}
    data = make(private)
    done = run(data, pseudonymiser)
    assert all(not tag.is_private for tag in read(done).keys())  # noqa: SIM118 - tags, not elements
    assert restore(done.parts, done.removed) == data


def test_identity_sixty_levels_deep_is_removed(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Depth does not protect a name."""
    level: dict[int, Any] = {0x00100010: ("PN", b"Deep^Name")}
    for _ in range(60):
        level = {0x00082218: ("SQ", [level])}
    done = run(make(level), pseudonymiser)
    assert b"Deep" not in whole(done)
    assert restore(done.parts, done.removed) == make(level)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 400),
)
def test_a_mutated_object_is_deidentified_or_refused(
    changes: list[tuple[int, int]], cut: int, make: Any, pseudonymiser: Pseudonymiser
) -> None:
    """Whatever the bytes, the engine gives a restorable object or raises an error of ours."""
    nested = [{0x00080050: ("SH", b"ACC-1"), 0x00080020: ("DA", b"20200101")}]
    elements = {0x00082218: ("SQ", nested), 0x00101010: ("AS", b"040Y"), 0x00080005: ("CS", b"GB18030")}
    data = bytearray(make(elements | {0x00080031: ("TM", b"101010"), 0x00204000: ("LT", b"NOTE")}))
    for place, byte in changes:
        data[place % len(data)] = byte
    data = data[: max(len(data) - cut, 0)] if cut < 40 else data
    try:
        done = run(bytes(data), pseudonymiser)
    except GatewayError:
        return
    assert restore(done.parts, done.removed) == data
