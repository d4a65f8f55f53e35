"""Subscriptions by name (agent 1.21)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arcbed_agent.cli.validation import GUID
from arcbed_agent.errors import AgentError

if TYPE_CHECKING:
    from arcbed_agent.cloud.transport import Transport

_API_VERSION = "2022-12-01"
_PAGES = 100


async def subscription_id(transport: Transport, arm: str, wanted: str, token: str) -> str:
    """`wanted` if it is an id, else the id of the subscription of that name (`Subscriptions_List`).

    Raises:
        AgentError: 68, there is none or more than one, or ARM does not tell.
    """
    if GUID.fullmatch(wanted):
        return wanted.lower()
    found = [
        item.get("subscriptionId", "")
        for item in await _subscriptions(transport, arm, token)
        if str(item.get("displayName", "")).lower() == wanted.lower()
    ]
    if len(found) != 1:
        count = "no subscription" if not found else f"{len(found)} subscriptions"
        raise AgentError(
            68,
            f"{count} named '{wanted}' can be seen with these credentials",
            "Pass the id of the subscription instead.",
        )
    return str(found[0])


async def _subscriptions(transport: Transport, arm: str, token: str) -> list[dict[str, str]]:
    from arcbed_agent.cloud.transport import CloudError, UnreachableError, document_of

    url = f"{arm}/subscriptions?api-version={_API_VERSION}"
    found: list[dict[str, str]] = []
    for _ in range(_PAGES):
        try:
            answer = document_of(
                await transport.send("GET", url, headers={"Authorization": f"Bearer {token}"})
            )
        except (CloudError, UnreachableError) as error:
            raise AgentError(68, f"the subscriptions cannot be listed: {error}") from error
        found += answer.get("value") or []
        url = answer.get("nextLink") or ""
        # The token goes to ARM only, whatever a link says.
        if not url.startswith(f"{arm}/"):
            break
    return found
