"""What every key provider must do, run on all of them: the real file, variable and SoftHSM, and a Transit server.

HashiCorp Vault itself cannot be had where these tests run: its provider is tested against tests/harness/
transit_server.py, which follows Vault's documentation, and against that only.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from harness.softhsm import library, soft_token
from harness.transit_server import TransitServer, serving

from gateway.domain.errors import Conflict, Forbidden, GatewayError, Invalid, Missing, Unavailable
from gateway.privacy.key_provider import KeyProvider, WrappedKey
from gateway.privacy.keyring import IDENTITY_FILE, OBJECTS_FILE, Purpose, create, load, save
from gateway.privacy.providers.environment import EnvironmentProvider
from gateway.privacy.providers.file import FileProvider
from gateway.privacy.providers.pkcs11 import Pkcs11Provider
from gateway.privacy.providers.transit import TransitProvider

pytestmark = pytest.mark.usefixtures("light_passphrases")
KEY, CONTEXT = b"k" * 32, b"dxgate/test"
SECRET, OTHER_SECRET = "ab" * 32, "cd" * 32
SECRETS = ("correct horse battery", SECRET, "271828", "s.transit-token")
KINDS = ("file", "environment", pytest.param("pkcs11", marks=pytest.mark.peer("softhsm")), "vault")


@dataclass
class Site:
    """A provider with its KEK made; `stranger` cannot open what it wrapped, `renewed` is it after a new KEK."""

    provider: KeyProvider
    stranger: KeyProvider
    renewed: Callable[[], KeyProvider]


@pytest.fixture(params=KINDS)
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    if request.param == "file":
        provider = FileProvider("correct horse battery")
        yield Site(provider, FileProvider("wrong horse battery"), lambda: provider)
    elif request.param == "environment":
        first = EnvironmentProvider("keys.objects_secret", SECRET)
        renewed = EnvironmentProvider("keys.objects_secret", f"{OTHER_SECRET}, {SECRET}")
        yield Site(first, EnvironmentProvider("keys.objects_secret", OTHER_SECRET), lambda: renewed)
    elif request.param == "pkcs11":
        token = soft_token(tmp_path / "hsm")
        monkeypatch.setenv("SOFTHSM2_CONF", str(token.configuration))
        hsm = Pkcs11Provider(library() or "", token.label, "dxgate-objects", token.pin, 20)
        other = replace(hsm, label="dxgate-identity")
        hsm.renew()
        other.renew()
        yield Site(hsm, other, lambda: _renewed(hsm))
    else:
        with serving(TransitServer({"s.transit-token": ("",)})) as server:
            vault = transit(server)
            other_key = replace(vault, key="dxgate-identity")
            vault.renew()
            other_key.renew()
            yield Site(vault, other_key, lambda: _renewed(vault))


def transit(server: TransitServer) -> TransitProvider:
    return TransitProvider(
        address=server.address,
        key="dxgate-objects",
        token="s.transit-token",
        token_file="",
        namespace=server.namespace,
        mount="transit",
        ca="",
        timeout_seconds=5,
        pause=lambda _: None,
    )


def _renewed(provider: KeyProvider) -> KeyProvider:
    provider.renew()
    return provider


def test_what_was_wrapped_is_unwrapped(site: Site) -> None:
    """The key comes back, is not in the wrapping, and no two wrappings are alike."""
    one, two = site.provider.wrap(KEY, CONTEXT), site.provider.wrap(KEY, CONTEXT)
    assert site.provider.unwrap(one, CONTEXT) == site.provider.unwrap(two, CONTEXT) == KEY
    assert KEY not in one.wrapped
    assert one.wrapped != two.wrapped


def test_a_wrapping_opens_in_its_own_place_only(site: Site) -> None:
    """Another context, as of the other ring's file, is refused."""
    wrapped = site.provider.wrap(KEY, CONTEXT)
    with pytest.raises((Invalid, Forbidden)):
        site.provider.unwrap(wrapped, b"dxgate/elsewhere")


def test_an_altered_wrapping_is_refused(site: Site) -> None:
    """A changed byte at either end and a cut wrapping give an error of ours and never a key."""
    wrapped = site.provider.wrap(KEY, CONTEXT)
    first, last = bytearray(wrapped.wrapped), bytearray(wrapped.wrapped)
    first[0] ^= 1
    last[-3] ^= 1
    for changed in (bytes(first), bytes(last), wrapped.wrapped[:-4], b""):
        with pytest.raises(GatewayError):
            site.provider.unwrap(WrappedKey(wrapped.kek, changed), CONTEXT)


def test_another_kek_opens_nothing(site: Site) -> None:
    """Another passphrase, secret or key of the same token is refused."""
    with pytest.raises((Forbidden, Missing, Invalid)):
        site.stranger.unwrap(site.provider.wrap(KEY, CONTEXT), CONTEXT)


def test_a_new_kek_wraps_and_the_former_still_opens(site: Site) -> None:
    """After `renew` the KEK's id is another one, and earlier wrappings open."""
    before = site.provider.wrap(KEY, CONTEXT)
    renewed = site.renewed()
    after = renewed.wrap(KEY, CONTEXT)
    assert before.kek != after.kek
    assert renewed.unwrap(before, CONTEXT) == renewed.unwrap(after, CONTEXT) == KEY


def test_a_ring_lives_under_it(site: Site, tmp_path: Path) -> None:
    """Made, loaded, rotated, wrapped under a new KEK and loaded again: the same keys; under another KEK nothing."""
    folder = tmp_path / "keys"
    create(folder, lambda _name: site.provider)
    ring = load(folder, OBJECTS_FILE, site.provider).with_new_key(Purpose.OBJECTS)
    save(folder, OBJECTS_FILE, ring, site.provider)
    assert load(folder, OBJECTS_FILE, site.provider) == ring
    with pytest.raises((Forbidden, Missing, Invalid)):
        load(folder, OBJECTS_FILE, site.stranger)
    renewed = site.renewed()
    save(folder, OBJECTS_FILE, ring, renewed)
    assert load(folder, OBJECTS_FILE, renewed) == ring
    assert load(folder, IDENTITY_FILE, renewed).current


def test_it_has_no_text_form(site: Site) -> None:
    """No passphrase, secret, PIN or token is in the text of a provider or of a wrapping."""
    shown = repr(site.provider) + str(site.provider) + repr(site.provider.wrap(KEY, CONTEXT))
    assert not any(secret in shown for secret in SECRETS)


def test_a_provider_of_another_kind_is_named(site: Site, tmp_path: Path) -> None:
    """A ring under one provider, opened with another: the message says which it is and how to move it."""
    folder = tmp_path / "keys"
    create(folder, lambda _name: site.provider)
    own = site.provider.name
    other = FileProvider() if own == "environment" else EnvironmentProvider("keys.objects_secret", SECRET)
    with pytest.raises(Conflict, match=rf"'{own}'.*--from {own}"):
        load(folder, OBJECTS_FILE, other)


@pytest.fixture
def vault() -> Iterator[tuple[TransitServer, TransitProvider]]:
    with serving(TransitServer({"s.transit-token": ("",)})) as server:
        provider = transit(server)
        provider.renew()
        yield server, provider


def test_a_sealed_vault_is_told_at_once(vault: tuple[TransitServer, TransitProvider]) -> None:
    """503 is a state that a person ends, so it is not tried again."""
    server, provider = vault
    server.sealed = True
    before = len(server.requests)
    with pytest.raises(Unavailable, match="sealed"):
        provider.wrap(KEY, CONTEXT)
    assert len(server.requests) == before + 1


@pytest.mark.parametrize("status", [429, 472, 473, 500, 502])
def test_a_vault_that_is_out_for_a_moment_is_asked_again(
    status: int, vault: tuple[TransitServer, TransitProvider]
) -> None:
    """Two failures are bridged, three are told."""
    server, provider = vault
    server.next_answers.extend([status, status])
    wrapped = provider.wrap(KEY, CONTEXT)
    server.next_answers.extend([status] * 3)
    with pytest.raises(Unavailable, match=str(status)):
        provider.unwrap(wrapped, CONTEXT)


def test_a_vault_that_is_away_is_told(vault: tuple[TransitServer, TransitProvider]) -> None:
    """A refused connection names the address and the setting."""
    provider = replace(vault[1], address="http://127.0.0.1:9")
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9.*vault_address"):
        provider.wrap(KEY, CONTEXT)


def test_a_token_without_rights_is_refused(vault: tuple[TransitServer, TransitProvider]) -> None:
    """A worker's token that may use one key cannot use the other; an unknown token can use none."""
    server, provider = vault
    rights = tuple(f"{verb}/dxgate-objects" for verb in ("encrypt", "decrypt"))
    server.tokens["s.worker"] = rights
    worker = replace(provider, token="s.worker")
    assert worker.unwrap(worker.wrap(KEY, CONTEXT), CONTEXT) == KEY
    for refused in (replace(worker, key="dxgate-identity"), replace(provider, token="s.nobody")):
        with pytest.raises(Forbidden, match="token"):
            refused.wrap(KEY, CONTEXT)


def test_the_token_is_read_anew_from_its_file(vault: tuple[TransitServer, TransitProvider], tmp_path: Path) -> None:
    """An agent may renew the token under a running gateway; a file that is gone is told."""
    server, provider = vault
    file = tmp_path / "token"
    from_file = replace(provider, token="", token_file=str(file))
    file.write_text("s.transit-token\n")
    wrapped = from_file.wrap(KEY, CONTEXT)
    server.tokens = {"s.next": ("",)}
    with pytest.raises(Forbidden):
        from_file.unwrap(wrapped, CONTEXT)
    file.write_text("s.next\n")
    assert from_file.unwrap(wrapped, CONTEXT) == KEY
    file.unlink()
    with pytest.raises(Forbidden, match="cannot be read"):
        from_file.unwrap(wrapped, CONTEXT)


def test_namespace_and_mount_reach_the_service() -> None:
    """The key of another namespace or mount is not found."""
    with serving(TransitServer({"s.transit-token": ("",)}, namespace="clinic/radiology", mount="kms")) as server:
        provider = replace(transit(server), mount="/kms/")
        provider.renew()
        assert provider.unwrap(provider.wrap(KEY, CONTEXT), CONTEXT) == KEY
        for wrong in (replace(provider, namespace="elsewhere"), replace(provider, mount="transit")):
            with pytest.raises((Missing, Forbidden)):
                wrong.wrap(KEY, CONTEXT)


def test_a_version_that_vault_no_longer_opens_is_told(vault: tuple[TransitServer, TransitProvider]) -> None:
    """min_decryption_version above the ring's version gives words, not a damaged ring."""
    server, provider = vault
    wrapped = provider.wrap(KEY, CONTEXT)
    server.keys["dxgate-objects"].min_decryption_version = 2
    with pytest.raises(Missing, match="min_decryption_version"):
        provider.unwrap(wrapped, CONTEXT)


@pytest.mark.parametrize("secrets", ["", "ab", "xyz" * 22, SECRET[:-1], f"{SECRET},short"])
def test_a_secret_that_is_no_256_bits_is_refused(secrets: str) -> None:
    """The message says how to make one and quotes nothing."""
    with pytest.raises(Invalid, match="openssl rand -hex 32") as raised:
        EnvironmentProvider("keys.objects_secret", secrets).wrap(KEY, CONTEXT)
    assert SECRET not in str(raised.value)


def test_a_new_secret_has_to_be_given() -> None:
    """The environment provider cannot make a variable: it says what to do."""
    with pytest.raises(Conflict, match="in front of the old one"):
        EnvironmentProvider("keys.objects_secret", SECRET).renew()


@pytest.mark.peer("softhsm")
def test_trouble_with_the_hsm_is_told_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong PIN, an absent token, a library that is none, and one that never returns: each in words of its own."""
    token = soft_token(tmp_path / "hsm")
    monkeypatch.setenv("SOFTHSM2_CONF", str(token.configuration))
    hsm = Pkcs11Provider(library() or "", token.label, "dxgate-objects", token.pin, 20)
    with pytest.raises(Missing, match="no AES key"):
        hsm.wrap(KEY, CONTEXT)
    with pytest.raises(Forbidden, match="PIN"):
        replace(hsm, pin="000000").wrap(KEY, CONTEXT)
    with pytest.raises(Missing, match="no token"):
        replace(hsm, token="elsewhere").wrap(KEY, CONTEXT)
    with pytest.raises(Unavailable, match="pkcs11_module"):
        replace(hsm, module=str(tmp_path / "none.so")).wrap(KEY, CONTEXT)
    with pytest.raises(Unavailable, match=r"not answered in 0\.05 s"):
        replace(hsm, timeout_seconds=0.05).wrap(KEY, CONTEXT)


@pytest.mark.peer("softhsm")
def test_the_kek_never_leaves_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The generated key is sensitive and not extractable, by what the token itself says."""
    token = soft_token(tmp_path / "hsm")
    monkeypatch.setenv("SOFTHSM2_CONF", str(token.configuration))
    Pkcs11Provider(library() or "", token.label, "dxgate-objects", token.pin, 20).renew()
    shown = attributes_in_own_process(token.label, token.pin)
    assert shown == "True False True"


def attributes_in_own_process(label: str, pin: str) -> str:
    """Apart from the test's process, where the library would keep what it read first."""
    code = f"""
import pkcs11
from pkcs11 import Attribute, ObjectClass
with pkcs11.lib({library()!r}).get_token(token_label={label!r}).open(user_pin={pin!r}) as session:
    key, = session.get_objects({{Attribute.CLASS: ObjectClass.SECRET_KEY}})
    print(key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE], key[Attribute.NEVER_EXTRACTABLE])
"""
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30
    ).stdout.strip()
