"""One call to a PKCS#11 token in a process of its own: request as JSON on standard input, answer on standard output.

Only AES keys are made in a token: SoftHSM 2.6 spun for ever when asked to generate a GENERIC_SECRET token key.
A key's CKA_ID begins with the time it was made, so the newest of a label is the greatest (PKCS#11 v2.40 4.4).
"""

from __future__ import annotations

import base64
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from gateway.domain.errors import Forbidden, GatewayError, Invalid, Missing, Unavailable

Request = dict[str, str]
_IV: Final = 12
_TAG_BITS: Final = 128


def main() -> int:
    """Always 0 with an answer; what kills the process is the library's own doing."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    request: Request = json.loads(sys.stdin.buffer.read())
    try:
        answer = _answer(request)
    except GatewayError as error:
        answer = {"error": error.category.value, "message": str(error)}
    sys.stdout.write(json.dumps(answer))
    return 0


def _answer(request: Request) -> dict[str, str]:
    import pkcs11
    from pkcs11 import exceptions

    try:
        library = pkcs11.lib(request["module"])
    except (exceptions.PKCS11Error, RuntimeError):
        raise Unavailable(
            f"the PKCS#11 library {request['module']} cannot be loaded; check keys.pkcs11_module"
        ) from None
    try:
        token = library.get_token(token_label=request["token"])
        with token.open(user_pin=request["pin"], rw=request["do"] == "generate") as session:
            return _CALLS[request["do"]](session, request)
    except (exceptions.PinIncorrect, exceptions.PinInvalid, exceptions.PinLenRange):
        raise Forbidden("the HSM refuses the PIN; check keys.pkcs11_pin before it locks") from None
    except exceptions.PinLocked:
        raise Forbidden("the HSM has locked the PIN; its officer must unlock it") from None
    except exceptions.NoSuchToken:
        raise Missing(f"the HSM has no token {request['token']!r}; check keys.pkcs11_token") from None
    except exceptions.PKCS11Error as error:
        raise Unavailable(f"the HSM answered {type(error).__name__}; check its connection and token") from None


def _wrap(session: Any, request: Request) -> dict[str, str]:
    keys = _keys(session, request["label"])
    if not keys:
        raise Missing(f"the token has no AES key {request['label']!r}; `dxgate keys init` or its officer makes one")
    newest = max(keys)
    iv = os.urandom(_IV)
    sealed = keys[newest].encrypt(_given(request, "key"), mechanism=_gcm(), mechanism_param=_parameters(iv, request))
    return {"kek": f"{request['label']}-{newest.hex()}", "wrapped": _text(iv + sealed)}


def _unwrap(session: Any, request: Request) -> dict[str, str]:
    from pkcs11 import exceptions

    named = request["kek"].rpartition("-")[2]
    key = next((key for made, key in _keys(session, request["label"]).items() if made.hex() == named), None)
    if key is None:
        raise Missing(f"the key ring is wrapped under {request['kek']}, which is not in the token")
    sealed = _given(request, "wrapped")
    parameters = _parameters(sealed[:_IV], request)
    try:
        opened = key.decrypt(sealed[_IV:], mechanism=_gcm(), mechanism_param=parameters)
    except (exceptions.EncryptedDataInvalid, exceptions.EncryptedDataLenRange, exceptions.GeneralError):
        raise Invalid("the key ring was altered: restore it from its backup") from None
    return {"key": _text(opened)}


def _generate(session: Any, request: Request) -> dict[str, str]:
    from pkcs11 import Attribute, KeyType, MechanismFlag

    made = time.time_ns().to_bytes(8, "big") + os.urandom(4)
    session.generate_key(
        KeyType.AES,
        256,
        id=made,
        label=request["label"],
        store=True,
        capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
        template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
    )
    return {"kek": f"{request['label']}-{made.hex()}"}


def _keys(session: Any, label: str) -> dict[bytes, Any]:
    from pkcs11 import Attribute, KeyType, ObjectClass

    wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES, Attribute.LABEL: label}
    return {bytes(key.id): key for key in session.get_objects(wanted)}


def _gcm() -> Any:
    from pkcs11 import Mechanism

    return Mechanism.AES_GCM


def _parameters(iv: bytes, request: Request) -> Any:
    from pkcs11 import GCMParams

    return GCMParams(nonce=iv, aad=_given(request, "context"), tag_bits=_TAG_BITS)


def _given(request: Request, name: str) -> bytes:
    return base64.b64decode(request[name])


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


_CALLS: Final[dict[str, Callable[[Any, Request], dict[str, str]]]] = {
    "wrap": _wrap,
    "unwrap": _unwrap,
    "generate": _generate,
}

if __name__ == "__main__":
    sys.exit(main())
