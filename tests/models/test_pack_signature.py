"""A pack runs only as it was signed: every change, every foreign key and every missing file is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.domain.errors import Forbidden, Invalid
from models.bring.checks import checks
from models.package import REQUIRED, check_fitting, sign, trusted_keys, verify
from models.registry import BUILT_IN, find
from models.runtime.session import Session

KEYS = trusted_keys()


def test_every_built_in_pack_verifies() -> None:
    """Every pack that we ship is accepted with the keys that we ship."""
    folders = [path for path in BUILT_IN.iterdir() if path.is_dir()]
    packages, rejected = find()
    assert rejected == []
    assert sorted(p.manifest.name for p in packages) == sorted(path.name for path in folders) != []


@pytest.mark.parametrize("name", [*REQUIRED, "plots/roc.png"])
def test_one_flipped_bit_is_refused_and_named(copied: Path, name: str) -> None:
    """A changed bit in any file refuses the pack, and the reason names the file."""
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(Forbidden, match=name):
        verify(copied, KEYS)


def test_an_added_file_is_refused(copied: Path) -> None:
    """A file that was not signed refuses the pack."""
    (copied / "extra.bin").write_bytes(b"x")
    with pytest.raises(Forbidden, match=r"extra\.bin"):
        verify(copied, KEYS)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_file_is_refused(copied: Path, name: str) -> None:
    """A pack without one of its required files is refused by that file's name."""
    (copied / name).unlink()
    with pytest.raises(Invalid, match=name):
        verify(copied, KEYS)


def test_a_missing_signature_is_refused(copied: Path) -> None:
    """A pack without pack.sig is refused."""
    (copied / "pack.sig").unlink()
    with pytest.raises(Forbidden, match=r"pack\.sig"):
        verify(copied, KEYS)


def test_a_foreign_key_is_refused(copied: Path) -> None:
    """A pack signed by a key that is not trusted is refused, and accepted by who trusts that key."""
    stranger = Ed25519PrivateKey.generate()
    sign(copied, stranger)
    with pytest.raises(Forbidden, match="not trusted"):
        verify(copied, KEYS)
    assert verify(copied, (stranger.public_key(),)).manifest.name == copied.name


def test_a_signature_of_other_content_is_refused(copied: Path) -> None:
    """Editing the digest list to fit a changed file breaks the signature."""
    seal = copied / "pack.sig"
    seal.write_bytes(seal.read_bytes().replace(b"  card.xml", b"  card.xmk"))
    with pytest.raises(Forbidden, match="signature does not fit"):
        verify(copied, KEYS)


def test_a_link_is_refused(copied: Path) -> None:
    """A symbolic link inside a pack is refused, wherever it points."""
    (copied / "link").symlink_to(copied / "card.xml")
    with pytest.raises(Invalid, match="link"):
        verify(copied, KEYS)


def test_a_rejected_pack_does_not_hide_the_good_ones(copied: Path) -> None:
    """A damaged pack in an extra folder is reported with its reason while the built-in ones are found."""
    (copied / "model.onnx").write_bytes(b"not a model")
    packages, rejected = find([copied.parent])
    assert [item.folder for item in rejected] == [copied]
    assert "model.onnx" in rejected[0].reason
    assert copied.name in {p.manifest.name for p in packages}


def test_a_graph_of_another_version_is_refused(copied: Path) -> None:
    """A manifest that states another threshold than the ONNX file itself is refused when it is loaded."""
    key = Ed25519PrivateKey.generate()
    page = copied / "manifest.toml"
    before = page.read_text(encoding="utf-8")
    after = before.replace("threshold = 0.", "threshold = 0.9")
    assert after != before
    page.write_text(after, encoding="utf-8")
    sign(copied, key)
    with pytest.raises(Forbidden, match="threshold"):
        Session(verify(copied, (key.public_key(),)))


def test_what_does_not_fit_its_manifest_is_not_to_be_signed(copied: Path) -> None:
    """A card that was changed after the digests were made is named before a key is used."""
    check_fitting(copied)
    with (copied / "card.xml").open("ab") as stream:
        stream.write(b"\n")
    with pytest.raises(Forbidden, match=r"card\.xml is not the file that the manifest names"):
        check_fitting(copied)


def test_a_pack_that_fails_says_why(copied: Path) -> None:
    """A folder of another name fails by its name, a changed file by the signature, and nothing else is named."""
    moved = copied.rename(copied.with_name("other"))
    (found,) = checks(moved, KEYS)
    assert not found.holds
    assert "the folder must bear the model's name" in found.found
    (moved / "facts.md").write_text("x", "utf-8")
    (found,) = checks(moved, KEYS)
    assert not found.holds
    assert "folder must bear" not in found.found
