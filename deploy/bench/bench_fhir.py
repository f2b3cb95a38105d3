"""Writing and reading over the FHIR endpoint: durable transactions, single creates and reads, on SQLite and PostgreSQL.

Starts one web process on a fresh database and drives it over loopback with a client of a few lines, so that the load
takes little of the machine. Besides what was reached, it says how much of one core the server used for it. PostgreSQL
is started with its defaults, which are durable; `--postgres URL` takes another. Prints Markdown rows for BENCHMARKS.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
from bench_fhir_floor import floor

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from harness.gateway_process import GatewayProcess, wait_for
from harness.ports import free_port

ENTRIES = 12  # of a transaction: a patient and eleven observations
PACED = 200  # reads a second at which the latency of an unsaturated server is told
MRN = "urn:oid:1.2.36.146.595.217.0.1"


class Connection:
    """One kept-alive HTTP/1.1 connection."""

    def __init__(self, base: str, token: str) -> None:
        self._address = urlsplit(base)
        self._head = f"Host: {self._address.netloc}\r\nAuthorization: Bearer {token}\r\nPrefer: return=minimal\r\n"

    async def open(self) -> Connection:
        host, port = str(self._address.hostname), int(self._address.port or 80)
        self._reader, self._writer = await asyncio.open_connection(host, port)
        return self

    async def send(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        kind = f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n" if body else ""
        self._writer.write(f"{method} {path} HTTP/1.1\r\n{self._head}{kind}\r\n".encode() + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = int(lengths[0].partition(b":")[2]) if lengths else 0
        return int(head[9:12]), await self._reader.readexactly(length)


@dataclass(frozen=True)
class Measured:
    """What one phase has reached; `cpu` is the server's time on a core."""

    requests: int
    seconds: float
    cpu: float
    latencies: list[float]

    def row(self, what: str, per_request: int = 1) -> str:
        ordered = sorted(self.latencies)
        p50, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99))
        done = self.requests * per_request
        cpu = 1000 * self.cpu / self.requests
        rates = f"{done / self.seconds:,.0f} | {done / self.cpu:,.0f} | {cpu:.2f}"
        return f"| {what} | {rates} | {p50:.1f} | {p99:.1f} |"


def transaction(number: int) -> bytes:
    """A new patient, made only if there is none, and observations of that patient."""
    who = f"urn:uuid:{uuid.UUID(int=number)}"
    person = {
        "resourceType": "Patient",
        "identifier": [{"system": MRN, "value": f"BENCH-{number}"}],
        "name": [{"family": f"Family{number}", "given": ["Ada", "Maria"]}],
        "gender": "female",
        "birthDate": "1974-12-25",
    }
    entries = [
        {
            "fullUrl": who,
            "resource": person,
            "request": {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier={MRN}|BENCH-{number}"},
        }
    ]
    for place in range(ENTRIES - 1):
        entries.append({"resource": observation(who, place), "request": {"method": "POST", "url": "Observation"}})
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()


def observation(subject: str, place: int) -> dict[str, object]:
    loinc = "http://loinc.org"
    category = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": category, "code": "laboratory"}]}],
        "code": {"coding": [{"system": loinc, "code": f"{2160 + place}-0", "display": "Creatinine"}]},
        "subject": {"reference": subject},
        "effectiveDateTime": "2026-11-23T08:00:00Z",
        "valueQuantity": {"value": 1.2, "unit": "mg/dL", "system": "http://unitsofmeasure.org", "code": "mg/dL"},
    }


@dataclass(frozen=True)
class Served:
    """The web process under load, and who may ask it."""

    base: str
    token: str
    process: psutil.Process

    def cpu(self) -> float:
        return float(sum(self.process.cpu_times()[:2]))


async def drive(
    served: Served, connections: int, seconds: float, one: Callable[[Connection], Awaitable[None]], rate: float = 0.0
) -> Measured:
    """Runs `one(connection)` on every connection, again and again; what failed ends the run.

    Without `rate` the next request follows the answer at once, so that the latency says how many connections wait for
    one core. With it all connections together ask so often, evenly, and the latency counts from when it was due.
    """
    latencies: list[float] = []
    opened = [await Connection(served.base, served.token).open() for _ in range(connections)]
    before, began = served.cpu(), time.perf_counter()

    async def run(place: int, connection: Connection) -> None:
        due = began + (place / rate if rate else 0.0)
        while due - began < seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await one(connection)
            latencies.append(time.perf_counter() - due)
            due = due + connections / rate if rate else time.perf_counter()

    await asyncio.gather(*(run(place, connection) for place, connection in enumerate(opened)))
    took = time.perf_counter() - began
    return Measured(len(latencies), took, served.cpu() - before, latencies)


async def measure(served: Served, seconds: float) -> None:
    numbers = iter(range(1, 10_000_000))
    paths: list[str] = []

    async def transact(connection: Connection) -> None:
        status, body = await connection.send("POST", "/fhir", transaction(next(numbers)))
        if status != 200:
            raise SystemExit(f"refused: {status} {body[:300]!r}")
        paths.extend(one["response"]["location"].partition("/fhir/")[2] for one in json.loads(body)["entry"])

    async def create(connection: Connection) -> None:
        body = json.dumps(observation(random.choice(paths).partition("/_history")[0], 1)).encode()  # noqa: S311
        status, said = await connection.send("POST", "/fhir/Observation", body)
        if status != 201:
            raise SystemExit(f"refused: {status} {said[:300]!r}")

    async def read(connection: Connection) -> None:
        path = random.choice(paths).partition("/_history")[0]  # noqa: S311
        status, _ = await connection.send("GET", f"/fhir/{path}")
        if status != 200:
            raise SystemExit(f"refused: {status}")

    for connections in (1, 8, 32):
        done = await drive(served, connections, seconds, transact)
        print(done.row(f"transaction of {ENTRIES}, {connections} connections, resources", ENTRIES), flush=True)
    paths[:] = paths[:20_000]
    for connections in (1, 32):
        done = await drive(served, connections, seconds, read)
        print(done.row(f"read, {connections} connections"), flush=True)
    done = await drive(served, 32, seconds, read, PACED)
    print(done.row(f"read, 32 connections, {PACED} a second"), flush=True)
    paths[:] = [path for path in paths if path.startswith("Patient/")]
    done = await drive(served, 32, seconds, create)
    print(done.row("create, 32 connections"), flush=True)


def run(folder: Path, database_url: str, seconds: float) -> None:
    settings = {
        "DXGATE_PRIVACY_OPENINGS_PER_HOUR": "100000000",
        "DXGATE_GATEWAY_LOG_LEVEL": "warning",
    } | ({"DXGATE_DATABASE_URL": database_url} if database_url else {})
    gateway = GatewayProcess(folder / "home", settings, web_port=free_port())
    gateway.command("init")
    told = json.loads(gateway.command("client", "add", "fhir", "bench", "--scope", "system/*.cruds", "--json"))
    server = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "serve", "web"], env=gateway.environment, cwd=Path(__file__).parents[2]
    )
    try:
        wait_for(lambda: _answers(gateway.base_url), 60, "the web server")
        form = {"grant_type": "client_credentials"}
        answer = httpx.post(f"{gateway.base_url}/auth/token", data=form, auth=("bench", told["secret"]))
        token = str(answer.json()["access_token"])
        asyncio.run(measure(Served(gateway.base_url, token, psutil.Process(server.pid)), seconds))
    finally:
        server.terminate()
        server.wait(30)


def floor_row(url: str, seconds: float) -> None:
    """The read at the same pace without the gateway; what it takes of the processor is not the server's."""
    latencies = sorted(floor(url, seconds, PACED))
    p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
    print(f"| the database alone, {PACED} reads a second | {PACED} | | | {p50:.1f} | {p99:.1f} |", flush=True)


def _answers(base: str) -> bool:
    try:
        return httpx.get(f"{base}/healthz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A throw-away cluster with the defaults of PostgreSQL; as root it runs as user postgres."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    programs = found[-1] if found else Path(str(shutil.which("initdb"))).parent
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    port, data = free_port(), folder / "data"
    data.mkdir(parents=True)
    if user:
        shutil.chown(data, "postgres")
        for above in (folder, *folder.parents[:1]):
            above.chmod(0o711)

    def call(program: str, *words: str) -> None:
        subprocess.run([*user, str(programs / program), *words], check=True, stdout=subprocess.DEVNULL, cwd=data)

    call("initdb", "-D", str(data), "-U", "dxgate", "-A", "trust", "-E", "UTF8", "--locale=C")
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories=''"
    call("pg_ctl", "-D", str(data), "-w", "-l", str(data / "log"), "-o", options, "start")
    try:
        yield f"postgresql://dxgate@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each phase")
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--postgres", default="", help="URL of an empty database instead of a server of our own")
    asked = parser.parse_args()
    print("| FHIR | per second | per second of server CPU | CPU ms per request | p50 ms | p99 ms |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="dxgate-bench-") as folder:
        if asked.database != "postgresql":
            print("| SQLite | | | | | |")
            run(Path(folder) / "sqlite", "", asked.seconds)
        if asked.database != "sqlite":
            print("| PostgreSQL | | | | | |")
            if asked.postgres:
                run(Path(folder) / "postgresql", asked.postgres, asked.seconds)
                floor_row(asked.postgres, asked.seconds)
            else:
                with postgresql(Path(folder) / "cluster") as url:
                    run(Path(folder) / "postgresql", url, asked.seconds)
                    floor_row(url, asked.seconds)


if __name__ == "__main__":
    main()
