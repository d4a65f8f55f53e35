"""The rules about the SSH server: what ``sshd -T`` says against the desired values.

Where sshd is not installed or does not run, the rules about options pass with a phrase that says so. Several
allowed or denied names must all be there; the original lets the last one decide.

Source: Azure/azure-osconfig, src/common/commonutils/SshUtils.c.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from arcbed_agent.gcad.dsc.baseline.checks import file
from arcbed_agent.gcad.dsc.host import DscHost

CONFIG = "/etc/ssh/sshd_config"
#: The engine's own settings, included from the main file.
OWN = "/etc/ssh/sshd_config.d/osconfig_remediation.conf"
BANNER = "/etc/azsec/banner.txt"
NOTHING = "sshd is not present or active, nothing to audit"

#: Says why `found` is not what `desired` asks for; None when it is.
Comparison: TypeAlias = Callable[[str, str], str | None]


def _equal(found: str, desired: str) -> str | None:
    return None if found == desired else f"is set to '{found}' instead of '{desired}'"


def _at_most(found: str, desired: str) -> str | None:
    good = found.isdecimal() and int(found) <= int(desired)
    return None if good else f"is set to '{found}', more than '{desired}'"


def _positive(found: str, _desired: str) -> str | None:
    good = found.isdecimal() and int(found) > 0
    return None if good else f"is set to '{found}' instead of a number above 0"


def _names(found: str, desired: str) -> str | None:
    there = found.split()
    absent = [name for name in desired.split() if name not in there]
    return f"does not list '{', '.join(absent)}'" if absent else None


def _approved(found: str, desired: str) -> str | None:
    foreign = [name for name in found.split(",") if name not in desired]
    return f"holds '{foreign[0]}', which is not approved" if foreign else None


def _exactly(found: str, desired: str) -> str | None:
    wanted, there = desired.split(","), found.split(",")
    foreign = [name for name in there if name not in wanted]
    absent = [name for name in wanted if name not in there]
    if foreign:
        return f"holds '{foreign[0]}', which is not approved"
    return f"misses '{absent[0]}'" if absent else None


@dataclass(frozen=True)
class Option:
    """A rule about one option of sshd.

    Args:
        name: as ``sshd -T`` prints it.
        default: the desired value where the document gives none.
        compare: how the two are compared.
    """

    name: str
    default: str
    compare: Comparison = _equal


_MACS = "hmac-sha2-256,hmac-sha2-256-etm@openssh.com,hmac-sha2-512,hmac-sha2-512-etm@openssh.com"

#: Rules about options, by payload key without ``Ensure``.
OPTIONS: dict[str, Option] = {
    "SshBestPracticeIgnoreRhosts": Option("ignorerhosts", "yes"),
    "SshLogLevelIsSet": Option("loglevel", "INFO"),
    "SshMaxAuthTriesIsSet": Option("maxauthtries", "6", _at_most),
    "AllowUsersIsConfigured": Option("allowusers", "*@*", _names),
    "DenyUsersIsConfigured": Option("denyusers", "root", _names),
    "AllowGroupsIsConfigured": Option("allowgroups", "*", _names),
    "DenyGroupsConfigured": Option("denygroups", "root", _names),
    "SshHostbasedAuthenticationIsDisabled": Option("hostbasedauthentication", "no"),
    "SshPermitRootLoginIsDisabled": Option("permitrootlogin", "no"),
    "SshPermitEmptyPasswordsIsDisabled": Option("permitemptypasswords", "no"),
    "SshClientIntervalCountMaxIsConfigured": Option("clientalivecountmax", "0"),
    "SshClientAliveIntervalIsConfigured": Option("clientaliveinterval", "3600", _positive),
    "SshLoginGraceTimeIsSet": Option("logingracetime", "60", _at_most),
    "OnlyApprovedMacAlgorithmsAreUsed": Option("macs", _MACS, _approved),
    "UsersCannotSetSshEnvironmentOptions": Option("permituserenvironment", "no"),
    "AppropriateCiphersForSsh": Option("ciphers", "aes128-ctr,aes192-ctr,aes256-ctr", _exactly),
    "SshPortIsConfigured": Option("port", "22"),
}
PERMISSIONS = "PermissionsOnEtcSshSshdConfig"
PROTOCOL = "SshBestPracticeProtocol"
WARNING_BANNER = "SshWarningBannerIsEnabled"
#: Every payload key about sshd, without ``Ensure``.
KEYS = frozenset({*OPTIONS, PERMISSIONS, PROTOCOL, WARNING_BANNER})
#: How the options are spelled in a configuration file.
_SPELLED = {"ignorerhosts": "IgnoreRhosts", "macs": "MACs"}


@dataclass(frozen=True)
class Finding:
    """What an audit says: whether it passed, and the phrase."""

    passed: bool
    phrase: str


def settings(host: DscHost) -> dict[str, str] | None:
    """What ``sshd -T`` prints, lines of one option joined; None when sshd is absent or does not run."""
    if host.status(CONFIG) is None or not (host.active("sshd") or host.active("ssh")):
        return None
    found: dict[str, str] = {}
    for line in host.run("sshd", "-T").out.splitlines():
        name, _, value = line.strip().partition(" ")
        found[name.lower()] = f"{found[name.lower()]} {value}" if name.lower() in found else value
    return found


def audit(host: DscHost, key: str, desired: str) -> Finding:
    """Audit one rule.

    Args:
        host: the machine.
        key: payload key without ``Ensure``, one of `KEYS`.
        desired: the document's value; empty: the default.
    """
    if key == PERMISSIONS:
        failure = file(CONFIG)(host, desired or "600")
        return Finding(failure is None, failure or f"'{CONFIG}' has the required access")
    found = host.remembered("sshd", lambda: settings(host))
    if found is None:
        return Finding(passed=True, phrase=NOTHING)
    if key == PROTOCOL:
        return _protocol(host)
    if key == WARNING_BANNER:
        return _banner(host, found)
    option = OPTIONS[key]
    value = found.get(option.name)
    if value is None:
        return Finding(passed=False, phrase=f"'{option.name}' not found in SSH Server response")
    failure = option.compare(value, desired or option.default)
    phrase = f"'{option.name}' {failure}" if failure else f"'{option.name}' is set to '{value}'"
    return Finding(failure is None, phrase)


def _protocol(host: DscHost) -> Finding:
    text = host.text(CONFIG) or ""
    if re.search(rf"^\s*Include\s+.*{re.escape(OWN)}", text, re.MULTILINE):
        text += "\n" + (host.text(OWN) or "")
    passed = re.search(r"^\s*Protocol\s+2\s*$", text, re.MULTILINE) is not None
    return Finding(passed, f"'Protocol 2' is {'' if passed else 'not '}found in '{CONFIG}'")


def _banner(host: DscHost, found: dict[str, str]) -> Finding:
    path = found.get("banner", "none")
    if path == "none":
        return Finding(passed=False, phrase="'banner' is not set in SSH Server response")
    there = path.startswith("/") and host.status(path) is not None
    return Finding(there, f"The banner '{path}' {'exists' if there else 'does not exist'}")


def remediate(host: DscHost, key: str, desired: str) -> None:
    """Write the engine's own settings file, include it, and have sshd read it.

    Raises:
        ChangeRefused: the host may not be changed.
        OSError: a file cannot be written.
    """
    if key == PERMISSIONS:
        path = host.path(CONFIG)
        host.may_change(path)
        path.chmod(int(desired or "600", 8))
        return
    if key == WARNING_BANNER:
        _write_banner(host, desired)
        _write_option(host, "banner", BANNER)
    elif key == PROTOCOL:
        _write_option(host, "Protocol", "2")
    else:
        option = OPTIONS[key]
        _write_option(host, _SPELLED.get(option.name, option.name), desired or option.default)
    for unit in ("sshd", "ssh"):
        if host.active(unit):
            host.run("systemctl", "reload-or-restart", unit)


def _write_banner(host: DscHost, text: str) -> None:
    path = host.path(BANNER)
    host.may_change(path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    host.replace(BANNER, text or "Authorized access only!\n")


def _write_option(host: DscHost, name: str, value: str) -> None:
    path = host.path(OWN)
    host.may_change(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        line for line in (host.text(OWN) or "").splitlines() if line.partition(" ")[0].lower() != name.lower()
    ]
    lines.append(f"{name} {value}")
    host.replace(OWN, "".join(f"{line}\n" for line in lines))
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    main = host.text(CONFIG) or ""
    include = f"Include {OWN}"
    if include not in main.splitlines():
        # The first value of an option wins, so the engine's come first.
        host.replace(CONFIG, f"{include}\n{main}")
