"""The certificate of a webhook, where no cert-manager makes it: a CA, a server certificate, a Secret to keep them in.

Kept across installations while it is good, because the API server and the webhook would disagree for as long as only
one of them had a new one.
"""

import base64
import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from e2e.stack.kubectl import Object

_LIFETIME = datetime.timedelta(days=365)
_RENEW_BEFORE = datetime.timedelta(days=30)


@dataclass(frozen=True)
class Pair:
    """A server certificate, its key, and the CA that signed it; PEM."""

    ca: bytes
    certificate: bytes
    key: bytes

    def secret(self, name: str, namespace: str) -> Object:
        """The Secret, of the type and with the keys that cert-manager would give it."""
        data = {"ca.crt": self.ca, "tls.crt": self.certificate, "tls.key": self.key}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "type": "kubernetes.io/tls",
            "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
        }


def ensure(secret: Object | None, host: str, now: datetime.datetime) -> Pair:
    """The pair in the Secret if it is for `host` and has more than a month to go, otherwise a new one."""
    found = _read(secret) if secret else None
    return found if found and _is_good(found, host, now) else _make(host, now)


def _read(secret: Object) -> Pair | None:
    data = secret.get("data", {})
    try:
        return Pair(*(base64.b64decode(data[key], validate=True) for key in ("ca.crt", "tls.crt", "tls.key")))
    except (KeyError, ValueError):  # binascii.Error among them
        return None


def _is_good(pair: Pair, host: str, now: datetime.datetime) -> bool:
    try:
        ca = x509.load_pem_x509_certificate(pair.ca)
        certificate = x509.load_pem_x509_certificate(pair.certificate)
        key = serialization.load_pem_private_key(pair.key, None)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        certificate.verify_directly_issued_by(ca)
    # Whatever is wrong with a pair, the answer is another one.
    except Exception:  # noqa: BLE001
        return False
    fits = host in names.get_values_for_type(x509.DNSName) and key.public_key() == certificate.public_key()
    return fits and certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - _RENEW_BEFORE


def _make(host: str, now: datetime.datetime) -> Pair:
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"CA of {host}"[:64])])
    # Some clocks are a little behind.
    start, end = now - datetime.timedelta(minutes=5), now + _LIFETIME
    base = x509.CertificateBuilder().issuer_name(issuer).not_valid_before(start).not_valid_after(end)
    ca = (
        base.subject_name(issuer)
        .public_key(ca_key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    certificate = (
        base.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Pair(ca.public_bytes(pem), certificate.public_bytes(pem), private)
