"""Which states exist and which event leads from which to which: the state tables, as data.

The CHECK constraints, the guarded updates, the diagrams of ARCHITECTURE.md and the test over every pair of state
and event are all made from these tables. What is not in a table is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain.errors import Conflict


@dataclass(frozen=True)
class Lifecycle:
    """One subject's states and moves; `initial` is the state in which its row is inserted."""

    subject: str
    initial: str
    moves: dict[tuple[str, str], str]

    @property
    def states(self) -> tuple[str, ...]:
        seen = [self.initial]
        for (state, _), target in self.moves.items():
            seen += [name for name in (state, target) if name not in seen]
        return tuple(seen)

    @property
    def events(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(event for _, event in self.moves))

    def after(self, state: str, event: str) -> str:
        """The state that `event` leads to; Conflict where the table has no such move."""
        try:
            return self.moves[state, event]
        except KeyError:
            raise Conflict(f"a {self.subject} that is {state} cannot {event}") from None


STUDY = Lifecycle(
    "study",
    "receiving",
    {
        ("receiving", "settle"): "settled",
        ("settled", "analyse"): "analysing",
        ("analysing", "report"): "reported",
        ("reported", "close"): "closed",
        ("settled", "reopen"): "receiving",
        ("analysing", "reopen"): "receiving",
        ("reported", "reopen"): "receiving",
        ("closed", "reopen"): "receiving",
        ("receiving", "quarantine"): "quarantined",
        ("settled", "quarantine"): "quarantined",
        ("quarantined", "release"): "receiving",
        ("receiving", "purge"): "purged",
        ("settled", "purge"): "purged",
        ("analysing", "purge"): "purged",
        ("reported", "purge"): "purged",
        ("closed", "purge"): "purged",
        ("quarantined", "purge"): "purged",
    },
)

INSTANCE = Lifecycle(
    "instance",
    "unchecked",
    {
        ("unchecked", "clear"): "cleared",
        ("unchecked", "mask"): "masking",  # a worker searches the pixels for text
        ("unchecked", "hold"): "held",  # a person has to look
        ("unchecked", "quarantine"): "quarantined",
        ("masking", "recheck"): "unchecked",  # searched: the checker looks at what the worker made
        ("masking", "hold"): "held",
        ("masking", "quarantine"): "quarantined",
        ("held", "release"): "unchecked",  # the person's decision stands in `pixels`; the header is checked anyway
        ("held", "mask"): "masking",
        ("held", "reject"): "rejected",
        ("quarantined", "recheck"): "unchecked",  # after a release with other rules
        ("quarantined", "reject"): "rejected",
    },
)

PIXEL_TASK = Lifecycle(
    "pixel-task",
    "todo",
    {
        ("todo", "claim"): "doing",
        ("doing", "claim"): "doing",  # only after the lease has expired
        ("doing", "finish"): "done",
        ("doing", "release"): "todo",
        ("doing", "fail"): "failed",
        ("failed", "retry"): "todo",
        ("done", "retry"): "todo",  # with the boxes that a person has drawn
        ("todo", "withdraw"): "withdrawn",
        ("doing", "withdraw"): "withdrawn",
        ("withdrawn", "retry"): "todo",
    },
)

TASK = Lifecycle(
    "task",
    "todo",
    {
        ("todo", "claim"): "doing",
        ("doing", "claim"): "doing",  # only after the lease has expired; the guard is in the statement
        ("doing", "finish"): "done",
        ("doing", "refuse"): "refused",
        ("doing", "release"): "todo",
        ("doing", "fail"): "failed",
        ("todo", "withdraw"): "withdrawn",
        ("doing", "withdraw"): "withdrawn",
        ("failed", "retry"): "todo",
        ("refused", "retry"): "todo",
    },
)

DELIVERY = Lifecycle(
    "delivery",
    "pending",
    {
        ("pending", "attempt"): "sending",
        ("sending", "attempt"): "sending",  # only after the lease has expired
        ("sending", "acknowledge"): "acknowledged",
        ("sending", "defer"): "pending",
        ("sending", "supersede"): "superseded",
        ("pending", "supersede"): "superseded",  # a newer version of the report is on its way
        ("sending", "bury"): "dead",
        ("pending", "bury"): "dead",
        ("dead", "replay"): "pending",
        ("acknowledged", "replay"): "pending",
    },
)

REPORT = Lifecycle(
    "report",
    "registered",
    {
        ("registered", "compose"): "preliminary",
        ("registered", "cancel"): "cancelled",
        ("preliminary", "compose"): "preliminary",
        ("preliminary", "sign"): "final",
        ("preliminary", "cancel"): "cancelled",
        ("preliminary", "link"): "preliminary",  # its order came after it: the same words, with a reference to it
        ("cancelled", "compose"): "preliminary",
        ("cancelled", "cancel"): "cancelled",
        ("final", "amend"): "amended",
        ("final", "correct"): "corrected",
        ("final", "append"): "appended",
        ("final", "retract"): "entered-in-error",
        ("final", "flag"): "final",  # its model was recalled: the text stays, a warning goes out with it
        ("final", "link"): "final",
        ("amended", "amend"): "amended",
        ("amended", "correct"): "corrected",
        ("amended", "append"): "appended",
        ("amended", "retract"): "entered-in-error",
        ("amended", "flag"): "amended",
        ("amended", "link"): "amended",
        ("corrected", "amend"): "amended",
        ("corrected", "correct"): "corrected",
        ("corrected", "append"): "appended",
        ("corrected", "retract"): "entered-in-error",
        ("corrected", "flag"): "corrected",
        ("corrected", "link"): "corrected",
        ("appended", "amend"): "amended",
        ("appended", "correct"): "corrected",
        ("appended", "append"): "appended",
        ("appended", "retract"): "entered-in-error",
        ("appended", "flag"): "appended",
        ("appended", "link"): "appended",
    },
)

LIFECYCLES = (STUDY, INSTANCE, PIXEL_TASK, TASK, DELIVERY, REPORT)
OPEN_TASK_STATES = ("todo", "doing")
UNCLEARED = ("unchecked", "masking")
"""States in which it is not yet decided whether an object may be read; its study waits for it."""
