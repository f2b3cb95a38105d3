"""The table of codes by which final reports answer: what it says, and what it refuses."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from gateway.domain.errors import Invalid
from gateway.formats.fhir import agreement_codes
from gateway.formats.fhir.agreement_codes import answers, parsed, read

SCT = "http://snomed.info/sct"
PACKS = Path(__file__).parents[4] / "models" / "packs"
LABELS = '[[question.label]]\nname = "a"\ncodes = [["urn:x", "1"]]\n[[question.label]]\nname = "b"\n'
GOOD = f'[[question]]\nvalue = "q"\npositive = "a"\n{LABELS}'


def test_every_built_in_question_is_one_of_a_pack() -> None:
    """With the very labels that the manifest has and the positive one of it: a mistyped name would compare nothing."""
    pages = [tomllib.loads(path.read_text("utf-8")) for path in PACKS.glob("*/manifest.toml")]
    asked = {(one["question"]["system"], one["question"]["value"]): one for one in pages}
    for question in read():
        page = asked[question.system, question.value]
        assert {one.name for one in question.labels} == {one["name"] for one in page["labels"]}
        assert question.positive == page["output"]["positive"]


def test_codes_answer_the_questions_that_they_are_about() -> None:
    """A category of BI-RADS that is suspicious, one that is incomplete, a denied pneumonia, and both at once."""
    (found,) = answers(read(), {(SCT, "397144001")}, set())
    assert (found.question, found.labels, found.positive) == ("breast-us-malignancy", ("malignant",), "malignant")
    assert answers(read(), {(SCT, "397138000"), ("urn:other", "254837009")}, set()) == ()
    (denied,) = answers(read(), set(), {(SCT, "233604007")})
    assert denied.labels == ("no-pneumonia",)
    (both,) = answers(read(), {(SCT, "254837009"), (SCT, "397140005")}, set())
    assert both.labels == ("malignant", "not-malignant")


def test_a_site_adds_and_replaces_questions(tmp_path: Path) -> None:
    """One of its own beside the built-in ones, and one in the place of a built-in one."""
    site = tmp_path / "codes.toml"
    mine = GOOD.replace('"q"', '"breast-us-malignancy"')
    site.write_text(f"{GOOD}\n{mine}")
    found = {one.value: one for one in read(str(site))}
    assert set(found) == {"q", *(one.value for one in read())}
    assert found["breast-us-malignancy"].positive == "a"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x = 1", "nothing else"),
        ("[question]\n", "double brackets"),
        ("[[question", r"Expected|expected"),
        (GOOD + GOOD, "twice"),
        (GOOD.replace('positive = "a"', 'positive = "c"'), "positive"),
        (GOOD.replace('name = "b"', 'name = "a"'), "each named once"),
        (GOOD.replace('name = "b"', 'name = "b"\ncodes = [["urn:x", "1"]]'), "one code to two"),
        (GOOD.replace('name = "b"', 'name = "b"\nabsent_means = "c"'), "absent_means"),
        (GOOD.replace('name = "b"', 'name = "b"\nabsent_means = "b"'), "another label"),
        (GOOD.replace('["urn:x", "1"]', '"1"'), "system, code"),
        (GOOD.replace('"urn:x"', '"no uri"'), "URI"),
        (GOOD.replace('value = "q"', 'value = "q"\nweight = 2'), "only"),
        (GOOD.replace('value = "q"', "value = 7"), "manifest"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """With the file's name, the place and what it should be."""
    site = tmp_path / "codes.toml"
    site.write_text(text)
    with pytest.raises(Invalid, match=why) as told:
        read(str(site))
    assert "codes.toml" in str(told.value)


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything of it is looked at."""
    with pytest.raises(Invalid, match=r"models\.agreement_codes"):
        read(str(tmp_path / "none.toml"))
    large = tmp_path / "large.toml"
    large.write_text(GOOD)
    monkeypatch.setattr(agreement_codes, "MOST_BYTES", 10)
    with pytest.raises(Invalid, match="more than 10 bytes"):
        read(str(large))
    monkeypatch.setattr(agreement_codes, "MOST_QUESTIONS", 0)
    with pytest.raises(Invalid, match="at most 0"):
        parsed(GOOD, "site")
