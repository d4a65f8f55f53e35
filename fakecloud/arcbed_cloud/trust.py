"""The bed's certificate authority and the certificates it issues.

Two authorities live in a state folder. The server authority vouches for the control plane's own TLS
certificate and can vouch for nothing but Azure's names, localhost and loopback addresses: its name
constraints are critical, so that trusting it by mistake opens no other site. The tenant authority issues
machine certificates and is never given to a TLS client. Both are made at first start; their keys never leave
the folder.
"""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from arcbed_cloud import hosts
from arcbed_cloud.clock import Keeper
from arcbed_cloud.files import write_atomic
from arcbed_cloud.tls import server_context

AUTHORITY_YEARS = 10
SERVER_DAYS = 397
RENEW_DAYS = 30
Signer = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_Make = Callable[[ec.EllipticCurvePrivateKey], x509.Certificate]


class TrustError(RuntimeError):
    """A name was asked for that this state's authority may not vouch for."""


class CertificateAuthority:
    """The authorities of one state folder.

    Args:
        folder: the state folder; made if missing, mode 0700.
        extra_hosts: further DNS names or addresses that the control plane is reached by.
        server_key: kind of the server certificate's key; RSA costs some milliseconds per handshake.
        clock: read for `wall()` only: TLS certificates live in real time.

    Raises:
        TrustError: an extra host lies outside the constraints that an existing authority was made with.
    """

    def __init__(
        self,
        folder: Path,
        *,
        extra_hosts: tuple[str, ...] = (),
        server_key: Literal["ecdsa", "rsa"] = "ecdsa",
        clock: Keeper | None = None,
    ) -> None:
        self.folder = folder
        self._extra = extra_hosts
        self._server_key = server_key
        self._clock = clock or Keeper()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.ca_file = folder / "ca.pem"
        self._root, self._root_key = _load_or_make(
            self.ca_file, folder / "ca.key", lambda key: _server_authority(key, self._now(), extra_hosts)
        )
        for host in extra_hosts:
            if not _permits(self._root, host):
                raise TrustError(
                    f"The certificate authority in {folder} was made without '{host}' among the names it may "
                    "vouch for. Start with a new state folder, or leave the host out."
                )

    # -- the server's side of TLS --------------------------------------------------------------------------

    def server_certificate(self) -> tuple[Path, Path]:
        """Chain and key file of the server; renewed when a month or less is left, or when names changed."""
        certificate, key = self.folder / "server.pem", self.folder / "server.key"
        if not self._still_good(certificate, key):
            made = _new_key(self._server_key)
            leaf = self._server_leaf(made.public_key())
            write_atomic(key, _pem(made), mode=0o600)
            write_atomic(certificate, _pem(leaf) + _pem(self._root))
        return certificate, key

    def server_context(self) -> ssl.SSLContext:
        """A server context for `server_certificate`, TLS 1.2 or newer, HTTP/1.1."""
        return server_context(*self.server_certificate())

    def _server_leaf(self, public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> x509.Certificate:
        now = self._now()
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name("arcbed control plane"))
            .issuer_name(self._root.subject)
            .public_key(public_key)
            .serial_number(_serial())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(min(now + timedelta(days=SERVER_DAYS), self._root.not_valid_after_utc))
            .add_extension(x509.SubjectAlternativeName(self._server_names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        return _sign(builder, public_key, self._root, self._root_key)

    @cached_property
    def _server_names(self) -> list[x509.GeneralName]:
        return [_general_name(host) for host in (*hosts.LOCAL, *hosts.patterns(), *self._extra)]

    def _still_good(self, certificate_file: Path, key_file: Path) -> bool:
        try:
            certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
            key = serialization.load_pem_private_key(key_file.read_bytes(), None)
            certificate.verify_directly_issued_by(self._root)
        except (OSError, ValueError, TypeError, InvalidSignature):
            return False
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        wanted = rsa.RSAPrivateKey if self._server_key == "rsa" else ec.EllipticCurvePrivateKey
        return (
            isinstance(key, wanted)
            and key.public_key() == certificate.public_key()
            and list(names) == self._server_names
            and certificate.not_valid_before_utc <= self._now()
            and certificate.not_valid_after_utc - self._now() > timedelta(days=RENEW_DAYS)
        )

    # -- machine certificates ------------------------------------------------------------------------------

    def issue_machine_certificate(
        self,
        public_key: rsa.RSAPublicKey,
        *,
        client_id: str,
        resource_id: str,
        not_before: datetime,
        not_after: datetime,
    ) -> x509.Certificate:
        """The identity certificate of a machine, for client use only.

        Args:
            public_key: the machine's key; its private half stays with the machine.
            client_id: becomes the common name.
            resource_id: the ARM id; becomes the URI among the alternative names.
            not_before: timezone-aware, on the clock that the bed's certificates live by.
            not_after: likewise.

        Raises:
            ValueError: the dates are out of order.
        """
        issuer, signer = self._tenant
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(client_id))
            .issuer_name(issuer.subject)
            .public_key(public_key)
            .serial_number(_serial())
            .not_valid_before(not_before)
            .not_valid_after(not_after)
            # Names of resource groups may hold any letter; a URI name is ASCII.
            .add_extension(
                x509.SubjectAlternativeName(
                    [x509.UniformResourceIdentifier(quote(resource_id, safe="/:-._~()"))]
                ),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True, key_encipherment=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        )
        return _sign(builder, public_key, issuer, signer)

    @property
    def tenant_chain_pem(self) -> str:
        """The authority of machine certificates, in PEM; made when first asked for."""
        return _pem(self._tenant[0]).decode()

    @cached_property
    def _tenant(self) -> tuple[x509.Certificate, Signer]:
        return _load_or_make(self.folder / "tenant-ca.pem", self.folder / "tenant-ca.key", _tenant_authority)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(int(self._clock.wall()), UTC)


def _load_or_make(certificate_file: Path, key_file: Path, make: _Make) -> tuple[x509.Certificate, Signer]:
    if certificate_file.exists() and key_file.exists():
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if not isinstance(key, Signer) or key.public_key() != certificate.public_key():
            raise TrustError(
                f"{key_file} does not belong to {certificate_file}; remove both to make new ones."
            )
        return certificate, key
    fresh = ec.generate_private_key(ec.SECP256R1())
    certificate = make(fresh)
    # The key goes first: a certificate without its key would be trusted and useless.
    write_atomic(key_file, _pem(fresh), mode=0o600)
    write_atomic(certificate_file, _pem(certificate))
    return certificate, fresh


def _server_authority(
    key: ec.EllipticCurvePrivateKey, now: datetime, extra: tuple[str, ...]
) -> x509.Certificate:
    permitted: list[x509.GeneralName] = [x509.DNSName(name) for name in ("localhost", *hosts.suffixes())]
    permitted += [x509.IPAddress(ip_network(net)) for net in ("127.0.0.0/8", "::1/128")]
    permitted += [_constraint(host) for host in extra]
    name = _name("arcbed testbed authority")
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(_serial())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=365 * AUTHORITY_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
    )
    return _sign(builder, key.public_key(), None, key)


def _tenant_authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    # Wide dates: machine certificates follow the bed's clock, which may stand in another decade.
    name = _name("arcbed machine identity authority")
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(_serial())
        .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2099, 12, 31, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
    )
    return _sign(builder, key.public_key(), None, key)


def _sign(
    builder: x509.CertificateBuilder,
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    issuer: x509.Certificate | None,
    signer: Signer,
) -> x509.Certificate:
    identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)
    builder = builder.add_extension(identifier, critical=False)
    if issuer is not None:
        theirs = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(theirs), critical=False
        )
    return builder.sign(signer, hashes.SHA256())


def _new_key(kind: Literal["ecdsa", "rsa"]) -> Signer:
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def _serial() -> int:
    """A positive serial number of exactly 127 bits (a set 128th bit would read as negative)."""
    return secrets.randbits(126) | (1 << 126)


def _key_usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host.lower())


def _constraint(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_network(host))
    except ValueError:
        return x509.DNSName(host.lower().removeprefix("*."))


def _permits(authority: x509.Certificate, host: str) -> bool:
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    wanted = _general_name(host.removeprefix("*."))
    return any(_within(wanted.value, permitted.value) for permitted in constraints.permitted_subtrees or ())


def _within(wanted: object, permitted: object) -> bool:
    if isinstance(permitted, IPv4Network | IPv6Network):
        return getattr(wanted, "version", None) == permitted.version and wanted in permitted
    return isinstance(wanted, str) and (wanted == permitted or wanted.endswith(f".{permitted}"))


def _pem(thing: x509.Certificate | Signer) -> bytes:
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(serialization.Encoding.PEM)
    return thing.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
