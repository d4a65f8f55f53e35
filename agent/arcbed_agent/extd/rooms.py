"""Where handlers run: on this machine itself, or in a mount and process namespace of their own.

Handlers run as root and some change the machine: accounts, sshd, packages, processes by name. On a machine
that is only a folder (`ARC_ROOT`) that would be the computer of the person who tests. There each handler gets
a *room*: what it writes outside the machine's folder goes to memory, it sees the documented paths, and it
sees no process but its own. Its daemons live as long as the room does, which is until it is uninstalled.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from arcbed_agent.files import make_folder, write_durably
from arcbed_agent.governor import Governor, Limit
from arcbed_agent.host.layout import Layout

REFUSAL: Final = (
    "Extension handlers run as root and may change this computer. {why}, so they are not run. "
    "Use a container, or allow it: azcmagent config set extd.allowHostChanges true"
)
#: Folders of this computer that a handler may write to without effect.
_COPIED: Final = "etc usr var opt root home srv boot tmp mnt media"
#: Folders of the machine that appear at their documented places.
_SHOWN: Final = "var/lib/waagent var/lib/GuestConfig var/opt/azcmagent opt/GC_Ext"
#: Root may cover a folder whatever is mounted below it. In a user namespace the kernel refuses that where it
#: could show what a mount of the computer's hides: such a folder is made again in memory, and the folders in
#: it are covered.
_BUILD: Final = r"""
set -e
root=$1; scratch=$2; real_root=$3
cover() {
  mkdir -p "up$1" "work$1"
  if said=$(mount -t overlay -o "lowerdir=$1,upperdir=up$1,workdir=work$1" arcbed "$1" 2>&1); then return; fi
  if [ "$real_root" = yes ]; then echo "$said"; exit 1; fi
  mkdir -p "again$1"
  mount -t tmpfs -o mode=0755 arcbed "again$1"
  for found in "$1"/* "$1"/.[!.]*; do
    place="again$found"
    if [ -L "$found" ] || [ -f "$found" ]; then cp -a "$found" "$place" 2>/dev/null || true
    elif [ -d "$found" ]; then mkdir "$place"; mount --rbind "$found" "$place"
    fi
  done
  mount --rbind "again$1" "$1"
  for found in "$1"/* "$1"/.[!.]*; do
    if [ -d "$found" ] && [ ! -L "$found" ]; then cover "$found"; fi
  done
}
mount --make-rprivate /
mount -t tmpfs -o mode=0755 arcbed "$scratch"
cd "$scratch"
mkdir real
mount --bind "$root" real
for name in %(copied)s; do
  if [ -d "/$name" ] && [ ! -L "/$name" ]; then cover "/$name"; fi
done
for name in %(shown)s; do
  if [ -d "real/$name" ]; then mkdir -p "/$name"; mount --bind "real/$name" "/$name"; fi
done
mkdir -p "$root"
mount --bind real "$root"
mount -t tmpfs -o mode=0755 arcbed /run
mount -t proc proc /proc
cd /
echo ready
exec >/dev/null 2>&1
trap : TERM INT HUP
while :; do sleep 86400 & wait $!; done
""" % {"copied": _COPIED, "shown": _SHOWN}  # noqa: UP031 - the shell's own braces would clash
#: What a room needs of the kernel, tried in a namespace that is gone with it.
_TRIAL: Final = """
set -e
mount --make-rprivate /
mount -t tmpfs arcbed /tmp
mkdir /tmp/up /tmp/work
mount -t overlay -o lowerdir=/etc,upperdir=/tmp/up,workdir=/tmp/work arcbed /etc
mount -t proc proc /proc
"""


class RoomError(Exception):
    """A handler cannot be run here; `str()` says why and what to do."""


class Rooms(Protocol):
    """Prepares commands of handlers."""

    def shown(self, path: Path) -> str:
        """`path` as a handler sees it."""

    async def enter(self, handler: str, folder: Path, line: str, limit: Limit) -> list[str]:
        """The command that runs the shell line `line` in `folder` where the handler lives.

        Raises:
            RoomError: that is not possible.
        """

    async def leave(self, handler: str) -> None:
        """The handler is gone, and so is what it has left running."""


class Machine:
    """Handlers run on this machine itself: a container, or a person's permission."""

    def __init__(self, governor: Governor) -> None:
        self._governor = governor

    def shown(self, path: Path) -> str:
        """As it is."""
        return str(path)

    async def enter(self, handler: str, folder: Path, line: str, limit: Limit) -> list[str]:  # noqa: ARG002
        """A shell in the handler's folder."""
        return _shell(str(folder), line)

    async def leave(self, handler: str) -> None:
        """End what is left in its group."""
        await end_group(self._governor, handler)


async def end_group(governor: Governor, handler: str) -> None:
    """End what a handler has left running, also what an earlier start of this daemon began."""
    if governor.usage(handler) is None:
        taken_over = await governor.launch(["/bin/true"], name=handler, limit=Limit(None))
        await taken_over.wait()
    await governor.end(handler)


class Closed:
    """No handler runs here.

    Args:
        why: the reason, without a full stop.
    """

    def __init__(self, layout: Layout, why: str) -> None:
        self._layout = layout
        self._why = why

    def shown(self, path: Path) -> str:
        """As on a machine whose root is ``/``."""
        return self._layout.shown(path)

    async def enter(self, handler: str, folder: Path, line: str, limit: Limit) -> list[str]:  # noqa: ARG002
        """Refuse.

        Raises:
            RoomError: always.
        """
        raise RoomError(REFUSAL.format(why=self._why))

    async def leave(self, handler: str) -> None:
        """Nothing has run."""


class Namespaces:
    """A mount and process namespace for each handler, which survives this daemon.

    Args:
        layout: the machine's files.
        governor: starts what keeps a namespace alive, in the handler's group.
    """

    def __init__(self, layout: Layout, governor: Governor) -> None:
        self._layout = layout
        self._governor = governor
        self._folder = layout["extension_state"] / "rooms"

    def shown(self, path: Path) -> str:
        """As on a machine whose root is ``/``."""
        return self._layout.shown(path)

    async def enter(self, handler: str, folder: Path, line: str, limit: Limit) -> list[str]:
        """Nsenter into the handler's room, which is made if there is none."""
        keeper = self._keeper(handler) or await self._build(handler, limit)
        own_user = [] if os.geteuid() == 0 else [f"--user=/proc/{keeper}/ns/user", "--preserve-credentials"]
        door = [f"--mount=/proc/{keeper}/ns/mnt", f"--pid=/proc/{keeper}/ns/pid_for_children"]
        return [_program("nsenter"), *own_user, *door, "--", *_shell(self.shown(folder), line)]

    async def leave(self, handler: str) -> None:
        """End the room with everything in it."""
        keeper = self._keeper(handler)
        if keeper:
            with suppress(ProcessLookupError):
                os.killpg(keeper, signal.SIGKILL)
        await end_group(self._governor, handler)
        self._file(handler).unlink(missing_ok=True)

    def _file(self, handler: str) -> Path:
        return self._folder / handler

    def _keeper(self, handler: str) -> int:
        """The process that keeps the room, 0 if there is none."""
        with suppress(OSError, ValueError):
            pid = int(self._file(handler).read_text())
            if str(self._scratch(handler)).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return 0

    def _scratch(self, handler: str) -> Path:
        return self._folder / f"{handler}.d"

    async def _build(self, handler: str, limit: Limit) -> int:
        make_folder(self._folder, mode=0o700)
        scratch = make_folder(self._scratch(handler), mode=0o700)
        root = "yes" if os.geteuid() == 0 else "no"
        room = await self._governor.launch(
            [*unshared(), "/bin/sh", "-c", _BUILD, "arc-room", str(self._layout.root), str(scratch), root],
            name=handler,
            limit=limit,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        write_durably(self._file(handler), f"{room.pid}\n")
        said = await room.stdout.readline() if room.stdout else b""
        if said.strip() != b"ready":
            await room.wait()
            raise RoomError(
                f"The handler's namespace cannot be made: {said.decode(errors='replace').strip()}"
            )
        return room.pid


def unshared() -> list[str]:
    """The words that start a program in namespaces of its own.

    Raises:
        RoomError: util-linux is not installed.
    """
    own_user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return [_program("unshare"), *own_user, "--mount", "--pid", "--fork"]


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise RoomError(REFUSAL.format(why=f"There is no {name} here"))
    return found


def _shell(folder: str, line: str) -> list[str]:
    return ["/bin/sh", "-c", 'cd "$1" && exec /bin/sh -c "$2"', "sh", folder, line]


async def choose(layout: Layout, governor: Governor, *, allowed: bool) -> Rooms:
    """The rooms of this machine.

    Args:
        layout: a root of ``/`` means that the machine is this computer.
        governor: limits handlers.
        allowed: handlers may change this computer.
    """
    if allowed or layout.root == Path("/"):
        return Machine(governor)
    why = await asyncio.to_thread(_probe)
    return Closed(layout, why) if why else Namespaces(layout, governor)


def _probe() -> str:
    """Why there can be no namespaces here; empty if there can."""
    try:
        _program("nsenter")
        words = [*unshared(), "/bin/sh", "-c", _TRIAL]
    except RoomError as error:
        return str(error).partition(". ")[2].partition(",")[0]
    tried = subprocess.run(words, capture_output=True, env=_plain(), timeout=20, check=False)
    if tried.returncode:
        return f"Namespaces are not allowed here ({tried.stderr.decode(errors='replace').strip()})"
    return ""


def _plain() -> Mapping[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
