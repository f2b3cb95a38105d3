"""What a read would take if there were nothing but the database: the same round trips, by psycopg alone.

A read of the FHIR endpoint is three trips to PostgreSQL: BEGIN and the resource; the lock and the newest row of the
audit trail; the trail's next row and COMMIT, which waits for the disk. No HTTP, no token, no decryption, no batches:
what this loop needs at the same pace, on the same cluster and in the same run, no gateway on this machine can beat.
"""

from __future__ import annotations

import time

import psycopg

_ROWS = 1000
_BODY = 900  # bytes of a sealed observation
_LOCK = 7


def floor(url: str, seconds: float, rate: float) -> list[float]:
    """Seconds from when each read was due until it was durable, `rate` of them a second."""
    latencies: list[float] = []
    with psycopg.connect(url) as connection:
        _prepare(connection)
        began = time.perf_counter()
        for number in range(int(seconds * rate)):
            due = began + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            _read(connection, number)
            latencies.append(time.perf_counter() - due)
        _forget(connection)
    return latencies


def _prepare(connection: psycopg.Connection) -> None:
    connection.execute("CREATE TABLE floor_resource (id bigint PRIMARY KEY, body bytea NOT NULL)")
    connection.execute(
        "INSERT INTO floor_resource SELECT number, %s FROM generate_series(0, %s) AS number", (bytes(_BODY), _ROWS - 1)
    )
    connection.execute("CREATE TABLE floor_trail (seq bigint PRIMARY KEY, words text NOT NULL)")
    connection.execute("INSERT INTO floor_trail VALUES (-1, '')")
    connection.commit()


def _read(connection: psycopg.Connection, number: int) -> None:
    with connection.pipeline():
        connection.execute("SELECT body FROM floor_resource WHERE id = %s", (number % _ROWS,), prepare=True).fetchone()
    with connection.pipeline():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,), prepare=True)
        newest = connection.execute("SELECT seq FROM floor_trail ORDER BY seq DESC LIMIT 1", prepare=True).fetchone()
    with connection.pipeline():
        row = (int(newest[0]) + 1 if newest else 0, "x" * 300)
        connection.execute("INSERT INTO floor_trail VALUES (%s, %s)", row, prepare=True)
        connection.commit()


def _forget(connection: psycopg.Connection) -> None:
    connection.execute("DROP TABLE floor_resource, floor_trail")
    connection.commit()
