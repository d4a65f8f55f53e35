"""How often and how long the steps of `connect` are tried: ``docs/wire.md`` sections 4.3, 5.1, 15.1."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from arcbed_agent.clock import Clock, ClockTask
from arcbed_agent.cloud.transport import CloudError
from arcbed_agent.himds.backoff import CONNECT, asked_wait, transient

TRIES: Final = 5
#: Seconds to wait for a new identity to reach the identity service.
NOT_READY: Final = (2.0, 4.0, 8.0, 16.0, 30.0)
#: Seconds for which Entra may not know a new principal yet.
REPLICATION: Final = 60.0
_NOT_YET: Final = {"invalid_client", "unauthorized_client"}

Result = TypeVar("Result")


class Patience:
    """Tries again, and waits on the agent's clock until `deadline`."""

    def __init__(self, clock: Clock, chance: random.Random, task: ClockTask, deadline: datetime) -> None:
        self._clock = clock
        self._chance = chance
        self._task = task
        self._deadline = deadline

    async def steadily(
        self,
        step: Callable[[], Awaitable[Result]],
        also: Callable[[BaseException], bool] = lambda _error: False,
    ) -> Result:
        """Try `step` up to five times while its failures are transient, or `also` says that they are."""
        return await self._retrying(
            step,
            when=lambda error: transient(error) or also(error),
            tries=TRIES,
            wait=lambda n, error: CONNECT.delay(n, self._chance, asked_wait(error)),
        )

    async def until_ready(self, step: Callable[[], Awaitable[Result]]) -> Result:
        """Try `step` while the identity service has not heard of the new identity."""
        return await self._retrying(
            step,
            when=lambda error: isinstance(error, CloudError) and error.code == "IdentityNotReady",
            tries=len(NOT_READY) + 1,
            wait=lambda n, _error: NOT_READY[min(n, len(NOT_READY) - 1)],
        )

    async def for_replication(self, step: Callable[[], Awaitable[Result]]) -> Result:
        """Try `step` for a minute while Entra does not know the new principal."""
        until = min(self._deadline, self._clock.now() + timedelta(seconds=REPLICATION))
        return await self._retrying(
            lambda: self.steadily(step),
            when=lambda error: (
                isinstance(error, CloudError) and error.code in _NOT_YET and self._clock.now() < until
            ),
            tries=1_000,
            wait=lambda n, _error: min(2.0**n, 10.0),
        )

    async def _retrying(
        self,
        step: Callable[[], Awaitable[Result]],
        *,
        when: Callable[[BaseException], bool],
        tries: int,
        wait: Callable[[int, BaseException], float],
    ) -> Result:
        async def attempt() -> Result:
            return await step()

        def pause(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return wait(state.attempt_number - 1, error or RuntimeError())

        retrying = AsyncRetrying(
            sleep=self._task.sleep,
            retry=retry_if_exception(when),
            stop=lambda state: state.attempt_number >= tries or self._clock.now() >= self._deadline,
            wait=pause,
            reraise=True,
        )
        return await retrying(attempt)
