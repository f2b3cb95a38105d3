"""One text without identity: known identifiers, patterns, cues, then a check that drops the text if any is left.

PS3.15 E.1.1 and E.3.5, HIPAA 45 CFR 164.514(b)(2). What is found gives way to a mark; a date moves by the patient's
shift, like all of the patient's dates. Nothing here learns or guesses from a model (decision 0008).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.privacy.free_text.dates import Dates, Shift, date_finds
from gateway.privacy.free_text.findings import Category, Find, merged
from gateway.privacy.free_text.folding import bare, shape
from gateway.privacy.free_text.known import KnownIdentity
from gateway.privacy.free_text.names import name_finds
from gateway.privacy.free_text.patterns import pattern_finds
from gateway.privacy.free_text.residual import is_left

LONGEST: Final = 1 << 16
"""Characters of a text that is cleaned; a longer one is dropped, because searching it has no bound."""
MOST_FINDS: Final = 4096
"""Places that are taken out of one text; what has more is a list of people, not a report."""
DROPPED: Final = "[TEXT REMOVED]"
_UID: Final = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*)){5,20}")


@dataclass(frozen=True)
class CleanedText:
    """The text to keep and what was taken out of it, by category; `dropped` says why nothing is kept."""

    text: str
    counts: Mapping[str, int] = field(default_factory=dict)
    dropped: str | None = None


@dataclass(frozen=True)
class FreeText:
    """Cleans the texts of one patient.

    `shift` moves a DICOM date; None removes dates. `uid` gives a UID's pseudonym, so that a text still points at
    the study it is about; None removes UIDs.
    """

    known: KnownIdentity
    shift: Shift | None = None
    uid: Shift | None = None

    def clean(self, text: str) -> CleanedText:
        """The text without identity, in NFC."""
        if len(text) > LONGEST:
            return CleanedText(DROPPED, dropped="too long")
        if self.known.too_many:
            return CleanedText(DROPPED, dropped="too many identifiers")
        written = unicodedata.normalize("NFC", text)
        finds = self.finds(written)
        if len(finds) > MOST_FINDS:
            return CleanedText(DROPPED, dropped="too many finds")
        kept, marked = [], []
        at = 0
        for find in finds:
            kept.append(written[at : find.start])
            marked += [kept[-1], self._mark(find, written)]
            at = find.end
        kept.append(written[at:])
        if is_left(self.known, kept):
            return CleanedText(DROPPED, dropped="identifier left")
        counts = Counter(find.category.value for find in finds)
        return CleanedText("".join([*marked, kept[-1]]), dict(counts))

    def finds(self, written: str) -> list[Find]:
        """What is taken out of a text in NFC, in order; the surest name the category where they overlap."""
        shaped = shape(written)
        dates = date_finds(written, Dates(self.shift, self.known.days))
        known = self.known.find(bare(written))
        return merged([*known, *dates, *pattern_finds(shaped), *name_finds(shaped)], written)

    def _mark(self, find: Find, written: str) -> str:
        """The category in brackets, with what may be said instead."""
        kept = find.kept
        if (
            find.category is Category.IDENTIFIER
            and self.uid is not None
            and _UID.fullmatch(written, find.start, find.end)
        ):
            kept = self.uid(written[find.start : find.end]) or ""
        return f"[{find.category.value} {kept}]" if kept else f"[{find.category.value}]"
