"""capabilities: GET [base]/metadata (R4 3.1.0.9) and the SMART configuration (SMART App Launch 2.2, 3.2); both open."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from gateway.formats.fhir.capability import SERVED, capability_statement
from gateway.formats.fhir.element import Resource
from gateway.servers.web.fhir.exchange import Answer
from gateway.servers.web.services import WebServices


def capabilities(services: WebServices) -> Answer:
    return Answer(200, capability_statement(services.fhir_base, _software_version(), services.started))


def smart_configuration(services: WebServices) -> Resource:
    """What a SMART backend service needs to find its token endpoint."""
    return {
        "token_endpoint": f"{services.settings.base_url}/auth/token",
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": ["system/*.rs", *(f"system/{served.type}.rs" for served in SERVED)],
        "capabilities": ["client-confidential-symmetric", "permission-v1", "permission-v2"],
    }


def _software_version() -> str:
    try:
        return version("dxgate")
    except PackageNotFoundError:
        return "0"
