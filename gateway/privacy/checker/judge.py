"""Judges one data element by itself: may it be there at all, and may it say what it says.

Listed attributes by Table E.1-1 under the claimed methods, all others by VR, as PS3.15 E.1.1 leaves them to the
application: an attribute that nobody knows does not pass.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from gateway.privacy.checker.read import PIXELS, Found
from gateway.privacy.checker.table import FULL_DATES, MODIFIED_DATES, RETAIN_UIDS, VRS, Allowed, allowed
from gateway.privacy.checker.values import (
    holds_address,
    is_capped_age,
    is_date,
    is_neutral,
    is_number,
    is_pseudonym,
    is_pseudonymous_uid,
    is_uid,
    looks_identifying,
    stripped,
)
from gateway.privacy.checker.verdict import Claim

TEXT: Final = frozenset({"CS", "LO", "SH", "ST", "LT", "UC", "UT"})
_NUMERIC: Final = frozenset({"AT", "FL", "FD", "SL", "SS", "UL", "US", "SV", "UV", "OD", "OF", "OL", "OV"})
_DATES: Final = frozenset({"DA", "DT", "TM"})
_SAMPLES: Final = frozenset(
    {0x00281201, 0x00281202, 0x00281203, 0x00281204, 0x00281211, 0x00281212, 0x00281213, 0x00281221, 0x00281222}
    | {0x00281223, 0x00281224, 0x00281408, 0x00283006, 0x00660023, 0x00660024, 0x00660025, 0x00660029, 0x00660103}
    | {0x00701808, 0x54000110, 0x54000112, 0x5400100A, 0x54001010, 0x7FE00020, 0x7FE00030, 0x7FE00040}
)
"""OB and OW that hold look-up tables, meshes, samples or offsets; any other binary value is a problem."""
_NAMES_A_CLASS: Final = frozenset(
    {0x00080016, 0x0008001A, 0x0008001B, 0x00080062, 0x0008010C, 0x00080117, 0x0008030D, 0x00081150}
    | {0x0008115A, 0x00083002, 0x0040A992, 0x04000010, 0x04000401}
)
"""UIDs of classes, syntaxes, context groups and coding schemes: never of an instance."""


_MOST_PASSED: Final = 8192
_LONGEST_PASSED: Final = 256


def judge_for(claim: Claim) -> Judge:
    """One judge for all objects of a patient under one set of methods: their headers say nearly the same."""
    return _judge(claim.methods, claim.patient)


@lru_cache(maxsize=64)
def _judge(methods: frozenset[str], patient: str) -> Judge:
    return Judge(methods, patient)


class Judge:
    """Holds public elements against one claim; called with one, it names the rule that is broken, or None.

    A judgment follows from the element alone, so one that has passed is remembered and passes again unread; nothing
    is remembered of what did not pass.
    """

    def __init__(self, methods: frozenset[str], patient: str) -> None:
        self._patient = patient.encode()
        self._allowed = allowed(methods)
        self._has_dates = bool(methods & {FULL_DATES, MODIFIED_DATES})
        self._has_uids = RETAIN_UIDS in methods
        self._passed: set[tuple[int, str, bytes, tuple[str, ...], bool]] = set()

    def __call__(self, found: Found) -> str | None:
        value = found.value
        if value is None or found.items is not None or len(value) > _LONGEST_PASSED:
            return self._judged(found)
        facts = found.tag, found.vr, value, found.charset, "/" in found.path
        if facts in self._passed:
            return None
        code = self._judged(found)
        if code is None:
            if len(self._passed) >= _MOST_PASSED:
                self._passed.clear()
            self._passed.add(facts)
        return code

    def _judged(self, found: Found) -> str | None:
        rule = self._allowed.get(found.tag)
        refused = _refused(found, rule)
        if refused is not None or found.tag in PIXELS or is_neutral(found):
            return refused
        if rule is None:
            return self._unlisted(found)
        if rule in (Allowed.ITEMS, Allowed.KEPT):
            return _form(found)
        return None if self._as_listed(found, rule) else "not-replaced"

    def _as_listed(self, found: Found, rule: Allowed) -> bool:
        value = stripped(found)
        if rule is Allowed.UID:
            return found.vr == "UI" and is_pseudonymous_uid(value)
        if rule is Allowed.DATE:
            return is_date(found.vr, value)
        if rule is Allowed.CLEANED:
            return found.vr in TEXT and not looks_identifying(found.text())
        if rule is Allowed.PATIENT:
            return value == self._patient
        return rule is Allowed.ACCESSION and is_pseudonym(value)

    def _unlisted(self, found: Found) -> str | None:
        """An attribute that the table does not list, by its VR."""
        tag, vr = found.tag, found.vr
        if vr in ("PN", "AE", "AS", "UR"):
            return "value"
        if vr == "UI" and not self._has_uids and tag not in _NAMES_A_CLASS:
            return None if is_pseudonymous_uid(stripped(found)) else "uid"
        if vr in _DATES and not self._has_dates:
            return "date"
        if vr in ("OB", "OW", "UN"):
            return None if tag in _SAMPLES or VRS[tag] & _NUMERIC else "binary"
        return "address" if vr in TEXT and holds_address(found.text()) else _form(found)


def _refused(found: Found, rule: Allowed | None) -> str | None:
    """What may not be there at all, whatever it says."""
    group = found.tag >> 16
    if group in (0x0000, 0x0002, 0x0004) or 0x5000 <= group <= 0x50FF or 0x6000 <= group <= 0x60FF:
        return "group"
    if rule is Allowed.ABSENT:
        return "not-removed"
    if found.tag not in VRS or (found.vr not in VRS[found.tag] and not is_neutral(found)):
        return "vr" if found.tag in VRS else "unknown"
    return "nested-pixels" if found.tag in PIXELS and "/" in found.path else None


def _form(found: Found) -> str | None:
    """A value that may stay as it is, in the form of its VR; ages capped."""
    vr, value = found.vr, stripped(found)
    if vr == "AS":
        return None if is_capped_age(value) else "age"
    if vr in _DATES:
        return None if is_date(vr, value) else "date"
    if vr in ("IS", "DS"):
        return None if is_number(value) else "number"
    return None if vr != "UI" or is_uid(value) else "uid"
