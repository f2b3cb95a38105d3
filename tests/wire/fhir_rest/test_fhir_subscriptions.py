"""Subscriptions over real sockets: R4 criteria and the topics of the backport guide, told to a real receiver."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness.gateway_process import wait_for
from harness.receiver import Receiver, receiving
from sqlalchemy import update
from wire.fhir_rest.hospital import SECRET
from wire.fhir_rest.writing import Writer, observation, patient, writer

from gateway import wiring
from gateway.flow.subscribe.notify import SendNotifications
from gateway.storage.access_tables import client

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"


@dataclass
class Ward:
    """A served hospital whose notifications are sent when the test says so."""

    ehr: Writer
    receiver: Receiver
    sender: SendNotifications

    def topic(self, name: str = "report-changed") -> str:
        return f"{self.ehr.hospital.services.fhir_base}/SubscriptionTopic/{name}"

    def backport(self, path: str, content: str = "id-only", *filters: str, **channel: Any) -> dict[str, Any]:
        asked = {
            "resourceType": "Subscription",
            "meta": {"profile": [f"{BACKPORT}/backport-subscription"]},
            "status": "requested",
            "reason": "test",
            "criteria": self.topic(),
            "channel": {
                "type": "rest-hook",
                "endpoint": f"{self.receiver.url}{path}",
                "payload": "application/fhir+json",
                "_payload": {"extension": [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": content}]},
                **channel,
            },
        }
        if filters:
            told = [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": one} for one in filters]
            asked["_criteria"] = {"extension": told}
        return asked

    def classic(self, path: str, criteria: str, **channel: Any) -> dict[str, Any]:
        endpoint = f"{self.receiver.url}{path}"
        told = {"type": "rest-hook", "endpoint": endpoint, **channel}
        kind = "Subscription"
        return {"resourceType": kind, "status": "requested", "reason": "test", "criteria": criteria, "channel": told}

    def subscribed(self, resource: dict[str, Any]) -> str:
        """Written and, once its endpoint has answered, active; its id."""
        own_id = str(self.ehr.create(resource)["id"])
        self.pump()
        assert self.state(own_id)["status"] == "active", self.state(own_id)
        return own_id

    def state(self, own_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ehr.send("GET", f"Subscription/{own_id}").json()
        return found

    def pump(self) -> None:
        """Sends all that is due, once."""
        self.sender()
        wait_for(lambda: not self.sender._busy, 60, "the senders to end", 0.005)

    def report(self, subject: str, status: str = "preliminary", own_id: str = "") -> dict[str, Any]:
        made = {
            "resourceType": "DiagnosticReport",
            "status": status,
            "code": {"text": "x"},
            "subject": {"reference": subject},
        }
        if own_id:
            return self.ehr.send("PUT", f"DiagnosticReport/{own_id}", made | {"id": own_id}).json()  # type: ignore[no-any-return]
        return self.ehr.create(made)


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Ward]:
    home = tmp_path_factory.mktemp("subscriptions") / "home"
    allowed = {"private_networks": ["127.0.0.0/8"], "retry_seconds": 0.001, "timeout_seconds": 2}
    with (
        receiving(Receiver()) as receiver,
        writer(home, sqlite_template, subscriptions=allowed) as ehr,
    ):
        hospital = ehr.hospital
        yield Ward(ehr, receiver, wiring.send_notifications(hospital.settings, hospital.database))


def test_criteria_without_payload_is_an_empty_post(ward: Ward) -> None:
    """R4: requested becomes active once the endpoint answers; each match is an empty POST with the given headers."""
    asked = ward.classic("/ping", "Observation?code=http://loinc.org|2160-0", header=["Authorization: Bearer s3cret"])
    ward.subscribed(asked)
    subject = f"Patient/{ward.ehr.create(patient('ping'))['id']}"
    ward.ehr.create(observation(subject))
    ward.ehr.create(observation(subject, code={"coding": [{"system": "http://loinc.org", "code": "1-1"}]}))
    ward.pump()
    (_, told) = ward.receiver.at("/ping")
    assert (told.method, told.body, told.headers["Authorization"]) == ("POST", b"", "Bearer s3cret")


def test_criteria_with_payload_is_a_put_of_the_resource(ward: Ward) -> None:
    """R4: with a payload the endpoint gets the resource as it was written, under its type and id."""
    ward.subscribed(ward.classic("/fhir", "Observation?status=final", payload="application/fhir+json"))
    subject = f"Patient/{ward.ehr.create(patient('put'))['id']}"
    made = ward.ehr.create(observation(subject))
    ward.pump()
    (told,) = ward.receiver.at(f"/fhir/Observation/{made['id']}")
    assert (told.method, told.resource) == ("PUT", made)


def test_topic_tells_by_bundles_with_numbers_without_gap(ward: Ward) -> None:
    """Backport: handshake, then one notification for each event, numbered from 1 on, with the focus but no body."""
    own_id = ward.subscribed(ward.backport("/topic"))
    subject = f"Patient/{ward.ehr.create(patient('topic'))['id']}"
    made = ward.report(subject)
    ward.report(subject, "final", made["id"])
    ward.ehr.send("DELETE", f"DiagnosticReport/{made['id']}")
    ward.pump()
    told = ward.receiver.at("/topic")
    assert [one.kind for one in told] == ["handshake"] + ["event-notification"] * 3
    assert [one.numbers for one in told[1:]] == [[1], [2], [3]]
    entries = [one.resource["entry"][1] for one in told[1:]]
    assert [one["request"]["method"] for one in entries] == ["POST", "PUT", "DELETE"]
    assert all("resource" not in one and one["fullUrl"].endswith(made["id"]) for one in entries)
    assert told[1].parameter("subscription") == {
        "reference": f"{ward.ehr.hospital.services.fhir_base}/Subscription/{own_id}"
    }
    assert told[1].parameter("topic") == ward.topic()


@pytest.mark.parametrize(("content", "entries", "focus"), [("empty", 1, False), ("full-resource", 2, True)])
def test_content_decides_how_much_is_told(ward: Ward, content: str, entries: int, focus: bool) -> None:
    """Backport: `empty` names nothing, `full-resource` carries the version that was written; the trail tells of it."""
    ward.subscribed(ward.backport(f"/{content}", content))
    subject = f"Patient/{ward.ehr.create(patient(content))['id']}"
    made = ward.report(subject)
    ward.pump()
    told = ward.receiver.at(f"/{content}")[-1].resource
    assert len(told["entry"]) == entries
    assert (made["id"] in str(told)) is focus
    if focus:
        assert told["entry"][1]["resource"] == made
    opened = [one for one in ward.ehr.hospital.events("identity:open") if one.actor.startswith("subscription:")]
    assert bool([one for one in opened if one.details["types"] == ["DiagnosticReport"]]) is focus


def test_filters_choose_among_a_topics_events(ward: Ward) -> None:
    """Backport: only reports of the patient that the filter names are told of."""
    mine, other = (f"Patient/{ward.ehr.create(patient(one))['id']}" for one in ("filter-1", "filter-2"))
    ward.subscribed(ward.backport("/filter", "id-only", f"DiagnosticReport?subject={mine}"))
    wanted = ward.report(mine)
    ward.report(other)
    ward.pump()
    foci = [one.resource["entry"][1]["fullUrl"] for one in ward.receiver.at("/filter")[1:]]
    assert [one.rpartition("/")[2] for one in foci] == [wanted["id"]]


def test_a_topic_of_a_change_tells_of_the_change_alone(ward: Ward) -> None:
    """encounter-complete: of no admission and no later version, but of the discharge and of what comes finished."""
    asked = ward.backport("/complete") | {"criteria": ward.topic("encounter-complete")}
    ward.subscribed(asked)
    visit = {"resourceType": "Encounter", "status": "in-progress", "class": {"code": "IMP"}}
    subject = {"reference": f"Patient/{ward.ehr.create(patient('complete'))['id']}"}
    made = ward.ehr.create(visit | {"subject": subject})
    for changes in ({"status": "in-progress"}, {"status": "finished"}, {"status": "finished", "language": "sv"}):
        changed = made | changes
        assert ward.ehr.send("PUT", f"Encounter/{made['id']}", changed).status_code == 200
    past = ward.ehr.create(visit | {"subject": subject, "status": "finished"})
    ward.ehr.send("DELETE", f"Encounter/{past['id']}")
    ward.pump()
    told = [one.resource["entry"][1] for one in ward.receiver.at("/complete")[1:]]
    assert [(one["fullUrl"].rpartition("/")[2], one["request"]["method"]) for one in told] == [
        (made["id"], "PUT"),
        (past["id"], "POST"),
    ]


def test_nothing_is_lost_while_an_endpoint_is_out(ward: Ward) -> None:
    """Events wait in order; after three failures the resource says error and why; later all comes and it is active."""
    own_id = ward.subscribed(ward.backport("/outage"))
    ward.receiver.statuses["/outage"] = 503
    subject = f"Patient/{ward.ehr.create(patient('outage'))['id']}"
    for _ in range(3):
        ward.report(subject)

    def failed() -> bool:
        ward.pump()
        return bool(ward.state(own_id)["status"] == "error")

    wait_for(failed, 60, "the status error", 0.01)
    assert "503" in ward.state(own_id)["error"]
    ward.report(subject)
    del ward.receiver.statuses["/outage"]

    def recovered() -> bool:
        ward.pump()
        return len(ward.receiver.events("/outage")) == 4

    wait_for(recovered, 60, "the events that waited", 0.01)
    assert ward.receiver.events("/outage") == [1, 2, 3, 4]
    assert ward.state(own_id)["status"] == "active"
    assert "error" not in ward.state(own_id)


def test_a_hanging_endpoint_delays_no_other(ward: Ward) -> None:
    """While one endpoint does not answer, another is told."""
    hanging = ward.ehr.create(ward.backport("/held"))["id"]
    ward.sender()
    wait_for(lambda: ward.sender._busy, 5, "the handshake to hang", 0.005)
    subscription = ward.ehr.create(ward.backport("/quick"))["id"]
    ward.sender()
    wait_for(lambda: ward.receiver.at("/quick"), 5, "the other's handshake", 0.005)
    assert ward.state(subscription)["status"] in ("requested", "active")
    assert ward.state(hanging)["status"] == "requested"
    ward.receiver.gate.set()
    wait_for(lambda: not ward.sender._busy, 60, "the senders to end", 0.005)


def test_a_dripping_endpoint_is_given_up(ward: Ward) -> None:
    """An answer that never ends, a piece of it at every moment, holds its thread for the time limit alone."""
    ward.receiver.gate.clear()
    patience = [{"url": f"{BACKPORT}/backport-timeout", "valueUnsignedInt": 1}]
    own_id = ward.ehr.create(ward.backport("/dripping", extension=patience))["id"]
    try:
        ward.sender()
        wait_for(lambda: not ward.sender._busy, 30, "the dripping endpoint to be given up", 0.05)
        assert ward.state(own_id)["status"] == "requested"
        assert ward.receiver.drops > 5
    finally:
        ward.receiver.gate.set()
    ward.pump()
    assert ward.state(own_id)["status"] == "active"


def test_status_and_events_can_be_asked_for(ward: Ward) -> None:
    """$status counts the events; $events repeats those from a number on, with no more than the subscription gets."""
    own_id = ward.subscribed(ward.backport("/ask"))
    subject = f"Patient/{ward.ehr.create(patient('ask'))['id']}"
    for _ in range(3):
        ward.report(subject)
    ward.pump()
    status = ward.ehr.send("GET", f"Subscription/{own_id}/$status").json()
    said = {one["name"]: one for one in status["entry"][0]["resource"]["parameter"]}
    assert (said["type"]["valueCode"], said["status"]["valueCode"]) == ("query-status", "active")
    assert said["events-since-subscription-start"]["valueString"] == "3"
    path = f"Subscription/{own_id}/$events?eventsSinceNumber=2&eventsUntilNumber=3&content=full-resource"
    events = ward.ehr.send("GET", path).json()
    parts = [one for one in events["entry"][0]["resource"]["parameter"] if one["name"] == "notification-event"]
    assert [one["part"][0]["valueString"] for one in parts] == ["2", "3"]
    assert not any("resource" in one for one in events["entry"][1:])
    assert ward.ehr.send("GET", f"Subscription/{own_id}/$events?eventsSinceNumber=x").status_code == 400


def test_the_clients_scopes_bound_what_it_is_told(ward: Ward) -> None:
    """Who may not read a type cannot subscribe to it, and hears nothing any more once it may not."""
    hospital = ward.ehr.hospital
    hospital.add_client("narrow", "system/Subscription.cruds", "system/DiagnosticReport.r")
    form = {"grant_type": "client_credentials"}
    token = httpx.post(f"{str(ward.ehr.http.base_url).rstrip('/')}/auth/token", data=form, auth=("narrow", SECRET))
    headers = {"Authorization": f"Bearer {token.json()['access_token']}"}
    refused = ward.ehr.send("POST", "Subscription", ward.classic("/narrow", "Observation?status=final"), **headers)
    assert refused.status_code == 403
    made = ward.ehr.send("POST", "Subscription", ward.backport("/narrow"), **headers)
    assert made.status_code == 201
    ward.pump()
    with hospital.database.begin("test") as unit:
        unit.access.disable_client("fhir", "narrow")
        unit.commit()
    ward.report(f"Patient/{ward.ehr.create(patient('narrow'))['id']}")

    def failed() -> bool:
        ward.pump()
        return bool(ward.state(made.json()["id"])["status"] == "error")

    wait_for(failed, 60, "the status error", 0.01)
    assert ward.receiver.events("/narrow") == []


def test_what_an_app_may_do_for_a_person_is_not_told_to_it(ward: Ward) -> None:
    """A notification has no person behind it: a scope user/ or patient/ of the client lets nothing out."""
    hospital = ward.ehr.hospital
    hospital.add_client("app-of-persons", "system/Subscription.cruds", "system/DiagnosticReport.r")
    form = {"grant_type": "client_credentials"}
    base = str(ward.ehr.http.base_url).rstrip("/")
    token = httpx.post(f"{base}/auth/token", data=form, auth=("app-of-persons", SECRET)).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    made = ward.ehr.send("POST", "Subscription", ward.backport("/of-persons"), **headers).json()
    ward.pump()
    assert ward.state(made["id"])["status"] == "active"
    scopes = ("system/Subscription.cruds", "user/DiagnosticReport.r", "patient/DiagnosticReport.r")
    with hospital.database.outside_transactions() as connection:
        connection.execute(update(client).where(client.c.name == "app-of-persons").values(scopes=scopes))
    ward.report(f"Patient/{ward.ehr.create(patient('of-persons'))['id']}")

    def failed() -> bool:
        ward.pump()
        return bool(ward.state(made["id"])["status"] == "error")

    wait_for(failed, 60, "the status error", 0.01)
    assert ward.receiver.events("/of-persons") == []


def test_heartbeat_end_and_off(ward: Ward) -> None:
    """A heartbeat comes when there was nothing to tell; at its end, or when a client says so, it is off and silent."""
    beat = [{"url": f"{BACKPORT}/backport-heartbeat-period", "valueUnsignedInt": 1}]
    own_id = ward.subscribed(ward.backport("/beat", "empty", extension=beat))

    def beaten() -> bool:
        ward.pump()
        return "heartbeat" in [one.kind for one in ward.receiver.at("/beat")]

    wait_for(beaten, 60, "a heartbeat", 0.05)
    ended = ward.ehr.create(ward.backport("/end") | {"end": _soon()})["id"]

    def off() -> bool:
        ward.pump()
        return bool(ward.state(ended)["status"] == "off")

    wait_for(off, 60, "the end", 0.05)
    current = ward.state(own_id)
    assert ward.ehr.send("PUT", f"Subscription/{own_id}", current | {"status": "off"}).json()["status"] == "off"
    ward.report(f"Patient/{ward.ehr.create(patient('off'))['id']}")
    ward.pump()
    assert ward.receiver.events("/beat") == []
    assert ward.receiver.events("/end") == []


def _soon() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1.5))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"criteria": "Observation?nonsense=1"}, "Subscription.criteria"),
        ({"criteria": "Observation?subject.name=x"}, "Subscription.criteria"),
        ({"criteria": "Nothing?status=final"}, "Subscription.criteria"),
        ({"criteria": "https://elsewhere.example/SubscriptionTopic/report-changed"}, "Subscription.criteria"),
        ({"criteria": "Observation?_include=Observation:subject"}, "Subscription.criteria"),
        ({"channel": {"type": "email", "endpoint": "mailto:a@b"}}, "Subscription.channel.type"),
        ({"channel": {"type": "rest-hook"}}, "Subscription.channel.endpoint"),
        ({"channel": {"type": "rest-hook", "endpoint": "http://elsewhere.example/"}}, "Subscription.channel.endpoint"),
        ({"channel": {"type": "rest-hook", "endpoint": "https://10.1.2.3/"}}, "Subscription.channel.endpoint"),
        ({"channel": {"type": "rest-hook", "endpoint": "https://[::ffff:10.1.2.3]/"}}, "Subscription.channel.endpoint"),
        ({"channel": {"type": "rest-hook", "endpoint": "https://u:p@a.example/"}}, "Subscription.channel.endpoint"),
    ],
)
def test_what_could_not_be_carried_out_is_refused(ward: Ward, changes: dict[str, Any], place: str) -> None:
    """A wrong criterion, channel or address is a 422 that names the element."""
    answer = ward.ehr.send("POST", "Subscription", ward.classic("/x", "Observation?status=final") | changes)
    assert answer.status_code == 422, answer.text
    assert answer.json()["issue"][0]["expression"] == [place]


def test_headers_cannot_be_smuggled(ward: Ward) -> None:
    """A header with a line break or one of the protocol's own is refused, in a Bundle with its place."""
    for header in ("X: a\r\nY: b", "Host: elsewhere", "no colon"):
        asked = ward.classic("/x", "Observation?status=final", header=[header])
        answer = ward.ehr.send("POST", "Subscription", asked)
        assert answer.status_code == 422, header
    asked = ward.classic("/x", "Observation?status=final", header=["Host: elsewhere"])
    answer = ward.ehr.transact({"resource": asked, "request": {"method": "POST", "url": "Subscription"}})
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[0].resource.channel.header"]


def test_a_redirect_is_not_followed(ward: Ward) -> None:
    """What the endpoint answers leads nowhere else."""
    ward.receiver.statuses["/redirect"] = 307
    ward.receiver.headers["Location"] = f"{ward.receiver.url}/stolen"
    own_id = ward.ehr.create(ward.backport("/redirect"))["id"]

    def failed() -> bool:
        ward.pump()
        return bool(ward.state(own_id)["status"] == "error")

    wait_for(failed, 60, "the status error", 0.01)
    ward.receiver.headers.clear()
    assert ward.receiver.at("/stolen") == []


def test_no_address_or_header_is_in_the_database_in_clear(ward: Ward) -> None:
    """Endpoint and headers lie sealed in the resource and nowhere else."""
    ward.subscribed(ward.backport("/clear-endpoint", header=["X-Key: clear-secret"]))
    files = ward.ehr.hospital.settings.home.glob("dxgate.sqlite*")
    content = b"".join(path.read_bytes() for path in files)
    assert b"clear-secret" not in content
    assert b"clear-endpoint" not in content
