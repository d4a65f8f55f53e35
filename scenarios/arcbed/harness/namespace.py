"""Run programs that insist on the agent's documented absolute paths, on a machine whose root is elsewhere.

Microsoft's libraries read challenge key files from /var/opt/azcmagent/tokens and nowhere else. In a mount
namespace of its own a program sees a machine's folder there, and nobody else sees a change.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from arcbed.harness import process
from arcbed.harness.errors import BedError

HOME = Path("/var/opt/azcmagent")
#: An empty /var/opt hides what this host has there, an agent of its own included.
SCRIPT = """
mount -t tmpfs none "$2"
mkdir "$3"
mount --bind "$1" "$3"
shift 3
exec "$@"
"""


def inside(home: Path, command: Sequence[str]) -> list[str]:
    """`command` so that it sees `home` as /var/opt/azcmagent.

    Raises:
        BedError: this host has no `unshare` or no /var/opt.
    """
    unshare = shutil.which("unshare")
    if unshare is None or not HOME.parent.is_dir():
        raise BedError(f"a private {HOME} needs unshare (util-linux) and a folder {HOME.parent}")
    own_user = [] if os.geteuid() == 0 else ["--map-root-user"]
    shell = ["/bin/sh", "-ec", SCRIPT, "sh", str(home), str(HOME.parent), str(HOME)]
    return [unshare, "--mount", *own_user, *shell, *command]


async def possible(home: Path) -> bool:
    """Whether this host lets us have a mount namespace (containers often do not)."""
    try:
        probe = inside(home, ["true"])
    except BedError:
        return False
    return (
        await process.run(probe, env={"PATH": os.environ.get("PATH", os.defpath)}, limit=10)
    ).exit_code == 0
