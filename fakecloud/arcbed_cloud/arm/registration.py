"""Which resource providers a subscription is registered to use.

Rows of the table ``meta`` with kind ``registration``: key ``registration/{subscription}/{namespace}`` (lower
case), document ``{"namespace", "state", "due"?}``. ``Registering`` and ``Unregistering`` end by themselves at
``due`` of the bed's clock; nothing has to run for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache

from arcbed_cloud.arm import times
from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.plane import Plane
from arcbed_cloud.store.contract import Unit

KIND = "registration"
# Every write asks whether its provider's registration has become due.
_due = lru_cache(maxsize=256)(times.read)
FREE = frozenset({"microsoft.resources", "microsoft.authorization", "microsoft.insights"})


class Registrations:
    """Registration states by subscription and namespace."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def state(self, subscription: str, namespace: str) -> str:
        """``NotRegistered``, ``Registering``, ``Registered``, ``Unregistering`` or ``Unregistered``."""
        namespace = namespace.lower()
        if namespace in FREE:
            return "Registered"
        row = self._plane.store.get("meta", f"{KIND}/{subscription.lower()}/{namespace}")
        if row is None:
            return "NotRegistered"
        state: str = row.document["state"]
        due = row.document.get("due")
        if due is not None and self._plane.clock.now() >= _due(due):
            return {"Registering": "Registered", "Unregistering": "Unregistered"}[state]
        return state

    def change(self, unit: Unit, subscription: str, namespace: str, *, register: bool) -> str:
        """Start (un)registering; returns the state that this very answer shows."""
        if namespace.lower() in FREE or (register and self.state(subscription, namespace) == "Registered"):
            return "Registered"
        state = "Registering" if register else "Unregistering"
        due = self._plane.clock.now() + timedelta(seconds=self._plane.settings.register_seconds)
        unit.put(
            "meta",
            f"{KIND}/{subscription.lower()}/{namespace.lower()}",
            {"namespace": namespace, "state": state, "due": times.iso7(due)},
            kind=KIND,
            scope=subscription.lower(),
        )
        return state

    def require(self, subscription: str, namespace: str) -> None:
        """Refuse writes to a namespace that is not registered.

        Raises:
            ArmError: 409 MissingSubscriptionRegistration. Its message ends in a quoted namespace because
                clients
                take the namespace to register from there.
        """
        if self.state(subscription, namespace) == "Registered":
            return
        message = (
            f"The subscription is not registered to use namespace '{namespace}'. "
            "See https://aka.ms/rps-not-found for how to register subscriptions."
        )
        code = "MissingSubscriptionRegistration"
        detail = {"code": code, "target": namespace, "message": message}
        raise ArmError(409, code, message, details=[detail])

    def registered(self, subscription: str) -> Sequence[str]:
        """Namespaces in state ``Registered``, lower case, sorted."""
        rows = self._plane.store.rows("meta", kind=KIND, scope=subscription.lower())
        named = (row.document["namespace"].lower() for row in rows)
        return sorted({*FREE, *(name for name in named if self.state(subscription, name) == "Registered")})
