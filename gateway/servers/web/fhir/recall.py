"""recall: GET or POST [base]/$recall?model=..&version=.., the reports that a model version had a part in.

Reports by reference, patients by pseudonym, who has them, who signed; nothing is marked here: that is
`dxgate recall --mark`, on the machine and by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from gateway.domain.access import Client
from gateway.flow.recall import Affected, RecallModel
from gateway.formats.fhir.element import Resource
from gateway.servers.web.body import field
from gateway.servers.web.fhir.exchange import OF_THE_ANSWER, Answer, FhirRequest, actor_of
from gateway.servers.web.fhir.note_interaction import note_interaction
from gateway.servers.web.fhir.parameters import parameters_of
from gateway.servers.web.fhir.resource_body import parsed
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

MOST: Final = 1000
KNOWN: Final = {"model": ("valueString",), "version": ("valueString",)}


def recall(services: WebServices, client: Client, request: FhirRequest) -> Answer:
    """200 with one part for each report, at most `MOST`, and whether there are more. The look at it is audited."""
    model, version = _asked(request)
    step = RecallModel(services.database)
    packages = step.model(model, version)
    found = [each for package in packages for each in islice(step.affected(package.id), MOST + 1)]
    with services.database.begin(actor_of(client)) as unit:
        for package in packages:
            note_interaction(
                unit,
                client,
                "operation",
                "DiagnosticReport",
                package.id,
                patients=[each.patient for each in found[:MOST]],
                found=[each.report.id for each in found[:MOST]],
                count=len(found),
                operation="recall",
            )
        unit.commit()
    parts = [{"name": "report", "part": list(_parts(each))} for each in found[:MOST]]
    more = {"name": "more", "valueBoolean": len(found) > MOST}
    return Answer(200, {"resourceType": "Parameters", "parameter": [more, *parts]})


def _asked(request: FhirRequest) -> tuple[str, str]:
    """Name and version of the model, of the query or of the Parameters in the body."""
    if request.by_post or request.resource is not None:
        given = parameters_of(parsed(request), KNOWN)
    else:
        unknown = [name for name, _ in request.fields if name not in KNOWN and name not in OF_THE_ANSWER]
        if unknown:
            raise Refusal(400, "not-supported", f"the parameters are {', '.join(KNOWN)}")
        given = {name: field(request.fields, name) for name in KNOWN}
    model, version = given.get("model"), given.get("version")
    if not model or not version:
        raise Refusal(400, "required", "the parameters model and version name what is recalled")
    return model, version


def _parts(each: Affected) -> Iterator[Resource]:
    yield {"name": "reference", "valueReference": {"reference": f"DiagnosticReport/{each.report.id}"}}
    yield {"name": "patient", "valueReference": {"reference": f"Patient/{each.patient}"}}
    yield {"name": "status", "valueCode": each.report.status}
    yield {"name": "current", "valueBoolean": each.says_it_now}
    yield {"name": "signed", "valueBoolean": each.is_signed}
    for one in each.recipients:
        said = [{"name": "destination", "valueString": one.destination}, {"name": "state", "valueCode": one.state}]
        if one.acknowledgement:
            said.append({"name": "acknowledgement", "valueString": one.acknowledgement})
        yield {"name": "recipient", "part": said}
