"""The requests of an agent's and an operator's day, and what is aimed at for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from loading import Load, lua

VERSION = "api-version=2024-07-10"


@dataclass
class Figures:
    """One case as measured; `fast` is None where the FastAPI baseline has no such route."""

    ours: Load
    bare: Load
    fast: Load | None

    @property
    def of_bare(self) -> float:
        """1.0 is as cheap as the bare ASGI application, 0.5 costs twice as much."""
        return self.bare.cpu_us / self.ours.cpu_us

    @property
    def of_fast(self) -> float:
        """2.0 is twice as cheap as the plain FastAPI route."""
        return self.fast.cpu_us / self.ours.cpu_us if self.fast else 0.0


@dataclass
class Aim:
    """What a figure should be, in words and as a test."""

    text: str
    met: Callable[[Figures], bool]


@dataclass
class Case:
    """A request: the control plane's path and script, and the route of the baselines with the same bytes."""

    name: str
    path: str
    script: str
    plain_script: str
    model_path: str | None = "/item"
    aims: tuple[Aim, ...] = ()


def cases(world: dict[str, Any]) -> list[Case]:
    """The cases of a bed that `onboarded.onboard` has filled."""
    arm = {"Authorization": f"Bearer {world['owner_token']}", "Content-Type": "application/json"}
    item = f"{world['machines'][0]}?{VERSION}"
    get = lua("GET", arm)
    put = lua("PUT", arm, json.dumps(world["put_body"]))
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    token = lua("POST", form, world["token_form"])
    collection = f"{world['group']}/providers/Microsoft.HybridCompute/machines?{VERSION}&$top=1000"
    return [
        Case(
            "GET machine",
            item,
            get,
            get,
            aims=(
                Aim("0.5 of (a)", lambda seen: seen.of_bare >= 0.5),
                Aim("more than 2 x (b)", lambda seen: seen.of_fast > 2.0),
            ),
        ),
        Case("PUT machine", item, put, put, aims=(Aim("0.25 of (a)", lambda seen: seen.of_bare >= 0.25),)),
        Case(
            "list of 1,000",
            collection,
            get,
            get,
            model_path="/list",
            aims=(Aim("50 MB/s", lambda seen: seen.ours.megabytes >= 50),),
        ),
        Case("heartbeat", world["onboarded"][0]["path"], _beating(world), _beating_plainly(world)),
        Case("token", f"/{world['tenant']}/oauth2/v2.0/token", token, token, model_path=None),
    ]


def _beating(world: dict[str, Any]) -> str:
    beats = json.dumps([[entry["path"], entry["token"], entry["instance"]] for entry in world["onboarded"]])
    turns = _TURNS.replace("@MACHINES@", beats.replace("[", "{").replace("]", "}"))
    return lua("POST", {"Content-Type": "application/json"}, more=turns)


def _beating_plainly(world: dict[str, Any]) -> str:
    """One heartbeat as it is, for baselines that know no machines."""
    first = world["onboarded"][0]
    said = {"instanceId": first["instance"], "seq": 100, "status": "Connected", "agentVersion": "1.67.0.0"}
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {first['token']}",
        "x-arc-instance": first["instance"],
    }
    return lua("POST", headers, json.dumps(said | {"metadataHash": "0" * 64}))


# Each machine in turn, with sequence numbers that ascend.
_TURNS = """
local machines = @MACHINES@
local turn, seq = 0, 100
request = function()
  turn = turn + 1
  if turn > #machines then turn = 1; seq = seq + 1 end
  local m = machines[turn]
  wrk.headers["Authorization"] = "Bearer " .. m[2]
  wrk.headers["x-arc-instance"] = m[3]
  local body = string.format(
    '{"instanceId":"%s","seq":%d,"status":"Connected","agentVersion":"1.67.0.0","metadataHash":"'
    .. string.rep("0", 64) .. '"}', m[3], seq)
  return wrk.format("POST", m[1], wrk.headers, body)
end
"""
