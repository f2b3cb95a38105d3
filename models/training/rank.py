"""Which of the processes of a `torchrun` this one is; alone it is the first of one. Needs no torch.

Every recipe may run in several processes. Those in torch share each step (`group.py`), the others do the same work
in each; in both the first process alone writes and speaks.
"""

from __future__ import annotations

import os


def rank() -> int:
    return int(os.environ.get("RANK", "0"))


def is_first() -> bool:
    return rank() == 0


def say(text: str) -> None:
    """A line of progress or result, once and not by every process."""
    if is_first():
        print(text, flush=True)
