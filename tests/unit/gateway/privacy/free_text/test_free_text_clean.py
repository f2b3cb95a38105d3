"""Free text: the patient goes in every spelling, others where words announce them, and medicine stays."""

from __future__ import annotations

import pytest

from gateway.privacy.free_text import clean as cleaning
from gateway.privacy.free_text.clean import DROPPED, FreeText
from gateway.privacy.free_text.known import KnownIdentity
from gateway.privacy.free_text.residual import is_left
from gateway.privacy.pseudonyms import Pseudonymiser

PATIENT = Pseudonymiser(b"s" * 32, b"d" * 32)
KNOWN = KnownIdentity(
    names=frozenset({"Müller^Änne", "张^伟", "Иванова^Анна", "Παπαδόπουλος^Νίκος", "김^철수", "محمد^علي", "Ng^Li"}),
    numbers=frozenset({"MRN-4711-X", "0012345678"}),
    contacts=frozenset({"+49 30 1234567", "anne@example.org"}),
    addresses=frozenset({"Lindenallee 7"}),
    days=frozenset({"19610203"}),
)
TEXTS = FreeText(KNOWN, PATIENT.shift_date, PATIENT.uid)


@pytest.mark.parametrize(
    "spelling",
    [
        "Müller",
        "MUELLER",
        "muller",
        "Mu\u0308ller",
        "Ｍüller",
        "Mül\u200bler",
        "Änne Müller",
        "Müller, Änne",
        "张伟",
        "Иванова",
        "ПАПАДОПОУΛΟΣ".replace("ПАПАДОПОУ", "ΠΑΠΑΔΟΠΟΥ"),
        "Νικος",
        "김철수",
        "محمد علي",
        "Li Ng",
        "Ng, Li",
        "MRN-4711-X",
        "mrn 4711 x",
        "MRN4711X",
        "12345678",
        "0012345678",
        "+49-30-1234567",
        "anne@example.org",
        "Lindenallee",
        "03.02.1961",
        "1961-02-03",
        "2/3/1961",
        "3 February 1961",
        "1961年2月3日",
        "19610203",
    ],
)
def test_known_identifiers_go_in_every_spelling(spelling: str) -> None:
    """However a known name, number or birth date is written, it does not stay."""
    cleaned = TEXTS.clean(f"nodule stable {spelling} no effusion")
    assert spelling not in cleaned.text
    assert cleaned.text.startswith("nodule stable ")
    assert cleaned.text.endswith("] no effusion")


@pytest.mark.parametrize(
    ("text", "gone", "mark"),
    [
        ("Discussed with Dr. van der Berg at 3 PM", "Berg", "[NAME]"),
        ("Electronically signed by: JANE Q. ROE, MD", "ROE", "[NAME]"),
        ("patient: john smith", "smith", "[NAME]"),
        ("seen by Rebecca Holloway this morning", "Holloway", "[NAME]"),
        ("Herr Prof. Dr. med. Schmidt war anwesend", "Schmidt", "[NAME]"),
        ("Signé par Hélène Dupont", "Dupont", "[NAME]"),
        ("Firmado: García Pérez", "García", "[NAME]"),
        ("Врач: Петрова А.С.", "Петрова", "[NAME]"),
        ("Ιατρός: Γεώργιος Νικολάου", "Νικολάου", "[NAME]"),
        ("الطبيب: أحمد حسن", "أحمد", "[NAME]"),
        ("报告医师：李明　审核医师：王小红", "王小红", "[NAME]"),
        ("请王大夫会诊", "王大夫", "[NAME]"),
        ("読影医：山田 太郎", "太郎", "[NAME]"),
        ("판독의: 이영희", "이영희", "[NAME]"),
        ("call (555) 123-4567", "4567", "[PHONE]"),
        ("手机13812345678", "1381234", "[PHONE]"),
        ("write to a.b@clinic.org", "clinic", "[EMAIL]"),
        ("see https://pacs.example.org/x?id=1", "pacs", "[URL]"),
        ("from 10.1.2.3", "10.1.2.3", "[IP]"),
        ("SSN 123-45-6789", "6789", "[ID]"),
        ("身份证号110101196102031234", "110101", "[ID]"),
        ("Acc# A1234567", "1234567", "[ID]"),
        ("lives at 12 Long Meadow Road, Town", "Meadow", "[ADDRESS]"),
        ("wohnhaft in 10115 Berlin", "Berlin", "[ADDRESS]"),
        ("住址：浙江省杭州市西湖区文三路138号", "文三路", "[ADDRESS]"),
        ("car 京A·12345", "12345", "[PLATE]"),
        ("转自北京协和医院", "协和", "[INSTITUTION]"),
        ("at Saint Mary Memorial Hospital", "Mary", "[INSTITUTION]"),
        ("94-year-old man", "94", "[AGE 90+]"),
        ("年龄：９６岁", "９６", "[AGE 90+]"),
    ],
)
def test_what_is_announced_goes(text: str, gone: str, mark: str) -> None:
    """Patterns and cue words find identity that no field told."""
    cleaned = TEXTS.clean(text)
    assert gone not in cleaned.text
    assert mark in cleaned.text


@pytest.mark.parametrize(
    "text",
    [
        "Mild cardiomegaly. No pleural effusion. T2 FLAIR hyperintensity, 5.3 x 2.1 cm, series 4 image 112.",
        "Crohn disease, Hodgkin lymphoma and a positive Babinski sign; Kellgren-Lawrence grade 3.",
        "WBC 11.4, Na 138, creatinine 1.2, BP 142/88, ER 90%, HER2 1+, Lung-RADS 4B, 64-year-old woman.",
        "右肺上叶见一结节影，大小约1.4cm×0.9cm，边缘毛刺。高血压病史10年，白细胞正常。",
        "Riss des Innenmeniskushinterhorns Grad III. Kein Knochenödem.",
        "Pas d'épanchement pleural. Opacité de 12 mm du lobe supérieur droit.",
    ],
)
def test_medicine_stays(text: str) -> None:
    """Findings, measurements, eponyms and ages below ninety are not identity."""
    assert TEXTS.clean(text).text == text


def test_what_was_done_is_counted_by_category() -> None:
    """The record says how much of what was taken out, and nothing of what it was."""
    cleaned = TEXTS.clean("Änne Müller, MRN-4711-X, seen by Dr. Roe on 2024-02-29")
    assert cleaned.counts == {"NAME": 2, "ID": 1, "DATE": 1}


def test_a_uid_in_a_text_gets_its_pseudonym() -> None:
    """A text goes on pointing at the study it is about."""
    assert PATIENT.uid("1.2.840.113619.2.55.3.604") in TEXTS.clean("Study 1.2.840.113619.2.55.3.604 read").text


def test_a_text_in_which_an_identifier_is_left_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the search to miss a known name, the last look, which works otherwise, keeps nothing of the text."""
    monkeypatch.setattr(KnownIdentity, "find", lambda *_: iter(()))
    cleaned = TEXTS.clean("stable nodule in muller")
    assert (cleaned.text, cleaned.dropped) == (DROPPED, "identifier left")


@pytest.mark.parametrize(
    "text", ["seen MUELLER", "iD mrn4711x here", "born 3-2-1961".replace("3-2", "03-02"), "给张伟看"]
)
def test_the_last_look_finds_by_itself(text: str) -> None:
    """The check is no copy of the search: words and bare strings are enough for it."""
    assert is_left(KNOWN, [text])
    assert not is_left(KNOWN, ["nodule stable"])


def test_no_text_is_kept_where_too_much_is_to_be_looked_for() -> None:
    """More identifiers, characters or finds than the bounds allow: nothing stays."""
    many = FreeText(KnownIdentity(names=frozenset(f"name{number}" for number in range(600))))
    assert many.clean("nodule").dropped == "too many identifiers"
    assert TEXTS.clean("a" * (cleaning.LONGEST + 1)).dropped == "too long"
    assert TEXTS.clean("a@b.org " * 5000).dropped == "too many finds"


def test_known_identity_has_no_text_form() -> None:
    """It cannot reach a log."""
    assert repr(KNOWN) == "KnownIdentity(…)"
