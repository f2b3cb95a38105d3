"""What is gathered from resources for one model: the newest usable value, ages, stays, and no identity."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from harness.clinic import LOINC, observation, person, quantity, worded
from harness.rows import AT

from gateway.domain.record import Needs, Sought, Wanted
from gateway.flow.record.gather import MOST_VALUES, OLDEST, RECENT, Gathered, age_years, gather

DAY = timedelta(days=1)
WEIGHT = Wanted("weight", "Weight", "kg", (Sought(LOINC, "29463-7"),), ("[lb_av]",), required=True)
SMOKER = Wanted("smoker", "Smokes", "1", (Sought(LOINC, "72166-2"),), answers=("no", "yes"))
PULSE = Wanted("pulse", "Pulse", "/min", (Sought(LOINC, "8867-4"),))
SEX = Wanted("male", "Sex", "1", (Sought(LOINC, "76689-9"),), answers=("female", "male"))
AGE = Wanted("age", "Age", "a", (Sought(LOINC, "30525-0"),))
SINGLE = Needs("record", (WEIGHT, SMOKER))
STAY = Needs("series", (PULSE, WEIGHT), window_minutes=600)


def values(found: Gathered) -> list[tuple[str, Any, str, int]]:
    return [(one.name, one.value, one.unit, one.minute) for one in found.document.values]


def weight(own: str, value: float, days: float, unit: str = "kg", **changes: Any) -> dict[str, Any]:
    return quantity(own, "29463-7", value, unit, AT - days * DAY) | changes


def test_the_newest_value_counts() -> None:
    """Of several values the last is taken, with the resource it came from; what lies in the future is not."""
    found = gather([person(), weight("a", 80, 9), weight("b", 81, 2), weight("c", 82, -1)], SINGLE, AT)
    assert values(found) == [("weight", 81.0, "kg", 0)]
    assert (found.basis, found.missing) == (("Observation/b",), ())


def test_an_older_value_in_a_usable_unit_is_better_than_none() -> None:
    """A newer value in a unit of another kind is passed over, and never guessed at."""
    found = gather([weight("a", 80, 9), weight("b", 81, 2, unit="L")], SINGLE, AT)
    assert values(found) == [("weight", 80.0, "kg", 0)]


def test_a_unit_that_the_model_takes_is_left_as_it_is() -> None:
    """A model's own other unit is its own affair; a third of the same kind becomes the first."""
    assert values(gather([weight("a", 100, 1, unit="[lb_av]")], SINGLE, AT)) == [("weight", 100.0, "[lb_av]", 0)]
    assert values(gather([weight("a", 80_000, 1, unit="g")], SINGLE, AT)) == [("weight", 80.0, "kg", 0)]


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "preliminary"},
        {"status": "entered-in-error"},
        {"meta": {"security": [{"code": "AIAST"}]}},
        {"valueQuantity": {"value": 80, "code": "kg", "comparator": "<"}},
        {"valueQuantity": {"code": "kg"}},
        {"effectiveDateTime": (AT - RECENT - DAY).isoformat()},
        {"code": {"coding": [{"system": "http://snomed.info/sct", "code": "29463-7"}]}},
    ],
    ids=["preliminary", "mistaken", "by an AI", "a bound", "no value", "old", "another system"],
)
def test_what_does_not_count_is_not_read(changes: dict[str, Any]) -> None:
    """No final result, no fact, no number, too old, or another code of the same digits."""
    found = gather([weight("a", 80, 1, **changes)], SINGLE, AT)
    assert (values(found), found.missing) == ([], ("Weight", "1 more values"))


def test_words_are_those_that_the_model_declares() -> None:
    """An answer by its text, a truth as yes or no; other words stay behind."""
    for said, expected in (("Yes", ["yes"]), ("sometimes, says Quillfeather", [])):
        found = gather([worded("s", "72166-2", said, AT - DAY)], SINGLE, AT)
        assert [one.value for one in found.document.values] == expected
    truth = observation("s", "72166-2", AT - DAY, valueBoolean=False)
    assert values(gather([truth], SINGLE, AT)) == [("smoker", "no", "", 0)]


def test_age_and_sex_are_the_patients() -> None:
    """Without an Observation of their own; a gender that is neither gives no answer."""
    needs = Needs("record", (AGE, SEX))
    assert values(gather([person(born="1965-05-02")], needs, AT))[1] == ("male", "male", "", 0)
    assert [one.name for one in gather([person(gender="other")], needs, AT).document.values] == ["age"]


def test_ages_are_whole_years_and_at_most_ninety() -> None:
    """The birthday counts, a year alone is read, and nobody is older than 90 or not yet born."""
    born = {"today": AT.date(), "tomorrow": (AT + DAY).date()}
    for word, years in (("today", 40), ("tomorrow", 39)):
        date = born[word].replace(year=AT.year - 40).isoformat()
        assert age_years({"birthDate": date}, AT) == years
    assert age_years({"birthDate": "1899"}, AT) == OLDEST
    for nothing in ({}, {"birthDate": "soon"}, {"birthDate": (AT + 400 * DAY).date().isoformat()}):
        assert age_years(nothing, AT) is None


def pulses(*hours: float) -> list[dict[str, Any]]:
    start = AT - 5 * DAY
    return [quantity(f"p{hour}", "8867-4", 80 + n, "/min", start + hour * DAY / 24) for n, hour in enumerate(hours)]


def test_a_series_is_the_last_stay_in_minutes() -> None:
    """After a day without a measurement another stay begins; times count from its first value; the window ends it."""
    found = gather(pulses(0, 1, 40, 40.5, 45, 51), STAY, AT)
    assert [(value, minute) for _, value, _, minute in values(found)] == [(82.0, 0), (83.0, 30), (84.0, 300)]
    assert found.again_at is None


def test_a_window_that_is_open_is_looked_at_again() -> None:
    """While the window runs, nothing is complete; the time to look again is its end."""
    recent = [quantity("p", "8867-4", 80, "/min", AT - timedelta(minutes=30))]
    found = gather(recent, STAY, AT)
    assert found.again_at == AT + timedelta(minutes=570)
    assert not found.is_complete


def test_too_few_quantities_are_missing() -> None:
    """A series needs so many different quantities, and says how many more."""
    found = gather(pulses(0, 1), dataclasses.replace(STAY, measured_min=3), AT)
    assert found.missing == ("2 more measured quantities",)
    assert gather([], STAY, AT).missing == ("any measurement",)


def test_a_series_is_bounded() -> None:
    """No more values are gathered than the bound, however many are written."""
    many = [quantity(str(n), "8867-4", 80, "/min", AT - DAY + timedelta(seconds=n)) for n in range(MOST_VALUES + 5)]
    assert len(gather(many, STAY, AT).document.values) == MOST_VALUES


def test_a_plan_needs_a_value_or_a_fact() -> None:
    """With neither, there is nothing that a rule is about."""
    needs = Needs("plan", (WEIGHT,))
    assert not gather([person()], needs, AT).is_complete
    found = gather([person()], needs, AT, ["b=c", "a=b", "a=b"])
    assert (found.document.facts, found.is_complete) == (("a=b", "b=c"), True)


def test_only_drugs_that_the_rules_know_are_named() -> None:
    """No other word of a prescription is passed on, and none of a drug that is not taken."""
    needs = Needs("genotype", genes=("CYP2C19",), drugs=("clopidogrel", "valproic acid"))

    def drug(own: str, text: str, status: str = "active") -> dict[str, Any]:
        concept = {"text": text}
        return {"resourceType": "MedicationRequest", "id": own, "status": status, "medicationCodeableConcept": concept}

    found = gather([drug("a", "Acid, Valproic 300 mg for Zebulon"), drug("b", "Clopidogrel", "stopped")], needs, AT)
    assert (found.document.drugs, found.basis) == (("valproic acid",), ("MedicationRequest/a",))
    assert not found.is_complete


def test_a_resource_of_the_wrong_shape_says_nothing() -> None:
    """What is not as FHIR has it is passed over, and the rest is read."""
    wrong = [weight("x", 1, 1, component="none"), weight("y", 1, 1, code=["a"]), {"resourceType": "Observation"}]
    assert values(gather([*wrong, weight("a", 80, 2)], SINGLE, AT)) == [("weight", 80.0, "kg", 0)]
