"""Writers of the FHIR store who meet: one wins, none makes a second resource, none leaves a half (R4 3.1.0)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from harness.keyed_gateway import KeyedGateway
from wire.fhir_rest.hospital import web_services
from wire.fhir_rest.writing import MRN, observation, patient

from gateway import wiring
from gateway.domain.access import Client
from gateway.domain.errors import GatewayError, Unmet
from gateway.domain.ids import ClientId
from gateway.flow.record.asked import Asked, Resource, Written
from gateway.servers.web.fhir.exchange import Answer
from gateway.servers.web.fhir.pending import settled, writing
from gateway.servers.web.services import WebServices

WRITERS = 6
EHR = Client(ClientId("c"), "fhir", "ehr", None, ("system/*.cruds",), (), True, datetime.now(UTC))


@dataclass
class Processes:
    """Two web processes on one database."""

    gateway: KeyedGateway
    services: list[WebServices]

    def write(self, number: int, *asked: Asked) -> list[Written]:
        """Through the process of that number, waited for."""
        services = self.services[number % len(self.services)]
        found: list[Written] = []

        def keep(written: list[Written]) -> Answer:
            found.extend(written)
            return Answer(200, None)

        settled(services, writing(services, EHR, asked, keep))
        return found

    def at_once(self, write: Callable[[int], list[Written]]) -> list[list[Written] | GatewayError]:
        """What each of many writers got, all let go at the same moment."""
        together = threading.Barrier(WRITERS)

        def run(number: int) -> list[Written] | GatewayError:
            together.wait()
            try:
                return write(number)
            except GatewayError as error:
                return error

        with ThreadPoolExecutor(WRITERS) as threads:
            return list(threads.map(run, range(WRITERS), timeout=60))

    def count(self, kind: str) -> int:
        with self.gateway.database.read() as unit:
            return len({one.id for one in unit.resources.history(kind=kind, limit=100)})


@pytest.fixture
def processes(database_url: str, tmp_path: Path) -> Iterator[Processes]:
    gateway = KeyedGateway(tmp_path / "home", database_url)
    databases = [wiring.database(gateway.settings) for _ in range(2)]
    services = [web_services(gateway.settings, database) for database in databases]
    yield Processes(gateway, services)
    for one, database in zip(services, databases, strict=True):
        one.commits.stop()  # type: ignore[attr-defined]
        database.close()
    gateway.close()


def put(own_id: str, resource: Resource, if_match: frozenset[str] | None = None) -> Asked:
    return Asked("PUT", resource["resourceType"], own_id, resource=resource | {"id": own_id}, if_match=if_match)


def versions_in(found: Sequence[list[Written] | GatewayError]) -> list[int]:
    """The versions that were written, in order."""
    told = [written for each in found if isinstance(each, list) for written in each]
    return sorted(written.stored.version for written in told if written.stored)


def test_concurrent_conditional_creates_make_one(processes: Processes) -> None:
    """Of many who create what there is none of, one does, and all hear of the same resource."""
    condition = (("identifier", f"{MRN}|race"),)
    found = processes.at_once(
        lambda number: processes.write(number, Asked("POST", "Patient", criteria=condition, resource=patient("race")))
    )
    told = [written for each in found if isinstance(each, list) for written in each]
    assert len(told) == WRITERS, found
    assert sorted(written.did for written in told) == ["created"] + ["nothing"] * (WRITERS - 1)
    assert len({written.stored.id for written in told if written.stored}) == 1
    assert processes.count("Patient") == 1


def test_concurrent_conditional_updates_make_one(processes: Processes) -> None:
    """PUT by search: one creates, the others make versions of that one."""
    condition = (("identifier", f"{MRN}|race"),)
    found = processes.at_once(
        lambda number: processes.write(number, Asked("PUT", "Patient", criteria=condition, resource=patient("race")))
    )
    versions = [
        written.stored.version for each in found if isinstance(each, list) for written in each if written.stored
    ]
    assert sorted(versions) == list(range(1, WRITERS + 1)), found
    assert processes.count("Patient") == 1


def test_one_of_many_with_the_same_version_wins(processes: Processes) -> None:
    """If-Match: one writer's version follows, the others are told that theirs is not the current one."""
    processes.write(0, put("one", patient("if-match")))
    found = processes.at_once(
        lambda number: processes.write(number, put("one", patient("if-match"), if_match=frozenset({"1"})))
    )
    assert sum(isinstance(each, list) for each in found) == 1, found
    assert sum(isinstance(each, Unmet) for each in found) == WRITERS - 1


def test_writers_without_a_condition_all_get_through(processes: Processes) -> None:
    """Updates of one resource, also as its creation, come one after the other, and none is lost or an error."""
    found = processes.at_once(lambda number: processes.write(number, put("all", patient("all"))))
    versions = [
        written.stored.version for each in found if isinstance(each, list) for written in each if written.stored
    ]
    assert sorted(versions) == list(range(1, WRITERS + 1)), found


def test_transactions_in_opposite_orders_all_commit(processes: Processes) -> None:
    """Bundles that touch the same resources in opposite orders lock nobody out (HAPI #1819)."""
    names = [f"n{number}" for number in range(8)]
    for name in names:
        processes.write(0, put(name, patient(name)))

    def write(number: int) -> list[Written]:
        ordered: Sequence[str] = names if number % 2 else names[::-1]
        return processes.write(number, *(put(name, patient(name)) for name in ordered))

    found = processes.at_once(write)
    assert all(isinstance(each, list) and len(each) == len(names) for each in found), found


def test_a_write_that_fails_leaves_nothing_and_harms_nobody(processes: Processes) -> None:
    """A transaction whose last entry breaks stores none of its entries, while others commit beside it."""

    def write(number: int) -> list[Written]:
        good = put(f"good-{number}", patient(f"good-{number}"))
        bad = Asked("POST", "Observation", resource=observation("Patient/nowhere"), place="Bundle.entry[1]")
        return processes.write(number, good, *([bad] if number % 2 else []))

    found = processes.at_once(write)
    assert [isinstance(each, list) for each in found] == [number % 2 == 0 for number in range(WRITERS)]
    assert processes.count("Patient") == WRITERS // 2
