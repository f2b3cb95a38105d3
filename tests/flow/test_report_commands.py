"""`dxgate report`, `recall` and `person add` from the command line, on one hospital with one signed report."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from harness.studies import PLANTED
from wire.fhir_rest.hospital import PASSWORD, add_study, open_hospital

from gateway import cli
from gateway.domain.report import report_id
from gateway.flow.review import Decision
from gateway.privacy.signing import verified

Json = dict[str, object]


def test_a_report_from_signature_to_recall(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Listed while it waits, shown with its signer, counted, verified with the printed keys, recalled; no identity."""
    hospital = open_hospital(tmp_path / "home", sqlite_template)
    monkeypatch.setenv("DXGATE_GATEWAY_HOME", str(tmp_path / "home"))

    def run(*words: str, code: int = 0) -> str:
        assert cli.main(words) == code
        said = capsys.readouterr()
        assert PLANTED[0].patient_id not in said.out + said.err
        return said.out + said.err

    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    npi = "http://hl7.org/fhir/sid/us-npi|1234567893"
    run("person", "add", "rita", "--role", "physician", "--display-name", "Dr. Rita Reader", "--identifier", npi,
        "--password-stdin")  # fmt: skip
    assert "SYSTEM|VALUE" in run("person", "add", "x", "--role", "physician", "--identifier", "NPI 12", code=2)
    number = str(report_id(add_study(hospital, tmp_path / "study", PLANTED[0], 1)))
    assert [each["id"] for each in json.loads(run("report", "list", "--waiting", "--json"))] == [number]
    with hospital.database.read() as unit:
        person = unit.access.person("rita")
    assert person is not None
    assert person.identifier == npi
    assert hospital.services.review is not None
    hospital.services.review(report_id(hospital.studies[0]), person, Decision("accept", 2, "Benign."))
    assert json.loads(run("report", "list", "--waiting", "--json")) == []
    assert "Dr. Rita Reader" in run("report", "show", number)
    shown = json.loads(run("report", "show", number, "--json"))
    assert [each["verdict"] for each in shown["versions"]] == [None, None, "changed"]
    every, by_model = json.loads(run("report", "figures", "--json"))
    assert (every["reviewed"], every["override_rate"], by_model["model"]) == (1, 1.0, "breast-ultrasound 1.0.0")
    assert "good" in run("report", "verify", number)
    keys = {key["kid"]: key for key in json.loads(run("report", "keys"))["keys"]}
    with hospital.database.read() as unit:
        (review,) = unit.reviews.of_report(report_id(hospital.studies[0]))
    assert verified(review.signature, keys)["report"] == number
    assert number in run("recall", "--model", "breast-ultrasound", "--version", "1.0.0")
    assert "--mark needs --reason" in run("recall", "--model", "breast-ultrasound", "--version", "1.0.0", "--mark",
                                          code=2)  # fmt: skip
    marked = run("recall", "--model", "breast-ultrasound", "--version", "1.0.0", "--mark", "--reason", "drift")
    assert "0 cancelled, 1 signed and flagged" in marked
    assert "no worker has announced" in run("recall", "--model", "none", "--version", "1", code=1)
    hospital.database.close()
