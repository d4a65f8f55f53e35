"""PUT, heartbeat, silence, renewal and deletion in any order keep what a machine shows true."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import tempfile
from base64 import b64encode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.ids import parse
from arcbed_cloud.arm.request import Caller
from arcbed_cloud.clock import Keeper
from arcbed_cloud.ids import Ids
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.hybridcompute import Machines
from arcbed_cloud.services.entra import Directory, Tokens
from arcbed_cloud.services.his import HisService
from arcbed_cloud.services.his.errors import HisError
from arcbed_cloud.services.his.identities import IdentityRequest
from arcbed_cloud.services.his.regions import Address
from arcbed_cloud.settings import Settings
from arcbed_cloud.store import SqliteStore
from arcbed_cloud.trust import CertificateAuthority

FOLDER = tempfile.TemporaryDirectory(prefix="arcbed-lifecycle-")
STATE = Path(FOLDER.name)
KEYS = [rsa.generate_private_key(65537, 2048) for _ in range(2)]
TENANT = "11111111-1111-4111-8111-111111111111"
GROUP = "/subscriptions/22222222-2222-4222-8222-222222222222/resourceGroups/servers"
OWNER = Caller("33333333-3333-4333-8333-333333333333", TENANT, "owner")
BASE = "https://localhost:8443"
HASH = hashlib.sha256(b"{}").hexdigest()
SILENCE = timedelta(minutes=15)
LIFE = timedelta(days=90)


def guid():
    return str(UUID(int=secrets.randbits(128), version=4))


def pkcs1(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)


def base64url(data):
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class Model:
    """What one machine must show."""

    def __init__(self, name, vm_id, key):
        self.name, self.vm_id, self.key = name, vm_id, key
        self.heard: datetime | None = None
        self.expires: datetime | None = None
        self.instance, self.seq = guid(), 0

    def status(self, now):
        if self.expires is not None and self.expires <= now:
            return "Expired"
        if self.heard is None:
            return None
        return "Connected" if now < self.heard + SILENCE else "Disconnected"


class Lifecycle(RuleBasedStateMachine):
    @initialize()
    def start(self):
        self.runner = asyncio.Runner()
        self.clock = Keeper("stepped", start=datetime(2026, 3, 1, tzinfo=UTC))
        self.settings = Settings(state=STATE, clock="stepped", heartbeat_throttle=False)
        self.store = SqliteStore(None)
        plane = Plane(self.settings, self.clock, self.store, Ids("x"), CertificateAuthority(STATE))
        self.directory = Directory(plane, tenant_id=TENANT)
        self.machines = Machines(plane, self.directory)
        self.his = HisService(plane, self.directory, Tokens(plane, self.directory), self.machines)
        self.model: dict[str, Model] = {}
        self.renewals: list[datetime] = []

    def run(self, coroutine):
        return self.runner.run(coroutine)

    def id(self, name):
        return f"{GROUP}/providers/Microsoft.HybridCompute/machines/{name}"

    def teardown(self):
        if hasattr(self, "runner"):
            self.store.close()
            self.runner.close()

    names = st.sampled_from(["a", "B"])

    @rule(name=names, key=st.sampled_from([0, 1]), own=st.booleans())
    def put(self, name, key, own):
        """With the vmId and key that it has, or with new ones."""
        known = self.model.get(name)
        vm_id = known.vm_id if known and own else guid()
        chosen = known.key if known and own else KEYS[key]
        body = {
            "location": "westeurope",
            "identity": {"type": "SystemAssigned"},
            "properties": {"vmId": vm_id, "clientPublicKey": b64encode(pkcs1(chosen)).decode()},
        }
        try:
            self.run(self.machines.put(parse(self.id(name)), body, "2024-07-10", OWNER))
        except ArmError as error:
            assert error.code == "HCRP409"
            assert known is not None
            assert vm_id != known.vm_id
            return
        assert known is None or vm_id == known.vm_id
        self.model.setdefault(name, Model(name, vm_id, chosen))

    def certificate(self, model, reason):
        url, body = f"{BASE}/his/machine/{model.vm_id}/identity", json.dumps({"reason": reason}).encode()
        now = self.clock.wall()
        claims = {"iss": model.vm_id, "sub": self.id(model.name), "htm": "POST", "htu": url, "jti": guid()}
        claims |= {"bh": base64url(hashlib.sha256(body).digest()), "iat": now, "exp": now + 60}
        headers = {"typ": "arc-pop+jwt", "kid": base64url(hashlib.sha256(pkcs1(model.key)).digest())}
        proof = jwt.encode(claims, model.key, "RS256", headers)
        request = IdentityRequest("POST", url, body, proof, "", Address(f"{BASE}/his"))
        return self.run(self.his.identity(model.vm_id, request, None))

    @rule(name=names)
    @precondition(lambda self: self.model)
    def ask_for_a_certificate(self, name):
        model = self.model.get(name)
        if model is None:
            return
        now = self.clock.now()
        try:
            self.certificate(model, "initial")
        except HisError as error:
            if error.code == "IdentityExpired":
                assert model.status(now) == "Expired"
            else:
                assert error.code == "TooManyRequests"
            return
        assert model.status(now) != "Expired"
        if model.expires is None or model.expires - now <= timedelta(days=45):
            model.expires = now.replace(microsecond=0) + LIFE

    @rule(name=names, status=st.sampled_from(["Connected", "Error"]))
    def beat(self, name, status):
        model = self.model.get(name)
        row = self.machines.get(self.id(name).lower())
        assert (model is None) == (row is None)
        if model is None or model.expires is None:
            return
        identity = row.document["identity"]
        caller = Caller(identity["principalId"], TENANT, "app", resource_id=row.document["id"])
        model.seq += 1
        body = {"instanceId": model.instance, "seq": model.seq, "agentVersion": "1", "metadataHash": HASH}
        try:
            self.run(self.his.heartbeat(model.vm_id, caller, json.dumps(body).encode()))
        except HisError as error:
            assert error.code == "IdentityExpired"
            assert model.status(self.clock.now()) == "Expired"
            return
        model.heard = self.clock.now()

    @rule(name=names)
    def connect(self, name):
        """The usual order, so that examples get far."""
        self.put(name, 0, own=True)
        self.ask_for_a_certificate(name)
        self.beat(name, "Connected")

    @rule(minutes=st.sampled_from([1, 5, 14, 15, 60]))
    def wait(self, minutes):
        self.run(self.clock.advance(minutes=minutes))

    @rule(days=st.sampled_from([1, 44, 46, 90]))
    def wait_for_days(self, days):
        self.run(self.clock.advance(days=days))

    @rule(name=names)
    def delete(self, name):
        found = self.run(self.machines.delete(self.id(name).lower()))
        assert found == (self.model.pop(name, None) is not None)

    # -- what always holds ---------------------------------------------------------------------------------

    @invariant()
    def every_machine_shows_what_it_should(self):
        if not hasattr(self, "model"):
            return
        rows = self.store.rows("resources")
        assert sorted(row.document["name"] for row in rows) == sorted(self.model, key=str)
        for row in rows:
            model = self.model[row.document["name"]]
            properties = row.document["properties"]
            event(f"status {properties.get('status')}")
            assert properties.get("status") == model.status(self.clock.now())
            assert properties["vmId"] == model.vm_id
            assert properties["provisioningState"] == ("Succeeded" if model.heard else "Creating")
            assert self.machines.by_vm_id(model.vm_id) is row
            assert self.directory.principal(row.document["identity"]["principalId"]) is not None

    @invariant()
    def nothing_is_left_of_machines_that_are_gone(self):
        if not hasattr(self, "model"):
            return
        alive = {model.vm_id for model in self.model.values()}
        assert {row.key for row in self.store.rows("heartbeats")} <= alive
        assert {row.key for row in self.store.rows("identities")} <= alive
        assert len(self.store.rows("principals")) == len(alive)
        assert len(self.machines._key_by_vm) == len(self.machines._vm_by_key) == len(alive)
        timers = set(self.clock._timers)
        assert all(timer.partition("/")[0] in alive for timer in timers)
        assert len(timers) <= 2 * len(alive)


Lifecycle.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLifecycle = Lifecycle.TestCase
