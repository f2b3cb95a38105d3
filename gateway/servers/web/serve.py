"""Runs the web server until it is told to stop."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import uvicorn

from gateway.config import WebSettings
from gateway.domain.errors import Fault, Invalid, Unavailable
from gateway.servers.tls_context import tls_context
from gateway.servers.web.app import create_app
from gateway.servers.web.http_connection import BoundedConnection
from gateway.servers.web.services import WebServices

log = logging.getLogger(__name__)
STOP_SECONDS = 10
KEEP_ALIVE_SECONDS = 30
MAX_CONNECTIONS = 1000
_LOOK_SECONDS = 0.02


def run(services: WebServices, stop: threading.Event, ready: Callable[[], None] = lambda: None) -> None:
    """Serves until `stop` is set; `ready` is called once the port is open. Running requests get 10 s to end."""
    server = uvicorn.Server(configuration(services))
    serving = threading.Thread(target=_serve, args=(server,), name="web", daemon=True)
    serving.start()
    while serving.is_alive() and not server.started:
        serving.join(_LOOK_SECONDS)
    if not server.started:
        raise Unavailable("the web port cannot be opened; is it in use?")
    log.info("web.listening host=%s port=%d", services.settings.web.host, port_of(server))
    ready()
    while serving.is_alive() and not stop.wait(0.2):
        pass
    if not stop.is_set():
        raise Fault("the web server has ended by itself")
    server.should_exit = True
    serving.join(STOP_SECONDS * 2)


def _serve(server: uvicorn.Server) -> None:
    with suppress(SystemExit):  # uvicorn's way to say that it cannot start; `run` says it in our words
        server.run()


def configuration(services: WebServices) -> uvicorn.Config:
    web = services.settings.web
    return uvicorn.Config(
        create_app(services),
        host=web.host,
        port=web.port,
        http=BoundedConnection,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        backlog=512,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        ssl_context_factory=(lambda config, default: _tls(web)) if web.tls_certificate else None,
    )


def _tls(web: WebSettings) -> ssl.SSLContext:
    """Asks for client certificates where an authority is named; does not insist by default: people have none."""
    authority = Path(web.tls_client_ca) if web.tls_client_ca else None
    revoked = Path(web.tls_client_crl) if web.tls_client_crl else None
    try:
        return tls_context(Path(web.tls_certificate), Path(web.tls_key), authority, web.tls_client_required, revoked)
    except (OSError, ssl.SSLError) as error:
        raise Invalid(f"the TLS files of the web port cannot be used: {type(error).__name__}") from None


def port_of(server: uvicorn.Server) -> int:
    """The port that was opened, where the settings asked for any."""
    return int(server.servers[0].sockets[0].getsockname()[1])
