"""The procedures: what a leaf of a rule looks at. Each says whether it holds, and a phrase.

Arguments are text, as in the JSON schemas of Azure/azure-osconfig, src/modules/complianceengine.
"""

from __future__ import annotations

import configparser
import fnmatch
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from arcbed_agent.gcad.dsc.compliance.accounts import (
    login_defs,
    password_change,
    shadow_field,
    ssh_keys,
    sshd_option,
)
from arcbed_agent.gcad.dsc.compliance.comparison import compared, matches
from arcbed_agent.gcad.dsc.compliance.versions import compare
from arcbed_agent.gcad.dsc.host import DscHost

Arguments: TypeAlias = Mapping[str, str]
Verdict: TypeAlias = tuple[bool, str]

# -- files -------------------------------------------------------------------------------------------------


def file_exists(host: DscHost, given: Arguments) -> Verdict:
    """A file is there."""
    there = host.status(given["filename"]) is not None
    return there, f"'{given['filename']}' {'exists' if there else 'does not exist'}"


def file_permissions(host: DscHost, given: Arguments) -> Verdict:
    """Owner and group are one of those listed, the mode has all of `permissions` and none of `mask`."""
    name = given["filename"]
    status = host.status(name)
    if status is None:
        return given.get("behavior") == "none_exist", f"'{name}' does not exist"
    return _permissions(host, name, status.st_mode, (status.st_uid, status.st_gid), given)


def _permissions(host: DscHost, name: str, mode: int, ids: tuple[int, int], given: Arguments) -> Verdict:
    owner = next((one.name for one in host.accounts if one.uid == ids[0]), str(ids[0]))
    group = next((one.name for one in host.groups if one.gid == ids[1]), str(ids[1]))
    for what, found in (("owner", owner), ("group", group)):
        if what in given and found not in given[what].split("|"):
            return False, f"'{name}' has {what} {found} instead of {given[what]}"
    found_mode = stat.S_IMODE(mode)
    if "permissions" in given and found_mode & (wanted := int(given["permissions"], 8)) != wanted:
        return False, f"'{name}' has mode {found_mode:o}, which misses some of {given['permissions']}"
    if "mask" in given and found_mode & int(given["mask"], 8):
        return False, f"'{name}' has mode {found_mode:o}, which has some of {given['mask']}"
    return True, f"'{name}' has the required access"


def permissions_of_all(host: DscHost, given: Arguments) -> Verdict:
    """The same for every file of a folder whose name has a form."""
    folder = host.path(given["directory"])
    found = folder.rglob("*") if given.get("recurse", "false").lower() == "true" else folder.glob("*")
    for file in sorted(found) if folder.is_dir() else []:
        if file.is_file() and not file.is_symlink() and fnmatch.fnmatchcase(file.name, given["ext"]):
            status = file.stat()
            ids = (status.st_uid, status.st_gid)
            passed, phrase = _permissions(host, str(file), status.st_mode, ids, given)
            if not passed:
                return passed, phrase
    return True, f"All files of '{given['directory']}' have the required access"


def file_matches(host: DscHost, given: Arguments) -> Verdict:
    """Lines of files match a pattern, and those that do a second one; `behavior` says in how many files."""
    folder = host.path(given["path"])
    files = [file for file in sorted(folder.glob("*")) if file.is_file()] if folder.is_dir() else []
    chosen = [file for file in files if matches(f"^(?:{given['filenamePattern']})$", file.name)]
    held = [_file_holds(file, given) for file in chosen]
    behavior = given.get("behavior", "all_exist")
    verdicts = {
        "all_exist": bool(held) and all(held),
        "any_exist": True,
        "at_least_one_exists": any(held),
        "none_exist": not any(held),
        "only_one_exists": sum(held) == 1,
    }
    if behavior not in verdicts:
        raise ValueError(f"'{behavior}' is not a behavior")
    phrase = f"{sum(held)} of {len(held)} files of '{given['path']}' match '{given['matchPattern']}'"
    return verdicts[behavior], phrase


def _file_holds(file: Path, given: Arguments) -> bool:
    ignored = given.get("ignoreCase", "").split()
    flags = {name: re.IGNORECASE if name in ignored else 0 for name in ("matchPattern", "statePattern")}
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [line for line in lines if matches(given["matchPattern"], line, flags["matchPattern"])]
    state = given.get("statePattern")
    if state is None:
        return bool(found)
    return bool(found) and all(matches(state, line, flags["statePattern"]) for line in found)


# -- mounts and the kernel ---------------------------------------------------------------------------------


def _mounts(host: DscHost, path: str) -> dict[str, set[str]]:
    rows = (line.split() for line in (host.text(path) or "").splitlines() if not line.startswith("#"))
    return {row[1]: set(row[3].split(",")) for row in rows if len(row) > 3}


def mount_exists(host: DscHost, given: Arguments) -> Verdict:
    """Something is mounted there now."""
    there = given["mountPoint"] in _mounts(host, "/proc/self/mounts")
    return there, f"'{given['mountPoint']}' is {'' if there else 'not '}a mount point"


def mount_options(host: DscHost, given: Arguments) -> Verdict:
    """Options that are set, and not set, in fstab and as mounted now; nothing mounted passes."""
    point = given["mountpoint"]
    for source in ("/etc/fstab", "/proc/self/mounts"):
        options = _mounts(host, source).get(point)
        if options is None:
            continue
        for option in filter(None, given.get("optionsSet", "").split(",")):
            if option not in options:
                return False, f"Option '{option}' is not set for '{point}' in {source}"
        for option in filter(None, given.get("optionsNotSet", "").split(",")):
            if option in options:
                return False, f"Option '{option}' is set for '{point}' in {source}"
    return True, f"'{point}' has the required options"


def kernel_module_unavailable(host: DscHost, given: Arguments) -> Verdict:
    """A module is not loaded, and cannot be: it is blacklisted and installed as nothing."""
    name = given["moduleName"]
    other = {name, name.replace("-", "_"), name.replace("_", "-")}
    loaded = {line.split()[0] for line in (host.text("/proc/modules") or "").splitlines() if line.strip()}
    if loaded & other:
        return False, f"Module '{name}' is loaded"
    versions = host.path("/lib/modules")
    if not any(True for one in other for _ in versions.rglob(f"{one}.ko*")):
        return True, f"Module '{name}' does not exist"
    texts = [
        file.read_text(encoding="utf-8", errors="replace")
        for folder in ("/etc/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d", "/run/modprobe.d")
        for file in sorted(host.path(folder).glob("*.conf"))
    ]
    words = [line.split() for text in texts for line in text.splitlines()]
    dead = any(
        w[:1] == ["install"] and w[1:2] and w[1] in other and w[-1] in _NOTHING for w in words if len(w) > 2
    )
    listed = any(w[:1] == ["blacklist"] and w[1:2] and w[1] in other for w in words)
    return dead and listed, f"Module '{name}' is {'un' if dead and listed else ''}available"


_NOTHING = {"/bin/true", "/bin/false", "/usr/bin/true", "/usr/bin/false"}


def sysctl_value(host: DscHost, given: Arguments) -> Verdict:
    """The value now matches a pattern."""
    name = given["sysctlName"]
    found = (host.text("/proc/sys/" + name.replace(".", "/")) or "").strip()
    return matches(given["value"], found), f"'{name}' is '{found}'"


# -- software ----------------------------------------------------------------------------------------------


def package_installed(host: DscHost, given: Arguments) -> Verdict:
    """A package is there, in a version that is not older."""
    found = host.software.find(given["packageName"])
    if found is None:
        return False, f"Package '{given['packageName']}' is not installed"
    least = given.get("minPackageVersion")
    if least and compare(found.version, least) < 0:
        return False, f"Package '{found.name}' has version {found.version}, older than {least}"
    return True, f"Package '{found.name}' is installed"


def unit_state(host: DscHost, given: Arguments) -> Verdict:
    """Properties of a unit match patterns."""
    names = {
        "activeState": "ActiveState",
        "loadState": "LoadState",
        "unitFileState": "UnitFileState",
        "unit": "Unit",
    }
    wanted = {names[key]: value for key, value in given.items() if key in names}
    unit = given["unitName"]
    answer = host.run("systemctl", "show", f"--property={','.join(wanted)}", "--", unit)
    found = dict(line.split("=", 1) for line in answer.out.splitlines() if "=" in line)
    for name, pattern in wanted.items():
        if not matches(f"^(?:{pattern})$", found.get(name, "")):
            return False, f"{name} of '{unit}' is '{found.get(name, '')}' instead of '{pattern}'"
    return True, f"Unit '{unit}' is as required"


def systemd_config(host: DscHost, given: Arguments) -> Verdict:
    """A parameter of systemd's own files; later files win."""
    files: list[Path] = []
    if name := given.get("file"):
        main = name if name.startswith("/") else f"/etc/systemd/{name}"
        files += [host.path(main), *sorted(host.path(f"{main}.d").glob("*.conf"))]
    if "dir" in given:
        files += sorted(host.path(given["dir"]).glob("*.conf"))
    value = None
    for file in files:
        if file.is_file():
            value = _parameter(file, given) or value
    parameter = given["parameter"]
    if value is None:
        return given.get("passOnNotFound", "false").lower() == "true", f"'{parameter}' is not set"
    if "valueRegex" in given:
        return matches(given["valueRegex"], value), f"'{parameter}' is '{value}'"
    return compared(value, given.get("op", "eq"), given["value"]), f"'{parameter}' is '{value}'"


class _Unfolded(configparser.RawConfigParser):
    """Names of systemd are case sensitive."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def _parameter(file: Path, given: Arguments) -> str | None:
    parser = _Unfolded(strict=False, allow_no_value=True, comment_prefixes=("#", ";"))
    try:
        parser.read_string(file.read_text(encoding="utf-8", errors="replace"))
    except configparser.Error:
        return None
    blocks = [given["block"].strip("[]")] if "block" in given else parser.sections()
    found = [parser.get(block, given["parameter"], fallback=None) for block in blocks]
    return next((value for value in reversed(found) if value is not None), None)


#: Procedure by name, the older names included.
PROCEDURES: dict[str, Callable[[DscHost, Arguments], Verdict]] = {
    "PackageInstalled": package_installed,
    "FilePermissions": file_permissions,
    "EnsureFilePermissions": file_permissions,
    "FilePermissionsCollection": permissions_of_all,
    "EnsureFilePermissionsCollection": permissions_of_all,
    "FileRegexMatch": file_matches,
    "FileExists": file_exists,
    "EnsureFileExists": file_exists,
    "FilesystemMountOption": mount_options,
    "EnsureFilesystemOption": mount_options,
    "MountPointExists": mount_exists,
    "EnsureMountPointExists": mount_exists,
    "KernelModuleUnavailable": kernel_module_unavailable,
    "EnsureKernelModuleUnavailable": kernel_module_unavailable,
    "LoginDefsOption": login_defs,
    "PasswordChangeDate": password_change,
    "EnsurePasswordChangeIsInPast": password_change,
    "ShadowField": shadow_field,
    "EnsureShadowContains": shadow_field,
    "SshdOption": sshd_option,
    "EnsureSshdOption": sshd_option,
    "SshKeyPermissions": ssh_keys,
    "EnsureSshKeyPerms": ssh_keys,
    "SysctlValue": sysctl_value,
    "EnsureSysctl": sysctl_value,
    "SystemdConfigValue": systemd_config,
    "SystemdUnitState": unit_state,
}
