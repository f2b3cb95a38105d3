"""capabilities: GET [base]/metadata (R4 3.1.0.9) and the SMART configuration (SMART App Launch 2.2, 3.2); both open."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from gateway.flow.client_assertion import ALGORITHMS
from gateway.flow.id_token import ALGORITHMS as ID_TOKEN_ALGORITHMS
from gateway.flow.scopes import SIGN_IN
from gateway.formats.fhir.capability import Capabilities, capability_statement
from gateway.formats.fhir.element import MEDIA_TYPE, Resource
from gateway.formats.fhir.operation_definition import OWN_OPERATIONS, operation_definition
from gateway.formats.fhir.search.compartment import DEFINITION
from gateway.servers.web.fhir.address import STORED
from gateway.servers.web.fhir.exchange import XML_MEDIA_TYPE, Answer
from gateway.servers.web.fhir.interaction import OURS_ALONE, Interaction
from gateway.servers.web.fhir.interactions import INTERACTIONS
from gateway.servers.web.services import WebServices

Routed = Mapping[str, Mapping[str, Interaction]]


def capabilities(services: WebServices, routed: Routed) -> Answer:
    """`routed` is the table of interactions: shape of an address and method to what runs."""
    return Answer(200, capability_statement(able(services, routed)))


def is_definition(segments: list[str]) -> bool:
    """Whether the address is that of an operation which is ours alone."""
    return segments[:1] == ["OperationDefinition"] and len(segments) == 2 and segments[1] in OWN_OPERATIONS


def definition(services: WebServices, name: str) -> Answer:
    """The OperationDefinition at the address that the statement names."""
    return Answer(200, operation_definition(services.fhir_base, name))


def able(services: WebServices, routed: Routed) -> Capabilities:
    """What the table says that we can do, type by type."""
    of_types = [one for shape, methods in routed.items() if shape.startswith("[type]") for one in methods.values()]
    operations = {shape.rpartition("$")[2] for shape in routed if "$" in shape and shape.startswith("[type]")}
    codes = {one.name: one for one in of_types if one.name not in operations}
    of_system = [one.name for shape in ("[base]", "_history") for one in routed.get(shape, {}).values()]
    return Capabilities(
        services.fhir_base,
        _software_version(),
        services.started,
        interactions={kind: _OF_THE_TRAIL if kind in OURS_ALONE else sorted(codes) for kind in STORED},
        system=sorted({*of_system, *(["batch"] if "transaction" in of_system else [])}),
        operations={kind: sorted(operations | _of_one_type(routed, kind)) for kind in STORED}
        | {"": _of_the_system(routed)},
        compartments=(DEFINITION,) if "Patient/[id]/[type]" in routed else (),
        formats=("json", MEDIA_TYPE, "xml", XML_MEDIA_TYPE),
        patch_formats=_PATCHES if "patch" in codes else (),
    )


def _of_one_type(routed: Routed, kind: str) -> set[str]:
    return {shape.rpartition("$")[2] for shape in routed if "$" in shape and shape.startswith(f"{kind}/")}


def _of_the_system(routed: Routed) -> list[str]:
    return sorted(shape[1:] for shape in routed if shape.startswith("$") and "/" not in shape)


_OF_THE_TRAIL = ("read", "search-type")
_PATCHES = ("application/json-patch+json", "application/fhir+json", "application/fhir+xml")


def smart_configuration(services: WebServices) -> Resource:
    """Where a SMART client finds our addresses, and what it may use there (SMART App Launch 2.2, 5)."""
    settings = services.settings
    methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
    return {
        "issuer": settings.base_url,
        "authorization_endpoint": f"{settings.base_url}/console/authorize",
        "jwks_uri": f"{settings.base_url}/auth/jwks",
        "token_endpoint": f"{settings.base_url}/auth/token",
        "token_endpoint_auth_methods_supported": methods + (["tls_client_auth"] if settings.web.tls_client_ca else []),
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "introspection_endpoint": f"{settings.base_url}/auth/introspect",
        "revocation_endpoint": f"{settings.base_url}/auth/revoke",
        "tls_client_certificate_bound_access_tokens": bool(settings.web.tls_client_ca),
        "grant_types_supported": ["client_credentials", "authorization_code", "refresh_token"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": [*_scopes(), "patient/*.rs", *SIGN_IN],
        "capabilities": [
            "launch-ehr",
            "launch-standalone",
            "context-ehr-patient",
            "context-standalone-patient",
            "sso-openid-connect",
            "client-public",
            "client-confidential-symmetric",
            "client-confidential-asymmetric",
            "permission-offline",
            "permission-patient",
            "permission-user",
            "permission-v1",
            "permission-v2",
        ],
    }


def openid_configuration(services: WebServices) -> Resource:
    """The same for who asks as OpenID Connect Discovery 1.0, 4 has it."""
    smart = smart_configuration(services)
    shared = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "scopes_supported")
    also = ("response_types_supported", "grant_types_supported", "code_challenge_methods_supported")
    return {name: smart[name] for name in (*shared, *also)} | {
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(ID_TOKEN_ALGORITHMS),
        "claims_supported": ["iss", "sub", "aud", "iat", "exp", "nonce", "fhirUser"],
        "token_endpoint_auth_methods_supported": [*smart["token_endpoint_auth_methods_supported"], "none"],
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
