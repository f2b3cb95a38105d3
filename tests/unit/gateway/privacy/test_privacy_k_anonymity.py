"""k-anonymity against its definition, written out the slow way, and the bands that ages are put into."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.privacy.age_band import band, with_banded_ages
from gateway.privacy.dataset import DEFLATED_SYNTAXES, EXPLICIT, IMPLICIT, deflate, inflate, parse
from gateway.privacy.k_anonymity import BANDS, Anonymity, StudyRecord, anonymise

EXPLICIT_LITTLE, IMPLICIT_LITTLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"


def record(study: int, patient: int, age: str = "043Y", sex: str = "F", year: str = "") -> StudyRecord:
    return StudyRecord(f"s{study}", f"p{patient}", age, sex, "CT", "CHEST", year)


RECORDS = st.lists(
    st.builds(
        record,
        study=st.integers(0, 10_000),
        patient=st.integers(0, 12),
        age=st.sampled_from(["", "000D", "011M", "040Y", "044Y", "045Y", "049Y", "090Y"]),
        sex=st.sampled_from(["F", "M", ""]),
        year=st.sampled_from(["", "2019"]),
    ),
    max_size=60,
    unique_by=lambda one: one.study,
)


def stays(records: Sequence[StudyRecord], one: StudyRecord, k: int, years: int) -> bool:
    """The definition: at least k different patients look like this one."""
    alike = {
        other.patient
        for other in records
        if band(other.age, years) == band(one.age, years)
        and (other.sex, other.modality, other.body_part, other.year) == (one.sex, one.modality, one.body_part, one.year)
    }
    return len(alike) >= k


@given(RECORDS, st.integers(1, 7))
def test_every_study_that_stays_looks_like_k_patients(records: list[StudyRecord], k: int) -> None:
    """Kept and suppressed are what the definition says, and no finer band would have kept more."""
    found = anonymise(records, k)
    kept = {one.study for one in records if stays(records, one, k, found.band_years)}
    assert found.kept == kept
    assert found.kept | found.suppressed == {one.study for one in records}
    for years in BANDS:
        if years < found.band_years:
            assert sum(stays(records, one, k, years) for one in records) < len(kept)
    assert not kept or found.smallest >= k


def test_ten_studies_of_one_patient_are_one_patient() -> None:
    """A group counts patients, so many studies of one person do not hide him."""
    found = anonymise([record(number, 1) for number in range(10)], 2)
    assert (found.kept, len(found.suppressed)) == (frozenset(), 10)


def test_ages_are_made_coarser_before_anybody_is_left_out() -> None:
    """Two in each band of five years are four in the band of ten: with k = 4 all stay there."""
    records = [record(n, n, age) for n, age in enumerate(("040Y", "044Y", "045Y", "049Y"))]
    found = anonymise(records, 4)
    assert found == Anonymity(4, 10, frozenset({"s0", "s1", "s2", "s3"}), frozenset(), 1, 4)
    assert anonymise(records, 2).band_years == 5


@pytest.mark.parametrize(
    ("age", "years", "expected"),
    [
        ("043Y", 5, "040Y"),
        ("049Y", 10, "040Y"),
        ("045Y", 5, "045Y"),
        ("011M", 5, "000Y"),
        ("062M", 5, "005Y"),
        ("003W", 5, "000Y"),
        ("400D", 5, "000Y"),
        ("090Y", 10, "090Y"),
        ("", 5, ""),
        ("43", 5, ""),
        ("young", 5, ""),
    ],
)
def test_the_band_of_an_age(age: str, years: int, expected: str) -> None:
    """Days, weeks and months count as the years that they make; what is no age has no band."""
    assert band(age, years) == expected


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, IMPLICIT_LITTLE, DEFLATED])
def test_an_object_bears_its_band_at_every_depth(syntax: str, make: object) -> None:
    """Patient's Age in the root and inside sequences is the band, and no other byte has changed."""
    encoding = IMPLICIT if syntax == IMPLICIT_LITTLE else EXPLICIT
    elements = {
        0x00101010: ("AS", b"043Y"),
        0x00081140: ("SQ", [{0x00101010: ("AS", b"067Y")}, {0x00101010: ("AS", b"?")}]),
    }
    plain = make(elements, encoding)  # type: ignore[operator]
    given_set = deflate([plain]) if syntax in DEFLATED_SYNTAXES else plain
    banded = bytes(with_banded_ages(given_set, syntax, 10))
    found = inflate(banded, 1 << 20) if syntax in DEFLATED_SYNTAXES else banded
    assert found == plain.replace(b"043Y", b"040Y").replace(b"067Y", b"060Y").replace(b"?", b" ")
    assert parse(banded, syntax).elements
