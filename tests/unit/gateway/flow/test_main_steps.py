"""The steps of the flow over a real database: settle, infer, compose, publish, deliver."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from harness.rows import arrival, model, receive
from harness.ward import ScriptedOutlet, Ward

from gateway.domain.errors import Busy, Fault, Forbidden, GatewayError, Invalid, Unavailable, Unsupported
from gateway.domain.identity import StudyIdentity
from gateway.domain.ids import BlobKey, InstanceId, StudyId, TaskId
from gateway.domain.model import AppliesTo
from gateway.domain.report import Delivery, report_id
from gateway.flow.deliver import DeliverReports, Destination
from gateway.flow.publish import PublishTasks
from gateway.flow.read_reports import ReadReports
from gateway.flow.settle import SettleStudies
from gateway.ports import UnitOfWork
from gateway.storage.database import SqlDatabase


@pytest.fixture
def ward(sqlite_database: SqlDatabase, tmp_path: Path) -> Ward:
    made = Ward(sqlite_database, tmp_path / "blobs")
    made.announce()
    return made


def only_task(ward: Ward, study: StudyId) -> TaskId:
    (task,) = ward.tasks(study)
    return task.id


def test_a_study_does_not_settle_while_it_is_not_quiet(ward: Ward) -> None:
    """Before the quiet time is over nothing is planned."""
    ward.push()
    ward.wait(19)
    assert SettleStudies(ward.database, ward.clock)() == 0


def test_a_quiet_study_settles_with_one_task_for_each_model_that_applies(ward: Ward) -> None:
    """Only active models whose door the study fits get a task; the evidence is kept."""
    ward.announce(model("chest", applies_to=AppliesTo(("CR",))), model("second"), model("sleeping", state="draft"))
    study = ward.push()
    assert ward.settle() == 2
    assert ward.study(study).state == "analysing"
    assert ward.study(study).settled_by == "quiet-time"


def test_a_complete_study_settles_at_once(ward: Ward) -> None:
    """The expected number of instances is evidence enough; no quiet time passes."""
    study = ward.push("s1", "i1", b"one", expected_count=2)
    assert SettleStudies(ward.database, ward.clock)() == 0
    ward.push("s1", "i2", b"two", expected_count=2)
    assert SettleStudies(ward.database, ward.clock)() == 1
    assert ward.study(study).settled_by == "expected-count"


def test_a_study_that_no_model_fits_stays_settled(ward: Ward) -> None:
    """Nothing is planned and nothing is reported for it."""
    study = ward.push(modality="MR")
    assert ward.settle() == 0
    assert ward.study(study).state == "settled"
    assert ward.tasks(study) == []


def test_another_part_of_the_body_is_refused_with_a_reason(ward: Ward) -> None:
    """A model for the modality is asked and refuses; its reason can be read here, and goes to no destination."""
    ward.announce(model("chest", applies_to=AppliesTo(("DX",), ("CHEST",))))
    ward.inference.failure = Unsupported("This model is for another part of the body.")
    study = ward.push(modality="DX", header={"BodyPartExamined": "KNEE"})
    assert ward.settle() == 1
    assert ward.run(only_task(ward, study)) == "refused"
    with ward.database.read() as unit:
        report = unit.reports.get(report_id(study))
        content = unit.reports.version(report.id, report.version).content
        planned = {one.destination for one in unit.deliveries.of_report(report.id)}
    assert content is not None
    assert report.status == "cancelled"
    assert "another part of the body" in content.conclusion
    assert planned == {"record"}
    assert ward.inference.seen == [b"pixels"]


def test_no_study_settles_before_a_model_is_there(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """A study that is quiet before the first worker has announced its models waits for them."""
    early = Ward(sqlite_database, tmp_path / "blobs")
    study = early.push()
    assert (early.settle(), early.study(study).state) == (0, "receiving")
    early.announce()
    assert (early.settle(), early.study(study).state) == (1, "analysing")


def test_a_study_that_no_model_fitted_is_analysed_once_reopened(ward: Ward) -> None:
    """Reopened, as `dxgate study retry` does, it is settled anew with the models that are active by then."""
    study = ward.push(modality="CT")
    ward.settle()
    ward.announce(model("ct", applies_to=AppliesTo(("CT",))))
    with ward.database.begin("cli") as unit:
        assert unit.studies.move(study, "settled", "reopen")
        unit.commit()
    ward.settle()
    assert only_task(ward, study)


def test_a_finished_task_leaves_finding_report_and_delivery_in_one_step(ward: Ward) -> None:
    """After the last task the study is reported, preliminary, and on its way to each destination."""
    study = ward.push(content=b"pixels")
    ward.settle()
    assert ward.run(only_task(ward, study)) == "done"
    assert ward.inference.seen == [b"pixels"]
    with ward.database.read() as unit:
        report = unit.reports.get(report_id(study))
        content = unit.reports.version(report.id, report.version).content
        assert report.status == "preliminary"
        assert content is not None
        assert content.conclusion == "Suspicious"
        assert content.findings[0].made_by.model_sha256 == model().sha256
        planned = [(one.destination, one.version) for one in unit.deliveries.of_report(report.id)]
        assert sorted(planned) == [("ehr", 2), ("record", 1), ("record", 2)]
    assert ward.study(study).state == "reported"


def test_a_task_is_run_once(ward: Ward) -> None:
    """A second ring for a finished task changes nothing."""
    study = ward.push()
    ward.settle()
    task = only_task(ward, study)
    assert [ward.run(task), ward.run(task)] == ["done", "not ours"]


def test_a_worker_that_was_thought_dead_changes_nothing(ward: Ward) -> None:
    """When the lease ran out and another finished, the first worker's answer is dropped."""
    study = ward.push()
    ward.settle()
    task = only_task(ward, study)
    late = ward.runner("worker:late")
    outcomes = []

    def overtaken() -> None:
        ward.inference.before = lambda: None
        ward.wait(31)
        outcomes.append(ward.runner("worker:second")(task))

    ward.inference.before = overtaken
    outcomes.append(late(task))
    assert outcomes == ["done", "not ours"]
    with ward.database.read() as unit:
        (finding,) = unit.tasks.findings(study, 1)
    assert finding.made_by.worker == "worker:second"


def test_an_image_that_comes_while_a_model_runs_makes_its_answer_void(ward: Ward) -> None:
    """The next revision withdraws the task; its finding is not written and the study is analysed anew."""
    study = ward.push()
    ward.settle()
    task = only_task(ward, study)
    ward.inference.before = lambda: ward.push("s1", "i2", b"late") and None
    assert ward.run(task) == "not ours"
    ward.inference.before = lambda: None
    assert ward.study(study).state == "receiving"
    ward.settle()
    assert ward.run(only_task(ward, study)) == "done"
    assert ward.inference.seen == [b"pixels", b"late"]


def test_a_late_image_leads_to_a_second_version_of_the_same_report(ward: Ward) -> None:
    """One study has one report; its new version speaks for the new revision."""
    study = ward.push()
    ward.settle()
    ward.run(only_task(ward, study))
    ward.push("s1", "i2", b"late")
    ward.settle()
    ward.run(only_task(ward, study))
    with ward.database.read() as unit:
        versions = unit.reports.versions(report_id(study))
    assert [(one.revision, one.status) for one in versions if one.content] == [(1, "preliminary"), (2, "preliminary")]


def test_a_refusal_reaches_the_report_with_its_reason(ward: Ward) -> None:
    """A study outside the model's scope gets a cancelled report that says why."""
    study = ward.push()
    ward.settle()
    ward.inference.failure = Unsupported("the image is a photograph")
    assert ward.run(only_task(ward, study)) == "refused"
    with ward.database.read() as unit:
        report = unit.reports.get(report_id(study))
        content = unit.reports.version(report.id, report.version).content
    assert report.status == "cancelled"
    assert content is not None
    assert "photograph" in content.conclusion


def test_one_model_refusing_does_not_hide_what_another_found(ward: Ward) -> None:
    """The report holds the finding and names what was not analysed; it waits for the last task."""
    ward.announce(model("second"))
    study = ward.push()
    ward.settle()
    first, second = (task.id for task in ward.tasks(study))
    assert ward.run(first) == "done"
    assert ward.study(study).state == "analysing"
    ward.inference.failure = Unsupported("too small")
    assert ward.run(second) == "refused"
    with ward.database.read() as unit:
        report = unit.reports.get(report_id(study))
        content = unit.reports.version(report.id, report.version).content
    assert report.status == "preliminary"
    assert content is not None
    assert len(content.findings) == 1
    assert [item.reason for item in content.not_analysed] == ["too small"]


@pytest.mark.parametrize("failure", [Unavailable("disk"), Busy("full"), Fault("bug"), RuntimeError("surprise")])
def test_trouble_is_tried_again_and_then_given_up_in_the_open(ward: Ward, failure: Exception) -> None:
    """Attempts are bounded; the last failure ends in a cancelled report, and an operator may retry."""
    study = ward.push()
    ward.settle()
    task = only_task(ward, study)
    ward.inference.failure = failure
    outcomes = []
    for _ in range(3):
        outcomes.append(ward.run(task))
        ward.wait(3600)
    assert outcomes == ["released", "released", "failed"]
    with ward.database.begin("cli") as unit:
        assert unit.tasks.retry(task)
        unit.commit()
    ward.inference.failure = None
    assert ward.run(task) == "done"
    with ward.database.read() as unit:
        assert unit.reports.get(report_id(study)).status == "preliminary"


def test_a_failure_of_unknown_origin_leaves_no_text_of_its_own(ward: Ward) -> None:
    """An exception's message may quote patient data: only its class is kept as the reason."""
    study = ward.push()
    ward.settle()
    ward.inference.failure = ValueError("Doe^Jane")
    ward.run(only_task(ward, study))
    (task,) = ward.tasks(study)
    assert task.reason == "fault: ValueError"


@dataclass
class RecordingDoorbell:
    broken: bool = False
    rung: list[tuple[str, str]] = field(default_factory=list)

    def ring(self, task_id: TaskId, priority: str) -> None:
        if self.broken:
            raise Unavailable("the broker is out")
        self.rung.append((task_id, priority))

    def ring_pixels(self, instance_id: InstanceId, priority: str) -> None:
        self.ring(TaskId(instance_id), priority)


def test_stat_tasks_are_rung_for_first_and_each_once(ward: Ward) -> None:
    """The doorbell rings once for each task until it is due again, STAT before routine."""
    ward.push("slow")
    ward.push("fast", priority="stat")
    ward.settle()
    doorbell = RecordingDoorbell()
    publish = PublishTasks(ward.database, doorbell, timedelta(seconds=30), ward.clock)
    assert (publish(), publish()) == (2, 0)
    assert [priority for _, priority in doorbell.rung] == ["stat", "routine"]
    ward.wait(31)
    assert publish() == 2


def test_searches_of_pixels_are_rung_for_before_models(ward: Ward) -> None:
    """A model waits for what is searched; each search is rung for once, and a broken broker loses none."""
    ward.push()
    ward.settle()
    with ward.database.begin("check") as unit:
        what = arrival("s9", "i9", b"pixels", clearance="unchecked", pixels="unsearched", at=ward.now)
        receive(unit, what)
        assert unit.clearances.decide(what.instance, "mask", "may show text")
        unit.pixel_tasks.plan(what.instance, "routine", ward.now)
        unit.commit()
    doorbell = RecordingDoorbell(broken=True)
    publish = PublishTasks(ward.database, doorbell, timedelta(seconds=30), ward.clock)
    with pytest.raises(Unavailable):
        publish()
    doorbell.broken = False
    assert (publish(), publish()) == (2, 0)
    assert doorbell.rung[0][0] == what.instance.id


def test_a_broken_broker_loses_no_task(ward: Ward) -> None:
    """While the broker is out nothing counts as published; afterwards every task is rung for."""
    ward.push()
    ward.settle()
    doorbell = RecordingDoorbell(broken=True)
    publish = PublishTasks(ward.database, doorbell, timedelta(seconds=30), ward.clock)
    with pytest.raises(Unavailable):
        publish()
    doorbell.broken = False
    assert publish() == 1


class NoVault:
    """Identity is not what these tests are about."""

    def study_identity(self, *_: object) -> StudyIdentity:
        return StudyIdentity(*[""] * 13)

    def original_uids(self, *_: object) -> dict[str, str]:
        return {}


def deliveries(ward: Ward, outlet: ScriptedOutlet) -> DeliverReports:
    reports = ReadReports(NoVault(), ward.blobs, ward.seal)  # type: ignore[arg-type]
    destination = Destination("ehr", outlet, timedelta(seconds=5), timedelta(seconds=30))
    return DeliverReports(ward.database, reports, destination, ward.clock)


def reported(ward: Ward) -> StudyId:
    study = ward.push()
    ward.settle()
    ward.run(only_task(ward, study))
    return study


def delivery_states(ward: Ward, study: StudyId) -> list[str]:
    with ward.database.read() as unit:
        return [one.state for one in to_the_ehr(unit, study)]


def to_the_ehr(unit: UnitOfWork, study: StudyId) -> list[Delivery]:
    """Deliveries of the study's report, without those to our own store."""
    return [one for one in unit.deliveries.of_report(report_id(study)) if one.destination == "ehr"]


def test_a_delivery_is_acknowledged_once(ward: Ward) -> None:
    """The document carries version, findings and heat map; a second round sends nothing."""
    study = reported(ward)
    outlet = ScriptedOutlet()
    deliver = deliveries(ward, outlet)
    assert (deliver(), deliver()) == (1, 0)
    assert delivery_states(ward, study) == ["acknowledged"]
    ((_, document),) = outlet.sent
    assert list(document.pictures.values()) == [b"PNG"]


@pytest.mark.parametrize("failure", [Unavailable("out"), Busy("later")])
def test_a_destination_that_is_out_is_tried_again_with_growing_pauses(ward: Ward, failure: Unavailable) -> None:
    """The first pause is as configured, the second twice as long; then it is acknowledged."""
    study = reported(ward)
    deliver = deliveries(ward, ScriptedOutlet([failure, failure]))
    assert deliver() == 1
    ward.wait(4)
    assert deliver() == 0
    ward.wait(2)
    assert deliver() == 1
    ward.wait(9)
    assert deliver() == 0
    ward.wait(2)
    assert deliver() == 1
    assert delivery_states(ward, study) == ["acknowledged"]


@pytest.mark.parametrize("failure", [Invalid("422"), Forbidden("403")])
def test_what_the_destination_refuses_becomes_a_dead_letter_that_can_be_replayed(ward: Ward, failure: Invalid) -> None:
    """A refusal for good stops the attempts until an operator replays the delivery."""
    study = reported(ward)
    outlet = ScriptedOutlet([failure])
    deliver = deliveries(ward, outlet)
    deliver()
    assert delivery_states(ward, study) == ["dead"]
    with ward.database.begin("cli") as unit:
        (delivery,) = to_the_ehr(unit, study)
        unit.deliveries.replay(delivery.id, ward.now)
        unit.commit()
    deliver()
    assert delivery_states(ward, study) == ["acknowledged"]


@pytest.mark.parametrize(("failures", "was"), [([Invalid("422")], "superseded"), ([], "acknowledged")])
def test_a_replayed_report_arrives_though_a_newer_version_stayed_here(
    ward: Ward, failures: list[GatewayError], was: str
) -> None:
    """Dead or acknowledged, an operator's replay brings the destination a version that only our store was told of."""
    study = reported(ward)
    deliver = deliveries(ward, outlet := ScriptedOutlet(failures))
    deliver()
    with ward.database.begin("ehr") as unit:
        report = unit.reports.get(report_id(study))
        content = unit.reports.version(report.id, report.version).content
        assert content is not None
        unit.deliveries.plan(unit.reports.write(report, "link", 1, content, ward.now), ["record"], ward.now)
        (delivery,) = to_the_ehr(unit, study)
        unit.deliveries.replay(delivery.id, ward.now)
        unit.commit()
    outlet.sent.clear()
    deliver()
    assert [document.version.version for _, document in outlet.sent] == [report.version + 1]
    assert delivery_states(ward, study) == [was, "acknowledged"]


def test_a_report_that_cannot_be_opened_does_not_block_the_others(ward: Ward) -> None:
    """Its delivery is a dead letter with the reason, and what comes after it is sent."""
    lost = reported(ward)
    with ward.database.read() as unit:
        (finding,) = unit.tasks.findings(lost, 1)
    ward.blobs.delete(BlobKey(str(finding.images[0].heat_map)))
    ward.wait(1)
    other = ward.push("s2", "i2")
    ward.settle()
    ward.run(only_task(ward, other))
    deliver = deliveries(ward, outlet := ScriptedOutlet())
    while deliver():
        pass
    assert (delivery_states(ward, lost), delivery_states(ward, other)) == (["dead"], ["acknowledged"])
    assert len(outlet.sent) == 1
    with ward.database.read() as unit:
        (dead,) = to_the_ehr(unit, lost)
    assert dead.last_error == "missing: no such blob"


def test_an_old_version_never_overwrites_a_new_one(ward: Ward) -> None:
    """A version that was not delivered before the next was written is not sent any more."""
    study = reported(ward)
    deliver = deliveries(ward, outlet := ScriptedOutlet([Unavailable("out")]))
    deliver()
    ward.push("s1", "i2", b"late")
    ward.settle()
    ward.run(only_task(ward, study))
    ward.wait(700)
    while deliver():
        pass
    assert sorted(delivery_states(ward, study)) == ["acknowledged", "superseded"]
    assert len(outlet.sent) == 1
