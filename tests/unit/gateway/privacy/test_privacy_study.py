"""A study as a whole: its references stay closed, its dates keep their distances, and all of it comes back exactly."""

from __future__ import annotations

import io
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pydicom
import pytest
from harness.checked import judged
from unit.gateway.privacy.test_checker_table import claimed
from unit.gateway.privacy.test_privacy_structured_content import ROWS as CONTENT_ROWS
from unit.gateway.privacy.test_privacy_structured_content import code, content, report

from gateway.privacy.dataset import EXPLICIT, EXPLICIT_BIG, IMPLICIT, Encoding, deflate
from gateway.privacy.engine import Deidentified, deidentify, restore
from gateway.privacy.part10 import split
from gateway.privacy.pseudonyms import Pseudonymiser
from gateway.privacy.rules import BASIC, EXPORT, INFERENCE, Option, Profile, compile_rules
from gateway.privacy.safe_private import safe_private

STORAGE = "1.2.840.10008.5.1.4.1.1."
CLASSES = {"CT": "2", "SR": "88.33", "PR": "11.1", "KO": "88.59", "SEG": "66.4", "RTSTRUCT": "481.3"}
ENCODINGS: dict[str, Encoding] = {
    "1.2.840.10008.1.2": IMPLICIT,
    "1.2.840.10008.1.2.1": EXPLICIT,
    "1.2.840.10008.1.2.2": EXPLICIT_BIG,
    "1.2.840.10008.1.2.1.99": EXPLICIT,
}
EXPLICIT_LE = "1.2.840.10008.1.2.1"
FULL = Profile("full", frozenset(Option) - {Option.RETAIN_MODIFIED_DATES})
SHIFTED = Profile("export", EXPORT.options | {Option.RETAIN_MODIFIED_DATES}, allow_list=True)
PROFILES = [BASIC, INFERENCE, EXPORT, FULL]
RETAINED = Option.RETAIN_UIDS, Option.RETAIN_DEVICE_IDENTITY, Option.RETAIN_SAFE_PRIVATE
CHECKED = [*PROFILES, Profile("shifted", SHIFTED.options, allow_list=True)]
CHECKED += [Profile(option.value, frozenset({option})) for option in Option]
CHECKED += [
    Profile(f"content-and-{option.value}".replace("_", "-"), frozenset({Option.CLEAN_STRUCTURED_CONTENT, option}))
    for option in RETAINED
]
KEPT_UIDS = {f"{STORAGE}{suffix}" for suffix in CLASSES.values()} | {"1.2.840.10008.1.2.1"}


def reference(to: str) -> dict[int, Any]:
    instance = b"1.2.826.0.1.77.%d" % (100 + list(CLASSES).index(to))
    return {0x00081150: ("UI", (STORAGE + CLASSES[to]).encode()), 0x00081155: ("UI", instance)}


def study(make: Any, encoding: Encoding = EXPLICIT) -> dict[str, bytes]:
    """One object of each kind, each of which refers to the image (and the key objects to all) in its own way."""
    image = [reference("CT")]
    series = [{0x0020000E: ("UI", b"1.2.826.0.1.77.2"), 0x00081199: ("SQ", image), 0x00081115: ("SQ", [])}]
    evidence = [{0x0020000D: ("UI", b"1.2.826.0.1.77.1"), 0x00081115: ("SQ", series)}]
    code = [{0x00080100: ("SH", b"121112"), 0x00080102: ("SH", b"DCM"), 0x00080104: ("LO", b"Source of Measurement")}]
    shown = {0x0040A010: ("CS", b"CONTAINS"), 0x0040A040: ("CS", b"IMAGE"), 0x0040A043: ("SQ", code)}
    contour = [{0x30060016: ("SQ", image), 0x30060042: ("CS", b"POINT")}]
    frames = [{0x00089124: ("SQ", [{0x00082112: ("SQ", image)}])}]
    everything = [reference(kind) for kind in CLASSES]
    own: dict[str, dict[int, Any]] = {
        "CT": {0x00200052: ("UI", b"1.2.826.0.1.77.9"), 0x7FE00010: ("OW", bytes(64))},
        "SR": {0x0040A375: ("SQ", evidence), 0x0040A730: ("SQ", [shown | {0x00081199: ("SQ", image)}])},
        "PR": {0x00081115: ("SQ", [{0x0020000E: ("UI", b"1.2.826.0.1.77.2"), 0x00081140: ("SQ", image)}])},
        "KO": {0x0040A730: ("SQ", [shown | {0x00081199: ("SQ", [one])} for one in everything])},
        "SEG": {0x52009230: ("SQ", frames), 0x00081115: ("SQ", [{0x0020000E: ("UI", b"1.2.826.0.1.77.2")}])},
        "RTSTRUCT": {0x30060039: ("SQ", [{0x30060040: ("SQ", contour), 0x30060084: ("IS", b"1")}])},
    }
    made = {}
    for number, (kind, elements) in enumerate(own.items()):
        dates = {0x00080020: ("DA", b"20240229"), 0x00080023: ("DA", b"202403%02d" % (number + 1))}
        uids = {0x00080016: ("UI", (STORAGE + CLASSES[kind]).encode()), 0x00080018: reference(kind)[0x00081155]}
        made[kind] = bytes(make(elements | dates | uids | {0x00080060: ("CS", kind[:2].encode())}, encoding))
    return made


def run(
    data: bytes, pseudonymiser: Pseudonymiser, profile: Profile = INFERENCE, syntax: str = EXPLICIT_LE
) -> Deidentified:
    return deidentify(data, syntax, compile_rules(profile), lambda key: pseudonymiser)


def read(done: Deidentified) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(b"".join(done.parts)))


@pytest.mark.parametrize("profile", [INFERENCE, EXPORT], ids=["inference", "export"])
def test_every_reference_names_an_object_of_the_study(
    profile: Profile, make: Any, pseudonymiser: Pseudonymiser
) -> None:
    """Report, presentation state, key objects, segmentation and structures refer to the image's new UID."""
    done = {kind: run(data, pseudonymiser, profile) for kind, data in study(make).items()}
    instances = {each.header.sop_instance_uid for each in done.values()}
    assert len(instances) == len(done)
    assert {each.header.study_instance_uid for each in done.values()} == {pseudonymiser.uid("1.2.826.0.1.77.1")}
    for kind, each in done.items():
        named = {
            str(element.value) for element in read(each).iterall() if element.keyword == "ReferencedSOPInstanceUID"
        }
        assert named <= instances, kind
        assert kind == "CT" or done["CT"].header.sop_instance_uid in named, kind
    assert {one for one in instances} == {
        str(element.value) for element in read(done["KO"]).iterall() if element.keyword == "ReferencedSOPInstanceUID"
    }


@pytest.mark.parametrize("profile", CHECKED, ids=lambda profile: profile.name)
def test_the_independent_checker_passes_the_study(profile: Profile, make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Every kind of object, and a report with every listed concept, is found clean by the other code too."""
    items = [content(row["value_type"], code(row["code"], row["scheme"])) for row in CONTENT_ROWS]
    items += [content(kind) for kind in ("TEXT", "PNAME", "DATE", "TIME", "DATETIME", "UIDREF", "CODE", "NUM", "IMAGE")]
    pointer = {0x0040A010: ("CS", b"INFERRED FROM"), 0x0040DB73: ("UL", b"\1\0\0\0\2\0\0\0")}
    reports = [items, [*items, content("CODE", children=[pointer])], [content("CONTAINER", children=items)]]
    for data in [*study(make).values(), *(report(make, one) for one in reports)]:
        done = run(data, pseudonymiser, profile)
        claim = claimed(done, profile, EXPLICIT_LE, pseudonymiser)
        assert judged(b"".join(done.parts), claim).problems == ()


def test_distances_between_dates_are_kept(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Every date of the study moves by the same whole weeks, over a leap day too."""
    for number, data in enumerate(study(make).values()):
        result = read(run(data, pseudonymiser))
        gap = date.fromisoformat(result.ContentDate) - date.fromisoformat(result.StudyDate)
        assert gap.days == number + 1
    assert pseudonymiser.date_shift_days % 7 == 0


PROGRAM = """
import hashlib, sys
from gateway.privacy.engine import deidentify
from gateway.privacy.pseudonyms import Pseudonymiser
from gateway.privacy.rules import INFERENCE, compile_rules
patient = Pseudonymiser(b"s" * 32, b"d" * 32)
done = deidentify(sys.stdin.buffer.read(), "1.2.840.10008.1.2.1", compile_rules(INFERENCE), lambda key: patient)
print(hashlib.sha256(b"".join([*done.parts, done.removed])).hexdigest())
"""


def test_another_process_makes_the_same_bytes(make: Any) -> None:
    """A fresh interpreter with another hash seed gives the same file and the same removed part."""
    data = study(make)["SR"]
    made = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            input=data,
            capture_output=True,
            check=True,
            cwd=Path(__file__).resolve().parents[4],
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(made) == 1
    assert len(made.pop().strip()) == 64


@pytest.mark.parametrize("profile", PROFILES, ids=[profile.name for profile in PROFILES])
def test_every_profile_is_reversible_in_every_syntax(profile: Profile, make: Any, pseudonymiser: Pseudonymiser) -> None:
    """What was received is rebuilt bit for bit, for each kind of object, encoding and profile."""
    for syntax, encoding in ENCODINGS.items():
        for kind, plain in study(make, encoding).items():
            data = deflate([plain]) if syntax.endswith(".99") else plain
            done = run(data, pseudonymiser, profile, syntax)
            assert restore(done.parts, done.removed) == data, (syntax, kind)


@pytest.mark.parametrize("profile", PROFILES, ids=[profile.name for profile in PROFILES])
def test_a_second_time_changes_pseudonyms_alone(profile: Profile, make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Cleaning what is clean removes and dummies nothing more: the same attributes stay with the same shapes."""
    for kind, data in study(make).items():
        once = run(data, pseudonymiser, profile)
        twice = run(bytes(split(b"".join(once.parts))[1]), pseudonymiser, profile)
        before, after = read(once), read(twice)
        assert [element.tag for element in before.iterall()] == [element.tag for element in after.iterall()], kind
        moved = {"UI", "DA", "DT", "LO", "SH", "PN"}
        for one, two in zip(before.iterall(), after.iterall(), strict=True):
            assert one.VR == two.VR
            assert one.VR in moved | {"SQ"} or one.value == two.value, (kind, one.tag)


def test_the_record_says_what_was_done(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Profile, edition, methods and counts by action are returned for the study's record."""
    record = run(study(make)["KO"], pseudonymiser).record
    assert (record.profile, record.edition) == ("inference", "2026d")
    assert record.methods == ("113100", "113103", "113104", "113105", "113107", "113108")
    assert record.counts["uid"] >= 9
    assert all(count > 0 for count in record.counts.values())


def test_what_is_nested_and_crowded_is_bounded(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """A report of sixty levels and one of ten thousand items are cleaned; the names in them are gone."""
    item: dict[int, Any] = {0x0040A040: ("CS", b"PNAME"), 0x0040A123: ("PN", b"Canary^Paul")}
    crowd = [item] * 10_000
    for _ in range(60):
        item = {0x0040A040: ("CS", b"CONTAINER"), 0x0040A730: ("SQ", [item])}
    for items in ([item], crowd):
        data = make({0x00080016: ("UI", (STORAGE + "88.33").encode()), 0x0040A730: ("SQ", items)})
        done = run(data, pseudonymiser)
        assert b"Canary" not in b"".join(done.parts)
        assert restore(done.parts, done.removed) == data


def safe_private_elements() -> dict[int, tuple[str, bytes]]:
    """Every private attribute of Table E.3.10-1, each creator with a block of its own."""
    values = {"FL": bytes(4), "FD": bytes(8), "DS": b"1.5", "IS": b"12"}
    values |= dict.fromkeys(("US", "SS"), b"\1\0") | dict.fromkeys(("UL", "SL"), b"\1\0\0\0")
    made: dict[int, tuple[str, bytes]] = {}
    blocks: dict[tuple[int, str], int] = {}
    for (group, creator, number), vr in safe_private().items():
        used = sum(known == group for known, _ in blocks)
        block = blocks.setdefault((group, creator), 0x10 + used)
        made[group << 16 | block] = ("LO", creator.encode())
        made[group << 16 | block << 8 | number] = (vr, values.get(vr, b"AXIAL"))
    return made


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", EXPLICIT_LE], ids=["implicit", "explicit"])
def test_safe_private_attributes_pass_where_they_are_retained_alone(
    syntax: str, make: Any, pseudonymiser: Pseudonymiser
) -> None:
    """At the root and in an item, all of the table stay under the option, and none without it; the checker agrees."""
    private = safe_private_elements()
    data = make({**private, 0x00082218: ("SQ", [private])}, ENCODINGS[syntax])
    for profile in (Profile("safe-private", frozenset({Option.RETAIN_SAFE_PRIVATE})), FULL, BASIC):
        done = run(data, pseudonymiser, profile, syntax)
        claim = claimed(done, profile, syntax, pseudonymiser)
        assert judged(b"".join(done.parts), claim).problems == ()
        expected = set() if profile is BASIC else set(private)
        for level in (read(done), read(done)[0x00082218][0]):
            assert {int(tag) for tag in level.keys() if int(tag) >> 16 & 1} == expected  # noqa: SIM118 - not elements
    kept = run(data, pseudonymiser, FULL, syntax)
    assert judged(b"".join(kept.parts), claimed(kept, BASIC, syntax, pseudonymiser)).problems != ()
