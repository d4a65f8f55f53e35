"""Procedures about accounts and sshd."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from typing import TypeAlias

from arcbed_agent.gcad.dsc.accounts import Shadow
from arcbed_agent.gcad.dsc.baseline import sshd
from arcbed_agent.gcad.dsc.baseline.account_checks import login_setting, today
from arcbed_agent.gcad.dsc.compliance.comparison import compared, matches
from arcbed_agent.gcad.dsc.host import DscHost

Arguments: TypeAlias = Mapping[str, str]
Verdict: TypeAlias = tuple[bool, str]


def login_defs(host: DscHost, given: Arguments) -> Verdict:
    """A setting of /etc/login.defs."""
    found = login_setting(host, given["option"])
    if found is None:
        return False, f"'{given['option']}' is not set in /etc/login.defs"
    return compared(found, given["comparison"], given["value"]), f"'{given['option']}' is '{found}'"


def password_change(host: DscHost, _given: Arguments) -> Verdict:
    """No password was changed in the future."""
    late = next((one.name for one in host.shadows if (one.changed or 0) > today(host)), None)
    return late is None, f"User '{late}' changed the password in the future" if late else "All dates are past"


_METHODS = {
    "1": "MD5",
    "5": "SHA-256",
    "6": "SHA-512",
    "y": "YesCrypt",
    "2b": "BlowFish",
    "gy": "GostYesCrypt",
}


def _method(shadow: Shadow) -> str | None:
    """The name of the method in ``$6$salt$hash``."""
    return _METHODS.get(shadow.password.split("$")[1]) if shadow.password.startswith("$") else None


_FIELDS: dict[str, Callable[[Shadow], str | int | None]] = {
    "password": lambda one: one.password,
    "last_change": lambda one: one.changed,
    "min_age": lambda one: one.minimum,
    "max_age": lambda one: one.maximum,
    "warn_period": lambda one: one.warning,
    "inactivity_period": lambda one: one.inactive,
    "expiration_date": lambda one: one.expires,
    "encryption_method": _method,
}


def shadow_field(host: DscHost, given: Arguments) -> Verdict:
    """A field of every chosen account of /etc/shadow that can log in."""
    field = _FIELDS.get(given["field"])
    if field is None:
        raise ValueError(f"'{given['field']}' is not a field of /etc/shadow")
    for shadow in host.shadows:
        if "username" in given:
            if not compared(shadow.name, given.get("username_operation", "eq"), given["username"]):
                continue
        elif not shadow.hashed:
            continue
        found = field(shadow)
        if not compared("" if found is None else str(found), given["operation"], given["value"]):
            return False, f"{given['field']} of user '{shadow.name}' is not as required"
    return True, f"{given['field']} is as required for all users"


def sshd_option(host: DscHost, given: Arguments) -> Verdict:
    """Options that ``sshd -T`` prints; an option that it does not print fails."""
    found = host.remembered("sshd", lambda: sshd.settings(host)) or {}
    phrase = "there is no option"
    for option in given["option"].split(","):
        value = found.get(option)
        if value is None:
            return False, f"Option '{option}' not found in SSH daemon configuration"
        if not _option_holds(value, given.get("op", "regex"), given["value"]):
            return False, f"Option '{option}' has the value '{value}'"
        phrase = f"Option '{option}' has the compliant value '{value}'"
    return True, phrase


def _option_holds(found: str, word: str, wanted: str) -> bool:
    if word in {"regex", "match"}:
        return any(
            matches(f"^(?:{pattern})$" if word == "regex" else pattern, found)
            for pattern in _list(wanted, word)
        )
    if word == "not_match":
        return not any(matches(pattern, found) for pattern in _list(wanted, word))
    return compared(found, word, wanted)


def _list(text: str, word: str) -> list[str]:
    """Several patterns are separated by commas, except where one pattern is the rule."""
    return [text] if word == "regex" else text.split(",")


def ssh_keys(host: DscHost, given: Arguments) -> Verdict:
    """Host keys belong to root and are closed to others: 600 for private ones, 644 for public ones."""
    private = given["type"] == "private"
    for file in sorted(host.path("/etc/ssh").glob("ssh_host_*_key" if private else "ssh_host_*_key.pub")):
        status = file.stat()
        open_bits = stat.S_IMODE(status.st_mode) & ~(0o600 if private else 0o644)
        if open_bits or status.st_uid != 0:
            return (
                False,
                f"'{file.name}' has mode {stat.S_IMODE(status.st_mode):o} or another owner than root",
            )
    return True, f"All {given['type']} host keys have the required access"
