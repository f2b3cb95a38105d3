"""The sealed key tables of exports: bound to their export, closed without the identity key, never half there."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.domain.errors import Conflict, Invalid, Missing
from gateway.privacy.keyring import KeyRing, Purpose
from gateway.storage.export_keys import ExportKeys, ExportTables

ONE, OTHER = "0" * 15 + "1", "0" * 15 + "2"
TOLD = {"recipient": "University A"}
RING = KeyRing({}, {}).with_new_key(Purpose.IDENTITY)


@pytest.fixture
def keys(tmp_path: Path) -> ExportKeys:
    return ExportKeys(tmp_path / "exports", RING)


def test_a_name_leads_to_the_pseudonym_it_was_kept_for(keys: ExportKeys) -> None:
    """What was kept is found; another name, or another export, is Missing."""
    keys.keep(ONE, TOLD, {"OUT": "OURS"})
    assert keys.internal(ONE, "OUT") == "OURS"
    for export_id, name in ((ONE, "OURS"), (OTHER, "OUT")):
        with pytest.raises(Missing):
            keys.internal(export_id, name)


def test_a_table_is_kept_once(keys: ExportKeys, tmp_path: Path) -> None:
    """The same export twice is a Conflict, the first table stands, and no temporary file stays."""
    keys.keep(ONE, TOLD, {"OUT": "OURS"})
    with pytest.raises(Conflict):
        keys.keep(ONE, TOLD, {"OUT": "ANOTHER"})
    assert keys.internal(ONE, "OUT") == "OURS"
    assert [path.name for path in (tmp_path / "exports").iterdir()] == [f"{ONE}.sealed"]


def test_a_table_opens_under_a_rotated_key_and_not_under_another(keys: ExportKeys, tmp_path: Path) -> None:
    """Former identity keys still open it; a ring that never held the key does not."""
    keys.keep(ONE, TOLD, {"OUT": "OURS"})
    assert ExportKeys(tmp_path / "exports", RING.with_new_key(Purpose.IDENTITY)).internal(ONE, "OUT") == "OURS"
    stranger = KeyRing({}, {}).with_new_key(Purpose.IDENTITY)
    with pytest.raises(Missing, match="no key"):
        ExportKeys(tmp_path / "exports", stranger).internal(ONE, "OUT")


def test_a_rotation_wraps_tables_anew(keys: ExportKeys, tmp_path: Path) -> None:
    """After it each table rests on the current key alone, says the same, and a second run finds nothing to do."""
    for export_id in (ONE, OTHER):
        keys.keep(export_id, TOLD, {"OUT": export_id})
    tables, rotated = ExportTables(tmp_path / "exports"), RING.with_new_key(Purpose.IDENTITY)
    former, current = RING.current[Purpose.IDENTITY], rotated.current[Purpose.IDENTITY]
    assert tables.counts() == {former: 2}
    assert tables.rewrap(rotated) == (2, 0)
    assert tables.counts() == {current: 2}
    assert tables.rewrap(rotated) == (0, 0)
    left = ExportKeys(tmp_path / "exports", rotated.without(former))
    assert [left.internal(export_id, "OUT") for export_id in (ONE, OTHER)] == [ONE, OTHER]
    assert len(list((tmp_path / "exports").iterdir())) == 2


def test_a_table_that_does_not_open_is_counted_and_left_alone(keys: ExportKeys, tmp_path: Path) -> None:
    """A rotation goes on past a table of a foreign key, which stays as it was."""
    keys.keep(ONE, TOLD, {"OUT": "OURS"})
    before = (tmp_path / "exports" / f"{ONE}.sealed").read_bytes()
    stranger = KeyRing({}, {}).with_new_key(Purpose.IDENTITY)
    assert ExportTables(tmp_path / "exports").rewrap(stranger) == (0, 1)
    assert (tmp_path / "exports" / f"{ONE}.sealed").read_bytes() == before


def test_no_exports_rest_on_no_key(tmp_path: Path) -> None:
    """A gateway that never exported has no tables to count or to wrap."""
    tables = ExportTables(tmp_path / "exports")
    assert (tables.counts(), tables.rewrap(RING)) == ({}, (0, 0))


def test_a_table_that_was_swapped_or_altered_does_not_open(keys: ExportKeys, tmp_path: Path) -> None:
    """One export's table under another's name is refused, and so is one with a flipped bit or a cut tail."""
    keys.keep(ONE, TOLD, {"OUT": "OURS"})
    path = tmp_path / "exports" / f"{ONE}.sealed"
    whole = path.read_bytes()
    path.with_name(f"{OTHER}.sealed").write_bytes(whole)
    with pytest.raises(Invalid):
        keys.internal(OTHER, "OUT")
    for damaged in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        path.write_bytes(damaged)
        with pytest.raises(Invalid):
            keys.internal(ONE, "OUT")


@pytest.mark.parametrize("export_id", ["", "../../keys/identity", ONE.upper() + "A", ONE + "0", "0" * 15 + "g"])
def test_an_export_id_is_no_path(keys: ExportKeys, export_id: str) -> None:
    """Anything but sixteen hexadecimal digits is refused before a file is looked for."""
    with pytest.raises(Invalid, match="16 hexadecimal"):
        keys.internal(export_id, "OUT")
