"""capabilities: GET [base]/metadata (R4 3.1.0.9) and the SMART configuration (SMART App Launch 2.2, 3.2); both open."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from gateway.flow.client_assertion import ALGORITHMS
from gateway.formats.fhir.capability import capability_statement
from gateway.formats.fhir.element import Resource
from gateway.servers.web.fhir.exchange import Answer
from gateway.servers.web.fhir.interactions import INTERACTIONS
from gateway.servers.web.services import WebServices


def capabilities(services: WebServices) -> Answer:
    return Answer(200, capability_statement(services.fhir_base, _software_version(), services.started))


def smart_configuration(services: WebServices) -> Resource:
    """Where a SMART client finds our addresses, and what it may use there (SMART App Launch 2.2, 5)."""
    settings = services.settings
    methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
    return {
        "issuer": settings.base_url,
        "authorization_endpoint": f"{settings.base_url}/console/authorize",
        "token_endpoint": f"{settings.base_url}/auth/token",
        "token_endpoint_auth_methods_supported": methods + (["tls_client_auth"] if settings.web.tls_client_ca else []),
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "introspection_endpoint": f"{settings.base_url}/auth/introspect",
        "revocation_endpoint": f"{settings.base_url}/auth/revoke",
        "tls_client_certificate_bound_access_tokens": bool(settings.web.tls_client_ca),
        "grant_types_supported": ["client_credentials", "authorization_code", "refresh_token"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": [*_scopes(), "offline_access"],
        "capabilities": [
            "launch-standalone",
            "client-public",
            "client-confidential-symmetric",
            "client-confidential-asymmetric",
            "permission-offline",
            "permission-user",
            "permission-v1",
            "permission-v2",
        ],
    }


def _scopes() -> list[str]:
    """In each context what can be done with everything, and with the audit trail, which `*` leaves out."""
    served = {each.permission for methods in INTERACTIONS.values() for each in methods.values()}
    everything = "".join(letter for letter in "cruds" if letter in served)
    return [f"{context}/{kind}" for context in ("system", "user") for kind in (f"*.{everything}", "AuditEvent.rs")]


def _software_version() -> str:
    try:
        return version("dxgate")
    except PackageNotFoundError:
        return "0"
