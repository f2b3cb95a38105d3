"""What resources refer to: entries beside them, what is stored here, what is found by a search (R4 3.1.0.11.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.domain.errors import GatewayError, Unmet
from gateway.domain.resource import StoredVersion
from gateway.flow.record.asked import Resource, criteria_of
from gateway.flow.record.open import OpenResources
from gateway.flow.record.references import Name, local_name, place_of, references, rewritten, searched
from gateway.flow.record.target import Target
from gateway.formats.fhir.wire.issue import InvalidResource, refused
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.ports import UnitOfWork

_ENTRIES = ("urn:uuid:", "urn:oid:")  # how entries of a Bundle name each other before they have an address


@dataclass(frozen=True)
class Links:
    """`base` is our address for clients."""

    opened: OpenResources
    base: str

    def led(self, target: Target, resource: Resource, known: Mapping[str, str], find: Callable[[str], str]) -> Resource:
        """With its links to other entries; InvalidResource where it means a Patient whom only another server has."""

        def found(reference: str) -> str:
            try:
                return find(reference)
            except GatewayError as error:
                error.place = _place(target, resource, reference)
                raise

        led = rewritten(resource, known, found, target.asked.full_url)
        written = set(references(resource))
        for reference in references(led):
            elsewhere = local_name(reference, self.base) is None and "/Patient/" in reference
            if elsewhere and reference not in written:
                text = "beside this fullUrl the reference means a Patient of another server, who is no entry"
                raise _nowhere(target, led, reference, text)
        return led

    def find(self, unit: UnitOfWork, reference: str) -> str:
        """The resource that a conditional reference means; Unmet unless it is exactly one (R4 3.1.0.11.2)."""
        kind, query = searched(reference) or ("", "")
        found = unit.resources.of_keys(unit.resource_index.matching(kind, criteria_of(query), 2))
        if len(found) != 1:
            raise Unmet(f"a conditional reference to a {kind} matches {'none' if not found else 'several'}")
        return f"{kind}/{found[0].id}"

    def linked(
        self, unit: UnitOfWork, targets: Sequence[Target], resources: Sequence[Resource | None]
    ) -> Mapping[Name, StoredVersion]:
        """What the resources refer to, as it is stored; InvalidResource where it is nowhere."""
        made = {target.name for target, one in zip(targets, resources, strict=True) if one is not None or target.idle}
        new = {target.name for target in targets if target.was is None}
        wanted: dict[Name, tuple[Target, Resource, str]] = {}
        for target, resource in zip(targets, resources, strict=True):
            for reference in references(resource) if resource is not None else ():
                name = local_name(reference, self.base)
                if resource is not None and target.asked.place and reference.startswith(_ENTRIES):
                    raise _nowhere(target, resource, reference, "the reference leads to no entry of the Bundle")
                if name is not None and resource is not None and name not in new:
                    wanted.setdefault(name, (target, resource, reference))
        found = unit.resources.named(list(wanted))
        for name, (target, resource, reference) in wanted.items():
            is_here = name in made or (name in found and not found[name].is_deleted)
            if not is_here and not self._had(unit, target, reference):
                raise _nowhere(target, resource, reference, f"the reference leads to a {name[0]} that is not here")
        return found

    def _had(self, unit: UnitOfWork, target: Target, reference: str) -> bool:
        """Whether the version before says the same: what was deleted meanwhile stops no later correction."""
        was = target.was
        if was is None or was.is_deleted:
            return False
        return reference in references(parse_json(self.opened.unseen(unit, was)))


def _nowhere(target: Target, resource: Resource, reference: str, text: str) -> InvalidResource:
    return refused("not-found", text, _place(target, resource, reference))


def _place(target: Target, resource: Resource, reference: str) -> str:
    """The element that holds the reference, in a Bundle with its entry."""
    place, asked = place_of(resource, reference), target.asked
    return f"{asked.place}.resource{place.removeprefix(asked.kind)}" if asked.place else place
