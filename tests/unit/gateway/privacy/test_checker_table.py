"""The independent checker and Table E.1-1: it passes what the engine makes, and finds each value that is put back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from harness.checked import (
    BASIC_METHODS,
    CT,
    INFERENCE_METHODS,
    WHO,
    at_depth,
    claim,
    clean,
    identity,
    judged,
    part10,
    problems,
)
from unit.gateway.privacy.test_privacy_sample_files import SOUND, through
from unit.gateway.privacy.test_privacy_table import REPEATING, ROWS, SYNTAX, canary, planted

from gateway.privacy.checker.table import METHOD_OF, allowed
from gateway.privacy.checker.verdict import Claim
from gateway.privacy.dataset import EXPLICIT, Encoding
from gateway.privacy.engine import Deidentified, deidentify
from gateway.privacy.masked_file import replace_pixels
from gateway.privacy.pseudonyms import Pseudonymiser
from gateway.privacy.rules import BASIC, CID_7050, EXPORT, INFERENCE, Option, Profile, compile_rules, table_rows

PROFILES = [BASIC, INFERENCE, EXPORT, *(Profile(option.value, frozenset({option})) for option in Option)]
PROFILES.append(Profile("all", frozenset(Option) - {Option.RETAIN_FULL_DATES}))

pytestmark = pytest.mark.filterwarnings("ignore:VR lookup failed")


def claimed(done: Deidentified, profile: Profile, syntax: str, who: Pseudonymiser) -> Claim:
    methods = frozenset(CID_7050[option][0] for option in [None, *profile.options])
    header = done.header
    uids = (header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid, header.sop_class_uid)
    return Claim(methods, who.patient_id(), *uids, syntax)


@pytest.mark.parametrize("encoding", SYNTAX, ids=["implicit", "explicit"])
@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_what_the_engine_makes_passes(
    profile: Profile,
    encoding: Encoding,
    make: Callable[..., bytes],
    bare: Callable[..., bytes],
    pseudonymiser: Pseudonymiser,
) -> None:
    """Every attribute of the table at three depths, through the engine under each option: nothing is found."""
    for depth in (0, 1, 2):
        data = planted(depth, encoding, make, bare)
        done = deidentify(data, SYNTAX[encoding], compile_rules(profile), lambda key: pseudonymiser)
        verdict = judged(b"".join(done.parts), claimed(done, profile, SYNTAX[encoding], pseudonymiser))
        assert verdict.problems == ()


@pytest.mark.parametrize("path", SOUND, ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore")
def test_real_files_pass(path: object, pseudonymiser: Pseudonymiser) -> None:
    """Every sample of pydicom that the engine takes passes, with the search for its own identity."""
    syntax, _, done = through(path, pseudonymiser)  # type: ignore[arg-type]
    who = done.identity
    about = identity(
        patient_id=who.patient_id,
        patient_name=who.patient_name,
        birth_date=who.birth_date,
        accession_number=who.accession_number,
        study_instance_uid=who.study_instance_uid,
        referring_physician=who.referring_physician,
        institution=who.institution_name,
        study_date=who.study_date,
    )
    file = b"".join(done.parts)
    assert judged(file, claimed(done, INFERENCE, syntax, pseudonymiser), about).problems == ()


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_each_listed_value_that_is_put_back_is_found(depth: int) -> None:
    """All 652 attributes, one at a time, at one depth: the value as received breaks the basic profile."""
    about = claim(BASIC_METHODS)
    missed = []
    for tag, value in ({row.tag: canary(row) for row in ROWS} | REPEATING).items():
        place = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
        found = problems(at_depth(depth, {tag: value}), about)
        if not any(place in each for each in found):
            missed.append(place)
    assert missed == []


def test_the_options_of_inference_open_what_the_table_says_and_no_more() -> None:
    """Under `inference` a value put back passes only in a row that an option of the profile keeps or cleans."""
    options = {key for key, method in METHOD_OF.items() if method in INFERENCE_METHODS}
    passing = set()
    for row in ROWS:
        if not problems({row.tag: canary(row)}):
            passing.add(row.tag)
    opened = {row.tag for row in table_rows() if options & {option.value for option in row.options}}
    assert passing <= opened
    assert 0x00100040 in passing  # Patient's Sex: patient characteristics
    assert 0x00080020 in passing  # Study Date: modified dates
    assert 0x00100030 not in passing  # Patient's Birth Date: no option keeps it


def test_both_readings_of_the_table_know_the_same_attributes() -> None:
    """The checker's table and the engine's list the same tags."""
    own = {0x00120062, 0x00120063, 0x00120064, 0x00280303}
    assert set(allowed(BASIC_METHODS)) == {row.tag for row in table_rows()} | own


def test_a_masked_object_passes() -> None:
    """What the masking of pixels writes into the header is coherent; a sender's claim of text beside it is not."""
    file = part10(clean())
    masked = b"".join(replace_pixels(file, bytes(range(32))).parts)
    assert judged(masked).problems == ()
    assert judged(masked).facts.burned_in == "NO"
    contradicting = masked.replace(b"CS\x02\x00NO", b"CS\x04\x00YES ")
    assert {problem.code for problem in judged(contradicting).problems} == {"stamp-contradicts"}


def test_a_clean_object_passes() -> None:
    """The sample that all other tests spoil is itself without a problem."""
    assert problems({}) == set()
    assert problems({}, claim(BASIC_METHODS)) == set()
    assert SYNTAX[EXPLICIT] == "1.2.840.10008.1.2.1"
    assert claim().sop_class_uid == CT
    assert claim().patient == WHO.patient_id()
