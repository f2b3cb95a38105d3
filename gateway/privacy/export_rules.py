"""The rules of a research export: which kinds of object may leave at all, and what becomes of each attribute.

The profile `export` (rules.py) with its allow-list of attributes, and of the patient's characteristics sex and age,
by which groups are counted (k_anonymity.py). Dates are removed, or shifted once more by the recipient's own shift;
times of day go, because by them two recipients could match their copies. PS3.15 annex E.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Final

from gateway.domain.export import Dates
from gateway.privacy.dictionary import VR_OF
from gateway.privacy.rules import EXPORT, Action, Option, Rules, compile_rules, table_rows

_SEX_AND_AGE: Final = frozenset({0x00100040, 0x00101010})
_ACCESSION: Final = 0x00080050
_TIMES: Final = frozenset({"TM", "DT"})
_TIMED: Final = frozenset({Action.TIME, Action.HOUR, Action.SHIFT})
_ROOT: Final = "1.2.840.10008.5.1.4.1.1."
_SUFFIXES: Final = """
1 1.1 1.1.1 1.2 1.2.1 1.3 1.3.1 2 2.1 2.2 3.1 4 4.1 4.4 6.1 6.2 12.1 12.1.1 12.2 12.2.1 13.1.1 13.1.3 13.1.4 13.1.5
20 128 128.1 130
"""
EXPORTABLE: Final = frozenset(_ROOT + suffix for suffix in _SUFFIXES.split())
"""Image storage classes: CR, DX, MG, IO, CT, US, MR, XA, RF, tomosynthesis, NM, PT. Secondary captures, reports,
documents, presentation states, waveforms, raw data and whole slides are not among them."""


@cache
def export_rules(dates: Dates) -> Rules:
    """The compiled rules of one export."""
    options = EXPORT.options | {Option.RETAIN_PATIENT_CHARACTERISTICS}
    if dates == "shifted":
        options |= {Option.RETAIN_MODIFIED_DATES}
    rules = compile_rules(replace(EXPORT, options=options))
    stricter = {
        row.tag: rules.fallback[row.tag]
        for row in table_rows()
        if Option.RETAIN_PATIENT_CHARACTERISTICS in row.options and row.tag not in _SEX_AND_AGE
    }
    timed = {tag for tag, vr in VR_OF.items() if vr in _TIMES and rules.actions[tag] in _TIMED}
    stricter |= {tag: rules.fallback.get(tag, Action.EMPTY) for tag in timed}
    stricter[_ACCESSION] = Action.EMPTY  # a number that leads to one order; a copy has the study UID to join by
    actions = MappingProxyType({**rules.actions, **stricter})
    return replace(rules, actions=actions, retained=rules.retained - set(stricter))
