"""Claims about the settings: where a value comes from, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gateway.config import load
from gateway.domain.errors import Invalid


def test_defaults_need_nothing(tmp_path: Path) -> None:
    """Without file and environment the embedded preset is complete, all of it inside the home folder."""
    settings = load({"DXGATE_GATEWAY_HOME": str(tmp_path)}).settings
    assert settings.database_url == f"sqlite:///{tmp_path}/dxgate.sqlite"
    assert settings.blob_url == str(tmp_path / "blobs")
    assert settings.key_folder == tmp_path / "keys"
    assert settings.broker_url == f"redis+socket://{tmp_path}/broker/valkey.sock?virtual_host=0"


def test_environment_wins_over_file_and_file_over_preset(tmp_path: Path) -> None:
    """The first of command line, environment, file, preset and default counts, and the origin tells which."""
    file = tmp_path / "site.toml"
    file.write_text(
        'preset = "distributed"\n'
        '[database]\nurl = "postgresql://db/dxgate"\n[broker]\nurl = "redis://b"\n[blobs]\nurl = "s3://x/y"\n'
        "[dicom]\nprocesses = 3\nport = 104\nae_title = 'FILE'\n"
    )
    environment = {"DXGATE_CONFIG": str(file), "DXGATE_DICOM_PORT": "4242", "DXGATE_DICOM_AE_TITLE": "ENV"}
    loaded = load(environment, dicom={"ae_title": "FLAG"})
    dicom = loaded.settings.dicom
    assert (dicom.ae_title, dicom.port, dicom.processes, dicom.peers, dicom.max_associations) == (
        "FLAG",
        4242,
        3,
        "known",
        400,
    )
    assert loaded.origins["dicom.ae_title"] == "command line"
    assert loaded.origins["dicom.port"] == "environment"
    assert loaded.origins["dicom.processes"] == str(file)
    assert loaded.origins["dicom.peers"] == "preset distributed"
    assert "dicom.max_associations" not in loaded.origins


def test_the_file_in_the_home_folder_is_found(tmp_path: Path) -> None:
    """`dxgate.toml` in the home folder needs no variable of its own."""
    (tmp_path / "dxgate.toml").write_text("[web]\nport = 9999\n")
    assert load({"DXGATE_GATEWAY_HOME": str(tmp_path)}).settings.web.port == 9999


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"DXGATE_DICOM_PROT": "1"}, "dicom.prot"),
        ({"DXGATE_NOWHERE": "1"}, "DXGATE_NOWHERE"),
        ({"DXGATE_NOWHERE_PORT": "1"}, "DXGATE_NOWHERE_PORT"),
        ({"DXGATE_DICOM_PORT": "many"}, "dicom.port"),
        ({"DXGATE_DICOM_PORT": "70000"}, "dicom.port"),
        ({"DXGATE_PRESET": "cloud"}, "preset"),
        ({"DXGATE_PRESET": "distributed"}, "database.url"),
        ({"DXGATE_DESTINATIONS": "{"}, "DXGATE_DESTINATIONS"),
        ({"DXGATE_CONFIG": "/nonexistent.toml"}, "nonexistent"),
        ({"DXGATE_DICOM_TLS_KEY": "key.pem"}, "dicom.tls_certificate and dicom.tls_key"),
        ({"DXGATE_WEB_TLS_CERTIFICATE": "chain.pem"}, "web.tls_certificate and web.tls_key"),
        ({"DXGATE_DICOM_TLS_CLIENT_CA": "ca.pem"}, "dicom.tls_client_ca"),
        ({"DXGATE_KEYS_PROVIDER": "cloud"}, "keys.provider"),
        ({"DXGATE_KEYS_PROVIDER": "environment"}, "keys.objects_secret"),
        ({"DXGATE_KEYS_PROVIDER": "pkcs11", "DXGATE_KEYS_PKCS11_MODULE": "x.so"}, "keys.pkcs11_token"),
        ({"DXGATE_KEYS_PROVIDER": "vault"}, "keys.vault_address"),
        ({"DXGATE_KEYS_PROVIDER": "vault", "DXGATE_KEYS_VAULT_ADDRESS": "https://v"}, "keys.vault_token"),
        ({"DXGATE_KEYS_IDENTITY_PASSPHRASE": "p"}, "keys.passphrase"),
        ({"DXGATE_KEYS_PKCS11_IDENTITY_TOKEN": "t"}, "keys.pkcs11_identity_pin"),
        ({"DXGATE_KEYS_IDENTITY_KEY": "dxgate-objects"}, "keys.identity_key"),
        ({"DXGATE_KEYS_OBJECTS_KEY": "../sys/seal"}, "keys.objects_key"),
        ({"DXGATE_MODELS_ACCEPTANCE": "required", "DXGATE_MODELS_LEAST_SUBGROUP": "0.9"}, "models.least_auc"),
        ({"DXGATE_DICOM_MAX_OBJECT_BYTES": "2147483648"}, "dicom.max_object_bytes"),
    ],
)
def test_what_is_wrong_is_named(environment: dict[str, str], named: str, tmp_path: Path) -> None:
    """An unknown key, a bad value, half of a pair or a missing file stops the start, and the message names it."""
    with pytest.raises(Invalid, match=named):
        load({"DXGATE_GATEWAY_HOME": str(tmp_path), **environment})


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    """A file that is not TOML is an error, never a file without settings."""
    (tmp_path / "dxgate.toml").write_text("port = = 1")
    with pytest.raises(Invalid, match="not valid TOML"):
        load({"DXGATE_GATEWAY_HOME": str(tmp_path)})


def test_an_unknown_key_in_the_file_is_refused(tmp_path: Path) -> None:
    """A misspelt key of the file is refused with the file's name."""
    (tmp_path / "dxgate.toml").write_text("[dicom]\nprot = 1\n")
    with pytest.raises(Invalid, match=r"dicom\.prot.*dxgate\.toml"):
        load({"DXGATE_GATEWAY_HOME": str(tmp_path)})


def test_destinations_come_as_json(tmp_path: Path) -> None:
    """A list of destinations fits into one variable."""
    text = '[{"name": "ehr", "kind": "fhir", "url": "https://ehr/fhir", "password": "hidden-word"}]'
    settings = load({"DXGATE_GATEWAY_HOME": str(tmp_path), "DXGATE_DESTINATIONS": text}).settings
    assert settings.destinations[0].name == "ehr"
    assert "hidden-word" not in repr(settings)


def test_a_deep_home_gets_a_short_broker_socket(tmp_path: Path) -> None:
    """Where the home's path is too long for a Unix socket, the socket moves and stays the same each time."""
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    sockets = {load({"DXGATE_GATEWAY_HOME": str(deep)}).settings.broker_socket for _ in range(2)}
    assert len(sockets) == 1
    assert len(os.fsencode(sockets.pop())) <= 107
    other = load({"DXGATE_GATEWAY_HOME": str(deep / "z")}).settings.broker_socket
    assert other not in sockets


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"token_url": "https://x.example/token"}, "token_url and client_id"),
        ({"token_url": "https://x.example/token", "client_id": "a"}, "one of client_secret and private_key"),
        ({"token_url": "u", "client_id": "a", "client_secret": "b", "private_key": "c"}, "exclude each other"),
        ({"token_url": "u", "client_id": "a", "client_secret": "b", "username": "c"}, "exclude each other"),
        ({"tls_certificate": "x.pem"}, "tls_certificate and tls_key"),
        ({"kind": "folder", "strategy": "pull"}, "a folder has no strategy"),
    ],
)
def test_a_destination_signs_in_in_one_way_or_not_at_all(tmp_path: Path, told: dict[str, str], said: str) -> None:
    """Half of a pair, or two ways at once, would be silently without effect."""
    destination = {"name": "ehr", "kind": "fhir", "url": "https://ehr.example/fhir", **told}
    environment = {"DXGATE_GATEWAY_HOME": str(tmp_path), "DXGATE_DESTINATIONS": json.dumps([destination])}
    with pytest.raises(Invalid, match=said):
        load(environment)
