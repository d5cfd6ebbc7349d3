"""The plane's certificate authority, and who everybody is to the API server.

A host process that stands in for a pod carries its service account's name in its certificate, so
that the API server gives it exactly the rights of that account.
"""

import base64
import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID: Final = dt.timedelta(days=30)


@dataclass(frozen=True)
class Identity:
    """A user as the API server sees one."""

    user: str
    groups: tuple[str, ...] = ()


ADMIN: Final = Identity("cluster-admin", ("system:masters",))
CONTROLLER_MANAGER: Final = Identity("system:kube-controller-manager")
SCHEDULER: Final = Identity("system:kube-scheduler")


def service_account(namespace: str, name: str) -> Identity:
    """The identity that a pod with this service account has."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return Identity(f"system:serviceaccount:{namespace}:{name}", groups)


def node(name: str) -> Identity:
    """The identity of a kubelet."""
    return Identity(f"system:node:{name}", ("system:nodes",))


@dataclass(frozen=True)
class Pair:
    """Where a certificate and its key are."""

    certificate: Path
    key: Path


class Authority:
    """Signs for one plane; its files are in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "throwaway plane")])
        usage = x509.BasicConstraints(ca=True, path_length=0)
        self._own = self._signed(self._name, self._key, [(usage, True)])
        self.pair = self._written("ca", self._own, self._key)
        self.signing_key = folder / "service-accounts.key"
        self.signing_key.write_bytes(_key_bytes(ec.generate_private_key(ec.SECP256R1())))

    def server(self, name: str, hosts: Sequence[str]) -> Pair:
        """A certificate for a server at these names and addresses."""
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._issued(name, subject, [(names, False), (usage, False)])

    def client(self, name: str, identity: Identity) -> Pair:
        """A certificate that proves to be somebody."""
        organisations = [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in identity.groups
        ]
        # Longer than a common name may be: a service account's name has a namespace in it.
        user = x509.NameAttribute(NameOID.COMMON_NAME, identity.user, _validate=False)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        return self._issued(name, x509.Name([*organisations, user]), [(usage, False)])

    def kubeconfig(self, path: Path, server: str, identity: Identity) -> Path:
        """A file with which a client speaks to the API server as this identity."""
        pair = self.client(path.stem, identity)
        user = {
            "client-certificate-data": _base64(pair.certificate),
            "client-key-data": _base64(pair.key),
        }
        cluster = {"server": server, "certificate-authority-data": _base64(self.pair.certificate)}
        content: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "plane", "cluster": cluster}],
            "users": [{"name": path.stem, "user": user}],
            "contexts": [{"name": "plane", "context": {"cluster": "plane", "user": path.stem}}],
            "current-context": "plane",
        }
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        path.chmod(0o600)
        return path

    def _issued(
        self, name: str, subject: x509.Name, extensions: list[tuple[x509.ExtensionType, bool]]
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        none = x509.BasicConstraints(ca=False, path_length=None)
        return self._written(name, self._signed(subject, key, [(none, True), *extensions]), key)

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extensions: list[tuple[x509.ExtensionType, bool]],
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + _VALID)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self._key, hashes.SHA256())

    def _written(
        self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> Pair:
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(_key_bytes(key))
        pair.key.chmod(0o600)
        return pair


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,  # the only one kube-apiserver derives from
        serialization.NoEncryption(),
    )


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
