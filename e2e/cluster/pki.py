"""Certificates of a control plane: one authority, and what it signed. Files only; knows no process.

Elliptic curves throughout: an RSA key costs a second of a cold start.
"""

import datetime
import ipaddress
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.oid import NameOID

_VALID = datetime.timedelta(days=3650)
_SKEW = datetime.timedelta(hours=1)


class Authority:
    """A certificate authority whose files, and those of everything it signs, lie in one folder."""

    def __init__(self, folder: Path, key: ec.EllipticCurvePrivateKey) -> None:
        self.folder = folder
        self._key = key
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "serin-ca")])

    @classmethod
    def new(cls, folder: Path) -> "Authority":
        """Make an authority: ca.crt, ca.key."""
        authority = cls(folder, ec.generate_private_key(ec.SECP256R1()))
        builder = _builder(authority._name, authority._name, authority._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        certificate = builder.add_extension(usage, critical=True).sign(authority._key, hashes.SHA256())
        _write(folder / "ca.crt", certificate.public_bytes(serialization.Encoding.PEM))
        _write(folder / "ca.key", _pem(authority._key))
        return authority

    @classmethod
    def of(cls, folder: Path) -> "Authority":
        """The authority that was made in `folder`."""
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(folder, key)

    def server(self, name: str, hosts: Sequence[str]) -> None:
        """Sign a server's certificate for `hosts` (names and addresses): <name>.crt, <name>.key."""
        self._sign(name, name, (), hosts, ExtendedKeyUsageOID.SERVER_AUTH)

    def client(self, name: str, user: str, groups: Sequence[str] = ()) -> None:
        """Sign a client's certificate for a Kubernetes user in groups: <name>.crt, <name>.key."""
        self._sign(name, user, groups, (), ExtendedKeyUsageOID.CLIENT_AUTH)

    def key_pair(self, name: str) -> None:
        """A bare key pair, as for signing service account tokens: <name>.key, <name>.pub."""
        key = ec.generate_private_key(ec.SECP256R1())
        _write(self.folder / f"{name}.key", _pem(key))
        public = serialization.PublicFormat.SubjectPublicKeyInfo
        _write(self.folder / f"{name}.pub", key.public_key().public_bytes(serialization.Encoding.PEM, public))

    def _sign(
        self, name: str, common: str, groups: Sequence[str], hosts: Sequence[str], usage: x509.ObjectIdentifier
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, common))
        builder = _builder(x509.Name(subject), self._name, key.public_key()).add_extension(
            x509.ExtendedKeyUsage([usage]), critical=False
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_host(h) for h in hosts]), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        _write(self.folder / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))
        _write(self.folder / f"{name}.key", _pem(key))


def write_pki(folder: Path, node: str | None, addresses: Sequence[str]) -> None:
    """All certificates of a cluster, unless `folder` is there: it appears whole or not at all.

    Args:
        folder: to be made.
        node: name of the only node, or None for a control plane without one.
        addresses: where the API server (and the node) is reached.
    """
    if folder.exists():
        return
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    authority = Authority.new(unfinished)
    service = [f"kubernetes{suffix}" for suffix in ("", ".default", ".default.svc", ".default.svc.cluster.local")]
    authority.server("apiserver", ["localhost", *service, *addresses])
    authority.client("admin", "serin-admin", ["system:masters"])
    authority.client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", ["system:masters"])
    authority.client("controller-manager", "system:kube-controller-manager")
    authority.key_pair("service-account")
    if node is not None:
        authority.client("scheduler", "system:kube-scheduler")
        authority.client("proxy", "system:kube-proxy")
        authority.client("coredns", "system:coredns", ["system:masters"])
        authority.client("kubelet", f"system:node:{node}", ["system:nodes"])
        authority.server("kubelet-server", [node, *addresses])
    for abandoned in folder.parent.glob(f".{folder.name}-*"):
        if abandoned != unfinished:
            shutil.rmtree(abandoned)
    unfinished.rename(folder)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _VALID)
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
