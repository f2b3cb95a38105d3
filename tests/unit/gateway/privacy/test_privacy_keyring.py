"""Key rings: two files, made once, readable by their owner only."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.domain.errors import Conflict, Forbidden, Invalid, Missing
from gateway.privacy.keyring import IDENTITY_FILE, OBJECTS_FILE, Purpose, add_key, create, load


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


def test_a_passphrase_is_asked_for_and_checked(tmp_path: Path) -> None:
    """With a passphrase no key is in the file in clear; a wrong or missing one is refused in clear words."""
    create(tmp_path / "keys", "correct horse")
    ring = load(tmp_path / "keys", OBJECTS_FILE, "correct horse")
    assert "keys" not in json.loads((tmp_path / "keys" / OBJECTS_FILE).read_bytes())
    assert set(ring.current) == {Purpose.OBJECTS, Purpose.AUDIT, Purpose.DEPOSIT_PUBLIC}
    with pytest.raises(Forbidden, match="wrong passphrase"):
        load(tmp_path / "keys", OBJECTS_FILE, "battery staple")
    with pytest.raises(Forbidden, match="needs its passphrase"):
        load(tmp_path / "keys", OBJECTS_FILE)


def test_a_passphrase_for_an_open_ring_is_refused(tmp_path: Path) -> None:
    """Giving a passphrase to a ring without one is an error, not a silent success."""
    create(tmp_path / "keys")
    with pytest.raises(Forbidden, match="no passphrase"):
        load(tmp_path / "keys", OBJECTS_FILE, "anything")


def test_a_new_key_becomes_current_and_the_old_one_still_opens(tmp_path: Path) -> None:
    """Rotation adds a key; what the earlier one wrapped can still be unwrapped after a reload."""
    folder = tmp_path / "keys"
    create(folder, "p")
    old = load(folder, OBJECTS_FILE, "p")
    wrapped = old.key(Purpose.OBJECTS).wrap(b"d" * 32)
    add_key(folder, Purpose.OBJECTS, "p")
    ring = load(folder, OBJECTS_FILE, "p")
    assert ring.key(Purpose.OBJECTS).kid != old.key(Purpose.OBJECTS).kid
    assert ring.unwrap(old.key(Purpose.OBJECTS).kid, wrapped) == b"d" * 32


@pytest.mark.parametrize("purpose", [Purpose.INDEX, Purpose.PSEUDONYM])
def test_keys_that_stored_values_derive_from_are_not_rotated(purpose: Purpose, tmp_path: Path) -> None:
    """Index and pseudonym keys cannot be replaced by rotation."""
    create(tmp_path / "keys")
    with pytest.raises(Conflict):
        add_key(tmp_path / "keys", purpose)


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    """A missing ring is Missing; a damaged or misplaced one is Invalid."""
    folder = tmp_path / "keys"
    with pytest.raises(Missing, match=r"objects\.json"):
        load(folder, OBJECTS_FILE)
    create(folder)
    whole = (folder / IDENTITY_FILE).read_bytes()
    for content in (b"", b"{}", b"[]", whole[:-20], whole.replace(b'"format": 1', b'"format": 9')):
        (folder / IDENTITY_FILE).write_bytes(content)
        with pytest.raises(Invalid):
            load(folder, IDENTITY_FILE)
    (folder / OBJECTS_FILE).write_bytes(whole)
    with pytest.raises(Invalid, match="other file"):
        load(folder, OBJECTS_FILE)


def test_a_ring_has_no_text_form(tmp_path: Path) -> None:
    """The repr names keys by id only."""
    create(tmp_path / "keys")
    ring = load(tmp_path / "keys", OBJECTS_FILE)
    assert repr(ring) == f"KeyRing({', '.join(sorted(ring.current.values()))})"
