"""Checks that only one rule needs."""

from __future__ import annotations

import re
import stat

from arcbed_agent.gcad.dsc.baseline.checks import Check
from arcbed_agent.gcad.dsc.host import DscHost

_PATH_FILES = ("/etc/environment", "/etc/profile", "/root/.profile")
_PAM_FILES = ("system-auth", "common-password", "password-auth")


def release(host: DscHost) -> dict[str, str]:
    """os-release(5)."""
    text = host.text("/etc/os-release") or ""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def no_zeroconf(host: DscHost, _desired: str) -> str | None:
    """Where the network scripts of Red Hat run, they have NOZEROCONF."""
    text = host.text("/etc/sysconfig/network")
    if text is not None and host.active("network.service") and "NOZEROCONF=yes" not in text.replace(" ", ""):
        return "'NOZEROCONF=yes' is not found in '/etc/sysconfig/network'"
    return None


def samba(host: DscHost, _desired: str) -> str | None:
    """A running Samba speaks SMB2 at least; otherwise there is none."""
    path = "/etc/samba/smb.conf"
    if host.active("smbd") or host.active("smb"):
        lines = (line.strip() for line in (host.text(path) or "").splitlines())
        wanted = "min protocol = SMB2"
        if any(wanted in re.sub(r"\s+", " ", line) for line in lines if not line.startswith(("#", ";"))):
            return None
        return f"'{wanted}' is not found in '{path}'"
    if host.status(path):
        return f"'{path}' exists"
    return "Package 'samba' is installed" if host.software.any("samba") else None


def processor_has_nx(host: DscHost, _desired: str) -> str | None:
    """The flag nx of the processor."""
    for text in (host.text("/proc/cpuinfo") or "").splitlines():
        if text.startswith("flags") and "nx" in text.split():
            return None
    return "A CPU that supports the NX (no-execute) bit technology was not detected"


def core_limit(host: DscHost, _desired: str) -> str | None:
    """``* hard core 0`` in limits.conf."""
    for text in (host.text("/etc/security/limits.conf") or "").splitlines():
        if text.split()[:4] == ["*", "hard", "core", "0"]:
            return None
    return "'* hard core 0' is not found in '/etc/security/limits.conf'"


def no_sniffer(host: DscHost, _desired: str) -> str | None:
    """No interface is promiscuous, or is made so when the machine starts."""
    promised = [
        path for path in ("/etc/network/interfaces", "/etc/rc.local") if "PROMISC" in (host.text(path) or "")
    ]
    if not promised:
        return None
    if "PROMISC" not in host.run("ip", "address").out:
        return None
    return f"'PROMISC' is found in '{promised[0]}' and in the output of 'ip address'"


def no_wireless(host: DscHost, _desired: str) -> str | None:
    """No wireless interface is up."""
    folder = host.path("/sys/class/net")
    for interface in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not (interface / "wireless").is_dir() and not (interface / "phy80211").exists():
            continue
        state = interface / "operstate"
        if state.is_file() and state.read_text().strip() == "up":
            return f"Wireless interface '{interface.name}' is up"
    return None


def journal_folder(host: DscHost, _desired: str) -> str | None:
    """The journal's folder has mode 2755 and belongs to root."""
    status = host.status("/var/log/journal")
    if status and (stat.S_IMODE(status.st_mode) != 0o2755 or status.st_uid != 0):
        return f"'/var/log/journal' has mode {stat.S_IMODE(status.st_mode):o} or is not owned by root"
    return None


def rsyslog_modes(host: DscHost, desired: str) -> str | None:
    """$FileCreateMode of rsyslog is one of the list."""
    match = re.search(r"^\s*\$FileCreateMode\s+([0-7]+)", host.text("/etc/rsyslog.conf") or "", re.MULTILINE)
    allowed = {int(mode, 8) for mode in desired.split(",")}
    if match and int(match.group(1), 8) in allowed:
        return None
    found = match.group(1) if match else "not set"
    return f"'$FileCreateMode' in '/etc/rsyslog.conf' is {found} instead of one of {desired}"


def rotation_timer(host: DscHost, _desired: str) -> str | None:
    """Logrotate has a timer, except where cron runs it."""
    own = release(host)
    family = {own.get("ID", ""), *own.get("ID_LIKE", "").split()}
    old_ubuntu = own.get("ID") == "ubuntu" and own.get("VERSION_ID") in {"16.04", "18.04"}
    if family & {"rhel", "fedora"} or old_ubuntu or host.active("logrotate.timer"):
        return None
    return "Service 'logrotate.timer' is not active"


def remote_banner(host: DscHost, _desired: str) -> str | None:
    """/etc/issue.net tells nothing about the system."""
    text = host.text("/etc/issue.net")
    if text is None:
        own = release(host)
        suse = own.get("ID") == "sles" and own.get("VERSION_ID", "").startswith("15")
        return None if suse else "'/etc/issue.net' does not exist"
    found = next((escape for escape in ("\\m", "\\r", "\\s", "\\v") if escape in text), None)
    return f"'{found}' is found in '/etc/issue.net'" if found else None


def no_dot_in_path(host: DscHost, _desired: str) -> str | None:
    """No path of root holds the working folder."""
    sources = dict.fromkeys(_PATH_FILES, r"^\s*(?:export\s+)?PATH\s*=\s*(.*)$")
    sources["/etc/sudoers"] = r"secure_path\s*=\s*(.*)$"
    for path, pattern in sources.items():
        for value in re.findall(pattern, host.text(path) or "", re.MULTILINE):
            if "." in value.strip().strip("\"'").split(":"):
                return f"Dot '.' appears in the path of '{path}'"
    return None


def group_exists(name: str) -> Check:
    """The group is there."""
    return lambda host, _desired: None if host.group(name) else f"Group '{name}' does not exist"


def user_exists(name: str) -> Check:
    """The account is there."""
    return lambda host, _desired: None if host.account(name) else f"User '{name}' does not exist"


def password_quality(host: DscHost, desired: str) -> str | None:
    """retry, minlen, minclass and the credits of pwquality, from its file or inline in PAM."""
    names = ("retry", "minlen", "minclass", "dcredit", "ucredit", "ocredit", "lcredit")
    wanted = dict(zip(names, desired.split(","), strict=True))
    text = "\n".join(
        line
        for line in (host.text("/etc/security/pwquality.conf") or "").splitlines()
        if not line.lstrip().startswith("#")
    )
    inline = " ".join(
        line
        for name in _PAM_FILES
        for line in (host.text(f"/etc/pam.d/{name}") or "").splitlines()
        if "pam_pwquality.so" in line and not line.lstrip().startswith("#")
    )
    for name, value in wanted.items():
        pattern = rf"\b{name}\s*=\s*(-?\d+)"
        match = re.search(pattern, inline) or re.search(pattern, text)
        if match is None or match.group(1) != value:
            return f"'{name}' is {match.group(1) if match else 'not set'} instead of {value}"
    return None


def password_reuse(host: DscHost, desired: str) -> str | None:
    """PAM remembers as many passwords."""
    best = -1
    for name in _PAM_FILES:
        for text in (host.text(f"/etc/pam.d/{name}") or "").splitlines():
            if not text.lstrip().startswith("#") and (match := re.search(r"\bremember=(\d+)", text)):
                best = max(best, int(match.group(1)))
    if best >= int(desired):
        return None
    return f"'remember' is {best if best >= 0 else 'not set'} in /etc/pam.d instead of at least {desired}"
