import json

import pytest

from arcbed_cloud.services.entra.credentials import SecretCheck
from arcbed_cloud.services.entra.directory import UnknownPrincipalError

from .test_assertions import make_certificate


async def test_principal_is_found_by_object_id_and_application_id_in_any_case(tenant):
    assert tenant.directory.principal(tenant.app.object_id.upper()) == tenant.app
    assert tenant.directory.by_app_id(tenant.app.app_id.upper()) == tenant.app


async def test_user_is_found_by_principal_name(tenant):
    assert tenant.directory.by_user_name("ADA@arcbed.onmicrosoft.com") == tenant.person
    assert tenant.person.app_id == ""


async def test_machine_is_a_service_principal_with_a_resource(tenant):
    assert tenant.machine.kind == "ServicePrincipal"
    assert tenant.machine.is_machine
    assert tenant.machine.app_id != tenant.machine.object_id


async def test_secret_in_the_store_is_not_the_secret(tenant):
    row = tenant.plane.store.get("principals", tenant.app.object_id)
    assert tenant.secret not in json.dumps(row.document)
    assert tenant.directory.check_secret(tenant.app.app_id, tenant.secret) is SecretCheck.VALID
    assert tenant.directory.check_secret(tenant.app.app_id, tenant.secret + "x") is SecretCheck.WRONG


async def test_secret_past_its_end_is_told_apart_from_a_wrong_one(tenant):
    tenant.clock.shift = 86_401
    assert tenant.directory.check_secret(tenant.app.app_id, tenant.secret) is SecretCheck.EXPIRED


async def test_expired_secrets_leave_a_new_one_usable(tenant):
    async with tenant.plane.store.unit() as unit:
        tenant.directory.expire_secrets(unit, tenant.app.object_id)
    async with tenant.plane.store.unit() as unit:
        fresh, _ = tenant.directory.add_secret(unit, tenant.app.object_id, expires=tenant.clock.wall() + 60)
    assert tenant.directory.check_secret(tenant.app.app_id, tenant.secret) is SecretCheck.EXPIRED
    assert tenant.directory.check_secret(tenant.app.app_id, fresh) is SecretCheck.VALID


async def test_principal_and_credentials_can_be_born_in_one_unit(tenant):
    certificate, _ = make_certificate()
    async with tenant.plane.store.unit() as unit:
        made = tenant.directory.add_principal(unit, kind="ServicePrincipal", name="both")
        secret, _ = tenant.directory.add_secret(unit, made.object_id, expires=tenant.clock.wall() + 60)
        tenant.directory.add_certificate(unit, made.object_id, certificate)
    assert tenant.directory.check_secret(made.app_id, secret) is SecretCheck.VALID
    assert [entry.certificate for entry in tenant.directory.certificates(made.app_id)] == [certificate]


async def test_unit_that_fails_adds_nobody(tenant):
    with pytest.raises(RuntimeError):
        async with tenant.plane.store.unit() as unit:
            made = tenant.directory.add_principal(unit, kind="ServicePrincipal", name="gone")
            raise RuntimeError
    assert tenant.directory.principal(made.object_id) is None


async def test_certificates_overlap_until_the_older_one_runs_out_on_the_beds_clock(tenant):
    now = tenant.clock.now()
    older, _ = make_certificate(start=now, days=1)
    newer, _ = make_certificate(start=now, days=90)
    newest, _ = make_certificate(start=now, days=90)
    store, machine = tenant.plane.store, tenant.machine
    for certificate in (older, newer):
        async with store.unit() as unit:
            tenant.directory.add_certificate(unit, machine.object_id, certificate)
    assert len(tenant.directory.certificates(machine.app_id)) == 2
    await tenant.clock.advance(days=2)
    async with store.unit() as unit:
        tenant.directory.add_certificate(unit, machine.object_id, newest)
    assert [entry.certificate for entry in tenant.directory.certificates(machine.app_id)] == [newer, newest]


async def test_removed_principal_is_gone_with_its_credentials(tenant):
    async with tenant.plane.store.unit() as unit:
        tenant.directory.remove(unit, tenant.app.object_id)
        tenant.directory.remove(unit, "no-such-principal")
    assert tenant.directory.by_app_id(tenant.app.app_id) is None
    assert tenant.directory.check_secret(tenant.app.app_id, tenant.secret) is SecretCheck.WRONG


async def test_credential_for_nobody_is_an_error(tenant):
    with pytest.raises(UnknownPrincipalError):
        async with tenant.plane.store.unit() as unit:
            tenant.directory.add_secret(unit, "nobody", expires=1)


async def test_application_id_that_is_taken_is_refused(tenant):
    with pytest.raises(ValueError, match="exists already"):
        async with tenant.plane.store.unit() as unit:
            tenant.directory.add_principal(
                unit, kind="ServicePrincipal", name="twin", app_id=tenant.app.app_id
            )


async def test_search_by_name_and_prefix_ignores_case(tenant):
    assert tenant.directory.search(name="APP") == [tenant.app]
    assert tenant.directory.search(prefix="we", kind="ServicePrincipal") == [tenant.machine]
    assert tenant.directory.search(kind="Group") == []
