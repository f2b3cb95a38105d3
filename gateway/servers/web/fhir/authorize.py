"""Who may use the FHIR endpoint: bearer token or HTTP Basic, a scope for type and interaction, and so many requests."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request

from gateway.domain.access import Caller, Client
from gateway.domain.errors import Forbidden, Invalid
from gateway.flow.grant_access import NotAuthenticated
from gateway.flow.scopes import Permission, permits
from gateway.servers.web.client_credentials import address_of, basic_credentials, certificate_of
from gateway.servers.web.fhir.confine import record_of
from gateway.servers.web.request_log import request_number
from gateway.servers.web.services import WebServices

_LONGEST_HEADER = 4096


def authenticate(services: WebServices, request: Request) -> Caller:
    """NotAuthenticated (401) where the header is missing, malformed or wrong. Blocks; run it in a thread."""
    found = _holder(services, request)
    services.client_rate.take(found.id)
    return replace(found, request=request_number(request))


def remembered(services: WebServices, request: Request) -> Caller | None:
    """The same for a bearer token that was looked up a moment ago; None where asking takes a thread."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    shown = value.strip(), address_of(request), certificate_of(request)
    found = services.access.remembered(*shown, request_number(request))
    if found is not None:
        services.client_rate.take(found.id)
    return found


def _holder(services: WebServices, request: Request) -> Caller:
    header = request.headers.get("authorization", "")
    scheme, _, value = header.partition(" ")
    if len(header) > _LONGEST_HEADER:
        raise NotAuthenticated("the Authorization header is too long")
    if scheme.lower() == "bearer":
        return services.access.bearer(value.strip(), address_of(request), certificate_of(request))
    if scheme.lower() == "basic":
        try:
            name, secret = basic_credentials(header)
        except Invalid as error:
            raise NotAuthenticated(str(error)) from None
        return services.access.basic(name, secret, address_of(request))
    raise NotAuthenticated("an access token is needed")


def authorize(client: Client, resource_type: str, permission: Permission) -> None:
    """Forbidden (403) where no scope of the client covers it."""
    if not permits(client.scopes, resource_type, permission):
        context = "user" if isinstance(client, Caller) and client.person else "system"
        context = context if record_of(client) is None else "patient"
        raise Forbidden(f"this needs the scope {context}/{resource_type}.{permission}")
