"""Secrets, attempts and scopes: the parts that decide who comes in."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, strategies

from gateway.domain.access import Role
from gateway.domain.errors import Fault, Forbidden, Invalid
from gateway.flow.attempts import Attempts, Limit, TooManyAttempts
from gateway.flow.scopes import ROLE_SCOPES, Context, check, covers, narrowed, of_context, of_person, permits, shared
from gateway.flow.secret_hash import fits, hash_secret, new_secret


def test_secret_fits_its_own_hash_alone() -> None:
    """The right secret fits, another does not, and two hashes of one secret differ."""
    stored = hash_secret("pässword")
    assert fits("pässword", stored)
    assert fits("pa\u0308ssword", stored)  # the same letters in another Unicode form
    assert not fits("password", stored)
    assert stored != hash_secret("pässword")


@pytest.mark.parametrize("secret", ["", "x" * 1025])
def test_unusable_secrets(secret: str) -> None:
    """An empty or overlong secret cannot be stored and fits nothing."""
    with pytest.raises(Invalid):
        hash_secret(secret)
    assert not fits(secret, hash_secret("-"))


def test_nobody_has_a_secret() -> None:
    """Where nothing is stored nothing fits."""
    assert not fits(new_secret(), None)


@pytest.mark.parametrize("stored", ["", "scrypt$1$2", "md5$16384$8$5$AAAA$AAAA", "scrypt$99999999$8$5$AAAA$AAAA"])
def test_damaged_hashes_are_a_fault(stored: str) -> None:
    """A stored hash of another form, or one that asks for all memory, is our own fault and says so."""
    if stored:
        with pytest.raises(Fault):
            fits("x", stored)


class Clock:
    """Time that stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_attempts_leak_away_with_time() -> None:
    """A full bucket refuses, and takes one more after its share of time."""
    clock = Clock()
    attempts = Attempts(Limit(2, 10.0), Limit(100, 10.0), clock=clock)
    attempts.begin("a", "10.0.0.1")
    attempts.begin("a", "10.0.0.1")
    with pytest.raises(TooManyAttempts) as refused:
        attempts.begin("a", "10.0.0.1")
    assert refused.value.seconds == 6
    attempts.begin("a", "10.0.0.2")
    attempts.begin("b", "10.0.0.1")
    clock.now = 5.0
    attempts.begin("a", "10.0.0.1")


def test_many_names_from_one_address_are_limited() -> None:
    """One address, or one IPv6 network, cannot try one password on every name."""
    attempts = Attempts(Limit(10, 10.0), Limit(3, 10.0), clock=Clock())
    for number in range(3):
        attempts.begin(f"name-{number}", f"2001:db8::{number}")
    with pytest.raises(TooManyAttempts):
        attempts.begin("name-4", "2001:db8::4")


def test_success_is_forgiven() -> None:
    """Signing in rightly never adds up to a refusal."""
    attempts = Attempts(Limit(2, 10.0), Limit(2, 10.0), clock=Clock())
    for _ in range(20):
        attempts.begin("a", "10.0.0.1")
        attempts.forgive("a", "10.0.0.1")


def test_memory_of_attempts_is_bounded() -> None:
    """However many names are tried, only so many buckets are kept."""
    attempts = Attempts(Limit(1, 10.0), Limit(10_000, 10.0), capacity=50, clock=Clock())
    for number in range(500):
        attempts.begin(f"name-{number}", "10.0.0.1")
    assert len(attempts._buckets) == 50


@pytest.mark.parametrize(
    ("scope", "kind", "permission", "allowed"),
    [
        ("system/DiagnosticReport.rs", "DiagnosticReport", "r", True),
        ("system/DiagnosticReport.r", "DiagnosticReport", "s", False),
        ("system/*.read", "Patient", "s", True),
        ("system/*.*", "Patient", "r", True),
        ("system/*.cruds", "Patient", "r", True),
        ("system/*.c", "Patient", "r", False),
        ("system/Patient.write", "Patient", "r", False),
        ("system/Patient.rs?gender=f", "Patient", "r", False),
        ("user/*.rs", "Patient", "r", True),
        ("system/Patient.write", "Patient", "u", True),
        ("system/Patient.write", "Patient", "s", False),
        ("system/Patient.cud", "Patient", "d", True),
        ("system/*.*", "Patient", "c", True),
        ("system/Patient.", "Patient", "r", False),
        ("system/*.cruds", "AuditEvent", "r", False),
        ("system/AuditEvent.rs", "AuditEvent", "s", True),
        ("patient/*.rs", "Patient", "r", True),
        ("patient/*.rs", "AuditEvent", "r", False),
        ("group/*.rs", "Patient", "r", False),
        ("system/Patient.sr", "Patient", "r", False),
        ("system/Patient.rs", "Device", "r", False),
    ],
)
def test_what_a_scope_permits(scope: str, kind: str, permission: str, allowed: bool) -> None:
    """v1 and v2 system scopes permit what they say; what we do not fully understand permits nothing."""
    assert permits([scope], kind, permission) is allowed  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("granted", "requested", "given"),
    [
        (["system/*.rs"], None, ("system/*.rs",)),
        (["system/*.rs"], "system/Patient.r", ("system/Patient.r",)),
        (["system/*.rs"], "system/*.read", ("system/*.read",)),
        (["system/Patient.r"], "system/Patient.rs", ("system/Patient.r",)),
        (["system/Patient.r", "system/Device.rs"], "system/*.rs", ("system/Patient.r", "system/Device.rs")),
        (["system/Patient.rs"], "system/Device.rs launch openid", ()),
        (["system/*.cruds"], "system/Observation.write", ("system/Observation.write",)),
        (["system/*.rs", "user/*.cruds"], None, ("system/*.rs",)),
        (["system/*.rs", "user/*.cruds"], "user/Patient.rs", ()),
        (["system/*.cruds", "system/AuditEvent.rs"], "system/*.cruds", ("system/*.cruds",)),
        (["system/*.rs"], "system/AuditEvent.rs", ()),
    ],
)
def test_a_token_never_gets_more_than_is_granted(
    granted: list[str], requested: str | None, given: tuple[str, ...]
) -> None:
    """A request is cut down to what the client holds."""
    assert narrowed(granted, requested) == given


def test_useless_scopes_are_refused_when_a_client_is_made() -> None:
    """A scope that would grant nothing is refused where it is typed."""
    assert check("system/*.rs") == "system/*.rs"
    assert check("patient/*.rs") == "patient/*.rs"
    for useless in ("patient/*.cruds", "system/Patient.sr", "system/Patient.", "system/Patient.rs?gender=f", "group"):
        with pytest.raises(Invalid):
            check(useless)


def test_a_restriction_that_would_not_be_kept_is_refused_plainly() -> None:
    """A token is refused, not silently widened, where a scope asks for a part of a type."""
    with pytest.raises(Forbidden, match="not served"):
        narrowed(["system/*.cruds"], "system/Patient.rs?_security=R")


TYPES = ("Patient", "Observation", "DiagnosticReport", "AuditEvent")
LETTERS = ("c", "r", "u", "d", "s")
SCOPES = strategies.builds(
    "{}/{}.{}".format,
    strategies.sampled_from(("system", "user", "patient")),
    strategies.sampled_from(("*", *TYPES)),
    strategies.one_of(
        strategies.sampled_from(("read", "write", "*", "", "sr", "x")),
        strategies.lists(strategies.sampled_from(LETTERS), unique=True).map(
            lambda own: "".join(sorted(own, key="cruds".index))
        ),
    ),
)


@given(held=strategies.lists(SCOPES, max_size=4), asked=strategies.lists(SCOPES, min_size=1, max_size=4))
def test_what_is_granted_is_asked_and_held(held: list[str], asked: list[str]) -> None:
    """For any registration and any request a token permits exactly what both permit in its context."""
    for context in ("system", "user"):
        own = of_context(held, context)
        got = narrowed(held, " ".join(asked), context)
        assert all(scope.startswith(f"{context}/") for scope in got)
        for kind in TYPES:
            for letter in LETTERS:
                both = permits(own, kind, letter) and permits(of_context(asked, context), kind, letter)
                assert permits(got, kind, letter) is both, (held, asked, got, kind, letter)


@given(
    held=strategies.lists(SCOPES, max_size=4),
    asked=strategies.lists(SCOPES, min_size=1, max_size=4),
    role=strategies.sampled_from(sorted(ROLE_SCOPES)),
)
def test_an_app_gets_no_more_than_the_person_has(held: list[str], asked: list[str], role: Role) -> None:
    """What an app may do for a person is in the request, in the app's registration and in the person's role."""
    got = of_person(held, " ".join(asked), role)
    assert not (of_context(got, "user") and of_context(got, "patient"))
    contexts: tuple[Context, ...] = ("user", "patient")
    for context, kind, letter in itertools.product(contexts, TYPES, LETTERS):
        if permits(of_context(got, context), kind, letter):
            assert permits(of_context(held, context), kind, letter)
            assert permits(of_context(asked, context), kind, letter)
            assert permits(of_context(ROLE_SCOPES[role], context), kind, letter)


@pytest.mark.parametrize(
    ("role", "words"),
    [("physician", ("launch", "launch/patient")), ("admin", ("launch", "launch/patient")), ("auditor", ())],
)
def test_who_reads_no_patient_has_none_to_give(role: Role, words: tuple[str, ...]) -> None:
    """The scopes that bring a patient along are dropped for a role whose scopes do not read Patient."""
    held = ("openid", "launch", "launch/patient", "user/AuditEvent.rs", "user/*.rs")
    got = of_person(held, " ".join(held), role)
    assert got[: len(words) + 1] == ("openid", *words)
    assert {"launch", "launch/patient"} & set(got) == set(words)


def test_what_two_have_in_common() -> None:
    """Nothing stays nothing, and any number of scopes is compared."""
    many = tuple(f"system/Type{letter * 58}{other}.rs" for letter in "abcdefgh" for other in "abcdefgh")
    assert shared(("system/*.cruds",), many) == many
    assert shared(("system/*.cruds",), ()) == ()
    assert shared(("system/Patient.rs", "user/*.cruds"), ("system/*.cruds",)) == ("system/Patient.rs",)


def test_one_covers_the_other() -> None:
    """All letters of all types, with * and the forms of v1; the trail is no part of *."""
    assert covers(("system/*.cruds",), ("system/Patient.read", "system/*.rs", "offline_access"))
    assert not covers(("system/Patient.cruds",), ("system/*.r",))
    assert not covers(("system/Patient.rs",), ("system/Patient.read", "system/Patient.u"))
    assert not covers(("system/*.cruds",), ("system/AuditEvent.rs",))
