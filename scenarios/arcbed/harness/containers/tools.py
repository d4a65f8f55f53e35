"""The helper beside a machine: a container in the machine's network namespace that may administer it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from docker.errors import APIError, DockerException, NotFound

from arcbed.harness.containers import files, shell
from arcbed.harness.containers.engine import Engine
from arcbed.harness.errors import BedError

RELAY = Path(__file__).parents[1] / "relay.py"
#: Packets of the forwarder carry it, so that they are not sent back to the forwarder.
MARK = 0xA7C
HTTPS = 443


class Tools:
    """ip, ss, iptables and a forwarder in the network of `machine`, a container; started when needed."""

    def __init__(self, engine: Engine, machine: str) -> None:
        self._engine = engine
        self._machine = machine
        self._name = f"{machine}-network"
        self._lock = threading.Lock()
        self._beside = ""

    def script(self, lines: Sequence[str]) -> str:
        """Standard output of shell commands; it stops at the first that fails.

        Raises:
            BedError: one did.
        """
        return shell.script(self._engine, self._started(), lines)

    def start_relay(self, target: str, milliseconds: int) -> int:
        """The port of a forwarder to `target` over which every round trip takes so much longer.

        Raises:
            BedError: it does not start.
        """
        arguments = f"delay --mark {MARK} 127.0.0.1 0 {target} {HTTPS} {milliseconds}"
        lines = [
            "rm -f /tmp/relay.log; : >/tmp/relay.log",
            f"python3 -I -S /relay.py {arguments} >>/tmp/relay.log 2>&1 &",
            "echo $! >/tmp/relay.pid",
            "timeout 10 sh -c 'tail -n +1 -f /tmp/relay.log | grep -m 1 listening'",
        ]
        return int(self.script(lines).rpartition(" ")[2])

    def stop_relay(self) -> None:
        """End the forwarder and what goes through it."""
        self.script(["kill $(cat /tmp/relay.pid)"])

    def machine_runs(self) -> bool:
        """Whether the machine is there, and with it its network."""
        with suppress(DockerException):
            return bool(self._engine.container(self._machine).attrs["State"]["Running"])
        return False

    def close(self) -> None:
        """Take the helper away."""
        with suppress(NotFound):
            self._engine.container(self._name).remove(force=True)

    def _started(self) -> str:
        """The helper's name; a machine that was started anew has a new network, and gets a new helper."""
        with self._lock:
            state = self._engine.container(self._machine).attrs
            if not state["State"]["Running"]:
                raise BedError(f"{self._machine} is not running, so it has no network")
            beside = state["State"]["StartedAt"]
            if beside != self._beside:
                self.close()
                self._start(state["Id"])
                self._beside = beside
        return self._name

    def _start(self, machine: str) -> None:
        try:
            helper = self._engine.client.containers.create(
                self._engine.images.tools,
                entrypoint=["sleep", "infinity"],
                name=self._name,
                network_mode=f"container:{machine}",
                cap_drop=["ALL"],
                cap_add=["NET_ADMIN"],
                security_opt=["no-new-privileges"],
                init=True,
                labels=self._engine.labels("network-helper"),
            )
            files.put(self._engine, self._name, "/", [files.regular("relay.py", RELAY.read_bytes())])
            helper.start()
        except APIError as error:
            self.close()
            raise BedError(f"no helper for the network of {self._machine}: {error.explanation}") from error
