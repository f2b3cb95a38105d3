"""`dxgate keys init`, `status`, `rotate` and `retire`: the key rings and what rests on each of their keys.

Safe beside a running gateway, and safe to run again after a crash. A key that anything rests on is never destroyed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from gateway.commands.output import actor, print_rows, tell
from gateway.config import LoadedSettings, Settings
from gateway.domain.errors import GatewayError, Invalid

COLUMNS = ("file", "provider", "kek", "purpose", "key", "state", "rows")
DEPOSIT = "deposit"
WRAPPED = ("objects", "identity")
ROTATED = ("objects", "identity", "audit", "tokens", "signing", DEPOSIT)


def init(loaded: LoadedSettings, _arguments: argparse.Namespace) -> int:
    """Works before the first migration too; `dxgate init` is the one that writes the audit rows."""
    created = create_keys(loaded.settings)
    tell(f"made {', '.join(created)} in {loaded.settings.key_folder}" if created else "all key rings exist")
    return 0


def create_keys(settings: Settings) -> list[str]:
    """Make the missing key rings; returns the names of the files made."""
    from gateway.privacy import keyring
    from gateway.privacy.providers.choose import provider_for

    return keyring.create(settings.key_folder, lambda name: provider_for(settings.keys, name))


def status(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """1 where a ring is missing; a ring that does not open is an error of its own."""
    from gateway.privacy import keyring
    from gateway.privacy.ring_file import read_header

    rows: list[dict[str, Any]] = []
    missing = False
    for name in keyring.FILES:
        if not (loaded.settings.key_folder / name).exists():
            missing = True
            rows.append(dict.fromkeys(COLUMNS) | {"file": name, "state": "missing"})
            continue
        ring = keyring.load(loaded.settings.key_folder, name, _provider(loaded.settings, name))
        header = read_header(loaded.settings.key_folder / name)
        counts = _usage(loaded.settings, ring)
        place = {"file": name, "provider": header.provider, "kek": header.kek or "first format"}
        rows += [place | _row(ring, kid, counts) for kid in sorted(ring.keys)]
    print_rows(rows, COLUMNS, as_json=arguments.json)
    return 1 if missing else 0


def rotate(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """1 where rows did not open and stay under the key that they are under."""
    from gateway import wiring
    from gateway.privacy.keyring import Purpose

    if arguments.kek or arguments.moved_from:
        if arguments.purpose or arguments.stage:
            raise Invalid("--kek wraps the rings themselves: it goes with neither --purpose nor --stage")
        for name, kek in wiring.rotate_kek(loaded.settings, actor(), arguments.moved_from).items():
            tell(f"{name} is wrapped under {kek}")
        return 0
    keys = wiring.rotate_keys(loaded.settings)
    failed = 0
    for word in arguments.purpose or ROTATED:
        if arguments.stage:
            if word != DEPOSIT or arguments.purpose:
                tell(f"{keys.stage(Purpose(word), actor())} is staged; copy the ring to every machine, then rotate")
            continue
        done = keys.rotate_deposit(actor()) if word == DEPOSIT else keys.rotate(Purpose(word), actor())
        failed += done.failed
        begun = "is current" if done.is_new else "is current, as an earlier run began it"
        rows = f"; {done.rewrapped} rows wrapped anew" if word in WRAPPED else ""
        rest = f"; {done.failed} rows do not open and were left" if done.failed else ""
        tell(f"{done.kid} {begun}{rows}{rest}")
    return 1 if failed else 0


def retire(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from gateway import wiring

    wiring.rotate_keys(loaded.settings).retire(arguments.kid, actor())
    tell(f"{arguments.kid} is destroyed; what only copies of it opened is lost for good")
    return 0


def _provider(settings: Settings, name: str) -> Any:
    from gateway.privacy.providers.choose import provider_for

    return provider_for(settings.keys, name)


def _usage(settings: Settings, ring: Any) -> Mapping[str, int | None]:
    """Without a database, as before the first migration, nothing is counted."""
    from gateway import wiring

    try:
        return wiring.rotate_keys(settings).usage(ring)
    except GatewayError:
        return {}


def _row(ring: Any, kid: str, counts: Mapping[str, int | None]) -> dict[str, Any]:
    from gateway.privacy.keyring import purpose_of

    state = "current" if kid in ring.current.values() else "staged" if kid in ring.staged.values() else "former"
    return {"purpose": purpose_of(kid).value, "key": kid, "state": state, "rows": counts.get(kid)}
