"""A plan without what would be stored as it is stored already: a report that is filed again makes no new versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.flow.record.asked import Plan, Step
from gateway.formats.fhir.wire.json_form import encode_json


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
