"""Composition: one control plane from its settings."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from arcbed_cloud import seed
from arcbed_cloud.admin.app import admin_app
from arcbed_cloud.admin.bed import ROSTER_KEY, Bed
from arcbed_cloud.admin.guard import load_or_make_token
from arcbed_cloud.admin.health import own_app
from arcbed_cloud.arm.front import ArmFront
from arcbed_cloud.clock import Channel, Keeper
from arcbed_cloud.dispatch import App, Dispatcher
from arcbed_cloud.estate import Estate
from arcbed_cloud.events import EventLog, Witness
from arcbed_cloud.ids import Ids
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers import guestconfiguration, hybridcompute
from arcbed_cloud.providers.guestconfiguration import GuestAssignments, Reports
from arcbed_cloud.providers.hybridcompute import Extensions, Machines
from arcbed_cloud.providers.policy import Policy
from arcbed_cloud.services.blob import BlobStore
from arcbed_cloud.services.blob.router import blob_app
from arcbed_cloud.services.entra import Directory, Tokens
from arcbed_cloud.services.entra.router import entra_app
from arcbed_cloud.services.entra.signin import SignIn
from arcbed_cloud.services.extensions import Gallery
from arcbed_cloud.services.gns import Pushes, gns_app
from arcbed_cloud.services.gns.channels import vm_id_of
from arcbed_cloud.services.graph import Graph
from arcbed_cloud.services.graph.router import graph_app
from arcbed_cloud.services.guestconfig import AgentService, gas_app
from arcbed_cloud.services.his import HisService, his_app
from arcbed_cloud.services.packages import Shelf
from arcbed_cloud.services.packages.router import PackageHosts
from arcbed_cloud.services.relay import Relay, relay_app
from arcbed_cloud.settings import Settings
from arcbed_cloud.store import SqliteStore, Store
from arcbed_cloud.trust import CertificateAuthority


@dataclass
class Cloud:
    """One control plane. `asgi` is the public application, `admin` the testbed's own."""

    settings: Settings
    plane: Plane
    estate: Estate
    directory: Directory
    tokens: Tokens
    signin: SignIn
    front: ArmFront
    machines: Machines
    assignments: GuestAssignments
    extensions: Extensions
    policy: Policy
    his: HisService
    gas: AgentService
    relay: Relay
    pushes: Pushes
    bed: Bed
    channel: Channel
    clock_token: str
    asgi: App
    admin: App
    first_start: bool = False
    _down: bool = False
    _running: list[asyncio.Task[None]] = field(default_factory=list)

    async def startup(self) -> None:
        """Plant the estate if the state is empty, take up what an earlier process left, and let time flow."""
        self.first_start = await self.bed.plant()
        self.front.startup()
        self.policy.start()
        self.extensions.upgrades.start()
        await self.gas.startup()
        self.pushes.start()
        self._running.append(asyncio.create_task(self.plane.clock.run(), name="clock"))
        self.bed.ready = True

    async def shutdown(self) -> None:
        """Stop time, keep the bed's instant, and close the state. Safe to repeat."""
        if self._down:
            return
        self._down = True
        self.bed.ready = False
        self.channel.close()
        await self.channel.written()
        for task in self._running:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._running.clear()
        await self.policy.stop()
        await self.pushes.stop()
        await self.front.shutdown()
        await self.gas.shutdown()
        await self.bed.keep_time()
        if self.bed.events is not None:
            self.bed.events.close()
        self.plane.store.close()


def build(settings: Settings) -> Cloud:
    """Compose a control plane; nothing runs until `startup`.

    Raises:
        TrustError: a host among `extra_hosts` that the state's authority may not vouch for.
        SecretsError: ``secrets.json`` is damaged.
    """
    settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = SqliteStore(
        settings.state / "state.db", durability=settings.durability, shared=settings.shared_state
    )
    clock = _clock(settings, store)
    ids, boot = _ids(settings, store)
    authority = CertificateAuthority(
        settings.state, extra_hosts=settings.extra_hosts, server_key=settings.server_key, clock=clock
    )
    plane = Plane(settings, clock, store, ids, authority)
    estate = seed.load_or_make(settings.state, ids, clock)
    directory = Directory(plane, tenant_id=estate.tenant_id)
    tokens = Tokens(plane, directory)
    signin = SignIn(plane, directory, tokens)
    front = ArmFront(plane, tokens, directory)
    machines = Machines(plane, directory)
    extensions = Extensions(front.context, machines, Gallery(settings.state), front.activity)
    front.register(hybridcompute.resource_types(front.context, machines, extensions))
    assignments = GuestAssignments(front.context)
    reports = Reports(plane, assignments)
    front.register(guestconfiguration.resource_types(front.context, assignments, reports))
    policy = Policy(front.context, assignments)
    front.register(policy.resource_types())
    bed = Bed(plane, directory, estate, boot=boot)
    clock_token = load_or_make_token(settings.state, "clock.token")
    roster = store.get("meta", ROSTER_KEY)
    channel = bed.channel = Channel(
        clock,
        seed=ids.seed,
        token=clock_token,
        keep=bed.keep_roster,
        roster=roster.document if roster else None,
    )
    shelf = Shelf(settings.state)
    his = HisService(plane, directory, tokens, machines, shelf)
    gas = AgentService(plane, his, machines, assignments, reports, front.activity, extensions)
    relay = Relay(
        load_or_make_token(settings.state, "relay.key"),
        clock.wall,
        lambda path: machines.by_vm_id(vm_id_of(path)) is not None,
    )
    graph = Graph(plane, directory, writers=frozenset({estate.owner.objectId}))
    services: dict[str, App] = {
        "login": entra_app(signin),
        "arm": front,
        "graph": graph_app(graph, tokens),
        "his": his_app(his),
        "gas": gas_app(gas),
        "gns": gns_app(plane, his, relay),
        "relay": relay_app(relay),
        "blob": blob_app(plane, BlobStore(settings.state)),
        "packages": PackageHosts(shelf, clock.wall).app(),
    }
    served = frozenset({*settings.extra_hosts, settings.host})
    return Cloud(
        settings=settings,
        plane=plane,
        estate=estate,
        directory=directory,
        tokens=tokens,
        signin=signin,
        front=front,
        machines=machines,
        assignments=assignments,
        extensions=extensions,
        policy=policy,
        his=his,
        gas=gas,
        relay=relay,
        pushes=Pushes(plane, relay, machines),
        bed=bed,
        channel=channel,
        clock_token=clock_token,
        asgi=_witnessed(Dispatcher(services, own_app(bed), served), bed, front),
        admin=admin_app(bed, tokens, signin, front),
    )


def _witnessed(app: App, bed: Bed, front: ArmFront) -> App:
    """`app` behind the event log, if there is to be one."""
    file = bed.plane.settings.event_log
    if file is None:
        return app
    bed.events = EventLog(file, bed.plane.clock)
    return Witness(app, bed.plane.clock, bed.events, front.operation_id)


def _ids(settings: Settings, store: Store) -> tuple[Ids, int]:
    """The bed's seed is fixed at its first start; each start has a sequence of its own."""
    row = store.get("meta", seed.BED_KEY)
    known = row.document if row else {}
    boot = int(known.get("boots", 0)) + 1
    return Ids(settings.seed or known.get("seed") or seed.new_seed(), boot), boot


def _clock(settings: Settings, store: Store) -> Keeper:
    """The bed's time goes on from where an earlier process kept it."""
    row = store.get("meta", "clock")
    if row is None:
        return Keeper(settings.clock, start=settings.clock_start, grace=settings.clock_grace)
    kept = datetime.fromisoformat(row.document["now"])
    if settings.clock == "live":
        wall = Keeper()
        kept = wall.now() + (kept - datetime.fromisoformat(row.document["wall"]))
    return Keeper(settings.clock, start=kept, grace=settings.clock_grace)
