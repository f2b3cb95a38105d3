"""What the checker says of one object, and what it holds the object against; no value of the object in either.

A problem names a rule and a place, so that it can stand in a row, in the audit and on a screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

INFERENCE_METHODS: Final = frozenset({"113100", "113103", "113104", "113105", "113107", "113108"})
"""CID 7050 codes of the profile `inference`: basic; clean graphics, structured content and descriptors; modified
dates, patient characteristics."""

MOST_PROBLEMS: Final = 20


@dataclass(frozen=True)
class Problem:
    """A rule that is not kept, and where: `(0008,1140)[0]/(0010,0010)`, or `file` for what is no data element."""

    code: str
    path: str

    def __str__(self) -> str:
        return f"{self.code} at {self.path}"


@dataclass(frozen=True)
class Claim:
    """What the rows say of the object: methods (CID 7050 codes) of its de-identification, and its new identity."""

    methods: frozenset[str]
    patient: str
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True)
class Facts:
    """What the rule for the kind of object asks for, as it stands in the file."""

    image_type: tuple[str, ...] = ()
    burned_in: str = ""
    has_pixels: bool = False


@dataclass(frozen=True)
class Verdict:
    """Passed only where there is no problem at all; at most MOST_PROBLEMS are listed."""

    problems: tuple[Problem, ...]
    facts: Facts

    @property
    def passed(self) -> bool:
        return not self.problems

    @property
    def reason(self) -> str:
        """The first problems in words, for a row."""
        told = "; ".join(map(str, self.problems[:3]))
        more = len(self.problems) - 3
        return f"the checker found: {told}" + (f" and {more} more" if more > 0 else "")
