"""Key rings: two files, made once, readable by their owner only."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gateway.domain.errors import Conflict, Forbidden, Invalid, Missing, Unavailable
from gateway.privacy.key_provider import KeyProvider
from gateway.privacy.keyring import IDENTITY_FILE, OBJECTS_FILE, KeyRing, Purpose, create, load, save
from gateway.privacy.providers.file import FileProvider

pytestmark = pytest.mark.usefixtures("light_passphrases")


def test_objects_and_identity_are_apart(tmp_path: Path) -> None:
    """The objects ring opens objects, extends the audit and seals deposits; with the other it serves every purpose."""
    create(tmp_path / "keys")
    objects, identity = load(tmp_path / "keys", OBJECTS_FILE), load(tmp_path / "keys", IDENTITY_FILE)
    assert set(objects.current) == {Purpose.OBJECTS, Purpose.AUDIT, Purpose.DEPOSIT_PUBLIC}
    with pytest.raises(Missing):
        objects.key(Purpose.IDENTITY)
    joined = objects.joined(identity)
    assert len({joined.key(purpose).key for purpose in Purpose}) == len(Purpose)
    assert objects.unwrap(objects.key(Purpose.OBJECTS).kid, joined.key(Purpose.OBJECTS).wrap(b"d" * 32)) == b"d" * 32


def test_files_are_private(tmp_path: Path) -> None:
    """Folder 0700, files 0600, nothing temporary left; wider modes are refused."""
    folder = tmp_path / "keys"
    create(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        OBJECTS_FILE: 0o600,
        IDENTITY_FILE: 0o600,
    }
    (folder / OBJECTS_FILE).chmod(0o640)
    with pytest.raises(Forbidden, match="0640"):
        load(folder, OBJECTS_FILE)
    (folder / OBJECTS_FILE).chmod(0o600)
    folder.chmod(0o755)
    with pytest.raises(Forbidden, match="0755"):
        load(folder, OBJECTS_FILE)


def test_creating_again_changes_nothing(tmp_path: Path) -> None:
    """An existing ring is never replaced."""
    create(tmp_path / "keys")
    before = (tmp_path / "keys" / OBJECTS_FILE).read_bytes()
    create(tmp_path / "keys")
    assert (tmp_path / "keys" / OBJECTS_FILE).read_bytes() == before


RACER = """
import sys
from pathlib import Path
from gateway.privacy.keyring import IDENTITY_FILE, OBJECTS_FILE, create, load
folder = Path(sys.argv[1])
sys.stdin.readline()
create(folder)
print(sorted(load(folder, OBJECTS_FILE).keys), sorted(load(folder, IDENTITY_FILE).keys))
"""


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    """Of several processes creating at once all end with one ring."""
    command = [sys.executable, "-c", RACER, str(tmp_path / "keys")]
    pipe = subprocess.PIPE
    racers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(3)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    seen = [racer.communicate(timeout=60)[0] for racer in racers]
    assert seen[0].startswith("['audit-")
    assert seen == [seen[0]] * 3


def under(passphrase: str | None) -> Callable[[str], KeyProvider]:
    return lambda _name: FileProvider(passphrase)


def test_a_passphrase_is_asked_for_and_checked(tmp_path: Path) -> None:
    """With a passphrase no key is in the file in clear; a wrong or missing one is refused in clear words."""
    folder = tmp_path / "keys"
    create(folder, under("correct horse"))
    ring = load(folder, OBJECTS_FILE, FileProvider("correct horse"))
    written = (folder / OBJECTS_FILE).read_bytes()
    assert not any(base64.b64encode(key) in written for key in ring.keys.values())
    assert set(ring.current) == {Purpose.OBJECTS, Purpose.AUDIT, Purpose.DEPOSIT_PUBLIC}
    with pytest.raises(Forbidden, match="wrong passphrase"):
        load(folder, OBJECTS_FILE, FileProvider("battery staple"))
    with pytest.raises(Forbidden, match="needs its passphrase"):
        load(folder, OBJECTS_FILE)


def test_a_passphrase_for_an_open_ring_is_refused(tmp_path: Path) -> None:
    """Giving a passphrase to a ring without one is an error, not a silent success."""
    create(tmp_path / "keys")
    with pytest.raises(Forbidden, match="no passphrase"):
        load(tmp_path / "keys", OBJECTS_FILE, FileProvider("anything"))


def test_a_new_key_becomes_current_and_the_old_one_still_opens(tmp_path: Path) -> None:
    """Rotation adds a key; what the earlier one wrapped can still be unwrapped after a reload."""
    folder, provider = tmp_path / "keys", FileProvider("p")
    create(folder, under("p"))
    old = load(folder, OBJECTS_FILE, provider)
    wrapped = old.key(Purpose.OBJECTS).wrap(b"d" * 32)
    save(folder, OBJECTS_FILE, old.with_new_key(Purpose.OBJECTS), provider)
    ring = load(folder, OBJECTS_FILE, provider)
    assert ring.key(Purpose.OBJECTS).kid != old.key(Purpose.OBJECTS).kid
    assert ring.unwrap(old.key(Purpose.OBJECTS).kid, wrapped) == b"d" * 32


def test_a_staged_key_opens_before_it_seals(tmp_path: Path) -> None:
    """The next key is on the ring for other machines to have, and becomes current with the rotation, not before."""
    folder = tmp_path / "keys"
    create(folder)
    ring = load(folder, OBJECTS_FILE).with_staged_key(Purpose.OBJECTS)
    save(folder, OBJECTS_FILE, ring, FileProvider())
    staged = load(folder, OBJECTS_FILE)
    kid = staged.staged[Purpose.OBJECTS]
    assert staged.key(Purpose.OBJECTS).kid != kid
    assert staged.by_id(kid)
    with pytest.raises(Conflict, match="staged already"):
        staged.with_staged_key(Purpose.OBJECTS)
    rotated = staged.with_new_key(Purpose.OBJECTS)
    assert (rotated.key(Purpose.OBJECTS).kid, dict(rotated.staged)) == (kid, {})


@pytest.mark.parametrize("purpose", [Purpose.INDEX, Purpose.PSEUDONYM])
def test_keys_that_stored_values_derive_from_are_not_rotated(purpose: Purpose, tmp_path: Path) -> None:
    """Index and pseudonym keys cannot be replaced by rotation."""
    create(tmp_path / "keys")
    with pytest.raises(Conflict, match="derived"):
        load(tmp_path / "keys", IDENTITY_FILE).with_new_key(purpose)


def test_only_a_former_key_can_be_taken_off(tmp_path: Path) -> None:
    """Current and staged keys stay; a former one goes."""
    create(tmp_path / "keys")
    first = load(tmp_path / "keys", OBJECTS_FILE)
    ring = first.with_new_key(Purpose.OBJECTS).with_staged_key(Purpose.OBJECTS)
    for kid in (ring.current[Purpose.OBJECTS], ring.staged[Purpose.OBJECTS]):
        with pytest.raises(Conflict, match="not a former key"):
            ring.without(kid)
    former = first.current[Purpose.OBJECTS]
    with pytest.raises(Missing):
        ring.without(former).by_id(former)


FIRST_FORMAT = {
    "keys": {
        "objects-0123456789ab": base64.b64encode(b"o" * 32).decode(),
        "audit-0": base64.b64encode(b"a" * 32).decode(),
    },
    "current": {"objects": "objects-0123456789ab", "audit": "audit-0"},
}


@pytest.mark.parametrize("passphrase", [None, "correct horse"])
def test_rings_of_the_first_format_open_and_become_format_2(
    passphrase: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an earlier release has written is read, with and without a passphrase, and written anew in format 2."""
    monkeypatch.undo()  # the earlier release's cost, not the one of light_passphrases
    folder, provider = tmp_path / "keys", FileProvider(passphrase)
    folder.mkdir(mode=0o700)
    document: dict[str, object] = {"format": 1, "ring": FIRST_FORMAT}
    if passphrase is not None:
        salt, nonce = b"s" * 16, b"n" * 12
        key = Scrypt(salt=salt, length=32, n=1 << 15, r=8, p=1).derive(passphrase.encode())
        sealed = AESGCM(key).encrypt(nonce, json.dumps(FIRST_FORMAT).encode(), b"dxgate/keyring/v1")
        parts = {"salt": salt, "nonce": nonce, "sealed": sealed}
        document = {"format": 1, **{name: base64.b64encode(value).decode() for name, value in parts.items()}}
    path = folder / OBJECTS_FILE
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    ring = load(folder, OBJECTS_FILE, provider)
    assert ring.key(Purpose.OBJECTS).key == b"o" * 32
    with pytest.raises(Forbidden):
        load(folder, OBJECTS_FILE, FileProvider("another" if passphrase else "needless"))
    save(folder, OBJECTS_FILE, ring, provider)
    assert json.loads(path.read_bytes())["format"] == 2
    assert load(folder, OBJECTS_FILE, provider) == ring


def altered(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The document with one part changed, in every way that keeps its form."""
    value = document[name]
    if isinstance(value, dict):
        kids = document["keys"]
        return [
            {**document, name: {**value, purpose: kid}} for purpose in value for kid in kids if value[purpose] != kid
        ]
    if isinstance(value, list):
        return [{**document, name: value[1:]}, {**document, name: [*value, "objects-ffffffffffff"]}]
    if name in ("wrapped", "nonce", "sealed"):
        raw = bytearray(base64.b64decode(value))
        raw[len(raw) // 2] ^= 1
        cut = base64.b64encode(raw[:-1]).decode()
        return [{**document, name: base64.b64encode(raw).decode()}, {**document, name: cut}, {**document, name: 7}]
    return [{**document, name: f"{value}x"}, {**document, name: None}]


@pytest.mark.parametrize("name", ["file", "provider", "kek", "wrapped", "keys", "current", "staged", "nonce", "sealed"])
def test_every_altered_part_of_a_ring_is_refused(name: str, tmp_path: Path) -> None:
    """Nobody makes a former key current again, hides a key, moves a ring or changes a byte without being noticed."""
    folder, provider = tmp_path / "keys", FileProvider("p")
    create(folder, under("p"))
    ring = load(folder, OBJECTS_FILE, provider).with_new_key(Purpose.OBJECTS).with_staged_key(Purpose.AUDIT)
    save(folder, OBJECTS_FILE, ring, provider)
    document = json.loads((folder / OBJECTS_FILE).read_bytes())
    changed = [*altered(document, name), {key: value for key, value in document.items() if key != name}]
    assert changed
    for one in changed:
        (folder / OBJECTS_FILE).write_text(json.dumps(one))
        with pytest.raises((Invalid, Forbidden, Conflict)):
            load(folder, OBJECTS_FILE, provider)


def test_one_ring_does_not_pass_for_the_other(tmp_path: Path) -> None:
    """A file under the other's name is refused, even where the same passphrase opens both."""
    folder, provider = tmp_path / "keys", FileProvider("p")
    create(folder, under("p"))
    (folder / OBJECTS_FILE).write_bytes((folder / IDENTITY_FILE).read_bytes())
    with pytest.raises(Invalid, match="another file"):
        load(folder, OBJECTS_FILE, provider)


def test_a_ring_killed_while_it_is_written_is_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the rename never comes, the old ring stands and nothing temporary is taken for a ring."""
    folder = tmp_path / "keys"
    create(folder)
    before = load(folder, OBJECTS_FILE)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(Unavailable, match="28"):
        save(folder, OBJECTS_FILE, before.with_new_key(Purpose.OBJECTS), FileProvider())
    assert load(folder, OBJECTS_FILE) == before
    assert sorted(path.name for path in folder.iterdir()) == [IDENTITY_FILE, OBJECTS_FILE]


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    """A missing ring is Missing; a damaged or misplaced one is Invalid."""
    folder = tmp_path / "keys"
    with pytest.raises(Missing, match=r"objects\.json"):
        load(folder, OBJECTS_FILE)
    create(folder)
    whole = (folder / IDENTITY_FILE).read_bytes()
    for content in (b"", b"{}", b"[]", whole[:-20], whole.replace(b'"format": 2', b'"format": 9')):
        (folder / IDENTITY_FILE).write_bytes(content)
        with pytest.raises(Invalid):
            load(folder, IDENTITY_FILE)
    (folder / OBJECTS_FILE).write_bytes(whole)
    with pytest.raises(Invalid, match="another file"):
        load(folder, OBJECTS_FILE)


def test_a_ring_has_no_text_form(tmp_path: Path) -> None:
    """The repr names keys by id only."""
    create(tmp_path / "keys")
    ring = load(tmp_path / "keys", OBJECTS_FILE)
    assert repr(ring) == f"KeyRing({', '.join(sorted(ring.keys))})"


def test_a_ring_of_a_release_that_signed_nothing_gets_a_signing_key(tmp_path: Path) -> None:
    """`dxgate keys init` after an upgrade adds the key, once, and leaves all others as they are."""
    folder = tmp_path / "keys"
    create(folder)
    before = load(folder, IDENTITY_FILE)
    kid = before.current[Purpose.SIGNING]
    left = {purpose: name for purpose, name in before.current.items() if purpose is not Purpose.SIGNING}
    keys = {name: key for name, key in before.keys.items() if name != kid}
    save(folder, IDENTITY_FILE, KeyRing(keys, left), FileProvider())
    assert create(folder) == []
    after = load(folder, IDENTITY_FILE)
    create(folder)
    assert load(folder, IDENTITY_FILE).current == after.current
    assert {name: after.keys[name] for name in keys} == keys
    assert after.key(Purpose.SIGNING).kid != kid
