"""Checks of /etc/passwd, /etc/group, /etc/shadow, of homes and of login.defs."""

from __future__ import annotations

import re
import stat
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from arcbed_agent.gcad.dsc.accounts import Account, Shadow
from arcbed_agent.gcad.dsc.host import DscHost

_FIRST_UID = 1000
_LAST_UID = 60_000


def login_accounts(host: DscHost) -> Iterator[Account]:
    """Accounts of people, and root: those with a shell and a home."""
    for account in host.accounts:
        if account.logs_in and (account.uid == 0 or _FIRST_UID <= account.uid <= _LAST_UID):
            yield account


def modes(desired: str) -> list[int]:
    """``600,644`` as numbers.

    Raises:
        ValueError: it is something else.
    """
    return [int(mode, 8) for mode in desired.split(",") if mode.strip()]


def homes_exist(host: DscHost, _desired: str) -> str | None:
    """Each login home exists."""
    for account in login_accounts(host):
        status = host.status(account.home)
        if status is None or not stat.S_ISDIR(status.st_mode):
            return f"The home '{account.home}' of user '{account.name}' does not exist"
    return None


def homes_owned(host: DscHost, _desired: str) -> str | None:
    """Each login home is owned by its user."""
    for account in login_accounts(host):
        status = host.status(account.home)
        if status and (status.st_uid, status.st_gid) != (account.uid, account.gid):
            return f"The home '{account.home}' is not owned by user '{account.name}' and their group"
    return None


def home_modes(host: DscHost, desired: str) -> str | None:
    """The mode of each login home is one of the list."""
    allowed = modes(desired)
    for account in login_accounts(host):
        status = host.status(account.home)
        if status and stat.S_IMODE(status.st_mode) not in allowed:
            return (
                f"The home '{account.home}' has mode {stat.S_IMODE(status.st_mode):o}, not one of {desired}"
            )
    return None


def dot_file_modes(host: DscHost, desired: str) -> str | None:
    """Dot files in login homes have a mode of the list."""
    allowed = modes(desired)
    for account in login_accounts(host):
        home = host.path(account.home)
        for file in sorted(home.glob(".*")) if home.is_dir() else []:
            if file.is_file() and not file.is_symlink() and stat.S_IMODE(file.stat().st_mode) not in allowed:
                return f"'{account.home}/{file.name}' has mode {stat.S_IMODE(file.stat().st_mode):o}"
    return None


def no_home_file(host: DscHost, name: str) -> str | None:
    """No home of any account holds the file."""
    for account in host.accounts:
        if account.home.startswith("/") and host.status(f"{account.home}/{name}"):
            return f"'{account.home}/{name}' exists"
    return None


def unique(values: list[str], what: str) -> str | None:
    """No value occurs twice."""
    twice = [value for value, count in Counter(values).items() if count > 1]
    return f"{what} '{twice[0]}' appears more than once" if twice else None


def groups_known(host: DscHost, _desired: str) -> str | None:
    """Each primary group of /etc/passwd is in /etc/group."""
    known = {group.gid for group in host.groups}
    for account in host.accounts:
        if account.gid not in known:
            return f"Group {account.gid} of user '{account.name}' is not in /etc/group"
    return None


def passwords_set(host: DscHost, _desired: str) -> str | None:
    """Each account has a hash, cannot log in, is locked, or is not in /etc/shadow."""
    for account in host.accounts:
        shadow = host.shadow(account.name)
        if shadow and account.logs_in and not shadow.hashed and not shadow.locked:
            return f"User '{account.name}' has no password"
    return None


def only_root_is_zero(host: DscHost, _desired: str) -> str | None:
    """Only root has uid 0."""
    found = next((one.name for one in host.accounts if one.uid == 0 and one.name != "root"), None)
    return f"User '{found}' has uid 0" if found else None


def root_group(host: DscHost, _desired: str) -> str | None:
    """The group root exists with gid 0."""
    group = host.group("root")
    return None if group and group.gid == 0 else "Group 'root' with gid 0 does not exist"


def root_primary_group(host: DscHost, _desired: str) -> str | None:
    """The primary group of root is 0."""
    root = host.account("root")
    return None if root and root.gid == 0 else "The primary group of root is not 0"


def shadow_group_empty(host: DscHost, _desired: str) -> str | None:
    """Nobody is a member of the group shadow."""
    group = host.group("shadow")
    return f"Group shadow has the members {', '.join(group.members)}" if group and group.members else None


def root_has_password(host: DscHost, _desired: str) -> str | None:
    """Root has a password hash."""
    shadow = host.shadow("root")
    return None if shadow and shadow.hashed else "Single user mode does not ask for a password: root has none"


def system_accounts_cannot_log_in(host: DscHost, _desired: str) -> str | None:
    """No account without a login shell has a usable password."""
    for account in host.accounts:
        shadow = host.shadow(account.name)
        if account.name != "root" and not account.logs_in and shadow and shadow.hashed:
            return f"User '{account.name}' cannot log in but has a usable password"
    return None


def accounts_removed(host: DscHost, desired: str) -> str | None:
    """None of the listed accounts exists."""
    found = next((name for name in desired.split(",") if host.account(name.strip())), None)
    return f"User '{found}' exists" if found else None


def no_plus_entries(host: DscHost, path: str) -> str | None:
    """No line of the file begins with a plus."""
    for number, text in enumerate((host.text(path) or "").splitlines(), 1):
        if text.startswith("+"):
            return f"Line {number} of '{path}' begins with '+'"
    return None


# -- ages of passwords -------------------------------------------------------------------------------------


def login_setting(host: DscHost, name: str) -> str | None:
    """A setting of /etc/login.defs."""
    match = re.search(rf"^\s*{name}\s+(\S+)", host.text("/etc/login.defs") or "", re.MULTILINE)
    return match.group(1) if match else None


def _hashed(host: DscHost) -> Iterator[Shadow]:
    return (shadow for shadow in host.shadows if shadow.hashed)


def _setting_at_least(host: DscHost, name: str, least: int) -> str | None:
    found = login_setting(host, name)
    if found is None or not found.lstrip("-").isdecimal() or int(found) < least:
        return f"'{name}' of /etc/login.defs is {found or 'not set'}, not at least {least}"
    return None


def minimum_days(host: DscHost, desired: str) -> str | None:
    """PASS_MIN_DAYS, and the minimum of each account with a password."""
    least = int(desired)
    for shadow in _hashed(host):
        if (shadow.minimum or 0) < least:
            return (
                f"User '{shadow.name}' may change the password after {shadow.minimum or 0} days, not {least}"
            )
    return _setting_at_least(host, "PASS_MIN_DAYS", least)


def maximum_days(host: DscHost, desired: str) -> str | None:
    """PASS_MAX_DAYS, and the maximum of each account with a password."""
    most = int(desired)
    for shadow in _hashed(host):
        if shadow.maximum is None or not 0 <= shadow.maximum <= most:
            return f"User '{shadow.name}' may keep the password longer than {most} days"
    found = login_setting(host, "PASS_MAX_DAYS")
    if found is None or not found.isdecimal() or int(found) > most:
        return f"'PASS_MAX_DAYS' of /etc/login.defs is {found or 'not set'}, not at most {most}"
    return None


def warning_days(host: DscHost, desired: str) -> str | None:
    """PASS_WARN_AGE, and the warning of each account with a password."""
    least = int(desired)
    for shadow in _hashed(host):
        if (shadow.warning or 0) < least:
            return f"User '{shadow.name}' is warned {shadow.warning or 0} days ahead, not {least}"
    return _setting_at_least(host, "PASS_WARN_AGE", least)


def inactive_days(host: DscHost, desired: str) -> str | None:
    """Accounts are locked soon after their password expired, and no change of a password is in the future."""
    most, now = int(desired), today(host)
    for shadow in _hashed(host):
        if shadow.inactive is None or not 0 <= shadow.inactive <= most:
            return f"User '{shadow.name}' is not locked within {most} days of inactivity"
        if (shadow.changed or 0) > now:
            return f"User '{shadow.name}' changed the password in the future"
    return None


def expires_within(host: DscHost, desired: str) -> str | None:
    """The password of each account expires within so many days from now."""
    days, now = int(desired), today(host)
    for shadow in _hashed(host):
        if shadow.maximum is None or shadow.maximum < 0 or shadow.changed is None:
            return f"The password of user '{shadow.name}' does not expire"
        left = shadow.changed + shadow.maximum - now
        if left > days:
            return f"The password of user '{shadow.name}' expires in {left} days, more than {days}"
        if left < 0:
            return f"The password of user '{shadow.name}' has expired"
    return None


def hash_method(host: DscHost, desired: str) -> str | None:
    """ENCRYPT_METHOD, and the hash of each account (6: SHA-512, y: yescrypt)."""
    words = {"5": "SHA256", "6": "SHA512", "y": "YESCRYPT"}
    found = login_setting(host, "ENCRYPT_METHOD")
    if found != words.get(desired, desired):
        return f"'ENCRYPT_METHOD' of /etc/login.defs is {found or 'not set'}"
    for shadow in _hashed(host):
        if not shadow.password.startswith(f"${desired}$"):
            return f"The password of user '{shadow.name}' is hashed by another method than ${desired}$"
    return None


def today(host: DscHost) -> int:
    """The day of the run, as shadow(5) counts days."""
    return (host.now - datetime.fromtimestamp(0, UTC)).days
