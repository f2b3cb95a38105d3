"""Deposits: sealed by whoever holds the public key, opened by the vault alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.domain.errors import Conflict, Invalid, Missing
from gateway.privacy import deposit
from gateway.privacy.deposit import deposit_fingerprint, new_pair, open_deposit, seal_deposit
from gateway.privacy.keyring import IDENTITY_FILE, OBJECTS_FILE, KeyRing, Purpose, create, file_of, load, save
from gateway.privacy.providers.file import FileProvider

AAD = b"removed|instance-1"


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 7])
def test_the_private_half_opens_what_the_public_half_sealed(size: int) -> None:
    """Content of any size comes back byte for byte."""
    public, private = new_pair()
    content = bytes(range(256)) * (size // 256 + 1)
    blob = b"".join(seal_deposit([content[:size]], public, AAD))
    assert open_deposit(blob, private, AAD) == content[:size]


def test_every_altered_byte_is_refused() -> None:
    """Head, encrypted key, header and segments: no byte of a deposit can be changed, nor its end cut."""
    public, private = new_pair()
    blob = b"".join(seal_deposit([b"NAME^PLANTED"], public, AAD))
    for place in range(len(blob)):
        altered = bytearray(blob)
        altered[place] ^= 1
        with pytest.raises(Invalid):
            open_deposit(bytes(altered), private, AAD)
    for length in range(len(blob)):
        with pytest.raises(Invalid):
            open_deposit(blob[:length], private, AAD)


def test_a_deposit_opens_at_its_own_place_and_with_its_own_pair_only() -> None:
    """Moved to another instance, or opened with another private key, it is refused."""
    public, private = new_pair()
    blob = b"".join(seal_deposit([b"x"], public, AAD))
    with pytest.raises(Invalid, match="another place"):
        open_deposit(blob, private, b"removed|instance-2")
    with pytest.raises(Invalid, match="another key pair"):
        open_deposit(blob, new_pair()[1], AAD)


def test_bodies_of_two_deposits_cannot_be_exchanged() -> None:
    """The segments are bound to the key in front of them."""
    public, private = new_pair()
    one, two = (b"".join(seal_deposit([content], public, AAD)) for content in (b"1", b"2"))
    with pytest.raises(Invalid):
        open_deposit(one[:91] + two[91:], private, AAD)


def test_a_worker_seals_and_cannot_open(tmp_path: Path) -> None:
    """The objects ring holds the public half; the private half is in the identity ring alone."""
    create(tmp_path / "keys")
    worker, vault = load(tmp_path / "keys", OBJECTS_FILE), load(tmp_path / "keys", IDENTITY_FILE)
    blob = b"".join(seal_deposit([b"x"], worker.key(Purpose.DEPOSIT_PUBLIC).key, AAD))
    with pytest.raises(Missing):
        worker.key(Purpose.DEPOSIT_PRIVATE)
    for key in worker.keys.values():
        with pytest.raises(Invalid):
            open_deposit(blob, key, AAD)
    private = vault.by_id(f"{Purpose.DEPOSIT_PRIVATE.value}-{deposit_fingerprint(blob)}")
    assert open_deposit(blob, private.key, AAD) == b"x"


def test_a_folder_from_before_gets_its_pair(tmp_path: Path) -> None:
    """Creating again adds a matching pair to rings that have none, also after a crash between the two files."""
    folder, provider = tmp_path / "keys", FileProvider("p")
    create(folder, lambda _name: provider)
    for without in ({OBJECTS_FILE, IDENTITY_FILE}, {OBJECTS_FILE}):
        for name in without:
            ring = load(folder, name, provider)
            keys = {kid: key for kid, key in ring.keys.items() if not kid.startswith("deposit")}
            current = {purpose: kid for purpose, kid in ring.current.items() if kid in keys}
            save(folder, name, KeyRing(keys, current), provider)
        before = load(folder, OBJECTS_FILE, provider).keys
        create(folder, lambda _name: provider)
        objects, identity = load(folder, OBJECTS_FILE, provider), load(folder, IDENTITY_FILE, provider)
        assert before.items() <= objects.keys.items()
        private = identity.key(Purpose.DEPOSIT_PRIVATE).key
        assert deposit.public_half(private) == objects.key(Purpose.DEPOSIT_PUBLIC).key


@pytest.mark.parametrize("purpose", [Purpose.DEPOSIT_PUBLIC, Purpose.DEPOSIT_PRIVATE])
def test_half_a_pair_is_not_rotated(purpose: Purpose, tmp_path: Path) -> None:
    """A new half alone would seal what nobody can open."""
    create(tmp_path / "keys")
    with pytest.raises(Conflict, match="pair"):
        load(tmp_path / "keys", file_of(purpose)).with_new_key(purpose)
