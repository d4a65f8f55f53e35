"""`connect`: from a token of somebody who may create machines to a first accepted heartbeat.

Steps and exit codes: ``docs/wire.md`` section 5.1 (himds does 4 to 10) and Microsoft's article
"Troubleshoot Azure Connected Machine agent connection issues". Every step can be repeated, and the journal
says where to go on.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from arcbed_agent.clock import Clock, ClockTask
from arcbed_agent.cloud.arm import NAMESPACES, ArmClient
from arcbed_agent.cloud.his import Credential, HisClient
from arcbed_agent.cloud.transport import CloudError, UnreachableError, new_guid
from arcbed_agent.config import AgentConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.himds.heartbeat import Heartbeat
from arcbed_agent.himds.identity import Identity
from arcbed_agent.himds.journal import CREATED, PREPARED, Journal, read_journal, remove_journal
from arcbed_agent.himds.keys import MachineKey
from arcbed_agent.himds.messages import ConnectParameters, Progress
from arcbed_agent.himds.patience import Patience
from arcbed_agent.himds.tokens import SERVICES, MachineTokens
from arcbed_agent.himds.uplink import Uplink
from arcbed_agent.host.contract import Host
from arcbed_agent.host.layout import Layout
from arcbed_agent.logging import fields

#: Seconds. Source: Microsoft's release notes, agent 1.17.
CONNECT_LIMIT: Final = 600.0

Report = Callable[[Progress], Awaitable[None]]
CloudFailure = (CloudError, UnreachableError)


class Registration:
    """Registers this machine, once or again after a crash."""

    def __init__(
        self,
        *,
        layout: Layout,
        clock: Clock,
        chance: random.Random,
        host: Host,
        uplink: Uplink,
        identity: Identity,
        tokens: MachineTokens,
        heartbeat: Heartbeat,
        log: logging.Logger,
    ) -> None:
        self._layout = layout
        self._clock = clock
        self._chance = chance
        self._host = host
        self._uplink = uplink
        self._identity = identity
        self._tokens = tokens
        self._heartbeat = heartbeat
        self._log = log

    async def connect(self, wanted: ConnectParameters, report: Report, task: ClockTask) -> AgentConfig:
        """Do what is left to do, report progress, and answer what the machine is now.

        Raises:
            AgentError: 26, 42, 44, 62, 81, 103, 105, 107.
        """
        deadline = self._clock.now() + timedelta(seconds=CONNECT_LIMIT)
        patience = Patience(self._clock, self._chance, task, deadline)
        endpoints = await self._uplink.directory.endpoints(wanted.cloud)
        journal = await self._prepare(wanted)
        target = journal.target
        arm = ArmClient(self._uplink.transport, endpoints.arm, wanted.access_token, target.correlation_id)
        resource = f"Correlation ID={target.correlation_id} Resource ID={target.resource_id}"
        await report(Progress(30, f"Creating resource in Azure... {resource}"))
        await self._create(arm, journal, wanted, patience)
        await report(Progress(60, "Retrieving certificate..."))
        await self._finish(target, patience, report)
        await report(Progress(100, "Connected machine to Azure"))
        return target

    async def resume(self, journal: Journal, task: ClockTask) -> AgentConfig:
        """After a restart: the machine is in ARM, so nobody's token is needed for the rest.

        Raises:
            AgentError: as `connect`.
        """
        deadline = self._clock.now() + timedelta(seconds=CONNECT_LIMIT)
        await self._finish(journal.target, Patience(self._clock, self._chance, task, deadline), _silent)
        return journal.target

    # -- before ARM ------------------------------------------------------------------------------------------

    async def _prepare(self, wanted: ConnectParameters) -> Journal:
        """VmId and key, on disk; those of an unfinished `connect` of the same machine are used again."""
        journal = read_journal(self._layout)
        target = AgentConfig(
            subscription_id=wanted.subscription_id,
            resource_group=wanted.resource_group,
            resource_name=wanted.resource_name,
            tenant_id=wanted.tenant_id,
            location=wanted.location,
            cloud=wanted.cloud,
            vm_id=new_guid(self._chance),
            correlation_id=wanted.correlation_id,
            private_link_scope=wanted.private_link_scope,
            identity_key_store=wanted.identity_key_store,
        )
        if journal and journal.target.resource_id.lower() == target.resource_id.lower():
            if self._identity.key is not None:
                target = replace(target, vm_id=journal.target.vm_id)
                journal = Journal(target, journal.stage)
                journal.save(self._layout)
                return journal
            if journal.stage == CREATED:
                raise AgentError(
                    104,
                    "the private key of the machine that was created is not there",
                    advice="Delete the machine in Azure, then connect again.",
                )
        elif journal:
            self._log.warning(
                "An unfinished connect of another resource is given up",
                extra=fields({"Resource ID": journal.target.resource_id}),
            )
        return await self._start_over(target)

    async def _start_over(self, target: AgentConfig) -> Journal:
        self._tokens.forget()
        remove_journal(self._layout)
        self._identity.forget()
        key = await asyncio.to_thread(MachineKey.generate)
        journal = Journal(target, PREPARED)
        try:
            self._identity.create_key(key)
            journal.save(self._layout)
        except OSError as error:
            raise AgentError(103, f"the machine's keys cannot be stored: {error}") from error
        return journal

    # -- ARM -------------------------------------------------------------------------------------------------

    async def _create(
        self, arm: ArmClient, journal: Journal, wanted: ConnectParameters, patience: Patience
    ) -> None:
        target = journal.target
        registering = await self._register_providers(arm, target)
        await self._check_name(arm, target, patience)
        await self._ensure_group(arm, target)
        body = await asyncio.to_thread(self._body, target, wanted)
        try:
            await patience.steadily(
                lambda: arm.put_machine(target.resource_id, body),
                also=lambda error: (
                    registering
                    and isinstance(error, CloudError)
                    and error.code == "MissingSubscriptionRegistration"
                ),
            )
        except CloudError as error:
            taken = error.status == 409 and error.code == "HCRP409"
            raise _failure(44 if taken else 42, "Failed to AzcmagentConnect ARM resource", error) from error
        except UnreachableError as error:
            raise _failure(42, "Failed to AzcmagentConnect ARM resource", error) from error
        Journal(target, CREATED).save(self._layout)

    async def _register_providers(self, arm: ArmClient, target: AgentConfig) -> bool:
        """Best effort: an onboarding principal may lack the right. True if a registration was begun."""
        begun = False
        for namespace in NAMESPACES:
            try:
                begun |= await arm.ensure_registered(target.subscription_id, namespace)
            except CloudFailure as error:
                self._log.debug(
                    "Resource provider was not registered", extra=fields(Provider=namespace, Error=error)
                )
        return begun

    async def _check_name(self, arm: ArmClient, target: AgentConfig, patience: Patience) -> None:
        try:
            found = await patience.steadily(lambda: arm.machine(target.resource_id))
        except CloudFailure as error:
            raise _failure(42, "Get ARM Resource Response", error) from error
        if found is None:
            return
        properties = found.get("properties") or {}
        vm_id = str(properties.get("vmId") or "").lower()
        if vm_id not in {"", target.vm_id} and properties.get("status") != "AwaitingConnection":
            raise AgentError(
                44,
                f"a resource with the name '{target.resource_name}' already exists: {target.resource_id}",
                advice="Choose another name with --resource-name, or delete the resource in Azure.",
            )

    async def _ensure_group(self, arm: ArmClient, target: AgentConfig) -> None:
        try:
            if await arm.ensure_group(target.subscription_id, target.resource_group, target.location):
                self._log.info("Created resource group", extra=fields(Name=target.resource_group))
        except CloudFailure as error:
            self._log.debug("Resource group was not created", extra=fields(Error=error))

    def _body(self, target: AgentConfig, wanted: ConnectParameters) -> dict[str, Any]:
        metadata = self._host.metadata()
        key = self._identity.key
        properties: dict[str, Any] = {
            "vmId": target.vm_id,
            "clientPublicKey": key.public_text if key else "",
            **{
                name: metadata[name]
                for name in ("osType", "osProfile", "cloudMetadata", "mssqlDiscovered", "detectedProperties")
                if name in metadata
            },
        }
        if wanted.location_data:
            properties["locationData"] = wanted.location_data
        if wanted.private_link_scope:
            properties["privateLinkScopeResourceId"] = wanted.private_link_scope
        if wanted.automatic_upgrade is not None:
            properties["agentUpgrade"] = {"enableAutomaticUpgrade": wanted.automatic_upgrade}
        return {
            "location": target.location,
            "tags": wanted.tags,
            "identity": {"type": "SystemAssigned"},
            "properties": properties,
        }

    # -- after ARM -------------------------------------------------------------------------------------------

    async def _finish(self, target: AgentConfig, patience: Patience, report: Report) -> None:
        try:
            self._identity.install(await self._certificate(target, patience))
        except CloudFailure as error:
            raise _failure(81, "Get MSI Certificate", error) from error
        except OSError as error:
            raise AgentError(81, f"the certificate cannot be stored: {error}") from error
        await report(Progress(80, "Sending the first heartbeat..."))
        try:
            await patience.for_replication(lambda: self._tokens.get(SERVICES))
            await patience.steadily(lambda: self._heartbeat.send(target))
        except CloudFailure as error:
            raise _failure(
                62, "error connecting machine to Azure: failed to send a heartbeat", error
            ) from error
        target.save(self._layout)
        remove_journal(self._layout)

    async def _certificate(self, target: AgentConfig, patience: Patience) -> Credential:
        key = self._identity.key
        if key is None:
            raise AgentError(103, "the machine has no key")
        request_id = new_guid(self._chance)

        def prove(method: str, url: str, body: bytes) -> str:
            return key.proof(
                vm_id=target.vm_id,
                resource_id=target.resource_id,
                method=method,
                url=url,
                body=body,
                now=self._clock.wall(),
                jti=new_guid(self._chance),
            )

        async def ask() -> Credential:
            region = await self._uplink.directory.region(target.cloud, target.location)
            client = HisClient(self._uplink.transport, region.his, target.vm_id)
            return await client.identity(
                {"reason": "initial", "mode": "issue"},
                prove,
                request_id=request_id,
                correlation_id=target.correlation_id,
            )

        return await patience.until_ready(lambda: patience.steadily(ask))


def _failure(number: int, phase: str, error: CloudError | UnreachableError) -> AgentError:
    """An error with the phase, code and message that the cloud gave, as the product prints them."""
    if isinstance(error, CloudError):
        return AgentError(
            number, f"{phase}: Code: {error.code}, httpStatusCode: {error.status}, message: {error.message}"
        )
    return AgentError(number, f"{phase}: {error}")


async def _silent(_progress: Progress) -> None:
    return None
