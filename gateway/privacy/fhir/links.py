"""How one resource points at another without identity: logical ids, references, URLs, UUIDs and OIDs.

FHIR R4 2.3 (references). The same original gives the same pseudonym wherever it stands, so that a bundle stays
closed; the server's address goes, because it names the hospital.
"""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

from gateway.privacy.pseudonyms import Pseudonymiser

_PATH: Final = re.compile(
    r"(?:https?://[^\s?#]{1,1000}/)?([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)
_SEARCH: Final = re.compile(r"(?:https?://[^\s?#]{1,1000}/)?([A-Z][A-Za-z]{1,63})(?:\?.*)?", re.DOTALL)
_OID: Final = re.compile(r"urn:oid:([0-2](?:\.(?:0|[1-9]\d*)){1,60})", re.ASCII)
_UUID: Final = re.compile(r"urn:uuid:([0-9A-Fa-f-]{36})")


class Links:
    """Pseudonyms of ids and references in one patient's documents."""

    def __init__(self, pseudonymiser: Pseudonymiser) -> None:
        self._pseudonymiser = pseudonymiser

    def logical_id(self, resource_type: str, original: str, *, contained: bool) -> str:
        """The id of a resource; one inside another is known by its fragment alone."""
        return self._pseudonymiser.fhir_id(f"#{original}" if contained else f"{resource_type}/{original}")

    def reference(self, original: str) -> str | None:
        """What may stand for a literal reference; None where its form is not one of the standard."""
        if original.startswith("#"):
            return "#" + (self._pseudonymiser.fhir_id(original) if len(original) > 1 else "")
        found = _PATH.fullmatch(original)
        if found is not None:
            return f"{found[1]}/{self.logical_id(found[1], found[2], contained=False)}"
        return self.urn(original)

    def urn(self, original: str) -> str | None:
        """A UUID or OID replaced by another; None for anything else."""
        found = _OID.fullmatch(original)
        if found is not None:
            return "urn:oid:" + self._pseudonymiser.uid(found[1])
        found = _UUID.fullmatch(original)
        if found is None:
            return None
        number = self._pseudonymiser.uid(found[1].lower()).removeprefix("2.25.")
        return f"urn:uuid:{UUID(int=int(number))}"

    def target(self, original: str) -> str | None:
        """A request's or entry's URL: like a reference, or the bare type where it was a search."""
        found = self.reference(original)
        if found is None and (search := _SEARCH.fullmatch(original)) is not None:
            return search[1]
        return found
