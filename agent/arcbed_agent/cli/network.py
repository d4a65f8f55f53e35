"""The network check of ``azcmagent check`` and ``azcmagent connect``, and its table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from arcbed_agent.cli.session import Session
from arcbed_agent.errors import AgentError

if TYPE_CHECKING:
    from arcbed_agent.cloud.connectivity import Probe

#: Heading and width; the last one is as wide as it needs to be.
_COLUMNS = (("REACHABLE", 10), ("PRIVATE", 8), ("TLS", 8), ("PROXY", 8), ("GATEWAY", 8), ("REQUIRED", 8))


def normal_location(text: str) -> str:
    """A region as ARM writes it: ``West Europe`` is ``westeurope`` (agent 1.50)."""
    return "".join(text.split()).lower()


class Network:
    """Finds the endpoints of a cloud and tests them."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def probe(self, cloud: str, location: str, *, include_all: bool = False) -> list[Probe]:
        """Test the endpoints for `location`.

        Raises:
            AgentError: 20, unknown region; 23, unknown cloud; 26, the cloud does not tell its endpoints.
        """
        from arcbed_agent.cloud import endpoints as finding
        from arcbed_agent.cloud.connectivity import Prober, targets
        from arcbed_agent.cloud.transport import CloudError, Transport, UnreachableError

        config = self._session.local_config
        async with Transport(config, chance=self._session.chance) as transport:
            endpoints = await finding.resolve(transport, config, cloud)
            try:
                region = await finding.discover(transport, endpoints, location)
            except (UnreachableError, CloudError) as error:
                # The probe of the global service will say the same in the table.
                self._session.log.debug("Regional Service Discovery failed: %s", error)
                region = None
        wanted = targets(cloud, endpoints, region, include_all=include_all)
        return await Prober(config, self._session.clock).probe(wanted)

    def warn_of_skew(self, probes: Sequence[Probe]) -> None:
        """Tell of a wrong clock; it is not fatal by itself (agent 1.29)."""
        from arcbed_agent.cloud.connectivity import clock_skew

        skew = clock_skew(probes)
        if skew is not None:
            word = "ahead of" if skew > 0 else "behind"
            text = (
                f"This machine's clock is {abs(skew):.0f} seconds {word} Azure's; check time synchronization."
            )
            self._session.terminal.warning(text)
            self._session.log.warning(text)


def unavailable(probes: Sequence[Probe]) -> AgentError | None:
    """AZCM0026 if a required endpoint is not reachable."""
    failed = [probe for probe in probes if probe.target.required and not probe.reachable]
    if not failed:
        return None
    listed = ", ".join(f"{probe.target.url} (error: {probe.error})" for probe in failed)
    return AgentError(
        26,
        f"required endpoints unavailable: {listed}",
        "Check DNS, firewall and proxy settings. azcmagent connect goes on with --ignore-network-check.",
    )


def unexpected_private_link(probes: Sequence[Probe]) -> AgentError | None:
    """AZCM0026 if names lead to private endpoints although no scope is given.

    A private endpoint is known by the ``privatelink`` zone behind the name, not by its address alone: a
    cloud on a private network is not private link.
    """
    for probe in probes:
        if probe.private_link:
            return AgentError(
                26,
                f"No indication of Private Link Scope but found private endpoint: {probe.target.url}",
                "Name the scope with --private-link-scope, or remove the privatelink zones from DNS.",
            )
    return None


def table(probes: Sequence[Probe]) -> str:
    """One line for each endpoint; the columns are documented, their layout is ours."""
    width = max([len("ENDPOINT"), *(len(probe.target.url) for probe in probes)]) + 1
    rows = [("ENDPOINT", *(heading for heading, _ in _COLUMNS)), *map(_cells, probes)]
    lines = [_line(row, width) for row in rows]
    errors = [f"  {probe.target.url}: {probe.error}" for probe in probes if probe.error]
    return "\n".join([*lines, *(["", "Errors:", *errors] if errors else [])])


def _cells(probe: Probe) -> tuple[str, ...]:
    private = "unknown" if probe.private is None else str(probe.private).lower()
    return (
        probe.target.url,
        str(probe.reachable).lower(),
        private,
        probe.tls or "-",
        "set" if probe.proxy else "not set",
        "not used",
        str(probe.target.required).lower(),
    )


def _line(cells: Sequence[str], width: int) -> str:
    first, *others = cells
    padded = [
        f"{first:<{width}}",
        *(f"{cell:<{size}}" for cell, (_, size) in zip(others, _COLUMNS, strict=True)),
    ]
    return "|".join(padded).rstrip()
