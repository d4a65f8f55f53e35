"""What exists from the first start on: a tenant, a subscription, a person, and two applications with roles.

Their ids and secrets stand in ``secrets.json`` (0600) of the state folder and outlive a reset, so that
whoever has signed in with them can do so again.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from arcbed_cloud.clock import Keeper
from arcbed_cloud.estate import Application, Estate, Person, certificate_file
from arcbed_cloud.files import write_atomic
from arcbed_cloud.ids import Ids
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.authorization import grant
from arcbed_cloud.providers.resources import subscriptions
from arcbed_cloud.services.entra import Directory
from arcbed_cloud.services.entra.credentials import new_secret, real_time
from arcbed_cloud.store import Unit

CREDENTIAL_YEARS = 10
DOMAIN = "arcbed.onmicrosoft.com"
ROLES = {"owner": "Owner", "onboarding": "Azure Connected Machine Onboarding"}
BED_KEY = "bed"


def new_seed() -> str:
    """A seed for a bed that was given none; printed at its start, so that the run can be repeated."""
    return secrets.token_hex(8)


def load_or_make(folder: Path, ids: Ids, clock: Keeper) -> Estate:
    """The estate of a state folder, made at first start.

    Raises:
        SecretsError: ``secrets.json`` is damaged.
    """
    if known := Estate.read(folder):
        return known
    estate = Estate(
        tenant_id=ids.guid(),
        subscription_id=ids.guid(),
        domain=DOMAIN,
        user=Person(ids.guid(), f"owner@{DOMAIN}", "Arc Owner"),
        owner=_application(folder, "owner", ids, clock),
        onboarding=_application(folder, "onboarding", ids, clock),
    )
    estate.write(folder)
    return estate


async def plant(plane: Plane, directory: Directory, estate: Estate, *, boot: int) -> bool:
    """Put the estate into an empty state (False: it is there already), and count this start."""
    store = plane.store
    first = store.get("meta", "tenant") is None
    async with store.unit() as unit:
        unit.put("meta", BED_KEY, {"seed": plane.ids.seed, "boots": boot}, kind=BED_KEY)
        if first:
            _plant(unit, plane, directory, estate)
    return first


def _plant(unit: Unit, plane: Plane, directory: Directory, estate: Estate) -> None:
    directory.found(
        unit, tenant_id=estate.tenant_id, subscription_id=estate.subscription_id, domain=estate.domain
    )
    subscriptions.add(
        unit, subscription_id=estate.subscription_id, tenant_id=estate.tenant_id, display_name="arcbed"
    )
    person = estate.user
    directory.add_principal(
        unit,
        kind="User",
        name=person.displayName,
        object_id=person.objectId,
        user_principal_name=person.userPrincipalName,
    )
    scope = f"/subscriptions/{estate.subscription_id}"
    grant(unit, plane, scope=scope, role="Owner", principal_id=person.objectId, principal_type="User")
    expires = plane.clock.wall() + 365 * 86_400 * CREDENTIAL_YEARS
    for name, application in estate.applications.items():
        directory.add_principal(
            unit,
            kind="ServicePrincipal",
            name=f"arcbed-{name}",
            object_id=application.objectId,
            app_id=application.clientId,
        )
        directory.add_secret(
            unit, application.objectId, secret=application.clientSecret, expires=expires, label=name
        )
        pem = Path(application.certificateFile).read_bytes()
        directory.add_certificate(unit, application.objectId, x509.load_pem_x509_certificate(pem))
        grant(
            unit,
            plane,
            scope=scope,
            role=ROLES[name],
            principal_id=application.objectId,
            principal_type="ServicePrincipal",
        )


def _application(folder: Path, name: str, ids: Ids, clock: Keeper) -> Application:
    file = certificate_file(folder, name)
    app_id = ids.guid()
    write_atomic(file, _certificate_pem(app_id, clock), mode=0o600)
    return Application(app_id, new_secret(), ids.guid(), str(file))


def _certificate_pem(app_id: str, clock: Keeper) -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, app_id)])
    now = real_time(int(clock.wall()))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=365 * CREDENTIAL_YEARS))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
