"""The bed's clock in the testbed's API."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from arcbed_cloud.admin.bed import Bed
from arcbed_cloud.admin.bodies import answer


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Duration(_Body):
    """How far to move the bed."""

    days: float = Field(default=0, ge=0)
    hours: float = Field(default=0, ge=0)
    minutes: float = Field(default=0, ge=0)
    seconds: float = Field(default=0, ge=0)


class Limit(_Body):
    """How far the next deadline may be, and whether another run would step at the same instant."""

    limit: AwareDatetime
    repeatable: bool = True


class Names(_Body):
    """Names of tasks; each stands for what is below it too."""

    tasks: list[str] = Field(max_length=100)


def clock_routes(router: APIRouter, bed: Bed) -> None:
    """Look at the clock, move it, stop it and let it go."""

    @router.get("/clock")
    async def clock() -> Response:
        return answer(bed.time())

    @router.post("/clock/advance")
    async def advance(duration: Duration) -> Response:
        return answer(await bed.advance(timedelta(**duration.model_dump())))

    @router.post("/clock/step")
    async def step(wanted: Limit) -> Response:
        return answer(await bed.step(wanted.limit, repeatable=wanted.repeatable))

    @router.post("/clock/settle")
    async def settle() -> Response:
        return answer(await bed.settle())

    @router.post("/clock/freeze")
    async def freeze() -> Response:
        return answer(await bed.freeze())

    @router.post("/clock/resume")
    async def resume() -> Response:
        return answer(await bed.resume())

    @router.get("/events/count")
    async def count(
        task: str = "",
        method: str = "",
        operation: str = "",
        route: str = "",
        since: str = "",
        until: str = "9999",
    ) -> Response:
        wanted = {"task": task, "method": method, "operation": operation, "route": route}
        given = {name: text for name, text in wanted.items() if text}
        return answer(await bed.count_events(given, since, until))

    @router.put("/clock/passing")
    async def let_pass(names: Names) -> Response:
        return answer(bed.let_pass(names.tasks))
