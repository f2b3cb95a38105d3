"""Whose a subscription is: the client that wrote it last, kept in the resource, bounds what it is told.

The extension is written by the gateway over whatever was sent, so that nobody subscribes in another's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.flow.record.asked import Resource

OWNER: Final = "urn:dxgate:extension:subscriber"


def owned(resource: Resource, client: str) -> Resource:
    """A copy as `client` has it: requested anew, or off, whatever state was sent."""
    others = [one for one in resource.get("extension", []) if not isinstance(one, dict) or one.get("url") != OWNER]
    kept = {name: value for name, value in resource.items() if name != "error"}
    status = "off" if resource.get("status") == "off" else "requested"
    return {**kept, "status": status, "extension": [*others, {"url": OWNER, "valueString": client}]}


def owner_of(resource: Mapping[str, Any]) -> str:
    """The client's name; empty where there is none."""
    for one in resource.get("extension", []):
        if isinstance(one, dict) and one.get("url") == OWNER:
            return str(one.get("valueString", ""))
    return ""
