"""The certificate of a TLS peer, and whether a client was registered with it (RFC 8705).

That the certificate is valid and signed by an authority of ours was proven by TLS; here it is only matched. A rule is
`sha256:<digits>` of the whole certificate, `subject:<RFC 4514>` or `dns:<name>`, which outlives a renewal.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.domain.access import Client
from gateway.domain.errors import Invalid

LARGEST = 64 * 1024


@dataclass(frozen=True)
class PeerCertificate:
    """A certificate in DER."""

    der: bytes = field(repr=False)

    @cached_property
    def thumbprint(self) -> str:
        """x5t#S256 (RFC 8705 3.1)."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.der).digest()).decode("ascii").rstrip("=")

    @cached_property
    def names(self) -> frozenset[str]:
        """Every rule that this certificate fits."""
        parsed = x509.load_der_x509_certificate(self.der)
        found = {f"sha256:{hashlib.sha256(self.der).hexdigest()}", f"subject:{parsed.subject.rfc4514_string()}"}
        try:
            said = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            found |= {f"dns:{name.lower()}" for name in said.get_values_for_type(x509.DNSName)}
        except x509.ExtensionNotFound:
            pass
        return frozenset(found)


def fits(certificate: PeerCertificate, client: Client) -> bool:
    """Whether one of the client's rules names the certificate; no rule fits a certificate that cannot be read."""
    try:
        return bool(certificate.names.intersection(client.certificates))
    except ValueError:
        return False


def rule_of_file(data: bytes) -> str:
    """The rule for exactly the first certificate of a PEM or DER file; Invalid where there is none."""
    if len(data) > LARGEST:
        raise Invalid(f"a certificate file has at most {LARGEST} bytes")
    try:
        pem = data.lstrip().startswith(b"-----BEGIN")
        found = x509.load_pem_x509_certificates(data)[0] if pem else x509.load_der_x509_certificate(data)
    except (ValueError, IndexError):
        raise Invalid("this is no certificate in PEM or DER") from None
    return f"sha256:{found.fingerprint(SHA256()).hex()}"


def rule_of_subject(text: str) -> str:
    """The rule for a subject, written as RFC 4514 writes it (most specific part first)."""
    try:
        return f"subject:{x509.Name.from_rfc4514_string(text).rfc4514_string()}"
    except ValueError:
        raise Invalid("a subject is written like CN=ehr,O=Hospital (RFC 4514)") from None


def rule_of_dns(name: str) -> str:
    """The rule for a DNS name among the certificate's alternative names; no wildcards."""
    if not name or len(name) > 253 or not all(char.isascii() and (char.isalnum() or char in ".-") for char in name):
        raise Invalid("a DNS name has letters, digits, dots and hyphens")
    return f"dns:{name.lower()}"
