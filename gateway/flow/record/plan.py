"""plan: writes worked out on what can be read, so that the transaction that carries them out is short (R4 3.1.0).

Whatever depends on what is stored (versions, conditions, references, whose record) is decided here and checked again
under lock by `write`; where another writer was first, the plan is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from gateway.domain.errors import Missing
from gateway.domain.resource import StoredVersion, resource_key
from gateway.flow.record.asked import Asked, Condition, Plan, Resource, Step
from gateway.flow.record.entry_place import placed
from gateway.flow.record.links import Links
from gateway.flow.record.open import OpenResources
from gateway.flow.record.owner import FindOwner
from gateway.flow.record.references import Name, rewritten
from gateway.flow.record.target import Target, addresses, check_may, check_once, named_id, target_of
from gateway.formats.fhir.element import instant
from gateway.formats.fhir.wire.check import check
from gateway.formats.fhir.wire.issue import InvalidResource, refused
from gateway.formats.fhir.wire.json_form import encode_json, parse_json
from gateway.ports import UnitOfWork
from gateway.privacy.resource_bodies import seal_body
from gateway.privacy.vault import PatientRecord, Vault


@dataclass(frozen=True)
class PlanWrites:
    """`base` is our address for clients."""

    vault: Vault
    owner: FindOwner
    opened: OpenResources
    base: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def links(self) -> Links:
        return Links(self.opened, self.base)

    def __call__(self, unit: UnitOfWork, asked: Sequence[Asked], *, ours: bool = False) -> Plan:
        """Unmet, Missing, Deleted, Forbidden, InvalidResource: what the sender hears. Writes nothing."""
        limit = 2 + sum(one.method == "DELETE" for one in asked)
        conditions = [self._condition(unit, one, limit) for one in asked]
        targets = self._targets(unit, asked, conditions)
        for target in targets:
            with placed(target.asked):
                check_may(target, ours=ours)
        check_once(targets)
        resources = self._resources(unit, targets)
        found = self.links.linked(unit, targets, resources)
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
        with placed(asked):
            found = unit.resource_index.matching(asked.kind, asked.criteria, limit)
        said = "\x1f".join([asked.kind, *sorted(f"{name}={value}" for name, value in asked.criteria)])
        lock = int.from_bytes(self.vault.search_index("condition", said)[:4], "big")
        return Condition(asked.kind, asked.criteria, limit, tuple(found), lock)

    def _targets(
        self, unit: UnitOfWork, asked: Sequence[Asked], conditions: Sequence[Condition | None]
    ) -> list[Target]:
        keys = [key for condition in conditions if condition for key in condition.found]
        by_key = {one.key: one for one in unit.resources.of_keys(keys)}
        by_name = unit.resources.named([(one.kind, own_id) for one in asked if (own_id := named_id(one))])
        gone: set[int] = set()
        targets: dict[int, Target] = {}
        for place in sorted(range(len(asked)), key=lambda place: asked[place].method != "DELETE"):
            one, condition = asked[place], conditions[place]
            found = None if condition is None else [by_key[key] for key in condition.found if key not in gone]
            with placed(one):
                targets[place] = target = target_of(one, found, by_name)
            if one.method == "DELETE" and target.was is not None:
                gone.add(target.was.key)
        return [targets[place] for place in range(len(asked))]

    def _resources(self, unit: UnitOfWork, targets: Sequence[Target]) -> list[Resource | None]:
        """What each write leaves, with its links to other entries led to where they are stored."""
        known = addresses(targets)
        meant: dict[str, str] = {}  # conditional references: many entries have the same

        def find(reference: str) -> str:
            if reference not in meant:
                meant[reference] = self.links.find(unit, reference)
            return meant[reference]

        made: list[Resource | None] = []
        for target in targets:
            resource = target.asked.resource
            if target.asked.patch is not None and target.was is not None:
                with placed(target.asked):
                    resource = self._patched(unit, target.asked.patch, target.was)
            if resource is not None and target.asked.place:
                resource = self.links.led(target, resource, known, find)
            made.append(None if target.idle or resource is None else {**_first(resource), **resource, "id": target.id})
        return made

    def _patched(self, unit: UnitOfWork, patch: Callable[[Resource], Resource], was: StoredVersion) -> Resource:
        after = patch(self._body(unit, was))
        if after.get("resourceType") != was.type or after.get("id") != was.id:
            raise refused("business-rule", "a patch must leave type and id as they are")
        issues = [issue for issue in check(after, kind=was.type) if issue.severity in ("error", "fatal")]
        if issues:
            raise InvalidResource(issues)
        return after

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
        known = addresses(targets) if bound else {}
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


def _new_keys(at: datetime, count: int) -> list[int]:
    """A microsecond for each, or the keys of a large transaction would meet by chance: few of their bits are random."""
    return [resource_key(at + timedelta(microseconds=place)) for place in range(count)]


def _moment(at: datetime, was: StoredVersion | None) -> datetime:
    """In milliseconds, as lastUpdated says it, and never before the version that it follows."""
    later = at if was is None else max(at, was.at)
    return later.replace(microsecond=later.microsecond // 1000 * 1000)


def _first(resource: Resource) -> Resource:
    """The order that other servers write: resourceType, id, meta."""
    return {"resourceType": resource["resourceType"], "id": "", "meta": resource.get("meta", {})}
