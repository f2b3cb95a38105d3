"""message: the entries of a FHIR message as the transaction that files them (R4 Messaging, Bundle).

A message carries resources of the sender under the sender's ids. Here each is known by its identifier, or, where it
has none, by an id that is derived from sender and fullUrl, so that the next message about it finds it again. What the
header names as focus is brought up to date; what comes along because the focus refers to it is made where it is not
here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from gateway.domain.ids import derive_id
from gateway.flow.record.asked import Resource
from gateway.flow.record.references import local_name, references, rewritten
from gateway.formats.fhir.message import Message
from gateway.formats.fhir.search.parameters import parameters, types
from gateway.formats.fhir.wire.issue import refused

_RESTFUL: Final = re.compile(r"(https?://\S{1,1024}/)([A-Z][A-Za-z]{1,63}/[A-Za-z0-9\-.]{1,64})", re.ASCII)
_RELATIVE: Final = re.compile(r"([A-Z][A-Za-z]{1,63}/[A-Za-z0-9\-.]{1,64})(/_history/[A-Za-z0-9\-.]{1,64})?", re.ASCII)
_PASSING: Final = frozenset({"old", "temp"})


@dataclass(frozen=True)
class Filing:
    """`base` is our address for clients. Entries are named by their fullUrls, or by type and id where that is one.

    `sender` is the client: the same fullUrl of two clients is two resources, as `http://localhost/` is two servers.
    """

    message: Message
    sender: str
    base: str
    _named: Mapping[str, str] = field(repr=False)
    _focus: frozenset[str] = field(repr=False)

    @classmethod
    def of(cls, message: Message, sender: str, header_url: str, base: str) -> Filing:
        """`header_url` is the fullUrl of the header, which relative references in it go by."""
        urls = [str(entry.get("fullUrl", "")) for entry in message.entries]
        names = [_own_name(entry.get("resource", {})) for entry in message.entries]
        once = {name for name, count in Counter(names).items() if count == 1}
        named = {name: url for name, url in zip(names, urls, strict=True) if name in once} | {url: url for url in urls}
        named.pop("", None)
        filing = cls(message, sender, base, named, frozenset())
        told = [str(one.get("reference", "")) for one in message.header.get("focus", ())]
        return cls(message, sender, base, named, frozenset(filing._absolute(one, header_url) for one in told))

    def entries(self) -> Iterator[tuple[int, Resource]]:
        """Place in the Bundle and entry of a transaction; InvalidResource where an entry cannot be filed."""
        if self._focus - set(self._named.values()):
            raise refused("not-found", "the focus is no entry of the message", "Bundle.entry[0].resource.focus")
        for place, entry in enumerate(self.message.entries, 1):
            made = self._entry(entry, f"Bundle.entry[{place}]")
            if made is not None:
                yield place, made

    def _entry(self, entry: Resource, place: str) -> Resource | None:
        resource, url = entry.get("resource"), str(entry.get("fullUrl", ""))
        if not isinstance(resource, dict):
            raise refused("required", "the entry of a message has a resource", place)
        if not url:
            raise refused("required", "the entry of a message has a fullUrl, by which others refer to it", place)
        kind, is_focus = str(resource["resourceType"]), url in self._focus
        ours = local_name(url, self.base) if url.startswith(f"{self.base}/") else None
        if ours is not None and not is_focus:
            return None  # the sender has it from here
        written = self._linked(resource, url, place)
        own = _identifier(resource) if ours is None else ""
        if own:
            written.pop("id", None)
            query = urlencode({"identifier": own})
            asked = {"method": "PUT", "url": f"{kind}?{query}"}
            if not is_focus:
                asked = {"method": "POST", "url": kind, "ifNoneExist": query}
        else:
            written["id"] = ours[1] if ours is not None else derive_id("message-resource", self.sender, url)
            asked = {"method": "PUT", "url": f"{kind}/{written['id']}"}
        return {"fullUrl": url, "resource": written, "request": asked}

    def _linked(self, resource: Resource, url: str, place: str) -> Resource:
        """With references that lead to entries, or to where the sender has what is no entry."""
        known = {one: self._absolute(one, url) for one in references(resource)}
        for one in known.values():
            if _RELATIVE.fullmatch(one):  # by an id of the sender's, which here may be somebody else's
                text = "the reference leads to no entry, and the fullUrl tells of no server that it would go by"
                raise refused("not-found", text, f"{place}.resource")
            whole = one.partition("/_history/")[0]
            foreign = _RESTFUL.fullmatch(whole)
            is_there = whole in self._named or whole.startswith(f"{self.base}/")
            if foreign is not None and foreign[2].startswith("Patient/") and not is_there:
                raise refused("not-found", "a message carries the Patient that it is about", f"{place}.resource")
        return rewritten(resource, known, lambda one: one)

    def _absolute(self, reference: str, url: str) -> str:
        """R4 Bundle, resolving references: a relative reference goes by the fullUrl of the entry that it stands in."""
        relative = _RELATIVE.fullmatch(reference)
        if relative is None:
            return reference
        restful = _RESTFUL.fullmatch(url)
        absolute = f"{restful[1]}{relative[1]}" if restful is not None else ""
        if absolute in self._named:
            return absolute
        if relative[1] in self._named:
            return self._named[relative[1]]
        return f"{absolute}{relative[2] or ''}" if absolute else reference


def _own_name(resource: Any) -> str:
    return f"{resource.get('resourceType')}/{resource.get('id')}" if isinstance(resource, dict) else ""


def _identifier(resource: Resource) -> str:
    """The first lasting identifier as a search asks for it; empty where there is none that can be searched for."""
    kind = str(resource["resourceType"])
    if kind not in types() or "identifier" not in parameters(kind):
        return ""
    told = resource.get("identifier", [])
    for one in told if isinstance(told, list) else [told]:
        if one.get("system") and one.get("value") and one.get("use") not in _PASSING:
            return f"{_escaped(one['system'])}|{_escaped(one['value'])}"
    return ""


def _escaped(text: str) -> str:
    return re.sub(r"([\\,|$])", r"\\\1", text)
