"""UCUM units of laboratory values, turned into each other where no knowledge of the substance is needed."""

from __future__ import annotations

import pytest

from gateway.domain.ucum import convert

# value, unit, to, value there; by the definitions of UCUM (tables 1 to 5 and the unit atoms)
SAME = [
    (1.0, "g/L", "mg/dL", 100.0),
    (0.35, "g/L", "mg/dL", 35.0),
    (1.12, "m", "cm", 112.0),
    (10.0, "[in_i]", "cm", 25.4),
    (6.0, "[ft_i]", "cm", 182.88),
    (150.0, "[lb_av]", "kg", 68.0388555),
    (5.0, "mmol/L", "umol/L", 5000.0),
    (250.0, "10*9/L", "10*3/uL", 250.0),
    (250.0, "10^9/L", "10*3/uL", 250.0),
    (0.45, "1", "%", 45.0),
    (60.0, "%", "{fraction}", 0.6),
    (2.0, "h", "min", 120.0),
    (1.0, "/min", "/h", 60.0),
    (13.3322, "kPa", "mm[Hg]", 100.0),
    (100.4, "[degF]", "Cel", 38.0),
    (310.15, "K", "Cel", 37.0),
    (37.0, "Cel", "[degF]", 98.6),
    (2.5, "kg/m2", "g/cm2", 0.25),
    (1.0, "ml/min", "L/h", 0.06),
    (1.0, "mU/L", "U/mL", 1e-6),
    (1.0, "m.s", "cm.min", 100 / 60),
    (48.0, "mmol/mol", "umol/mmol", 48.0),
]


@pytest.mark.parametrize(("value", "unit", "to", "there"), SAME, ids=[f"{one[1]} to {one[2]}" for one in SAME])
def test_units_of_one_kind(value: float, unit: str, to: str, there: float) -> None:
    """A unit of the same dimensions is turned by its factor, and back again."""
    assert convert(value, unit, to) == pytest.approx(there, rel=1e-9)
    assert convert(there, to, unit) == pytest.approx(value, rel=1e-9)


NOT = [
    ("mg/dL", "mmol/L"),  # the substance decides
    ("U/L", "[IU]/L"),  # arbitrary units are comparable with themselves alone
    ("meq/L", "mmol/L"),
    ("mmol/mol", "%"),  # HbA1c of 48 mmol/mol is 6.5 %, not 4.8 %
    ("mmol/mol", "1"),
    ("cm", "cm2"),
    ("kg", "L"),
    ("Cel", "%"),
    ("", "mg/dL"),
    ("mg/dL", ""),
    ("mg//dL" * 20, "mg/dL"),
    ("mg/furlong", "mg/dL"),
    ("kPa9", "Pa9"),
    ("k%", "%"),  # no prefix before what takes none
    ("kmin", "min"),
    ("mm Hg", "mm[Hg]"),
    ("(mg)/dL", "mg/dL"),
]


@pytest.mark.parametrize(("unit", "to"), NOT, ids=[f"{one[0][:12]} to {one[1]}" for one in NOT])
def test_units_of_different_kinds(unit: str, to: str) -> None:
    """What is of another kind, or is not read, is not converted: nothing is guessed."""
    assert convert(1.0, unit, to) is None


def test_the_same_unit_is_left_alone() -> None:
    """A unit that is not read at all is still itself."""
    assert convert(7.0, "{score}", "{score}") == 7.0
