"""Who may use the FHIR endpoint: bearer token or HTTP Basic, and a scope for the type and the interaction."""

from __future__ import annotations

from starlette.requests import Request

from gateway.domain.access import Client
from gateway.domain.errors import Forbidden, Invalid
from gateway.flow.grant_access import NotAuthenticated
from gateway.flow.scopes import Permission, permits
from gateway.servers.web.services import WebServices
from gateway.servers.web.token import address_of, basic_credentials

_LONGEST_HEADER = 4096


def authenticate(services: WebServices, request: Request) -> Client:
    """NotAuthenticated (401) where the header is missing, malformed or wrong. Blocks; run it in a thread."""
    header = request.headers.get("authorization", "")
    scheme, _, value = header.partition(" ")
    if len(header) > _LONGEST_HEADER:
        raise NotAuthenticated("the Authorization header is too long")
    if scheme.lower() == "bearer":
        return services.access.bearer(value.strip(), address_of(request))
    if scheme.lower() == "basic":
        try:
            name, secret = basic_credentials(header)
        except Invalid as error:
            raise NotAuthenticated(str(error)) from None
        return services.access.client(name, secret, address_of(request))
    raise NotAuthenticated("an access token is needed")


def authorize(client: Client, resource_type: str, permission: Permission) -> None:
    """Forbidden (403) where no scope of the client covers it."""
    if not permits(client.scopes, resource_type, permission):
        raise Forbidden(f"this needs the scope system/{resource_type}.{permission}")
