"""What a blob key may look like: the 32 hexadecimal digits that gateway/domain/ids.py makes, and nothing else.

A key becomes a path or an object name, so no text from a wire may ever pass for one.
"""

from __future__ import annotations

import re

from gateway.domain.errors import Fault

is_key = re.compile(r"[0-9a-f]{32}", re.ASCII).fullmatch


def checked(key: str) -> str:
    """The key. Fault where it is none."""
    if not is_key(key):
        raise Fault("a blob key is not 32 hexadecimal digits")
    return key
