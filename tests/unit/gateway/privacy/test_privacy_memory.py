"""The memory of earlier outcomes: it saves work and changes nothing, keeps patients apart, and stays small."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.privacy import memory
from gateway.privacy.engine import Deidentified, deidentify
from gateway.privacy.memory import MOST_ELEMENTS, Outcome, forget_all, memory_of
from gateway.privacy.pseudonyms import Pseudonymiser
from gateway.privacy.rewriter import Rewriter
from gateway.privacy.rules import BASIC, INFERENCE, Profile, compile_rules

EXPLICIT_LE = "1.2.840.10008.1.2.1"
OTHER = Pseudonymiser(b"t" * 32, b"d" * 32)

TEXTS = st.sampled_from(
    [b"", b"CHEST ", b"Doe^Jane", b"JANE", b"20240229", b"12.5", b"MRN-4711-X", b"1.2.3", b"\xff\xfe"]
)
LEAVES = st.fixed_dictionaries(
    {},
    optional={
        tag: st.tuples(st.just(vr), TEXTS)
        for tag, vr in {
            0x00080020: "DA",
            0x00080070: "LO",
            0x00081030: "LO",
            0x00090010: "LO",
            0x00100010: "PN",
            0x00100020: "LO",
            0x00104000: "LT",
            0x00180015: "CS",
            0x00280030: "DS",
        }.items()
    },
)
OBJECTS = st.tuples(LEAVES, st.lists(LEAVES, max_size=2)).map(
    lambda made: {**made[0], **({0x00400275: ("SQ", made[1])} if made[1] else {})}
)


def run(data: bytes, pseudonymiser: Pseudonymiser, profile: Profile = INFERENCE) -> Deidentified:
    return deidentify(data, EXPLICIT_LE, compile_rules(profile), lambda key: pseudonymiser)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(series=st.lists(OBJECTS, min_size=1, max_size=4))
def test_what_is_remembered_changes_nothing(make: Any, pseudonymiser: Pseudonymiser, series: list[Any]) -> None:
    """An object comes out the same after others of its patient as when it is the first that is seen."""
    forget_all()
    after_others = [run(make(one), pseudonymiser) for one in series + series]
    for done, one in zip(after_others, series + series, strict=True):
        forget_all()
        assert done == run(make(one), pseudonymiser)


def test_an_element_seen_before_is_not_decided_again(make: Any, pseudonymiser: Pseudonymiser, monkeypatch: Any) -> None:
    """The second slice of a series asks the rules about none of the elements that it shares with the first."""
    asked: list[int] = []
    decide = Rewriter._action

    def counted(self: Rewriter, element: Any) -> Any:
        asked.append(element.tag)
        return decide(self, element)

    monkeypatch.setattr(Rewriter, "_action", counted)
    forget_all()
    run(make({0x00200013: ("IS", b"1 ")}), pseudonymiser)
    asked.clear()
    run(make({0x00200013: ("IS", b"2 ")}), pseudonymiser)
    assert asked == [0x00200013]


def test_patients_and_profiles_are_kept_apart(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """The same bytes under another patient's pseudonyms or another profile get their own outcome."""
    data = make({0x00080020: ("DA", b"20240229")})
    first = run(data, pseudonymiser)
    assert run(data, OTHER).header.study_instance_uid == OTHER.uid("1.2.826.0.1.77.1")
    assert first.header.study_date
    assert not run(data, pseudonymiser, BASIC).header.study_date


def test_a_note_is_searched_again_where_another_name_is_sought(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """A text that was clear beside one name is not taken for clear beside the name that it holds."""
    note = {0x00080070: ("LO", b"ACME ROSE ")}
    clear = run(make({**note, 0x00100010: ("PN", b"Doe^Jane")}), pseudonymiser)
    named = run(make({**note, 0x00100010: ("PN", b"Rose^Jane")}), pseudonymiser)
    assert b"ROSE" in b"".join(clear.parts)
    assert b"ROSE" not in b"".join(named.parts)


def test_a_memory_is_bounded() -> None:
    """A place that is full starts anew, and so do places and visits beyond their number."""
    forget_all()
    kept = memory_of(object(), patient="one")
    place = kept.at("root")
    place.update({b"%d" % number: Outcome("keep", None, None) for number in range(MOST_ELEMENTS)})
    assert kept.at("root") == {}
    for number in range(100):
        kept.at(number)
        memory_of(patient=number)
    assert len(kept._places) <= memory._MOST_PLACES
    assert len(memory._memories) <= memory._MOST_VISITS


def test_forgetting_leaves_nothing(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """After `forget_all` no visit is remembered."""
    run(make({}), pseudonymiser)
    assert memory._memories
    forget_all()
    assert not memory._memories
