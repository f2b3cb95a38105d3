"""plan: writes worked out on what can be read, so that the transaction that carries them out is short (R4 3.1.0).

Whatever depends on what is stored (versions, conditions, references, whose record) is decided here and checked again
under lock by `write`; where another writer was first, the plan is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.domain.errors import Deleted, Forbidden, GatewayError, Invalid, Missing, Unmet
from gateway.domain.ids import new_id
from gateway.domain.resource import StoredVersion, resource_key
from gateway.flow.record.asked import Asked, Condition, Criteria, Plan, Resource, Step, criteria_of
from gateway.flow.record.open import OpenResources
from gateway.flow.record.owner import FindOwner
from gateway.flow.record.references import Name, local_name, place_of, references, rewritten, searched
from gateway.formats.fhir.element import instant
from gateway.formats.fhir.wire.check import check
from gateway.formats.fhir.wire.issue import InvalidResource, Issue, refused
from gateway.formats.fhir.wire.json_form import encode_json, parse_json
from gateway.ports import UnitOfWork
from gateway.privacy.resource_bodies import seal_body
from gateway.privacy.vault import PatientRecord, Vault

_ENTRIES = ("urn:uuid:", "urn:oid:")  # how entries of a Bundle name each other before they have an address


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


@dataclass(frozen=True)
class PlanWrites:
    """`base` is our address for clients."""

    vault: Vault
    owner: FindOwner
    opened: OpenResources
    base: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self, unit: UnitOfWork, asked: Sequence[Asked], *, ours: bool = False) -> Plan:
        """Unmet, Missing, Deleted, Forbidden, InvalidResource: what the sender hears. Writes nothing."""
        limit = 2 + sum(one.method == "DELETE" for one in asked)
        conditions = [self._condition(unit, one, limit) for one in asked]
        targets = self._targets(unit, asked, conditions)
        for target in targets:
            with _placed(target.asked):
                _check_may(target, ours=ours)
        _check_once(targets)
        resources = self._resources(unit, targets)
        found = self._linked(unit, targets, resources)
        owners = self._owners(unit, targets, resources, found)
        self._check_stay(unit, targets, owners)
        at = self.now()
        steps = [
            self._step(unit, target, resource, owners.get(target.name), (at, new_key), ours=ours)
            for target, resource, new_key in zip(targets, resources, _new_keys(at, len(targets)), strict=True)
        ]
        return Plan(steps, [condition for condition in conditions if condition is not None])

    def _condition(self, unit: UnitOfWork, asked: Asked, limit: int) -> Condition | None:
        """What a conditional interaction finds."""
        if asked.criteria is None:
            return None
        with _placed(asked):
            found = unit.resource_index.matching(asked.kind, asked.criteria, limit)
        said = "\x1f".join([asked.kind, *sorted(f"{name}={value}" for name, value in asked.criteria)])
        lock = int.from_bytes(self.vault.search_index("condition", said)[:4], "big")
        return Condition(asked.kind, asked.criteria, limit, tuple(found), lock)

    def _targets(
        self, unit: UnitOfWork, asked: Sequence[Asked], conditions: Sequence[Condition | None]
    ) -> list[Target]:
        keys = [key for condition in conditions if condition for key in condition.found]
        by_key = {one.key: one for one in unit.resources.of_keys(keys)}
        by_name = unit.resources.named([(one.kind, own_id) for one in asked if (own_id := _own_id(one))])
        gone: set[int] = set()
        targets: dict[int, Target] = {}
        for place in sorted(range(len(asked)), key=lambda place: asked[place].method != "DELETE"):
            one, condition = asked[place], conditions[place]
            found = None if condition is None else [by_key[key] for key in condition.found if key not in gone]
            with _placed(one):
                targets[place] = target = _target(one, found, by_name)
            if one.method == "DELETE" and target.was is not None:
                gone.add(target.was.key)
        return [targets[place] for place in range(len(asked))]

    def _resources(self, unit: UnitOfWork, targets: Sequence[Target]) -> list[Resource | None]:
        """What each write leaves, with its links to other entries led to where they are stored."""
        known = _addresses(targets)
        meant: dict[str, str] = {}  # conditional references: many entries have the same

        def find(reference: str) -> str:
            if reference not in meant:
                meant[reference] = self._find(unit, reference)
            return meant[reference]

        made: list[Resource | None] = []
        for target in targets:
            resource = target.asked.resource
            if target.asked.patch is not None and target.was is not None:
                with _placed(target.asked):
                    resource = self._patched(unit, target.asked.patch, target.was)
            if resource is not None and target.asked.place:
                resource = self._led(target, resource, known, find)
            made.append(None if target.idle or resource is None else {**_first(resource), **resource, "id": target.id})
        return made

    def _led(
        self, target: Target, resource: Resource, known: Mapping[str, str], find: Callable[[str], str]
    ) -> Resource:
        """With its links to other entries; InvalidResource where it means a Patient whom only another server has."""
        led = rewritten(resource, known, find, target.asked.full_url)
        written = set(references(resource))
        for reference in references(led):
            elsewhere = local_name(reference, self.base) is None and "/Patient/" in reference
            if elsewhere and reference not in written:
                text = "beside this fullUrl the reference means a Patient of another server, who is no entry"
                raise _nowhere(target, led, reference, text)
        return led

    def _patched(self, unit: UnitOfWork, patch: Callable[[Resource], Resource], was: StoredVersion) -> Resource:
        after = patch(self._body(unit, was))
        if after.get("resourceType") != was.type or after.get("id") != was.id:
            raise refused("business-rule", "a patch must leave type and id as they are")
        issues = [issue for issue in check(after, kind=was.type) if issue.severity in ("error", "fatal")]
        if issues:
            raise InvalidResource(issues)
        return after

    def _find(self, unit: UnitOfWork, reference: str) -> str:
        """The resource that a conditional reference means; Unmet unless it is exactly one (R4 3.1.0.11.2)."""
        kind, query = searched(reference) or ("", "")
        found = unit.resources.of_keys(unit.resource_index.matching(kind, criteria_of(query), 2))
        if len(found) != 1:
            raise Unmet(f"a conditional reference to a {kind} matches {'none' if not found else 'several'}")
        return f"{kind}/{found[0].id}"

    def _linked(
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
        return was is not None and not was.is_deleted and reference in references(self._body(unit, was))

    def _body(self, unit: UnitOfWork, stored: StoredVersion) -> Resource:
        return parse_json(self.opened.unseen(unit, stored))

    def _owners(
        self,
        unit: UnitOfWork,
        targets: Sequence[Target],
        resources: Sequence[Resource | None],
        found: Mapping[Name, StoredVersion],
    ) -> dict[Name, PatientRecord]:
        """Patients first, then what has a subject, then what belongs to one of those by its links."""
        owners = {name: self.vault.record(unit, one.owner) for name, one in found.items()}
        for target in targets:
            if target.idle and target.was is not None:
                owners[target.name] = self.vault.record(unit, target.was.owner)
        waiting = [(target, one) for target, one in zip(targets, resources, strict=True) if one is not None]
        for target, resource in waiting:
            if target.asked.kind == "Patient":
                owners[target.name] = self._of_patient(unit, target, resource)
        waiting = [(target, one) for target, one in waiting if target.asked.kind != "Patient"]
        ways: tuple[Callable[[Resource], PatientRecord | None], ...] = (
            lambda one: self.owner.of_subject(unit, one, owners),
            lambda one: self.owner.of_links(one, owners),
            lambda one: self.owner.of_links(one, owners) or self.vault.house(),  # links among themselves
        )
        for of_resource in ways:
            met = {target.name: record for target, one in waiting if (record := of_resource(one)) is not None}
            owners |= met
            waiting = [(target, one) for target, one in waiting if target.name not in met]
        return owners

    def _of_patient(self, unit: UnitOfWork, target: Target, resource: Resource) -> PatientRecord:
        """InvalidResource where a new number would leave a patient's other resources in another one's record."""
        before = target.was.owner if target.was is not None and not target.was.is_deleted else None
        record = self.owner.of_patient(unit, resource, before)
        if before is not None and record.pseudonym != before and len(unit.resources.of_owner(before, 2)) > 1:
            text = "the record already holds resources under the Patient's former identifier"
            raise refused("business-rule", text, "Patient.identifier")
        return record

    def _step(
        self,
        unit: UnitOfWork,
        target: Target,
        resource: Resource | None,
        owner: PatientRecord | None,
        born: tuple[datetime, int],
        *,
        ours: bool,
    ) -> Step:
        """`born`: the time of the write, and the key of what is new."""
        at, new_key = born
        asked, was = target.asked, target.was
        if target.idle:
            return Step(asked, was, None, self.opened.unseen(unit, was) if was is not None and was.sealed else b"")
        previous = self._body(unit, was) if was is not None and not was.is_deleted else None
        if was is not None and (resource is None or owner is None):
            gone = replace(was, version=was.version + 1, method="DELETE", at=_moment(at, was), sealed=b"")
            return Step(asked, was, gone, previous=previous)
        if resource is None or owner is None:
            raise Missing("there is no such resource")
        version, key = (was.version + 1, was.key) if was is not None else (1, new_key)
        moment = _moment(at, was)
        resource["meta"] = {**resource.get("meta", {}), "versionId": str(version), "lastUpdated": instant(moment)}
        body = encode_json(resource)
        sealed = seal_body(owner, asked.kind, target.id, version, body)
        now = StoredVersion(key, asked.kind, target.id, version, asked.method, moment, owner.pseudonym, sealed, ours)
        return Step(asked, was, now, body, resource, previous)

    def _check_stay(self, unit: UnitOfWork, targets: Sequence[Target], owners: Mapping[Name, PatientRecord]) -> None:
        """InvalidResource where what is found would be moved, or stand for what is said of another patient.

        A Patient has a rule of its own, and what was nobody's may become somebody's.
        """
        bound = [one for one in targets if one.asked.stays and one.asked.kind != "Patient"]
        known = _addresses(targets) if bound else {}
        for target in bound:
            asked, was = target.asked, target.was
            if was is None or was.is_deleted:
                continue
            owner = owners.get(target.name)
            if target.idle and asked.resource is not None:
                meant = rewritten(asked.resource, known, lambda one: one)
                owner = self.owner.of_subject(unit, meant, owners)
            if owner is not None and was.owner not in (owner.pseudonym, self.vault.house().pseudonym):
                text = f"a {asked.kind} of another patient's record bears this identifier"
                raise refused("business-rule", text, f"{asked.place}.resource.identifier")


def _addresses(targets: Sequence[Target]) -> dict[str, str]:
    """From the fullUrl of each entry to where it is stored."""
    return {one.asked.full_url: f"{one.asked.kind}/{one.id}" for one in targets if one.asked.full_url and one.id}


def _new_keys(at: datetime, count: int) -> list[int]:
    """A microsecond for each, or the keys of a large transaction would meet by chance: few of their bits are random."""
    return [resource_key(at + timedelta(microseconds=place)) for place in range(count)]


def _moment(at: datetime, was: StoredVersion | None) -> datetime:
    """In milliseconds, as lastUpdated says it, and never before the version that it follows."""
    later = at if was is None else max(at, was.at)
    return later.replace(microsecond=later.microsecond // 1000 * 1000)


def unchanged(plan: Plan, besides: str) -> Plan:
    """The plan without writes that would store what is stored already, version and time apart.

    Of the type `besides` each is written: its versions are numbered elsewhere, and none may be missing.
    """

    def without(resource: Mapping[str, Any]) -> dict[str, Any]:
        meta = {name: one for name, one in resource.get("meta", {}).items() if name not in ("versionId", "lastUpdated")}
        return {**resource, "meta": meta}

    def same(step: Step) -> bool:
        if step.resource is None or step.previous is None or step.asked.kind == besides:
            return False
        return encode_json(without(step.resource)) == encode_json(without(step.previous))

    return replace(plan, steps=[replace(step, now=None) if same(step) else step for step in plan.steps])


def _nowhere(target: Target, resource: Resource, reference: str, text: str) -> InvalidResource:
    place, asked = place_of(resource, reference), target.asked
    path = f"{asked.place}.resource{place.removeprefix(asked.kind)}" if asked.place else place
    return refused("not-found", text, path)


def _own_id(asked: Asked) -> str:
    if asked.id or asked.method != "PUT" or asked.resource is None:
        return asked.id
    own_id = asked.resource.get("id")
    return own_id if isinstance(own_id, str) else ""


def _target(asked: Asked, found: Sequence[StoredVersion] | None, by_name: Mapping[Name, StoredVersion]) -> Target:
    """Where one write goes. `found` is what its condition matches, None where it has none; Unmet for several."""
    if found is not None and len(found) > 1:
        raise Unmet("the condition matches more than one resource")
    if asked.method == "POST":
        return Target(asked, found[0], found[0].id, idle=True) if found else Target(asked, None, new_id())
    if found:
        own_id = _own_id(asked)
        if own_id and own_id != found[0].id:
            raise Invalid("the resource's id is not that of the one that the condition matches")
        return Target(asked, found[0], found[0].id)
    if asked.method == "PUT":
        own_id = _own_id(asked) or new_id()
        return Target(asked, by_name.get((asked.kind, own_id)), own_id)
    was = by_name.get((asked.kind, asked.id)) if found is None else None
    if asked.method == "PATCH":
        if was is None:
            raise Missing("there is no such resource to patch")
        if was.is_deleted:
            raise Deleted("the resource is deleted")
    return Target(asked, was, asked.id, idle=asked.method == "DELETE" and (was is None or was.is_deleted))


def _check_may(target: Target, *, ours: bool) -> None:
    asked, was = target.asked, target.was
    living = was is not None and not was.is_deleted
    if asked.if_match is not None and not (was is not None and living and str(was.version) == asked.if_match):
        raise Unmet("If-Match names a version that is not the current one")
    if asked.if_none_match and living:
        raise Unmet("If-None-Match: there is such a resource already")
    if was is not None and was.ours and not ours and not target.idle:
        raise Forbidden("this resource is the gateway's own and follows the analysis; clients cannot change it")


@contextmanager
def _placed(asked: Asked) -> Iterator[None]:
    """An error inside the block names the entry of the Bundle."""
    try:
        yield
    except InvalidResource as error:
        if not asked.place:
            raise
        raise InvalidResource([_of_entry(one, asked.place) for one in error.issues]) from None
    except GatewayError as error:
        error.place = error.place or asked.place
        raise


def _of_entry(issue: Issue, place: str) -> Issue:
    """Where in the entry: in the operations of a patch, or in what they make of the resource, which is not there."""
    if issue.expression.startswith("Bundle."):
        return issue
    _, _, rest = issue.expression.partition("Parameters.")
    return replace(issue, expression=f"{place}.resource.{rest}" if rest else place)


def _check_once(targets: Sequence[Target]) -> None:
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


def _first(resource: Resource) -> Resource:
    """The order that other servers write: resourceType, id, meta."""
    return {"resourceType": resource["resourceType"], "id": "", "meta": resource.get("meta", {})}
