"""Keys of the search index over FHIR resources, derived from the vault's index key: one for each parameter.

So a hash of one parameter says nothing of another, and the index key itself is used for nothing else (RFC 5869 in
spirit: a key for each purpose). The labels are a wire law: stored rows depend on them.
"""

from __future__ import annotations

import hmac


def search_key(index_key: bytes, label: str) -> bytes:
    """32 bytes for one label."""
    return hmac.digest(index_key, b"dxgate/search/v1/" + label.encode(), "sha256")
