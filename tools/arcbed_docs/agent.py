"""Pages about the agent that stand in tables of its code: error codes, settings, files."""

from __future__ import annotations

from arcbed_docs import text


def codes() -> str:
    """The AZCM codes."""
    from arcbed_agent.errors import CODES

    rows = [(text.code(f"AZCM{number:04d}"), number, title) for number, title in sorted(CODES.items())]
    return text.page(
        "Error codes of azcmagent",
        "`arcbed_agent.errors.CODES`",
        text.intro("codes"),
        text.table(("code", "exit", "short text"), rows),
    )


def settings() -> str:
    """The names of localconfig.json."""
    from arcbed_agent.config import PROPERTIES

    headers = ("name", "type", "default", "meaning")
    documented = [_setting(item) for item in PROPERTIES.values() if not item.ours]
    ours = [_setting(item) for item in PROPERTIES.values() if item.ours]
    return text.page(
        "Settings of the agent",
        "`arcbed_agent.config.PROPERTIES`",
        text.intro("settings"),
        "## Documented by Microsoft",
        text.table(headers, documented),
        "## Of the testbed",
        text.intro("settings_ours"),
        text.table(headers, ours),
    )


def _setting(item: object) -> tuple[str, str, str, str]:
    default = item.default  # type: ignore[attr-defined]  # a Property; its module is only imported when a page is made
    kind = {bool: "true or false", int: "whole number", str: "string", tuple: "list of strings"}[
        type(default)
    ]
    shown = {bool: str(default).lower(), tuple: "[]"}.get(type(default), str(default))
    return text.code(item.name), kind, text.code(shown), item.meaning  # type: ignore[attr-defined]


def files() -> str:
    """The agent's files."""
    from arcbed_agent.host.layout import LINUX

    rows = [(text.code(name), text.code("/" + path)) for name, path in LINUX.items()]
    return text.page(
        "Files of the agent",
        "`arcbed_agent.host.layout`",
        text.intro("files"),
        text.table(("name in the code", "path"), rows),
    )
