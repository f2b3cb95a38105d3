"""From the settings of the section `keys` to the provider that wraps one ring; the only file that names providers.

A provider's library is imported where it is chosen, so that a site needs the one that it uses.
"""

from __future__ import annotations

from typing import Literal

from gateway.config import KeySettings
from gateway.privacy.key_provider import KeyProvider
from gateway.privacy.keyring import IDENTITY_FILE
from gateway.privacy.providers.file import FileProvider

Kind = Literal["file", "environment", "pkcs11", "vault"]


def provider_for(keys: KeySettings, name: str, moved_from: Kind | None = None) -> KeyProvider:
    """What wraps the ring of the file `name`; `moved_from`: the one that wrapped it before the settings changed."""
    of_identity = name == IDENTITY_FILE
    match moved_from or keys.provider:
        case "environment":
            return _environment(keys, of_identity)
        case "pkcs11":
            return _pkcs11(keys, of_identity)
        case "vault":
            return _vault(keys, of_identity)
    if moved_from:
        return FileProvider(keys.former_passphrase or None)
    own = keys.identity_passphrase if of_identity else ""
    return FileProvider(own or keys.passphrase or None)


def _environment(keys: KeySettings, of_identity: bool) -> KeyProvider:
    from gateway.privacy.providers.environment import EnvironmentProvider

    if of_identity:
        return EnvironmentProvider("keys.identity_secret", keys.identity_secret)
    return EnvironmentProvider("keys.objects_secret", keys.objects_secret)


def _pkcs11(keys: KeySettings, of_identity: bool) -> KeyProvider:
    from gateway.privacy.providers.pkcs11 import Pkcs11Provider

    token, pin = keys.pkcs11_token, keys.pkcs11_pin
    if of_identity and keys.pkcs11_identity_token:
        token, pin = keys.pkcs11_identity_token, keys.pkcs11_identity_pin
    label = keys.identity_key if of_identity else keys.objects_key
    return Pkcs11Provider(keys.pkcs11_module, token, label, pin, keys.timeout_seconds)


def _vault(keys: KeySettings, of_identity: bool) -> KeyProvider:
    from gateway.privacy.providers.transit import TransitProvider

    return TransitProvider(
        address=keys.vault_address,
        key=keys.identity_key if of_identity else keys.objects_key,
        token=keys.vault_token,
        token_file=keys.vault_token_file,
        namespace=keys.vault_namespace,
        mount=keys.vault_mount,
        ca=keys.vault_ca,
        timeout_seconds=keys.timeout_seconds,
    )
