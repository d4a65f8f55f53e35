"""What every service of the control plane is built from."""

from __future__ import annotations

from dataclasses import dataclass

from arcbed_cloud.clock import Keeper
from arcbed_cloud.ids import Ids
from arcbed_cloud.settings import Settings
from arcbed_cloud.store import Store
from arcbed_cloud.trust import CertificateAuthority


@dataclass(frozen=True)
class Plane:
    """Clock, state, chance and trust of one bed; passed to each service's constructor."""

    settings: Settings
    clock: Keeper
    store: Store
    ids: Ids
    authority: CertificateAuthority
