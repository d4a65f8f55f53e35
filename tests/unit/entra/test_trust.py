import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from arcbed_cloud.clock import Keeper
from arcbed_cloud.trust import CertificateAuthority, TrustError

RESOURCE = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.HybridCompute/machines/m1"


class LaterKeeper(Keeper):
    def __init__(self, days: float) -> None:
        super().__init__()
        self.days = days

    def wall(self) -> float:
        return super().wall() + self.days * 86_400


def handshake(server: ssl.SSLContext, ca_file, name: str, *, highest=None) -> str | None:
    """The TLS version that was agreed on, over memory; raises as a client would."""
    client = ssl.create_default_context(cafile=ca_file)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    if highest is not None:
        client.minimum_version = highest
        client.maximum_version = highest
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=name)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    while len(done) < 2:
        for side in (here, there):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                pass
    return here.version()


@pytest.mark.parametrize(
    "name",
    [
        "localhost",
        "127.0.0.1",
        "::1",
        "management.azure.com",
        "login.microsoftonline.com",
        "login.windows.net",
        "graph.microsoft.com",
        "gbl.his.arc.azure.com",
        "westeurope-gas.guestconfiguration.azure.com",
        "azgn-westeurope-public-1p-weuam3-1.servicebus.windows.net",
        "oaasguestconfigweus1.blob.core.windows.net",
        "pas.windows.net",
        "management.usgovcloudapi.net",
        "management.chinacloudapi.cn",
    ],
)
def test_server_certificate_for_each_azure_name_and_loopback_is_accepted(tmp_path, name):
    authority = CertificateAuthority(tmp_path)
    assert handshake(authority.server_context(), authority.ca_file, name) == "TLSv1.3"


def test_server_certificate_for_another_name_is_refused_by_the_client(tmp_path):
    authority = CertificateAuthority(tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority.server_context(), authority.ca_file, "example.org")


def test_tls_1_2_is_the_oldest_version_that_is_spoken(tmp_path):
    authority = CertificateAuthority(tmp_path)
    context = authority.server_context()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert handshake(context, authority.ca_file, "localhost", highest=ssl.TLSVersion.TLSv1_2) == "TLSv1.2"


def test_authority_that_was_made_for_azure_names_cannot_vouch_for_others(tmp_path):
    """Even its own key, in the wrong hands, opens no other site: clients enforce the constraints."""
    authority = CertificateAuthority(tmp_path)
    key = ec.generate_private_key(ec.SECP256R1())
    root = x509.load_pem_x509_certificate(authority.ca_file.read_bytes())
    signer = serialization.load_pem_private_key((tmp_path / "ca.key").read_bytes(), None)
    now = Keeper().now()
    forged = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bank")]))
        .issuer_name(root.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("bank.example.org")]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    chain = tmp_path / "forged.pem"
    chain.write_bytes(
        forged.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        handshake(context, authority.ca_file, "bank.example.org")


def test_name_constraints_are_critical_and_keys_are_private(tmp_path):
    authority = CertificateAuthority(tmp_path)
    authority.server_certificate()
    _ = authority.tenant_chain_pem
    root = x509.load_pem_x509_certificate(authority.ca_file.read_bytes())
    assert root.extensions.get_extension_for_class(x509.NameConstraints).critical
    assert root.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    for name in ("ca.key", "server.key", "tenant-ca.key"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_reopened_folder_keeps_its_authorities_and_server_certificate(tmp_path):
    first = CertificateAuthority(tmp_path)
    certificate, _ = first.server_certificate()
    before = (first.ca_file.read_bytes(), certificate.read_bytes(), first.tenant_chain_pem)
    second = CertificateAuthority(tmp_path)
    second.server_certificate()
    assert (second.ca_file.read_bytes(), certificate.read_bytes(), second.tenant_chain_pem) == before


def test_server_certificate_near_its_end_is_renewed_under_the_same_authority(tmp_path):
    certificate, _ = CertificateAuthority(tmp_path).server_certificate()
    before = certificate.read_bytes()
    later = CertificateAuthority(tmp_path, clock=LaterKeeper(380))
    later.server_certificate()
    assert certificate.read_bytes() != before
    x509.load_pem_x509_certificate(certificate.read_bytes()).verify_directly_issued_by(
        x509.load_pem_x509_certificate(later.ca_file.read_bytes())
    )


def test_damaged_server_certificate_is_replaced(tmp_path):
    authority = CertificateAuthority(tmp_path)
    certificate, _ = authority.server_certificate()
    certificate.write_text("torn")
    assert handshake(authority.server_context(), authority.ca_file, "localhost")


def test_rsa_switch_makes_an_rsa_server_key(tmp_path):
    authority = CertificateAuthority(tmp_path, server_key="rsa")
    _, key = authority.server_certificate()
    assert isinstance(serialization.load_pem_private_key(key.read_bytes(), None), rsa.RSAPrivateKey)


def test_extra_host_is_vouched_for_when_named_at_first_start(tmp_path):
    authority = CertificateAuthority(tmp_path, extra_hosts=("fakecloud", "10.1.2.3"))
    for name in ("fakecloud", "10.1.2.3"):
        assert handshake(authority.server_context(), authority.ca_file, name)


def test_extra_host_named_later_is_refused_with_the_way_out(tmp_path):
    CertificateAuthority(tmp_path)
    with pytest.raises(TrustError, match="Start with a new state folder"):
        CertificateAuthority(tmp_path, extra_hosts=("fakecloud",))


def test_machine_certificate_carries_client_id_arm_id_and_client_use(tmp_path):
    authority = CertificateAuthority(tmp_path)
    key = rsa.generate_private_key(65537, 2048)
    start = datetime(2031, 5, 1, tzinfo=UTC)
    certificate = authority.issue_machine_certificate(
        key.public_key(),
        client_id="0f0e",
        resource_id=RESOURCE,
        not_before=start,
        not_after=start + timedelta(days=90),
    )
    assert certificate.subject.rfc4514_string() == "CN=0f0e"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [RESOURCE]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.not_valid_before_utc == start
    assert certificate.public_key() == key.public_key()
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.tenant_chain_pem.encode()))


def test_serial_numbers_are_positive_and_127_bits_long(tmp_path):
    authority = CertificateAuthority(tmp_path)
    key = rsa.generate_private_key(65537, 2048).public_key()
    now = datetime(2026, 1, 1, tzinfo=UTC)
    serials = {
        authority.issue_machine_certificate(
            key, client_id="c", resource_id=RESOURCE, not_before=now, not_after=now + timedelta(days=1)
        ).serial_number
        for _ in range(20)
    }
    assert len(serials) == 20
    assert all(serial.bit_length() == 127 for serial in serials)


def test_machine_certificate_of_a_group_with_foreign_letters_is_issued(tmp_path):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = CertificateAuthority(tmp_path).issue_machine_certificate(
        rsa.generate_private_key(65537, 2048).public_key(),
        client_id="c",
        resource_id="/subscriptions/s/resourceGroups/Müller/providers/X/machines/m",
        not_before=now,
        not_after=now + timedelta(days=1),
    )
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "M%C3%BCller" in names.get_values_for_type(x509.UniformResourceIdentifier)[0]
