"""No notification is lost: endpoint away, gateway killed, both at once; seen from outside, on both databases."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from harness.gateway_process import wait_for
from harness.ports import free_port
from harness.receiver import Receiver, receiving
from harness.two_roles import TwoRoles

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
SETTINGS = {
    "DXGATE_SUBSCRIPTIONS_PRIVATE_NETWORKS": '["127.0.0.0/8"]',
    "DXGATE_SUBSCRIPTIONS_RETRY_SECONDS": "0.05",
    "DXGATE_SUBSCRIPTIONS_TIMEOUT_SECONDS": "2",
}


BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.peer("postgresql"))]
KINDS = BOTH if "DXGATE_TEST_NOTIFICATIONS" in os.environ else BOTH[:1]  # `make lost-notifications` runs both


@pytest.mark.parametrize("kind", KINDS)
def test_an_outage_and_two_kills_lose_nothing(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Every write is told of exactly in order, numbers without gap, though endpoint and gateway were out meanwhile."""
    own = {} if kind == "sqlite" else {"DXGATE_DATABASE_URL": str(request.getfixturevalue("postgres_url"))}
    roles = TwoRoles(tmp_path / "home", SETTINGS | own)
    port = free_port()
    try:
        roles.prepare()
        roles.start()
        with receiving(Receiver(port)) as first:
            own_id = roles.create(_subscription(roles, port))["id"]
            wait_for(lambda: _status(roles, own_id) == "active", 30, "the handshake")
            made = [_report(roles)]
            wait_for(lambda: first.events("/hook") == [1], 30, "the first event")
        made += [_report(roles) for _ in range(3)]  # the endpoint is away
        roles.kill()
        roles.start()
        made += [_report(roles)]
        roles.kill()
        with receiving(Receiver(port)) as second:
            roles.start()
            wait_for(lambda: max(second.events("/hook"), default=0) == 5, 60, "all that waited")
            told = second.at("/hook")
        numbers = [number for one in told if one.kind == "event-notification" for number in one.numbers]
        assert sorted(set(numbers)) == [2, 3, 4, 5]
        assert numbers == sorted(numbers)
        foci = [one.resource["entry"][1]["fullUrl"].rpartition("/")[2] for one in told if one.numbers]
        assert list(dict.fromkeys(foci)) == made[1:]
        wait_for(lambda: _status(roles, own_id) == "active", 30, "the subscription to be active again")
    finally:
        roles.kill()


def _status(roles: TwoRoles, own_id: str) -> str:
    return str(roles.send("GET", f"Subscription/{own_id}").json()["status"])


def _report(roles: TwoRoles) -> str:
    made = {"resourceType": "DiagnosticReport", "status": "preliminary", "code": {"text": "x"}}
    return str(roles.create(made)["id"])


def _subscription(roles: TwoRoles, port: int) -> dict[str, Any]:
    content = [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": "full-resource"}]
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "test",
        "criteria": f"{roles.fhir_url}/SubscriptionTopic/report-changed",
        "channel": {
            "type": "rest-hook",
            "endpoint": f"http://127.0.0.1:{port}/hook",
            "payload": "application/fhir+json",
            "_payload": {"extension": content},
        },
    }
