"""Short coded values: what may pass as a code, and which coding systems belong to everybody.

A code is kept because a table of a standard or of a laboratory gives it a meaning; anything that could be a name, a
date or a long number is not one. A system that is not listed may name an institution.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.privacy.vocabulary import is_technical

_CODE: Final = re.compile(r"[A-Za-z0-9<>=+%](?:[A-Za-z0-9 ._+*/%:;<>=&\[\]{}()'-]|(?<=\d)\^(?=\d)){0,59}")
_LONG_NUMBER: Final = re.compile(r"\d{6,}|\d{3}-\d\d-\d{4}|\d{3}[-.]\d{3,4}[-.]\d{3,4}")
_DATE: Final = re.compile(r"(?:18|19|20)\d\d[-/.]?[01]?\d[-/.]?[0-3]?\d|[0-3]?\d[-/.][01]?\d[-/.](?:18|19|20)?\d\d")
_WORDS: Final = re.compile(r"[A-Za-z]{2,}")
_MOST_WORDS: Final = 3
_LONGEST_WORD: Final = 5
_TABLE_WORDS_TEXT: Final = """
ACTIVE INACTIVE NORMAL ABNORMAL BOOKED CANCELLED DELETED PENDING NOSHOW OVERBOOK STARTED COMPLETE BLOCKED INPATIENT
OUTPATIENT EMERGENCY PREADMIT RECURRING URGENT ELECTIVE FEMALE UNKNOWN DAYTIME DISCONTINUED TENTATIVE WAITLIST
BIDIRECT POSITIVE NEGATIVE UNICODE ACCREDITED PERFORMED
"""
_TABLE_WORDS: Final = frozenset(_TABLE_WORDS_TEXT.split())
NUMBER: Final = re.compile(r"[+-]?\d{1,9}(?:\.\d{1,12})?(?:[eE][+-]?\d{1,3})?")
COMPARATOR: Final = re.compile(r"[<>=+\-:/.]{0,3}")
CLOCK: Final = re.compile(r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:[0-5]\d(?:\.\d{1,6})?)?)?")
_SHARED_SYSTEMS_TEXT: Final = """
LN SCT SNM SNM3 SNT I9 I9C I9CP I10 I10C I10P ICD10 ICDO ICDO3 UCUM ISO+ ISO DCM RXNORM NDC CVX MVX C4 C5 HCPCS ATC
CDCREC CDCEDACUITY PHINVS FDDX FDDC MDC MDNS IBT NUBC UB04FL14 LOINC
"""
SHARED_SYSTEMS: Final = frozenset(_SHARED_SYSTEMS_TEXT.split())
"""Names of HL7 table 0396 for systems that are nobody's own."""


def is_code(value: str) -> bool:
    """A short value of few words, in a system that somebody has named; no date, and no long number."""
    return (
        _CODE.fullmatch(value) is not None
        and _DATE.search(value) is None
        and _LONG_NUMBER.search(value) is None
        and len(_WORDS.findall(value)) <= _MOST_WORDS
    )


def is_bare_code(value: str) -> bool:
    """A code that no system stands beside: its longer words are technical or of the tables, or it may be a name."""
    return is_code(value) and all(
        len(word) <= _LONGEST_WORD or word.upper() in _TABLE_WORDS or is_technical(word)
        for word in _WORDS.findall(value)
    )


def is_shared_code(value: str) -> bool:
    """A code of a system that everybody shares: SNOMED CT and RxNorm have long numbers."""
    return _CODE.fullmatch(value) is not None and len(_WORDS.findall(value)) <= _MOST_WORDS


def is_shared_system(name: str) -> bool:
    """A coding system of HL7 table 0396, or a table of HL7 itself."""
    return name.upper() in SHARED_SYSTEMS or re.fullmatch(r"HL7\d{4}", name.upper()) is not None
