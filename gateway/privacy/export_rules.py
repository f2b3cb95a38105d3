"""The rules of a research export: which kinds of object may leave at all, and what becomes of each attribute.

Basic profile with clean graphics, structured content and descriptors; dates removed, or shifted once more by the
recipient's own shift. Of the patient's characteristics sex and age alone stay, because they are what groups are
counted by (k_anonymity.py). PS3.15 annex E; a kind that is not listed does not leave.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Final

from gateway.domain.export import Dates
from gateway.privacy.rules import CID_7050, Option, Profile, Rules, compile_rules, table_rows

_SEX_AND_AGE: Final = frozenset({0x00100040, 0x00101010})
_OPTIONS: Final = frozenset(
    {
        Option.CLEAN_GRAPHICS,
        Option.CLEAN_STRUCTURED_CONTENT,
        Option.CLEAN_DESCRIPTORS,
        Option.RETAIN_PATIENT_CHARACTERISTICS,
    }
)
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
    options = _OPTIONS | ({Option.RETAIN_MODIFIED_DATES} if dates == "shifted" else set())
    rules = compile_rules(Profile("export", frozenset(options)))
    others = {
        row.tag: rules.fallback[row.tag]
        for row in table_rows()
        if Option.RETAIN_PATIENT_CHARACTERISTICS in row.options and row.tag not in _SEX_AND_AGE
    }
    actions = MappingProxyType({**rules.actions, **others})
    return replace(rules, actions=actions, retained=rules.retained - set(others))


def method_codes(rules: Rules) -> frozenset[str]:
    """CID 7050 codes of the basic profile and the options in force."""
    return frozenset(CID_7050[option][0] for option in (None, *rules.profile.options))
