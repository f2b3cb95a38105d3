"""The check of one de-identified file: every element at every depth, stamps, file meta, and the known identity.

It proves what PS3.15 annex E asks of the result, whoever made it. What cannot be read cannot pass.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import BinaryIO, Final

from gateway.privacy.checker.content import content_problem, is_kept_uid
from gateway.privacy.checker.judge import TEXT, judge_for
from gateway.privacy.checker.marks import CODES, METHOD, STAMPS, check_stamps, is_our_method, read_meta
from gateway.privacy.checker.private import PrivateLevel
from gateway.privacy.checker.read import PIXELS, Found, Limits, Reader, Unreadable
from gateway.privacy.checker.residue import Residue
from gateway.privacy.checker.table import FULL_DATES
from gateway.privacy.checker.values import holds_address, is_neutral, stripped
from gateway.privacy.checker.verdict import MOST_PROBLEMS, Claim, Facts, Problem, Verdict

_PARSER_ERRORS: Final = (
    struct.error, ValueError, LookupError, TypeError, AttributeError,
    EOFError, OverflowError, NotImplementedError, RecursionError,
)  # fmt: skip
"""What pydicom raises on a damaged file; an outage of the store is none of these and goes through."""
_SEARCHED: Final = TEXT | {"AE", "AS", "PN", "UR", "IS", "DS", "UN", "OB", "OW"}
_APART: Final = frozenset({"IS", "DS", "UN", "OB", "OW"})
"""Numbers are compared whole and bytes searched as bytes, so neither stands in the text that is searched at once."""
_IMAGE_TYPE, _BURNED_IN = 0x00080008, 0x00280301
_ACQUIRED: Final = frozenset({0x00080020, 0x00080021, 0x00080022, 0x00080023, 0x0008002A})
_PATIENT_ID: Final = 0x00100020
_OWN_IDENTITY: Final = {0x00080016: "sop_class_uid", 0x00080018: "sop_instance_uid", 0x0020000D: "study_uid"} | {
    0x0020000E: "series_uid",
    _PATIENT_ID: "patient",
}


def check(file: BinaryIO, size: int, claim: Claim, residue: Residue | None, limits: Limits | None = None) -> Verdict:
    """The verdict on a Part 10 file of `size` bytes; `residue` searches for the study's identity.

    Raises nothing for what is in the file: what cannot be read is a problem like any other. pydicom's warnings quote
    what they are about, so none is shown.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _checked(file, size, claim, residue, limits or Limits())


def _checked(file: BinaryIO, size: int, claim: Claim, residue: Residue | None, limits: Limits) -> Verdict:
    root: dict[int, Found] = {}
    problems: list[Problem] = []
    try:
        meta, transfer_syntax = read_meta(file, claim)
        reader = Reader(file, size, transfer_syntax, limits)
        problems += islice(_Check(claim, residue).run(reader, root), MOST_PROBLEMS - len(meta))
        problems = meta + problems
    except Unreadable as error:
        problems.append(Problem(f"unreadable ({error})", "file"))
    except _PARSER_ERRORS as error:
        problems.append(Problem(f"unreadable ({type(error).__name__})", "file"))
    return Verdict(tuple(problems[:MOST_PROBLEMS]), _facts(root))


class _Check:
    """One object's check under one claim."""

    def __init__(self, claim: Claim, residue: Residue | None) -> None:
        self._claim = claim
        self._residue = residue
        self._judge = judge_for(claim)
        self._texts: list[Found] = []

    def run(self, reader: Reader, root: dict[int, Found]) -> Iterator[Problem]:
        """Every problem, in order of the file; `root` receives the root's elements."""
        private = PrivateLevel(self._claim.methods)
        for found in reader.elements():
            if found.tag in root:
                yield Problem("twice", found.path)
            root[found.tag] = found
            yield from self._stamp(found) if found.tag in STAMPS else self._element(found, private)
        yield from check_stamps(root, self._claim)
        yield from self._identity(root)
        yield from self._left_over()

    def _element(self, found: Found, private: PrivateLevel) -> Iterator[Problem]:
        """`private` knows the creators of the element's own level."""
        is_private = found.tag >> 16 & 1
        code = self._judge(found) if not is_private else None if private.permits(found) else "private"
        if code is not None:
            yield Problem(code, found.path)
            return
        if found.items is not None:
            yield from self._items(found)
        elif found.value and found.vr in _SEARCHED and not is_neutral(found):
            self._texts.append(found)

    def _items(self, found: Found) -> Iterator[Problem]:
        for number, item in enumerate(found.items or ()):
            named = content_problem(item, self._claim.methods)
            if named is not None and not is_neutral(found):
                yield Problem(named, f"{found.path}[{number}]")
            private = PrivateLevel(self._claim.methods)
            for one in item:
                if not is_kept_uid(one, item, self._claim.methods):
                    yield from self._element(one, private)

    def _stamp(self, found: Found) -> Iterator[Problem]:
        """Our own words are known; what an earlier de-identification has written is searched like any text."""
        if found.tag == METHOD:
            foreign = "\\".join(text for text in found.text().split("\\") if not is_our_method(text.strip()))
            if holds_address(foreign):
                yield Problem("address", found.path)
            self._texts.append(found._replace(value=foreign.encode(), charset=("utf-8",)))
        elif found.tag != CODES and found.vr != "CS":
            yield Problem("vr", found.path)

    def _identity(self, root: Mapping[int, Found]) -> Iterator[Problem]:
        """The object is the one that its row names, and its acquisition was not on the original day."""
        for tag, name in _OWN_IDENTITY.items():
            value = stripped(root[tag]) if tag in root else b""
            nameless = tag == _PATIENT_ID and not value  # as it was received
            if value != getattr(self._claim, name).encode() and not nameless:
                yield Problem("not-its-row", f"({tag >> 16:04X},{tag & 0xFFFF:04X})")
        if self._residue is None or not self._residue.study_date or FULL_DATES in self._claim.methods:
            return
        for tag in sorted(_ACQUIRED & root.keys()):
            if stripped(root[tag]).replace(b".", b"").startswith(self._residue.study_date):
                yield Problem("date-kept", root[tag].path)

    def _left_over(self) -> Iterator[Problem]:
        """One search over all texts together, and element by element only where it finds something."""
        if self._residue is None:
            return
        texts = self._residue.unsearched(self._texts)
        plain = [found for found in texts if found.vr not in _APART and (found.value or b"").isascii()]
        others = [found for found in texts if found.vr in _APART or not (found.value or b"").isascii()]
        if plain and self._residue.text_shows("\n".join(found.text() for found in plain)):
            others = texts
        problems = [Problem("identity", found.path) for found in others if self._residue.shows(found)]
        if not problems:
            self._residue.remember(texts)
        yield from problems


def _facts(root: Mapping[int, Found]) -> Facts:
    image_type: Sequence[str] = root[_IMAGE_TYPE].text().split("\\") if _IMAGE_TYPE in root else ()
    return Facts(
        image_type=tuple(value.strip().upper() for value in image_type if value.strip()),
        burned_in=root[_BURNED_IN].text().upper() if _BURNED_IN in root else "",
        has_pixels=bool(PIXELS & root.keys()),
    )
