"""Where a write goes: the resource that it is about as it stands, or the id of a new one (R4 3.1.0.4 to 3.1.0.8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.domain.errors import Deleted, Forbidden, Invalid, Missing, Unmet
from gateway.domain.ids import new_id
from gateway.domain.resource import StoredVersion
from gateway.flow.record.asked import ANY_VERSION, Asked, Criteria
from gateway.flow.record.references import Name
from gateway.formats.fhir.wire.issue import refused


@dataclass(frozen=True)
class Target:
    """Where a write goes: the resource as it stands, and its id if it is a new one."""

    asked: Asked
    was: StoredVersion | None
    id: str
    idle: bool = False

    @property
    def name(self) -> Name:
        return self.asked.kind, self.id


def named_id(asked: Asked) -> str:
    """The id that the write names, in its address or, for a conditional update, in its resource; empty for none."""
    if asked.id or asked.method != "PUT" or asked.resource is None:
        return asked.id
    own_id = asked.resource.get("id")
    return own_id if isinstance(own_id, str) else ""


def target_of(asked: Asked, found: Sequence[StoredVersion] | None, by_name: Mapping[Name, StoredVersion]) -> Target:
    """Where one write goes. `found` is what its condition matches, None where it has none; Unmet for several."""
    if found is not None and len(found) > 1:
        raise Unmet("the condition matches more than one resource")
    if asked.method == "POST":
        return Target(asked, found[0], found[0].id, idle=True) if found else Target(asked, None, new_id())
    if found:
        own_id = named_id(asked)
        if own_id and own_id != found[0].id:
            raise Invalid("the resource's id is not that of the one that the condition matches")
        return Target(asked, found[0], found[0].id)
    if asked.method == "PUT":
        own_id = named_id(asked) or new_id()
        return Target(asked, by_name.get((asked.kind, own_id)), own_id)
    was = by_name.get((asked.kind, asked.id)) if found is None else None
    if asked.method == "PATCH":
        if was is None:
            raise Missing("there is no such resource to patch")
        if was.is_deleted:
            raise Deleted("the resource is deleted")
    return Target(asked, was, asked.id, idle=asked.method == "DELETE" and (was is None or was.is_deleted))


def check_may(target: Target, *, ours: bool) -> None:
    """Unmet where a version that is asked for is not there, Forbidden where it is the gateway's own."""
    asked, was = target.asked, target.was
    living = was is not None and not was.is_deleted
    current = {ANY_VERSION, str(was.version)} if was is not None and living else set()
    if asked.if_match is not None and not asked.if_match & current:
        raise Unmet("If-Match names a version that is not the current one")
    if asked.if_none_match and living:
        raise Unmet("If-None-Match: there is such a resource already")
    if was is not None and was.ours and not ours and not target.idle:
        raise Forbidden("this resource is the gateway's own and follows the analysis; clients cannot change it")


def check_once(targets: Sequence[Target]) -> None:
    """R4 3.1.0.11.2: what a transaction changes, it changes once, and every condition makes one resource at most."""
    seen: set[Name | tuple[str, Criteria | None]] = set()
    for target in targets:
        is_named = bool(target.id) and (not target.idle or target.asked.method == "DELETE")  # gone already or not
        made: list[Name | tuple[str, Criteria | None]] = [target.name] if is_named else []
        if target.was is None and target.asked.criteria is not None:
            made.append((target.asked.kind, target.asked.criteria))
        if seen & set(made):
            raise refused("invalid", "two entries of the transaction are about the same resource", target.asked.place)
        seen.update(made)


def addresses(targets: Sequence[Target]) -> dict[str, str]:
    """From the fullUrl of each entry to where it is stored."""
    return {one.asked.full_url: f"{one.asked.kind}/{one.id}" for one in targets if one.asked.full_url and one.id}
