"""What was done to the elements of one patient's earlier objects, so that the next slice need not ask again.

The slices of a series share all but a handful of their elements, byte for byte. What becomes of an element follows
from its bytes, the place it stands in and what is named in `memory_of`, so the outcome is kept under these. Bounded
in elements, bytes and visits; emptied when a patient is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, NamedTuple

LONGEST: Final = 256
"""Bytes of an element that is remembered, header included."""
MOST_ELEMENTS: Final = 512
"""Outcomes kept of one place."""
_MOST_PLACES: Final = 4
_MOST_VISITS: Final = 32


class Outcome(NamedTuple):
    """The action counted, the element that replaces it (None: it stays) and its new value in the root."""

    action: str
    new: bytes | memoryview | None
    value: bytes | None


Outcomes = dict[bytes, Outcome]


@dataclass(frozen=True)
class Memory:
    """Outcomes by place and element bytes; `of` is held so that what the memory was made for stays itself."""

    of: tuple[object, ...] = field(repr=False)
    _places: dict[Hashable, Outcomes] = field(default_factory=dict, repr=False)

    def at(self, place: Hashable) -> Outcomes:
        """The outcomes of one place; threads share them, and a lost one is only found out again."""
        outcomes = self._places.get(place)
        if outcomes is None or len(outcomes) >= MOST_ELEMENTS:
            if len(self._places) >= _MOST_PLACES:
                self._places.clear()
            outcomes = self._places[place] = {}
        return outcomes


_memories: OrderedDict[tuple[Any, ...], Memory] = OrderedDict()
_lock = Lock()


def memory_of(*things: object, **values: Hashable) -> Memory:
    """The memory for these very things (rules, pseudonyms, identifiers) and equal values (patient, class)."""
    wanted = (*map(id, things), *values.items())
    with _lock:
        known = _memories.get(wanted)
        if known is None:
            known = _memories[wanted] = Memory(things)
            if len(_memories) > _MOST_VISITS:
                _memories.popitem(last=False)
        else:
            _memories.move_to_end(wanted)
        return known


def forget_all() -> None:
    """Empties every memory: after an erasure nothing of the patient may stay behind."""
    with _lock:
        _memories.clear()
