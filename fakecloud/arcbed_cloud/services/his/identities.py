"""Identity certificates of machines: issue, renew, rotate. ``docs/wire.md``, section 7.

Rows of table ``identities``, keyed by the vmId in lower case: ``resourceId``, ``notAfter`` (epoch seconds of
the newest certificate), ``certificates`` that have not run out, ``repeats`` (answers by
Repeatability-Request-ID, kept for a day of the bed's time), ``asked`` (what the next heartbeat asks the agent
to do), ``previousKey`` and ``rotatedBy`` after a rotation.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.hybridcompute.keys import PublicKeyError, key_id, read_public_key
from arcbed_cloud.providers.hybridcompute.liveness import moment
from arcbed_cloud.providers.hybridcompute.machines import Machines
from arcbed_cloud.services.entra.directory import Directory
from arcbed_cloud.services.his.errors import (
    HisError,
    invalid_proof,
    invalid_request,
    machine_not_found,
    too_many,
)
from arcbed_cloud.services.his.limits import IdentityRate
from arcbed_cloud.services.his.proof import Proofs, Proven, base64url
from arcbed_cloud.services.his.regions import CONTRACT, Address
from arcbed_cloud.store import Row, Unit
from arcbed_cloud.store.contract import Document

Reason = Literal["initial", "renew", "rotate"]
BACKDATE = timedelta(minutes=5)
FRESH = timedelta(days=45)
REPEATS_FOR = 86_400
DELIVERED_BITS = 2048


@dataclass(frozen=True, slots=True)
class IdentityRequest:
    """One call of the identity route.

    `url` is without query, `proof` the compact JWS, `request_id` the Repeatability-Request-ID or empty.
    """

    method: str
    url: str
    body: bytes
    proof: str
    request_id: str
    address: Address

    def wish(self) -> Document:
        """The body's members; a GET, or no body, is ``initial``.

        Raises:
            HisError: 400 InvalidRequest.
        """
        try:
            wish = orjson.loads(self.body or b"{}")
        except ValueError as error:
            raise invalid_request("The body is no JSON.") from error
        if not isinstance(wish, dict):
            raise invalid_request("The body must be a JSON object.")
        wish = {"reason": "initial", "mode": "issue", **wish}
        if wish["reason"] not in {"initial", "renew", "rotate"}:
            raise invalid_request("'reason' must be initial, renew or rotate.", "reason")
        if wish["mode"] not in {"issue", "deliver"}:
            raise invalid_request("'mode' must be issue or deliver.", "mode")
        return wish


@dataclass(frozen=True, slots=True)
class IdentityAnswer:
    """The credential, and whether it had been answered to the same Repeatability-Request-ID before."""

    document: Document
    repeated: bool = False


class Identities:
    """Issues certificates to whoever proves possession of a machine's key."""

    def __init__(self, plane: Plane, directory: Directory, machines: Machines) -> None:
        self._plane = plane
        self._store = plane.store
        self._directory = directory
        self._machines = machines
        self._proofs = Proofs(plane.clock)
        self._delivered: dict[tuple[str, str], tuple[float, str]] = {}
        self.rate = IdentityRate()

    # -- reading -------------------------------------------------------------------------------------------

    def expired(self, vm_id: str) -> bool:
        """True if the newest certificate has run out on the bed's clock."""
        row = self._store.get("identities", vm_id.lower())
        return row is not None and row.document["notAfter"] <= self._plane.clock.now().timestamp()

    def asked(self, vm_id: str) -> str:
        """What the agent should do at its next heartbeat: ``none``, ``renew`` or ``rotate``."""
        row = self._store.get("identities", vm_id.lower())
        return str(row.document.get("asked", "none")) if row is not None else "none"

    async def ask(self, vm_id: str, action: Literal["none", "renew", "rotate"]) -> None:
        """Let the next heartbeat answers ask for a new certificate, until one is issued."""
        async with self._store.unit() as unit:
            row = self._store.get("identities", vm_id.lower())
            if row is not None:
                document = {**row.document, "asked": action}
                unit.put("identities", row.key, document, kind=row.kind, scope=row.scope)

    # -- issuing -------------------------------------------------------------------------------------------

    def check(self, machine: Row, request: IdentityRequest) -> IdentityAnswer | None:
        """Check the proof and what needs no token; an answer that was given before is given again.

        Raises:
            HisError: KeyMismatch, InvalidProof, IdentityExpired, OperationNotAllowed.
        """
        properties = machine.document["properties"]
        vm_id = properties["vmId"]
        proven = Proven(vm_id, machine.document["id"], request.method, request.url, request.body)
        answered = self._answered(vm_id, request.request_id)
        key = self._key_for(vm_id, request, answered, properties.get("clientPublicKey"))
        self._proofs.check(request.proof, key, proven)
        if self.expired(vm_id):
            raise HisError(
                403,
                "IdentityExpired",
                "The machine's identity has expired. Disconnect the machine and connect it again.",
            )
        if machine.document.get("identity", {}).get("principalId") is None:
            raise HisError(403, "OperationNotAllowed", "The machine has no system-assigned identity.")
        return IdentityAnswer(answered, repeated=True) if answered is not None else None

    async def issue(self, vm_id: str, request: IdentityRequest) -> IdentityAnswer:
        """A certificate for a request that `check` let pass.

        Raises:
            HisError: TooManyRequests, InvalidRequest, or InvalidProof of a new key.
        """
        wish = request.wish()
        if wait := self.rate.wait(vm_id.lower(), self._now.timestamp()):
            raise too_many("Six identity requests an hour are allowed.", wait)
        new_key = self._new_key(vm_id, request, wish) if wish["reason"] == "rotate" else None
        made = None
        if wish["mode"] == "deliver":
            made = await asyncio.to_thread(rsa.generate_private_key, 65537, DELIVERED_BITS)
        async with self._store.unit() as unit:
            machine = self._machine(vm_id)
            properties = machine.document["properties"]
            key = new_key or properties["clientPublicKey"]
            entry = None
            if wish["reason"] == "initial" and made is None:
                entry = self._fresh_entry(vm_id, key)
            if entry is None:
                entry = self._issue(unit, machine, made.public_key() if made else read_public_key(key))
            document = self._credential(machine, entry, request.address)
            self._keep(unit, machine, entry, request.request_id, document, new_key)
            if new_key is not None:
                self._machines.report(unit, machine, {"clientPublicKey": new_key})
        if made is not None:
            document["client_secret"] = self._deliver(vm_id, request.request_id, made, entry)
        return IdentityAnswer(document)

    @property
    def _now(self) -> datetime:
        return self._plane.clock.now()

    def _machine(self, vm_id: str) -> Row:
        machine = self._machines.by_vm_id(vm_id)
        if machine is None:
            raise machine_not_found(vm_id)
        return machine

    def _issue(self, unit: Unit, machine: Row, public_key: rsa.RSAPublicKey) -> Document:
        settings, now = self._plane.settings, self._now.replace(microsecond=0)
        principal = self._directory.principal(machine.document["identity"]["principalId"])
        if principal is None:
            raise HisError(403, "IdentityNotReady", "The machine's principal is not there yet.")
        certificate = self._plane.authority.issue_machine_certificate(
            public_key,
            client_id=principal.app_id,
            resource_id=machine.document["id"],
            not_before=now - BACKDATE,
            not_after=now + timedelta(days=settings.certificate_days),
        )
        self._directory.add_certificate(unit, principal.object_id, certificate)
        return {
            "pem": certificate.public_bytes(serialization.Encoding.PEM).decode(),
            "clientId": principal.app_id,
            "notBefore": certificate.not_valid_before_utc.timestamp(),
            "notAfter": certificate.not_valid_after_utc.timestamp(),
            "renewAfter": (now + timedelta(days=settings.renew_after_days)).timestamp(),
        }

    def _fresh_entry(self, vm_id: str, key: str) -> Document | None:
        """The newest certificate, if it is for the machine's key and has more than 45 days left."""
        row = self._store.get("identities", vm_id.lower())
        entries = row.document["certificates"] if row is not None else []
        for entry in reversed(entries):
            certificate = x509.load_pem_x509_certificate(entry["pem"].encode())
            if certificate.public_key() == read_public_key(key):
                left = certificate.not_valid_after_utc - self._now
                return dict(entry) if left > FRESH else None
        return None

    def _new_key(self, vm_id: str, request: IdentityRequest, wish: Document) -> str:
        new_key, proof = wish.get("newPublicKey"), wish.get("newKeyProof")
        if not isinstance(new_key, str) or not isinstance(proof, str):
            raise invalid_request("A rotation needs 'newPublicKey' and 'newKeyProof'.", "newPublicKey")
        try:
            read_public_key(new_key)
        except PublicKeyError as error:
            raise invalid_request(f"'newPublicKey' cannot be used: {error}.", "newPublicKey") from error
        resource_id = self._machine(vm_id).document["id"]
        try:
            # The proof is part of the body, so its hash is over the new key's text instead.
            self._proofs.check(
                proof,
                new_key,
                Proven(vm_id, resource_id, request.method, request.url, new_key.encode()),
            )
        except HisError as error:
            raise invalid_proof(f"The proof by the new key does not hold: {error.message}") from error
        return new_key

    # -- answers and their memory --------------------------------------------------------------------------

    def _credential(self, machine: Row, entry: Document, address: Address) -> Document:
        identity, properties = machine.document["identity"], machine.document["properties"]
        certificate = x509.load_pem_x509_certificate(entry["pem"].encode())
        base = address.his(machine.document["location"])
        return {
            "client_id": entry["clientId"],
            "tenant_id": identity["tenantId"],
            "object_id": identity["principalId"],
            "resource_id": machine.document["id"],
            "authentication_endpoint": address.login(),
            "certificate": entry["pem"] + self._plane.authority.tenant_chain_pem,
            "client_secret": None,
            "client_secret_url": f"{base}/machine/{properties['vmId']}/identity?api-version={CONTRACT}",
            "not_before": _rfc3339(entry["notBefore"]),
            "not_after": _rfc3339(entry["notAfter"]),
            "renew_after": _rfc3339(entry["renewAfter"]),
            "cannot_renew_after": _rfc3339(entry["notAfter"]),
            "thumbprint": certificate.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303 - Azure's name
            "x5t_s256": base64url(certificate.fingerprint(hashes.SHA256())),
        }

    def _keep(
        self,
        unit: Unit,
        machine: Row,
        entry: Document,
        request_id: str,
        answer: Document,
        new_key: str | None,
    ) -> None:
        properties, now = machine.document["properties"], self._now.timestamp()
        key = properties["vmId"].lower()
        row = self._store.get("identities", key)
        before = row.document if row is not None else {"certificates": [], "repeats": {}}
        others = [
            old for old in before["certificates"] if old["notAfter"] > now and old["pem"] != entry["pem"]
        ]
        repeats = {name: kept for name, kept in before["repeats"].items() if kept["at"] > now - REPEATS_FOR}
        if request_id:
            repeats[request_id] = {"at": now, "answer": answer}
        document: Document = {
            "resourceId": machine.document["id"],
            "notAfter": max(old["notAfter"] for old in [*others, entry]),
            "certificates": [*others, entry],
            "repeats": repeats,
        }
        if new_key is not None:
            document["previousKey"] = properties["clientPublicKey"]
            document["rotatedBy"] = request_id
        elif "previousKey" in before:
            document |= {"previousKey": before["previousKey"], "rotatedBy": before["rotatedBy"]}
        unit.put("identities", key, document, scope=machine.key)

    def _answered(self, vm_id: str, request_id: str) -> Document | None:
        row = self._store.get("identities", vm_id.lower())
        if row is None or not request_id:
            return None
        now = self._now.timestamp()
        kept = row.document["repeats"].get(request_id)
        if kept is None or kept["at"] <= now - REPEATS_FOR:
            return None
        answer = dict(kept["answer"])
        delivered = self._delivered.get((vm_id.lower(), request_id))
        if delivered is not None and delivered[0] > now - REPEATS_FOR:
            answer["client_secret"] = delivered[1]
        return answer

    def _key_for(
        self, vm_id: str, request: IdentityRequest, answered: Document | None, stored: str | None
    ) -> str | None:
        """The machine's key. The repeat of a rotation still comes with a proof by the key before it."""
        row = self._store.get("identities", vm_id.lower())
        if answered is None or row is None or row.document.get("rotatedBy") != request.request_id:
            return stored
        previous = str(row.document["previousKey"])
        return previous if _kid(request.proof) == key_id(previous) else stored

    def _deliver(self, vm_id: str, request_id: str, key: rsa.RSAPrivateKey, entry: Document) -> str:
        """Base64 PKCS#12 of a key that the service made; kept in memory only, so that no state holds it."""
        certificate = x509.load_pem_x509_certificate(entry["pem"].encode())
        chain = x509.load_pem_x509_certificates(self._plane.authority.tenant_chain_pem.encode())
        archive = pkcs12.serialize_key_and_certificates(
            entry["clientId"].encode(), key, certificate, chain, serialization.NoEncryption()
        )
        text = base64.b64encode(archive).decode()
        now = self._now.timestamp()
        self._delivered = {
            name: kept for name, kept in self._delivered.items() if kept[0] > now - REPEATS_FOR
        }
        if request_id:
            self._delivered[vm_id.lower(), request_id] = (now, text)
        return text


def _kid(proof: str) -> Any:
    try:
        header = orjson.loads(base64.urlsafe_b64decode(proof.partition(".")[0] + "=="))
    except ValueError:
        return None
    return header.get("kid") if isinstance(header, dict) else None


def _rfc3339(epoch: float) -> str:
    return f"{moment(epoch):%Y-%m-%dT%H:%M:%SZ}"
