"""How far a report version may be relied on, in the words that every form of it carries."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.domain.review import ENDS
from gateway.formats.fhir.element import instant
from gateway.formats.fhir.practitioner import interpreters, reviews_in_force
from gateway.formats.fhir.recall_notice import recall_words
from gateway.formats.fhir.text import line
from gateway.ports import ReportDocument

UNSIGNED = "AI result, not for diagnosis until confirmed by a physician."
MARKS = {
    "preliminary": UNSIGNED,
    "cancelled": "Withdrawn before anybody signed it: not to be used.",
    "entered-in-error": "Entered in error: not to be used.",
}
"""What stands before the conclusion of a version that nobody vouches for."""
_BANNERS = {"preliminary": f"PRELIMINARY – AI ASSISTED. {UNSIGNED}"}


def banners(document: ReportDocument) -> Iterator[str]:
    """What a page says in a frame above everything else."""
    content = document.version.content
    if content is not None and content.findings:
        mark = MARKS.get(document.version.status)
        if mark is not None:
            yield _BANNERS.get(document.version.status, mark)
    if interpreters(document):
        yield from (recall_words(recall) for recall in document.recalls)


def signatures(document: ReportDocument) -> Iterator[tuple[str, str]]:
    """Who has decided what, and when; oldest first."""
    for review in reviews_in_force(document):
        who = review.reviewer
        titled = line(f"{who.name}, {who.qualification}" if who.qualification else who.name)
        reason = f". Reason: {line(review.reason, 1024)}" if review.reason else ""
        word = "Withdrawn by" if review.outcome in ENDS else "Signed by"
        yield word, f"{titled}, {instant(review.at)} ({_WORDS[review.outcome]}){reason}"


_WORDS = {
    "accept": "accepted",
    "amend": "amended",
    "correct": "corrected",
    "append": "added to",
    "reject": "rejected",
    "retract": "retracted",
}
