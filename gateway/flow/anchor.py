"""anchor: notes, outside of the database, how far the audit trail has grown and with what code.

The chain shows that a row was changed; only a note kept elsewhere shows that its end was cut off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.ports import Database


@dataclass
class AnchorTrail:
    """Run by the sweeper; writes nothing while the trail does not grow."""

    database: Database
    append: Callable[[int, bytes], object]
    anchored: int = 0

    def __call__(self) -> int:
        """Always 0: there is never more to do at once."""
        with self.database.read() as unit:
            seq, code = unit.audit.head()
        if seq > self.anchored:
            self.append(seq, code)
            self.anchored = seq
        return 0
