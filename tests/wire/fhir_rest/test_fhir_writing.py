"""create, update, delete, history and conditions over a real socket (FHIR R4 3.1.0)."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from wire.fhir_rest.writing import MRN, Writer, entry, observation, patient, writer

from gateway.flow.record import search
from gateway.servers.web.fhir import everything, history

UUID = "urn:uuid:0b9c8b1e-4a3b-4c5d-8e6f-00112233445"


@pytest.fixture(scope="module")
def ehr(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Writer]:
    with writer(tmp_path_factory.mktemp("writing") / "home", sqlite_template) as found:
        yield found


def test_what_is_created_is_read_digit_for_digit(ehr: Writer) -> None:
    """A created resource comes back with its id, version and time, and every decimal as it was sent."""
    body = b'{"resourceType":"Patient","identifier":[{"system":"urn:x","value":"digits"}],"extension":[{"url":"urn:e",\
"valueDecimal":72.50}]}'
    made = ehr.http.post("/fhir/Patient", content=body, headers={"Content-Type": "application/fhir+json"})
    assert made.status_code == 201
    own_id = made.json()["id"]
    assert made.headers["location"] == f"{ehr.hospital.services.fhir_base}/Patient/{own_id}/_history/1"
    read = ehr.send("GET", f"Patient/{own_id}")
    assert read.content == made.content
    assert b'"valueDecimal":72.50' in read.content
    assert read.json()["meta"]["versionId"] == "1"
    assert read.headers["etag"] == 'W/"1"'


def test_a_decimal_with_an_exponent_is_the_same_in_every_answer(ehr: Writer) -> None:
    """1.50E+2 is not written as 150: not in a history, a part, a search, a Bundle, $everything, nor as XML."""
    numbers = ("1.50E+2", "-1.5e3", "0.00", "12345678901234567890.123")
    extensions = ",".join(f'{{"url":"urn:e","valueDecimal":{number}}}' for number in numbers)
    body = f'{{"resourceType":"Patient","id":"exponents","identifier":[{{"system":"urn:x","value":"e"}}],"extension":\
[{extensions}]}}'
    headers = {"Content-Type": "application/fhir+json"}
    assert ehr.http.put("/fhir/Patient/exponents", content=body.encode(), headers=headers).status_code == 201
    one = "Patient/exponents"
    for path in (f"{one}/_history", f"{one}?_summary=data", "Patient?_id=exponents&_elements=extension"):
        answer = ehr.send("GET", path)
        assert answer.status_code == 200, path
        assert [f'"valueDecimal":{number}' in answer.text for number in numbers] == [True] * 4, path
    batch = ehr.transact(entry("GET", one), entry("GET", f"{one}/_history"), kind="batch")
    assert batch.text.count('"valueDecimal":1.50E+2') == 2
    assert extensions in ehr.send("GET", f"{one}/$everything").text
    xml = ehr.send("GET", one, Accept="application/fhir+xml").text
    assert [f'<valueDecimal value="{number}"/>' in xml for number in numbers] == [True] * 4
    back = ehr.http.put(f"/fhir/{one}", content=xml.encode(), headers={"Content-Type": "application/fhir+xml"})
    assert extensions in back.text


def test_update_makes_the_next_version(ehr: Writer) -> None:
    """PUT gives version 2; the first is still read by vread; If-Match guards against a lost update."""
    own_id = ehr.create(patient("update"))["id"]
    path = f"Patient/{own_id}"
    changed = ehr.send("PUT", path, patient("update", id=own_id, gender="female"), If_Match='W/"1"')
    assert (changed.status_code, changed.headers["etag"]) == (200, 'W/"2"')
    assert ehr.send("PUT", path, patient("update", id=own_id), If_Match='W/"1"').status_code == 412
    assert "gender" not in ehr.send("GET", f"{path}/_history/1").json()
    assert ehr.send("GET", path).json()["gender"] == "female"
    assert ehr.send("PUT", path, patient("update", id="other")).status_code == 400


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ('W/"9", W/"1"', 200),
        ('"1"', 200),
        ("*", 200),
        ('W/"9",, W/"1",', 200),
        (",", 400),
        (", ".join(['W/"1"'] * 20), 200),
        (", ".join(['W/"1"'] * 21), 400),
        ('W/"8",W/"9"', 412),
        ("1", 400),
        ('W/"1", *', 400),
        ("", 400),
        (", ".join(['W/"1"'] * 30), 400),
    ],
)
def test_if_match_names_several_versions_or_any(ehr: Writer, told: str, status: int) -> None:
    """One of a list must be the current version, * is any, and what is neither is refused and not ignored."""
    own_id = ehr.create(patient("if-match"))["id"]
    path = f"Patient/{own_id}"
    assert ehr.send("PUT", path, patient("if-match", id=own_id), If_Match=told).status_code == status
    entries = entry("PUT", path, patient("if-match", id=own_id), ifMatch=told.replace('"1"', '"2"') or "x")
    answer = ehr.transact(entries)
    assert answer.status_code in ((200,) if status == 200 else (400, 412, 422))
    if answer.status_code == 400:
        assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[0].request.ifMatch"]


def test_if_match_any_needs_something_there(ehr: Writer) -> None:
    """If-Match: * writes over what is there and makes nothing new; what is deleted is not there."""
    nobody = ehr.send("PUT", "Patient/if-any", patient("if-any", id="if-any"), If_Match="*")
    assert nobody.status_code == 412
    own_id = ehr.create(patient("if-any"))["id"]
    assert ehr.send("DELETE", f"Patient/{own_id}", If_Match="*").status_code == 204
    assert ehr.send("PUT", f"Patient/{own_id}", patient("if-any", id=own_id), If_Match="*").status_code == 412


def test_update_as_create(ehr: Writer) -> None:
    """PUT to an id that is free makes the resource; If-None-Match: * refuses to overwrite it."""
    made = ehr.send("PUT", "Patient/mine", patient("as-create", id="mine"))
    assert made.status_code == 201
    again = ehr.send("PUT", "Patient/mine", patient("as-create", id="mine"), If_None_Match="*")
    assert again.status_code == 412
    assert ehr.send("GET", "Patient/mine").headers["etag"] == 'W/"1"'


def test_delete_leaves_410_and_the_history(ehr: Writer) -> None:
    """A deleted resource is gone, its versions are not, and an update brings it back."""
    own_id = ehr.create(patient("delete"))["id"]
    path = f"Patient/{own_id}"
    assert ehr.send("DELETE", path).status_code == 204
    assert ehr.send("DELETE", path).status_code == 204
    gone = ehr.send("GET", path)
    assert (gone.status_code, gone.json()["issue"][0]["code"]) == (410, "deleted")
    assert ehr.send("GET", f"{path}/_history/1").status_code == 200
    assert ehr.send("GET", f"{path}/_history/2").status_code == 410
    assert ehr.send("PUT", path, patient("delete", id=own_id)).status_code == 201
    bundle = ehr.send("GET", f"{path}/_history").json()
    told = [(one["request"]["method"], one["response"]["etag"], "resource" in one) for one in bundle["entry"]]
    assert told == [("PUT", 'W/"3"', True), ("DELETE", 'W/"2"', False), ("POST", 'W/"1"', True)]
    assert bundle["total"] == 3


def test_deleting_what_never_was(ehr: Writer) -> None:
    """There is nothing to delete, and that is no error."""
    assert ehr.send("DELETE", "Patient/nobody-at-all").status_code == 204
    assert ehr.send("GET", "Patient/nobody-at-all").status_code == 404


def test_conditional_create_makes_one(ehr: Writer) -> None:
    """If-None-Exist finds what is there, and refuses to choose between several."""
    first = ehr.create(patient("cond"), If_None_Exist=f"identifier={MRN}|cond")
    again = ehr.send("POST", "Patient", patient("cond"), If_None_Exist=f"identifier={MRN}|cond")
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    ehr.create(patient("cond"))
    several = ehr.send("POST", "Patient", patient("cond"), If_None_Exist=f"identifier={MRN}|cond")
    assert several.status_code == 412
    in_the_address = ehr.send("POST", f"Patient?identifier={MRN}|cond", patient("cond"))
    assert in_the_address.status_code == 400


def test_conditional_update_and_delete(ehr: Writer) -> None:
    """PUT and DELETE by search: none makes one or does nothing, one is changed, several are refused."""
    address = f"Patient?identifier={MRN}|cond-update"
    made = ehr.send("PUT", address, patient("cond-update"))
    assert made.status_code == 201
    changed = ehr.send("PUT", address, patient("cond-update", gender="male"))
    assert (changed.status_code, changed.json()["id"]) == (200, made.json()["id"])
    assert ehr.send("PUT", address, patient("cond-update", id="another")).status_code == 400
    assert ehr.send("DELETE", address).status_code == 204
    assert ehr.send("GET", f"Patient/{made.json()['id']}").status_code == 410
    assert ehr.send("DELETE", address).status_code == 204
    assert ehr.send("DELETE", "Patient").status_code == 400


@pytest.mark.parametrize(
    ("prefer", "length", "kind"),
    [
        ("return=minimal", 0, None),
        ("return=representation", 1, "Patient"),
        ("return=OperationOutcome", 1, "OperationOutcome"),
    ],
)
def test_prefer_decides_what_comes_back(ehr: Writer, prefer: str, length: int, kind: str | None) -> None:
    """The body of the answer is nothing, the resource, or an outcome, as the client prefers."""
    answer = ehr.send("POST", "Patient", patient("prefer"), Prefer=prefer)
    assert answer.status_code == 201
    assert bool(answer.content) == bool(length)
    assert (answer.json()["resourceType"] if answer.content else None) == kind


def test_a_reference_to_nothing_is_refused(ehr: Writer) -> None:
    """A local reference must lead somewhere; a foreign one is the sender's business."""
    lost = ehr.send("POST", "Observation", observation("Patient/nowhere"))
    assert lost.status_code == 422
    assert lost.json()["issue"][0]["expression"] == ["Observation.subject"]
    ehr.create(observation("https://elsewhere.example/fhir/Patient/1"))


def test_history_of_type_and_system_is_paged(ehr: Writer) -> None:
    """Pages of one give every version once, newest first, at both levels."""
    own_id = ehr.create({"resourceType": "Organization", "name": "One"})["id"]
    ehr.send("PUT", f"Organization/{own_id}", {"resourceType": "Organization", "id": own_id, "name": "Two"})
    whole = _versions(ehr, "Organization/_history?_count=100")
    assert whole[:2] == [(own_id, 'W/"2"'), (own_id, 'W/"1"')]
    assert _versions(ehr, "Organization/_history?_count=1") == whole
    assert _versions(ehr, "_history?_count=2")[:2] == whole[:2]
    assert len(_versions(ehr, "_history?_count=7")) == len(_versions(ehr, "_history?_count=500"))


def _versions(ehr: Writer, path: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    url: str | None = path
    while url:
        bundle = ehr.send("GET", url).json()
        for one in bundle["entry"]:
            found.append((one["fullUrl"].rpartition("/")[2], one["response"]["etag"]))
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        url = following[0].removeprefix(f"{ehr.hospital.services.fhir_base}/") if following else None
    return found


def test_history_since_and_at(ehr: Writer) -> None:
    """_since leaves out what is older, _at gives what stood at that time."""
    own_id = ehr.create({"resourceType": "Organization", "name": "At"})["id"]
    first = ehr.send("GET", f"Organization/{own_id}").json()["meta"]["lastUpdated"]
    path = f"Organization/{own_id}/_history"
    second = ehr.send("PUT", f"Organization/{own_id}", {"resourceType": "Organization", "id": own_id, "name": "B"})
    changed = second.json()["meta"]["lastUpdated"]
    assert [one["response"]["etag"] for one in ehr.send("GET", f"{path}?_since={changed}").json()["entry"]] == ['W/"2"']
    assert ehr.send("GET", f"{path}?_at=lt{first}").json().get("entry") is None
    assert [one["resource"]["name"] for one in ehr.send("GET", f"{path}?_at=ge{changed}").json()["entry"]] == ["B"]
    assert ehr.send("GET", f"{path}?colour=blue").status_code == 400


def test_ids_times_and_types_that_are_none(ehr: Writer) -> None:
    """What is no resource is refused: other type, bad id, no JSON, other media type, too long."""
    assert ehr.send("POST", "Patient", {"resourceType": "Observation"}).status_code in (400, 422)
    assert ehr.send("POST", "Patient", {"resourceType": "Patient", "id": "a b"}).status_code == 422
    bad = ehr.http.post("/fhir/Patient", content=b"{not", headers={"Content-Type": "application/fhir+json"})
    assert bad.status_code == 400
    other = ehr.http.post("/fhir/Patient", content=b"x", headers={"Content-Type": "text/plain"})
    assert other.status_code == 415
    most = ehr.hospital.settings.web.max_resource_bytes
    assert ehr.http.post("/fhir/Patient", content=b" " * (most + 1)).status_code == 413


def test_a_client_writes_what_its_scopes_say(ehr: Writer) -> None:
    """Without the letter for it, creating, updating and deleting are refused, and so is an entry of a transaction."""
    ehr.hospital.add_client("reader", "system/*.rs")
    auth = ("reader", "correct horse battery staple")
    for method, path in (("POST", "Patient"), ("PUT", "Patient/x"), ("DELETE", "Patient/x")):
        body = None if method == "DELETE" else patient(id="x")
        answer = ehr.http.request(method, f"/fhir/{path}", json=body, auth=auth)
        assert answer.status_code == 403, method
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"request": {"method": "DELETE", "url": "Patient/x"}}],
    }
    headers = {"Content-Type": "application/fhir+json"}
    assert ehr.http.post("/fhir", json=bundle, headers=headers, auth=auth).status_code == 403
    audit = ehr.send("POST", "AuditEvent", {"resourceType": "AuditEvent"})
    assert audit.status_code == 405


def test_writes_are_audited_with_ids_alone(ehr: Writer) -> None:
    """Each write leaves who and what in the trail, and nothing of what was written."""
    own_id = ehr.create(patient("AUDITED-NUMBER"))["id"]
    entry = ehr.hospital.events("fhir:create")[0]
    assert (entry.subject_id, entry.actor) == (own_id, "client:ehr")
    assert "AUDITED-NUMBER" not in str(ehr.hospital.events("fhir:create"))


def test_xml_is_taken_and_given(ehr: Writer) -> None:
    """A resource that comes as XML is read as JSON and as XML with the same content; a refusal is XML as well."""
    body = b'<Patient xmlns="http://hl7.org/fhir"><gender value="female"/><birthDate value="1974-12-25"/></Patient>'
    xml = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
    made = ehr.http.post("/fhir/Patient", content=body, headers=xml)
    assert made.status_code == 201
    assert made.headers["content-type"].startswith("application/fhir+xml")
    path = made.headers["location"].removeprefix(f"{ehr.hospital.services.fhir_base}/")
    assert b'<birthDate value="1974-12-25"/>' in made.content
    assert ehr.send("GET", path).json()["gender"] == "female"
    assert ehr.send("GET", f"{path}?_format=xml").content == made.content
    lost = ehr.http.get("/fhir/Patient/nobody-here", headers={"Accept": "application/fhir+xml"})
    assert lost.status_code == 404
    assert lost.content.startswith(b"<OperationOutcome") or b"<OperationOutcome" in lost.content[:80]


def test_pretty_is_for_people_and_changes_nothing(ehr: Writer) -> None:
    """_pretty=true gives lines with the same numbers, text and narrative, as JSON and as XML, which is read back."""
    div = '<div xmlns="http://www.w3.org/1999/xhtml"><p>a <b>b</b>\n c</p></div>'
    text = {"status": "generated", "div": div}
    made = ehr.create({"resourceType": "Organization", "name": "a > b", "text": text, "alias": ["x", "y"]})
    path = f"Organization/{made['id']}"
    plain, pretty = (ehr.send("GET", path + query) for query in ("", "?_pretty=true"))
    assert pretty.text.startswith('{\n  "resourceType": "Organization",\n')
    assert pretty.json() == plain.json()
    xml = ehr.send("GET", f"{path}?_pretty=true&_format=xml").text
    assert '\n  <name value="a &gt; b"/>\n' in xml
    assert div in xml
    headers = {"Content-Type": "application/fhir+xml"}
    back = ehr.http.put(f"/fhir/{path}?_pretty=false", content=xml.encode(), headers=headers)
    assert {**back.json(), "meta": made["meta"]} == made
    for other in (f"{path}/_history?_pretty=true", "Organization?_pretty=true&_count=1", "metadata?_pretty=true"):
        assert ehr.send("GET", other).text.startswith('{\n  "resourceType"'), other


@pytest.mark.parametrize(
    ("charset", "status"),
    [("utf-8", 201), ("UTF-8", 201), ('"utf-8"', 201), ("", 201), ("iso-8859-1", 415), ("utf-16", 415)],
)
def test_a_resource_is_utf_8_and_says_nothing_else(ehr: Writer, charset: str, status: int) -> None:
    """R4 3.1.0.1.11: a body that claims another charset is not read as if it had not."""
    body = b'{"resourceType": "Organization", "name": "Mueller"}'
    for kind in ("application/fhir+json", "application/json"):
        answer = ehr.http.post(
            "/fhir/Organization", content=body, headers={"Content-Type": f"{kind}; charset={charset}"}
        )
        assert answer.status_code == status


def test_patches_of_both_kinds(ehr: Writer) -> None:
    """JSON Patch and FHIRPath Patch make the next version; one that does not fit, or breaks the resource, is 422."""
    own_id = ehr.create(patient("patch"))["id"]
    path = f"Patient/{own_id}"
    operations = [{"op": "add", "path": "/gender", "value": "female"}]
    json_patch = {"Content_Type": "application/json-patch+json"}
    first = ehr.send("PATCH", path, operations, If_Match='W/"1"', **json_patch)
    assert (first.status_code, first.json()["gender"], first.headers["etag"]) == (200, "female", 'W/"2"')
    assert ehr.send("PATCH", path, operations, If_Match='W/"1"', **json_patch).status_code == 412
    part = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Patient.gender"},
        {"name": "value", "valueCode": "male"},
    ]
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": part}]}
    second = ehr.send("PATCH", f"Patient?identifier={MRN}|patch", parameters)
    assert (second.status_code, second.json()["gender"]) == (200, "male")
    wrong = [{"op": "replace", "path": "/gender", "value": "purple"}]
    assert ehr.send("PATCH", path, wrong, **json_patch).status_code == 422
    assert ehr.send("PATCH", path, [{"op": "remove", "path": "/nothing"}], **json_patch).status_code == 422
    assert ehr.send("PATCH", path, [{"op": "replace", "path": "/id", "value": "x"}], **json_patch).status_code == 422
    assert ehr.send("PATCH", "Patient/nobody-here", operations, **json_patch).status_code == 404
    assert ehr.send("GET", path).headers["etag"] == 'W/"3"'
    methods = [one["request"]["method"] for one in ehr.send("GET", f"{path}/_history").json()["entry"]]
    assert methods == ["PATCH", "PATCH", "POST"]


def test_validate_stores_nothing(ehr: Writer) -> None:
    """$validate says what would be found wrong, with the element, and leaves no resource behind."""
    good = ehr.send("POST", "Patient/$validate", patient("validated"))
    assert (good.status_code, good.json()["issue"][0]["severity"]) == (200, "information")
    bad = ehr.send("POST", "Patient/$validate", patient("validated", gender="purple", birthDate="1974-13-01"))
    places = {place for issue in bad.json()["issue"] for place in issue["expression"]}
    assert places >= {"Patient.gender", "Patient.birthDate"}
    wrapped = {
        "resourceType": "Parameters",
        "parameter": [{"name": "resource", "resource": {"resourceType": "Patient", "gender": 1}}],
    }
    assert ehr.send("POST", "Patient/$validate", wrapped).json()["issue"][0]["severity"] == "error"
    assert ehr.send("GET", f"Patient?identifier={MRN}|validated").json().get("entry") is None


def test_validate_ignores_nothing(ehr: Writer) -> None:
    """A profile that is not held, an unknown mode or parameter is refused: silence would pass for a check."""
    core = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"
    base = "http://hl7.org/fhir/StructureDefinition/Patient"
    ask = patient("profiled")
    assert ehr.send("POST", f"Patient/$validate?profile={core}", ask).status_code == 422
    assert ehr.send("POST", f"Patient/$validate?profile={base}", ask).status_code == 200
    assert ehr.send("POST", "Patient/$validate?mode=dance", ask).status_code == 400
    assert ehr.send("POST", "Patient/$validate?depth=2", ask).status_code == 400
    wrapped = [{"name": "resource", "resource": ask}, {"name": "profile", "valueUri": core}]
    said = ehr.send("POST", "Patient/$validate", {"resourceType": "Parameters", "parameter": wrapped})
    assert (said.status_code, said.json()["issue"][0]["expression"]) == (422, ["http.profile"])


def test_validate_of_a_deletion_needs_no_resource(ehr: Writer) -> None:
    """mode=delete says whether what stands at the address could go, and 404 where nothing does."""
    own = ehr.create(patient("to-go"))
    said = ehr.send("POST", f"Patient/{own['id']}/$validate?mode=delete")
    assert (said.status_code, said.json()["issue"][0]["severity"]) == (200, "information")
    assert ehr.send("POST", "Patient/never-there/$validate?mode=delete").status_code == 404
    assert ehr.send("GET", f"Patient/{own['id']}").status_code == 200


def test_an_empty_condition_is_refused(ehr: Writer) -> None:
    """If-None-Exist without a criterion makes no second resource."""
    assert ehr.send("POST", "Patient", patient("unconditional"), If_None_Exist="").status_code == 400
    assert ehr.send("GET", f"Patient?identifier={MRN}|unconditional").json().get("entry") is None


def test_a_link_to_no_entry_is_refused(ehr: Writer) -> None:
    """A urn that no entry of the transaction has for its address is not stored."""
    nobody = "urn:uuid:0b9c8b1e-0000-4c5d-8e6f-00000000dead"
    said = ehr.transact(entry("POST", "Observation", observation(nobody)))
    assert said.status_code == 422
    assert said.json()["issue"][0]["expression"] == ["Bundle.entry[0].resource.subject"]


def test_what_referred_to_something_deleted_can_be_corrected(ehr: Writer) -> None:
    """An update that keeps a reference is taken though its target was deleted meanwhile; a new one to it is not."""
    own = ehr.create(patient("deleted-first"))
    kept = ehr.create(observation(f"Patient/{own['id']}"))
    assert ehr.send("DELETE", f"Patient/{own['id']}").status_code == 204
    said = ehr.send("PUT", f"Observation/{kept['id']}", kept | {"status": "entered-in-error"})
    assert said.status_code == 200, said.text
    assert ehr.send("POST", "Observation", observation(f"Patient/{own['id']}")).status_code == 422


def test_a_binary_comes_and_goes_as_it_is(ehr: Writer) -> None:
    """A picture is stored under its own media type, handed out so or as FHIR, and never to be run by a browser."""
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    made = ehr.http.request("POST", "/fhir/Binary", content=picture, headers={"Content-Type": "image/png"})
    assert (made.status_code, made.json()["contentType"]) == (201, "image/png")
    path = f"Binary/{made.json()['id']}"
    assert base64.b64decode(ehr.send("GET", path).json()["data"]) == picture
    for wanted in ("image/png", "text/plain, image/*;q=0.5"):
        native = ehr.send("GET", path, Accept=wanted)
        assert (native.content, native.headers["content-type"]) == (picture, "image/png")
        assert native.headers["content-disposition"] == "attachment"
        assert "sandbox" in native.headers["content-security-policy"]
    for unwanted in ("image/jpeg", "image/png;q=0", "image/*, image/png;q=0", "image/*;q=0.0, text/plain"):
        assert ehr.send("GET", path, Accept=unwanted).status_code == 406, unwanted
    page = {"Content-Type": "text/html; charset=utf-8"}
    assert ehr.http.request("PUT", f"/fhir/{path}", content=b"<p>new</p>", headers=page).status_code == 200
    assert ehr.send("GET", path, Accept="text/html").content == b"<p>new</p>"
    odd = ehr.http.request("POST", "/fhir/Binary", content=b"x", headers={"Content-Type": "nothing"})
    assert odd.status_code == 415


def test_everything_of_a_patient(ehr: Writer) -> None:
    """$everything gives the whole record once, in pages, with what it refers to of the house and nobody else's."""
    organization = ehr.create({"resourceType": "Organization", "name": "Lab"})["id"]
    ehr.create(observation(f"Patient/{ehr.create(patient('somebody-else'))['id']}"))
    own_id = ehr.create(patient("everything"))["id"]
    performer = [{"reference": f"Organization/{organization}"}]
    made = {ehr.create(observation(f"Patient/{own_id}", performer=performer))["id"] for _ in range(3)}
    path = f"Patient/{own_id}/$everything"
    bundle = ehr.send("GET", path).json()
    assert {(one["resource"]["id"], one["search"]["mode"]) for one in bundle["entry"]} == {
        (own_id, "match"),
        *((one, "match") for one in made),
        (organization, "include"),
    }
    assert bundle["total"] == 4
    seen: list[str] = []
    url: str | None = f"{path}?_count=1&_type=Observation"
    while url:
        page = ehr.send("GET", url).json()
        seen += [one["resource"]["id"] for one in page["entry"] if one["search"]["mode"] == "match"]
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        url = following[0].removeprefix(f"{ehr.hospital.services.fhir_base}/") if following else None
    assert (set(seen), len(seen)) == (made, 3)
    assert ehr.send("GET", f"{path}?_since=2999-01-01").json().get("entry") is None
    for wrong in ("_since=lt2020", "_since=soon", "_type=Nothing", "colour=red", "_count=0"):
        assert ehr.send("GET", f"{path}?{wrong}").status_code == 400, wrong
    assert ehr.send("GET", "Patient/nobody-here/$everything").status_code == 404


def test_everything_within_dates_of_care(ehr: Writer) -> None:
    """start and end choose by the clinical date, both inclusive; what has none is there; pages follow each other."""
    own_id = ehr.create(patient("care-dates"))["id"]
    about = f"Patient/{own_id}"
    subject = {"subject": {"reference": about}}
    made = {day: ehr.create(observation(about, day, effectiveDateTime=f"2024-03-{day}"))["id"] for day in ("09", "10")}
    made["11"] = ehr.create(observation(about, "11", effectiveDateTime="2024-03-11T23:30:00-02:00"))["id"]  # the 12th
    made["none"] = ehr.create(observation(about, "undated"))["id"]
    onset = {"onsetDateTime": "2020", "abatementDateTime": "2024-03-10"}
    made["over"] = ehr.create({"resourceType": "Condition", "code": {"text": "a"}} | subject | onset)["id"]
    del onset["abatementDateTime"]
    made["still"] = ehr.create({"resourceType": "Condition", "code": {"text": "b"}} | subject | onset)["id"]
    path = f"{about}/$everything"

    def found(query: str) -> set[str]:
        bundle = ehr.send("GET", f"{path}?_type=Observation,Condition&{query}").json()
        names = {own_id: day for day, own_id in made.items()}
        return {names[one["resource"]["id"]] for one in bundle.get("entry", ())}

    assert found("start=2024-03-10&end=2024-03-10") == {"10", "none", "over", "still"}
    assert found("start=2024-03-11") == {"11", "none", "still"}
    assert found("end=2024-03-11") == {"09", "10", "none", "over", "still"}
    assert found("end=2019") == {"none"}
    assert found("start=2024&end=2024-02&_since=2020") == {"none", "over", "still"}
    assert found("start=2024&_since=2999") == set()
    for wrong in (
        "start=soon",
        "start=2024-02-30",
        "end=2024-03-10T12:00:00Z",
        "start=2024-03&end=2024-02",
        "end=ge2024",
    ):
        assert ehr.send("GET", f"{path}?{wrong}").status_code == 400, wrong
    seen, url = [], f"{path}?_count=1&start=2024-03-10&end=2024-03-10"
    while url:
        page = ehr.send("GET", url).json()
        seen += [one["resource"]["id"] for one in page.get("entry", ())]
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        url = following[0].removeprefix(f"{ehr.hospital.services.fhir_base}/") if following else ""
    assert seen == [own_id, *(made[one] for one in ("10", "none", "over", "still"))]
    told = [{"name": "start", "valueDate": "2024-03-11"}, {"name": "_type", "valueCode": "Observation"}]
    posted = ehr.send("POST", path, {"resourceType": "Parameters", "parameter": told}).json()
    assert {one["resource"]["id"] for one in posted["entry"]} == {made["11"], made["none"]}


def test_a_chain_leads_to_what_is_newer(ehr: Writer) -> None:
    """A resource is found by the name of a patient who was written after it, with the patient beside it."""
    older = ehr.create({name: one for name, one in observation("").items() if name != "subject"})
    newer = ehr.create(patient("newer", name=[{"family": "Winterbottom"}]))
    led = older | {"subject": {"reference": f"Patient/{newer['id']}"}}
    assert ehr.send("PUT", f"Observation/{older['id']}", led).status_code == 200
    with_patient = "subject:Patient.family=Winterbottom&_include=Observation:subject"
    found = ehr.send("GET", f"Observation?{with_patient}").json()
    assert [each["resource"]["id"] for each in found["entry"]] == [older["id"], newer["id"]]


def test_a_long_list_of_ids_is_searched_and_paged(ehr: Writer) -> None:
    """Two hundred ids in one parameter are found by GET and POST, page by page; what no address can hold says so."""
    own = sorted(ehr.create({"resourceType": "Location", "name": f"Room {number}"})["id"] for number in range(3))
    form = {"_id": ",".join([*own, *(uuid4().hex for _ in range(197))]), "_count": "1"}
    by_post, by_get = ehr.http.post("/fhir/Location/_search", data=form), ehr.http.get("/fhir/Location", params=form)
    for first in (by_post, by_get):
        pages = [first.json()]
        while following := [one["url"] for one in pages[-1]["link"] if one["relation"] == "next"]:
            path = following[0].removeprefix(f"{ehr.hospital.services.fhir_base}/")
            pages.append(ehr.send("GET", path).json())
        assert sorted(one["resource"]["id"] for page in pages for one in page["entry"]) == own
    twice = {"_id": [",".join([*own, *(uuid4().hex for _ in range(240))]) for _ in range(2)]}
    assert len(ehr.http.post("/fhir/Location/_search", data=twice).json()["entry"]) == 3
    paged = ehr.http.post("/fhir/Location/_search", data={**twice, "_count": "1"})
    assert (paged.status_code, paged.json()["issue"][0]["code"]) == (413, "too-long")


def pages(ehr: Writer, path: str, most: int = 50) -> list[list[str]]:
    """The ids on each page, at most so many pages, following the links."""
    found: list[list[str]] = []
    while path and len(found) < most:
        told = ehr.send("GET", path).json()
        found.append([one["resource"]["id"] for one in told["entry"]])
        following = next((one["url"] for one in told["link"] if one["relation"] == "next"), "")
        path = following.removeprefix(f"{ehr.hospital.services.fhir_base}/")
    return found


def test_pages_end_where_they_are_heavy(ehr: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are asked for, a page of large bodies holds few; all pages together hold each once, in order."""
    monkeypatch.setattr(search, "MOST_OPENED", 1500)
    monkeypatch.setattr(search, "_AT_ONCE", 2)
    monkeypatch.setattr(history, "MOST_SEALED", 1500)
    monkeypatch.setattr(everything, "MOST_SEALED", 1500)
    owner = ehr.create(patient("heavy"))["id"]
    large = [observation(f"Patient/{owner}", note=[{"text": os.urandom(300).hex()}]) for _ in range(9)]
    made = [ehr.create(one)["id"] for one in large]
    asked = f"Observation?subject=Patient/{owner}&_count=100"
    for path, order in (
        (asked, made[::-1]),
        (f"{asked}&_include=Observation:subject", made[::-1]),
        ("Observation?subject:Patient.identifier=heavy&_count=100", made[::-1]),
        (f"Patient/{owner}/$everything?_type=Observation", made),
    ):
        found = pages(ehr, path)
        assert len(found) >= 3, path
        assert [one for page in found for one in page if one != owner] == order, path
    first, second = pages(ehr, "Observation/_history?_count=9", 2)
    assert first + second == made[::-1][: len(first + second)]
    assert len(first) < 9


def test_what_is_too_heavy_to_include_is_told(ehr: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An include that is cut for its bytes says so: nobody takes a part for the whole."""
    owner = ehr.create(patient("includes"))["id"]
    for _ in range(6):
        ehr.create(observation(f"Patient/{owner}", note=[{"text": "x" * 400}]))
    path = f"Patient?_id={owner}&_revinclude=Observation:subject"
    assert len(ehr.send("GET", path).json()["entry"]) == 7
    monkeypatch.setattr(search, "MOST_OPENED", 1500)
    monkeypatch.setattr(search, "_AT_ONCE", 2)
    told = ehr.send("GET", path).json()["entry"]
    assert len(told) < 7
    assert told[-1]["resource"]["issue"][0]["code"] == "incomplete"


def test_pages_end_where_what_is_stored_small_is_large(ehr: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of a history or of $everything is bounded by what it opens, however small that lies in the store."""
    monkeypatch.setattr(history, "MOST_OPENED", 30_000)
    monkeypatch.setattr(everything, "MOST_OPENED", 30_000)
    owner = ehr.create(patient("small"))["id"]
    made = [ehr.create(observation(f"Patient/{owner}", note=[{"text": "x" * 20_000}]))["id"] for _ in range(6)]
    assert ehr.send("DELETE", f"Observation/{made[2]}").status_code == 204
    left = [one for one in made if one != made[2]]
    shown = pages(ehr, f"Patient/{owner}/$everything?_type=Observation")
    assert [one for page in shown for one in page] == left
    assert max(map(len, shown)) == 2
    for level in ("Observation/_history", "_history"):
        told, path = [], f"{level}?_count=7"
        for _ in range(3):
            page = ehr.send("GET", path).json()
            told += [one["fullUrl"].rpartition("/")[2] for one in page["entry"]]
            path = page["link"][1]["url"].removeprefix(f"{ehr.hospital.services.fhir_base}/")
        assert told[:6] == [made[2], *made[:2:-1], made[2], made[1]][:6], level


def test_what_is_beside_a_record_is_bounded_and_told(ehr: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a page of $everything refers to and has no room for is told of as left out."""
    clinic = ehr.create({"resourceType": "Organization", "name": "North"})["id"]
    owner = ehr.create(patient("beside", managingOrganization={"reference": f"Organization/{clinic}"}))["id"]
    asked = f"Patient/{owner}/$everything"
    assert [one["search"]["mode"] for one in ehr.send("GET", asked).json()["entry"]] == ["match", "include"]
    monkeypatch.setattr(everything, "MAX_BESIDE", 0)
    told = ehr.send("GET", asked).json()["entry"][-1]
    assert (told["search"]["mode"], told["resource"]["issue"][0]["code"]) == ("outcome", "incomplete")


def test_a_header_in_several_lines_is_one_list(ehr: Writer) -> None:
    """If-Match and Prefer may come in several lines (RFC 9110 5.3, RFC 7240 2): each of them counts."""
    made = ehr.create(patient("lines"))
    path, body = f"/fhir/Patient/{made['id']}", json.dumps(made).encode()
    lines = [("Content-Type", "application/fhir+json"), ("If-Match", 'W/"7"'), ("If-Match", 'W/"1"')]
    minimal = [*lines, ("Prefer", "handling=strict"), ("Prefer", "return=minimal")]
    answer = ehr.http.put(path, content=body, headers=minimal)
    assert (answer.status_code, answer.content) == (200, b"")
    lenient = [("Prefer", "return=minimal"), ("Prefer", "handling=lenient")]
    assert ehr.http.get(path, params={"unheard": "x"}, headers=lenient).status_code == 200


@pytest.mark.parametrize("path", ["Patient/_history", "_history", "Patient/{id}/_history", "Patient/{id}/$everything"])
def test_leniency_is_for_every_reading(ehr: Writer, path: str) -> None:
    """An unknown parameter of a history or of $everything is refused by its name, or with leniency left out."""
    asked = f"{path.format(id=ehr.create(patient('lenient'))['id'])}?unheard=x"
    strict = ehr.send("GET", asked)
    assert (strict.status_code, strict.json()["issue"][0]["expression"]) == (400, ["http.unheard"])
    assert ehr.send("GET", asked, Prefer="handling=lenient").json()["entry"]
