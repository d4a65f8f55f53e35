"""The rules by payload key, without its prefix ``Ensure``: what is checked, in order.

The rules about sshd are in `sshd`. A key that is in neither is reported as not supported, never passed.
"""

from __future__ import annotations

from arcbed_agent.gcad.dsc.baseline import account_checks as accounts
from arcbed_agent.gcad.dsc.baseline import special
from arcbed_agent.gcad.dsc.baseline.checks import (
    Check,
    absent_package,
    active,
    every,
    exists,
    file,
    folder_has,
    inactive,
    installed,
    kernel,
    line,
    missing,
    mounted,
    no_line,
    prints,
    some,
    text_in,
    text_not_in,
)

_MODULES = "/etc/modprobe.d"
_RSYSLOG = "/etc/rsyslog.conf"
_INETD = "/etc/inetd.conf"
_BOOT = [
    f"/boot/{folder}/{name}" for folder in ("grub", "grub2") for name in ("grub.cfg", "grub.conf", "user.cfg")
]


def _kernel_pair(pattern: str, value: str) -> Check:
    """A network setting, for all interfaces and for new ones."""
    return every(*(kernel(f"net.{pattern.format(scope)}", value) for scope in ("all", "default")))


def _proc(path: str, value: str) -> Check:
    return line(f"/proc/sys/net/{path}", value)


#: Mounts, file systems and kernel modules.
_FILE_SYSTEMS: dict[str, Check] = {
    "NodevOptionOnHomePartition": mounted("nodev", folder="/home"),
    "NodevOptionOnTmpPartition": mounted("nodev", folder="/tmp"),  # noqa: S108 - a mount point
    "NodevOptionOnVarTmpPartition": mounted("nodev", folder="/var/tmp"),  # noqa: S108 - a mount point
    "NosuidOptionOnTmpPartition": mounted("nosuid", folder="/tmp"),  # noqa: S108 - a mount point
    "NosuidOptionOnVarTmpPartition": mounted("nosuid", folder="/var/tmp"),  # noqa: S108 - a mount point
    "NoexecOptionOnVarTmpPartition": mounted("noexec", folder="/var/tmp"),  # noqa: S108 - a mount point
    "NoexecOptionOnDevShmPartition": mounted("noexec", folder="/dev/shm"),  # noqa: S108 - a mount point
    "NodevOptionEnabledForAllRemovableMedia": mounted("nodev", folder="/media/"),
    "NoexecOptionEnabledForAllRemovableMedia": mounted("noexec", folder="/media/"),
    "NosuidOptionEnabledForAllRemovableMedia": mounted("nosuid", folder="/media/"),
    "NoexecNosuidOptionsEnabledForAllNfsMounts": every(
        mounted("noexec", kind="nfs"), mounted("nosuid", kind="nfs")
    ),
    "AutomountingDisabled": inactive("autofs"),
    "MountingOfUsbStorageDevicesIsDisabled": folder_has(_MODULES, "install usb-storage /bin/true"),
    "DisabledInstallationOfCramfsFileSystem": folder_has(_MODULES, "install cramfs"),
    "DisabledInstallationOfFreevxfsFileSystem": folder_has(_MODULES, "install freevxfs"),
    "DisabledInstallationOfHfsFileSystem": folder_has(_MODULES, "install hfs"),
    "DisabledInstallationOfHfsplusFileSystem": folder_has(_MODULES, "install hfsplus"),
    "DisabledInstallationOfJffs2FileSystem": folder_has(_MODULES, "install jffs2"),
    "DccpIsDisabled": folder_has(_MODULES, "install dccp /bin/true"),
    "SctpIsDisabled": folder_has(_MODULES, "install sctp /bin/true"),
    "DisabledSupportForRds": folder_has(_MODULES, "install rds /bin/true"),
    "TipcIsDisabled": folder_has(_MODULES, "install tipc /bin/true"),
}

#: Modes and owners of files.
_PERMISSIONS: dict[str, Check] = {
    "PermissionsOnEtcMotd": file("/etc/motd"),
    "PermissionsOnEtcIssue": file("/etc/issue"),
    "PermissionsOnEtcIssueNet": file("/etc/issue.net"),
    "PermissionsOnEtcHostsAllow": file("/etc/hosts.allow"),
    "PermissionsOnEtcHostsDeny": file("/etc/hosts.deny"),
    "PermissionsOnEtcShadow": file("/etc/shadow", group="shadow"),
    "PermissionsOnEtcShadowDash": file("/etc/shadow-", group="shadow"),
    "PermissionsOnEtcGShadow": file("/etc/gshadow", group="shadow"),
    "PermissionsOnEtcGShadowDash": file("/etc/gshadow-", group="shadow"),
    "PermissionsOnEtcPasswd": file("/etc/passwd"),
    "PermissionsOnEtcGroup": file("/etc/group"),
    "PermissionsOnEtcPasswdDash": file("/etc/passwd-"),
    "PermissionsOnEtcGroupDash": file("/etc/group-"),
    "PermissionsOnBootloaderConfig": every(*(file(path) for path in _BOOT)),
    "PermissionsOnEtcAnacronTab": file("/etc/anacrontab"),
    "PermissionsOnEtcCronD": file("/etc/cron.d"),
    "PermissionsOnEtcCronDaily": file("/etc/cron.daily"),
    "PermissionsOnEtcCronHourly": file("/etc/cron.hourly"),
    "PermissionsOnEtcCronMonthly": file("/etc/cron.monthly"),
    "PermissionsOnEtcCronWeekly": file("/etc/cron.weekly"),
    "LoggerConfigurationFilesAreRestricted": every(
        file(_RSYSLOG, 0o640), file("/etc/syslog-ng/syslog-ng.conf", 0o640)
    ),
    "AtCronIsRestrictedToAuthorizedUsers": every(
        missing("/etc/cron.deny"),
        missing("/etc/at.deny"),
        exists("/etc/cron.allow"),
        exists("/etc/at.allow"),
        file("/etc/cron.allow", 0o600),
        file("/etc/at.allow", 0o600),
    ),
}

#: Software that must, or must not, be there or run.
_SOFTWARE: dict[str, Check] = {
    "PrelinkIsDisabled": absent_package("prelink"),
    "TalkClientIsNotInstalled": absent_package("talk"),
    "RloginServiceIsDisabled": every(
        inactive("rlogin"), absent_package("rlogin", "inetd", "inetutils-inetd"), no_line(_INETD, "login")
    ),
    "InetdNotInstalled": absent_package("inetd", "inetutils-inetd"),
    "XinetdNotInstalled": absent_package("xinetd"),
    "TelnetServiceIsDisabled": every(inactive("telnet"), no_line(_INETD, "telnet")),
    "AllTelnetdPackagesUninstalled": absent_package("*telnetd*"),
    "RcprshServiceIsDisabled": inactive("rcp.socket", "rsh.socket"),
    "RshServerNotInstalled": absent_package("rsh-server"),
    "NisNotInstalled": absent_package("nis"),
    "TftpServiceisDisabled": every(inactive("tftpd-hpa"), no_line(_INETD, "tftp")),
    "TftpdNotInstalled": absent_package("tftpd-hpa"),
    "ReadaheadFedoraNotInstalled": absent_package("readahead-fedora"),
    "BluetoothHiddNotInstalled": every(absent_package("bluetooth"), inactive("bluetooth")),
    "IsdnUtilsBaseNotInstalled": absent_package("isdnutils-base"),
    "IsdnUtilsKdumpToolsNotInstalled": absent_package("kdump-tools"),
    "ZeroconfNetworkingIsDisabled": every(
        inactive("avahi-daemon"), no_line("/etc/network/interfaces", "ipv4ll"), special.no_zeroconf
    ),
    "CronServiceIsEnabled": some(
        every(installed("cron"), active("cron")), every(installed("cronie"), active("crond"))
    ),
    "AvahiDaemonServiceIsDisabled": inactive("avahi-daemon"),
    "CupsServiceisDisabled": inactive("cups"),
    "IscDhcpdServerNotInstalled": absent_package("isc-dhcp-server"),
    "SendmailNotInstalled": absent_package("sendmail"),
    "PostfixPackageIsUninstalled": absent_package("postfix"),
    "PostfixNetworkListeningIsDisabled": some(
        absent_package("postfix"), line("/etc/postfix/main.cf", "inet_interfaces localhost")
    ),
    "SldapdNotInstalled": absent_package("slapd"),
    "RpcgssdServiceIsDisabled": inactive("rpcgssd", "rpc-gssd"),
    "RpcidmapdServiceIsDisabled": inactive("rpcidmapd", "nfs-idmapd"),
    "PortmapServiceIsDisabled": inactive("rpcbind.socket", "rpcbind"),
    "NetworkFileSystemServiceIsDisabled": inactive("nfs-server"),
    "RpcsvcgssdServiceIsDisabled": every(no_line(_INETD, "NEED_SVCGSSD = yes"), inactive("rpc.svcgssd")),
    "Bind9NotInstalled": absent_package("bind9"),
    "DovecotCoreNotInstalled": absent_package("dovecot-core"),
    "AuditdInstalled": installed("audit", "auditd", "audit-libs", "audit-libs-devel"),
    "AuditdServiceIsRunning": every(active("auditd"), inactive("auoms")),
    "SnmpServerIsDisabled": inactive("snmpd"),
    "RsynServiceIsDisabled": inactive("rsync"),
    "NisServerIsDisabled": inactive("ypserv"),
    "RshClientNotInstalled": absent_package("rsh", "rsh-client"),
    "SmbWithSambaIsDisabled": special.samba,
}

#: Kernel and network settings.
_KERNEL: dict[str, Check] = {
    "VirtualMemoryRandomizationIsEnabled": kernel("kernel.randomize_va_space", "2", "1"),
    "KernelSupportForCpuNx": special.processor_has_nx,
    "PacketRedirectSendingIsDisabled": _kernel_pair("ipv4.conf.{}.send_redirects", "0"),
    "IcmpRedirectsIsDisabled": every(
        _kernel_pair("ipv4.conf.{}.accept_redirects", "0"),
        _kernel_pair("ipv6.conf.{}.accept_redirects", "0"),
        _kernel_pair("ipv4.conf.{}.secure_redirects", "0"),
    ),
    "SourceRoutedPacketsIsDisabled": every(
        _proc("ipv4/conf/all/accept_source_route", "0"), _proc("ipv6/conf/all/accept_source_route", "0")
    ),
    "AcceptingSourceRoutedPacketsIsDisabled": every(
        _proc("ipv4/conf/default/accept_source_route", "0"),
        _proc("ipv6/conf/default/accept_source_route", "0"),
    ),
    "IgnoringBogusIcmpBroadcastResponses": _proc("ipv4/icmp_ignore_bogus_error_responses", "1"),
    "IgnoringIcmpEchoPingsToMulticast": _proc("ipv4/icmp_echo_ignore_broadcasts", "1"),
    "MartianPacketLoggingIsEnabled": _kernel_pair("ipv4.conf.{}.log_martians", "1"),
    "ReversePathSourceValidationIsEnabled": every(
        _proc("ipv4/conf/all/rp_filter", "1"), _proc("ipv4/conf/default/rp_filter", "1")
    ),
    "TcpSynCookiesAreEnabled": _proc("ipv4/tcp_syncookies", "1"),
    "Ipv6ProtocolIsEnabled": _kernel_pair("ipv6.conf.{}.disable_ipv6", "0"),
    "CoreDumpsAreRestricted": every(
        special.core_limit, line("/etc/sysctl.d/99-sysctl.conf", "fs.suid_dumpable = 0")
    ),
    "DefaultDenyFirewallPolicyIsSet": some(
        prints(("iptables", "-S"), "-P INPUT DROP", "-P FORWARD DROP", "-P OUTPUT DROP"),
        every(active("firewalld"), prints(("firewall-cmd", "--get-default-zone"), "drop")),
    ),
    "SystemNotActingAsNetworkSniffer": special.no_sniffer,
    "AllWirelessInterfacesAreDisabled": special.no_wireless,
}

#: Logs and banners.
_LOGGING: dict[str, Check] = {
    "LoggingLevel": lambda _host, _desired: None,
    "LoggingIsConfigured": every(
        installed("systemd"),
        active("systemd-journald"),
        some(*(every(installed(name), active(name)) for name in ("rsyslog", "syslog", "syslog-ng"))),
    ),
    "SyslogPackageIsInstalled": some(
        every(installed("systemd"), installed("syslog", "rsyslog")), installed("syslog-ng")
    ),
    "SystemdJournaldServicePersistsLogMessages": every(
        installed("systemd"), exists("/var/log/journal"), special.journal_folder
    ),
    "ALoggingServiceIsEnabled": some(
        every(absent_package("systemd"), some(active("rsyslog"), active("syslog-ng"))),
        every(installed("systemd"), active("systemd-journald")),
    ),
    "FilePermissionsForAllRsyslogLogFiles": special.rsyslog_modes,
    "AllRsyslogLogFilesAreOwnedByAdmGroup": every(
        line(_RSYSLOG, "$FileGroup adm"), special.group_exists("adm")
    ),
    "AllRsyslogLogFilesAreOwnedBySyslogUser": every(
        line(_RSYSLOG, "$FileOwner syslog"), special.user_exists("syslog")
    ),
    "RsyslogNotAcceptingRemoteMessages": every(
        no_line(_RSYSLOG, "$ModLoad imudp"), no_line(_RSYSLOG, "$ModLoad imtcp")
    ),
    "SyslogRotaterServiceIsEnabled": every(
        installed("logrotate"), file("/etc/cron.daily/logrotate", 0o755), special.rotation_timer
    ),
    "RemoteLoginWarningBannerIsConfigured": special.remote_banner,
    "LocalLoginWarningBannerIsConfigured": text_not_in("/etc/issue", "\\m", "\\r", "\\s", "\\v"),
}

#: Accounts, homes and passwords.
_ACCOUNTS: dict[str, Check] = {
    "AllUsersHomeDirectoriesExist": accounts.homes_exist,
    "UsersOwnTheirHomeDirectories": accounts.homes_owned,
    "RestrictedUserHomeDirectories": accounts.home_modes,
    "UsersDotFilesArentGroupOrWorldWritable": accounts.dot_file_modes,
    "NoUsersHaveDotForwardFiles": lambda host, _: accounts.no_home_file(host, ".forward"),
    "NoUsersHaveDotNetrcFiles": lambda host, _: accounts.no_home_file(host, ".netrc"),
    "NoUsersHaveDotRhostsFiles": lambda host, _: accounts.no_home_file(host, ".rhosts"),
    "AllEtcPasswdGroupsExistInEtcGroup": accounts.groups_known,
    "NoDuplicateUidsExist": lambda host, _: accounts.unique([str(one.uid) for one in host.accounts], "Uid"),
    "NoDuplicateGidsExist": lambda host, _: accounts.unique([str(one.gid) for one in host.groups], "Gid"),
    "NoDuplicateUserNamesExist": lambda host, _: accounts.unique([one.name for one in host.accounts], "User"),
    "NoDuplicateGroupsExist": lambda host, _: accounts.unique([one.name for one in host.groups], "Group"),
    "ShadowGroupIsEmpty": accounts.shadow_group_empty,
    "RootGroupExists": accounts.root_group,
    "SuRestrictedToRootGroup": text_in("/etc/pam.d/su", "use_uid"),
    "AllAccountsHavePasswords": accounts.passwords_set,
    "NonRootAccountsHaveUniqueUidsGreaterThanZero": accounts.only_root_is_zero,
    "DotDoesNotAppearInRootsPath": special.no_dot_in_path,
    "AllBootloadersHavePasswordProtectionEnabled": some(*(line(path, "password") for path in _BOOT)),
    "AuthenticationRequiredForSingleUserMode": accounts.root_has_password,
    "NoLegacyPlusEntriesInEtcPasswd": lambda host, _: accounts.no_plus_entries(host, "/etc/passwd"),
    "NoLegacyPlusEntriesInEtcShadow": lambda host, _: accounts.no_plus_entries(host, "/etc/shadow"),
    "NoLegacyPlusEntriesInEtcGroup": lambda host, _: accounts.no_plus_entries(host, "/etc/group"),
    "PasswordExpiration": accounts.expires_within,
    "PasswordExpirationWarning": accounts.warning_days,
    "PasswordHashingAlgorithm": accounts.hash_method,
    "MinDaysBetweenPasswordChanges": accounts.minimum_days,
    "MaxDaysBetweenPasswordChanges": accounts.maximum_days,
    "InactivePasswordLockPeriod": accounts.inactive_days,
    "SystemAccountsAreNonLogin": accounts.system_accounts_cannot_log_in,
    "DefaultRootAccountGroupIsGidZero": accounts.root_primary_group,
    "RootIsOnlyUidZeroAccount": every(accounts.root_group, accounts.only_root_is_zero),
    "UnnecessaryAccountsAreRemoved": accounts.accounts_removed,
}

#: Settings of PAM.
_PAM: dict[str, Check] = {
    "PasswordCreationRequirements": special.password_quality,
    "PasswordReuseIsLimited": special.password_reuse,
}

#: Check by payload key without ``Ensure``.
RULES: dict[str, Check] = {
    **_FILE_SYSTEMS,
    **_PERMISSIONS,
    **_SOFTWARE,
    **_KERNEL,
    **_LOGGING,
    **_ACCOUNTS,
    **_PAM,
}

#: Keys of the baseline that nothing here decides.
NOT_SUPPORTED = frozenset(
    {
        "LockoutForFailedPasswordAttempts",
        "KernelCompiledFromApprovedSources",
        "DefaultUmaskForAllUsers",
    }
)

#: Desired values where the document gives none.
DEFAULTS: dict[str, str] = {
    **dict.fromkeys(
        (
            *(f"PermissionsOnEtc{name}" for name in ("Motd", "Issue", "IssueNet", "HostsAllow", "HostsDeny")),
            *(f"PermissionsOnEtc{name}" for name in ("Passwd", "Group", "PasswdDash", "GroupDash")),
        ),
        "644",
    ),
    **dict.fromkeys(
        (f"PermissionsOnEtc{name}" for name in ("Shadow", "ShadowDash", "GShadow", "GShadowDash")), "400"
    ),
    **dict.fromkeys(
        (f"PermissionsOnEtcCron{name}" for name in ("D", "Daily", "Hourly", "Monthly", "Weekly")), "700"
    ),
    "PermissionsOnEtcAnacronTab": "600",
    "PermissionsOnBootloaderConfig": "400",
    "LoggingLevel": "Informational",
    "DefaultDenyFirewallPolicyIsSet": "0",
    "PasswordCreationRequirements": "3,14,4,-1,-1,-1,-1",
    "UsersDotFilesArentGroupOrWorldWritable": "600,644,664,700,744",
    "RestrictedUserHomeDirectories": "700,750",
    "DefaultUmaskForAllUsers": "077",
    "FilePermissionsForAllRsyslogLogFiles": "600,640",
    "PasswordExpiration": "365",
    "PasswordExpirationWarning": "7",
    "PasswordReuseIsLimited": "5",
    "PasswordHashingAlgorithm": "6",
    "MinDaysBetweenPasswordChanges": "7",
    "MaxDaysBetweenPasswordChanges": "365",
    "InactivePasswordLockPeriod": "30",
    "UnnecessaryAccountsAreRemoved": "games,test",
}
