"""Database servers that Azure offers more services for."""

from __future__ import annotations

from collections.abc import Mapping

from arcbed_agent.host.sources import Sources

#: The name in detectedProperties to the places where distributions and vendors put the server program.
SERVERS: Mapping[str, tuple[str, ...]] = {
    "mssqldiscovered": ("opt/mssql/bin/sqlservr",),
    "mysqldiscovered": (
        "usr/sbin/mysqld",
        "usr/libexec/mysqld",
        "usr/sbin/mariadbd",
        "usr/libexec/mariadbd",
    ),
    "pgsqldiscovered": (
        "usr/bin/postgres",
        "usr/lib/postgresql/*/bin/postgres",
        "usr/lib/postgresql*/bin/postgres",
        "usr/pgsql-*/bin/postgres",
    ),
}


def discovered(sources: Sources) -> dict[str, str]:
    """``"true"`` or ``"false"`` for each server program."""
    return {name: str(sources.exists(*places)).lower() for name, places in SERVERS.items()}
