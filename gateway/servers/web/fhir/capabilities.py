"""capabilities: GET [base]/metadata (R4 3.1.0.9) and the SMART configuration (SMART App Launch 2.2, 3.2); both open."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from gateway.formats.fhir.capability import Capabilities, capability_statement
from gateway.formats.fhir.element import MEDIA_TYPE, Resource
from gateway.servers.web.fhir.address import STORED
from gateway.servers.web.fhir.exchange import XML_MEDIA_TYPE, Answer
from gateway.servers.web.fhir.interaction import OURS_ALONE, Interaction
from gateway.servers.web.services import WebServices

Routed = Mapping[str, Mapping[str, Interaction]]


def capabilities(services: WebServices, routed: Routed) -> Answer:
    """`routed` is the table of interactions: shape of an address and method to what runs."""
    return Answer(200, capability_statement(able(services, routed)))


def able(services: WebServices, routed: Routed) -> Capabilities:
    """What the table says that we can do, type by type."""
    of_types = [one for shape, methods in routed.items() if shape.startswith("[type]") for one in methods.values()]
    operations = {shape.rpartition("$")[2] for shape in routed if "$" in shape and shape.startswith("[type]")}
    codes = {one.name: one for one in of_types if one.name not in operations}
    reading = [name for name, one in codes.items() if one.asked is None]
    of_system = [one.name for shape in ("[base]", "_history") for one in routed.get(shape, {}).values()]
    return Capabilities(
        services.fhir_base,
        _software_version(),
        services.started,
        interactions={kind: sorted(reading if kind in OURS_ALONE else codes) for kind in STORED},
        system=sorted({*of_system, *(["batch"] if "transaction" in of_system else [])}),
        operations={kind: sorted(operations | _of_one_type(routed, kind)) for kind in STORED},
        formats=("json", MEDIA_TYPE, "xml", XML_MEDIA_TYPE),
        patch_formats=_PATCHES if "patch" in codes else (),
    )


def _of_one_type(routed: Routed, kind: str) -> set[str]:
    return {shape.rpartition("$")[2] for shape in routed if "$" in shape and shape.startswith(f"{kind}/")}


_PATCHES = ("application/json-patch+json", "application/fhir+json", "application/fhir+xml")


def smart_configuration(services: WebServices) -> Resource:
    """What a SMART backend service needs to find its token endpoint."""
    return {
        "token_endpoint": f"{services.settings.base_url}/auth/token",
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": ["system/*.cruds", *(f"system/{kind}.cruds" for kind in sorted(STORED))],
        "capabilities": ["client-confidential-symmetric", "permission-v1", "permission-v2"],
    }


def _software_version() -> str:
    try:
        return version("dxgate")
    except PackageNotFoundError:
        return "0"
