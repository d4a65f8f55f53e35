"""For each rule of the Linux baseline a machine that meets it and one that does not."""

from __future__ import annotations

from baseline_changes import (
    HASH,
    RSYSLOG,
    TODAY,
    Change,
    ann,
    both,
    folder,
    home,
    kernel,
    login,
    mode,
    module,
    mount,
    no_package,
    no_unit,
    pair,
    redirects,
    routed,
    rsyslog_line,
    same,
    text,
)

_LOGGED = both(
    lambda tree: tree.package("systemd").unit("systemd-journald"),
    lambda tree: tree.package("rsyslog").unit("rsyslog"),
)
_ANN_IN = both(home(), lambda tree: tree.file("/home/ann/.bashrc", "", 0o600))
_INETD = "/etc/inetd.conf"
_PAM = "/etc/pam.d/common-password"
_ALLOWED = both(
    lambda tree: tree.file("/etc/cron.allow", "", 0o600), lambda tree: tree.file("/etc/at.allow", "", 0o600)
)
_ROTATED = both(
    lambda tree: tree.package("logrotate").unit("logrotate.timer"),
    lambda tree: tree.file("/etc/cron.daily/logrotate", "", 0o755),
)
_FIREWALL = ("iptables", "-S")

CASES: dict[str, tuple[Change, Change]] = {
    # mounts, file systems, modules
    "NodevOptionOnHomePartition": mount("/home", "nodev"),
    "NodevOptionOnTmpPartition": mount("/tmp", "nodev"),
    "NodevOptionOnVarTmpPartition": mount("/var/tmp", "nodev"),
    "NosuidOptionOnTmpPartition": mount("/tmp", "nosuid"),
    "NosuidOptionOnVarTmpPartition": mount("/var/tmp", "nosuid"),
    "NoexecOptionOnVarTmpPartition": mount("/var/tmp", "noexec"),
    "NoexecOptionOnDevShmPartition": mount("/dev/shm", "noexec"),
    "NodevOptionEnabledForAllRemovableMedia": mount("/media/usb", "nodev"),
    "NoexecOptionEnabledForAllRemovableMedia": mount("/media/usb", "noexec"),
    "NosuidOptionEnabledForAllRemovableMedia": mount("/media/usb", "nosuid"),
    "NoexecNosuidOptionsEnabledForAllNfsMounts": (
        mount("/nfs", "noexec,nosuid", "nfs4")[0],
        mount("/nfs", "noexec", "nfs4")[0],
    ),
    "AutomountingDisabled": no_unit("autofs"),
    "MountingOfUsbStorageDevicesIsDisabled": module("install usb-storage /bin/true"),
    "DisabledInstallationOfCramfsFileSystem": module("install cramfs /bin/true"),
    "DisabledInstallationOfFreevxfsFileSystem": module("install freevxfs /bin/true"),
    "DisabledInstallationOfHfsFileSystem": module("install hfs /bin/true"),
    "DisabledInstallationOfHfsplusFileSystem": module("install hfsplus /bin/true"),
    "DisabledInstallationOfJffs2FileSystem": module("install jffs2 /bin/true"),
    "DccpIsDisabled": module("install dccp /bin/true"),
    "SctpIsDisabled": module("install sctp /bin/true"),
    "DisabledSupportForRds": module("install rds /bin/true"),
    "TipcIsDisabled": module("install tipc /bin/true"),
    # modes
    "PermissionsOnEtcMotd": mode("/etc/motd", 0o644),
    "PermissionsOnEtcIssue": mode("/etc/issue", 0o644),
    "PermissionsOnEtcIssueNet": mode("/etc/issue.net", 0o644),
    "PermissionsOnEtcHostsAllow": mode("/etc/hosts.allow", 0o644),
    "PermissionsOnEtcHostsDeny": mode("/etc/hosts.deny", 0o644),
    "PermissionsOnEtcShadow": mode("/etc/shadow", 0o400, 0o640),
    "PermissionsOnEtcShadowDash": mode("/etc/shadow-", 0o400, 0o640),
    "PermissionsOnEtcGShadow": mode("/etc/gshadow", 0o400, 0o640),
    "PermissionsOnEtcGShadowDash": mode("/etc/gshadow-", 0o400, 0o640),
    "PermissionsOnEtcPasswd": (same, lambda tree: tree.path("/etc/passwd").chmod(0o600)),
    "PermissionsOnEtcGroup": (same, lambda tree: tree.path("/etc/group").chmod(0o664)),
    "PermissionsOnEtcPasswdDash": mode("/etc/passwd-", 0o644),
    "PermissionsOnEtcGroupDash": mode("/etc/group-", 0o644),
    "PermissionsOnBootloaderConfig": mode("/boot/grub/grub.cfg", 0o400, 0o444),
    "PermissionsOnEtcAnacronTab": mode("/etc/anacrontab", 0o600),
    "PermissionsOnEtcCronD": folder("/etc/cron.d"),
    "PermissionsOnEtcCronDaily": folder("/etc/cron.daily"),
    "PermissionsOnEtcCronHourly": folder("/etc/cron.hourly"),
    "PermissionsOnEtcCronMonthly": folder("/etc/cron.monthly"),
    "PermissionsOnEtcCronWeekly": folder("/etc/cron.weekly"),
    "LoggerConfigurationFilesAreRestricted": mode(RSYSLOG, 0o640, 0o644),
    "AtCronIsRestrictedToAuthorizedUsers": (
        _ALLOWED,
        both(_ALLOWED, lambda tree: tree.file("/etc/cron.deny")),
    ),
    # software
    "PrelinkIsDisabled": no_package("prelink"),
    "TalkClientIsNotInstalled": no_package("talk"),
    "RloginServiceIsDisabled": text(_INETD, "# login stream tcp\n", "login stream tcp\n"),
    "InetdNotInstalled": no_package("inetd", "inetutils-inetd"),
    "XinetdNotInstalled": no_package("xinetd"),
    "TelnetServiceIsDisabled": no_unit("telnet"),
    "AllTelnetdPackagesUninstalled": no_package("inetutils-telnetd"),
    "RcprshServiceIsDisabled": no_unit("rcp.socket", "rsh.socket"),
    "RshServerNotInstalled": no_package("rsh-server"),
    "NisNotInstalled": no_package("nis"),
    "TftpServiceisDisabled": text(_INETD, "", "tftp dgram udp\n"),
    "TftpdNotInstalled": no_package("tftpd-hpa"),
    "ReadaheadFedoraNotInstalled": no_package("readahead-fedora"),
    "BluetoothHiddNotInstalled": no_unit("bluetooth"),
    "IsdnUtilsBaseNotInstalled": no_package("isdnutils-base"),
    "IsdnUtilsKdumpToolsNotInstalled": no_package("kdump-tools"),
    "ZeroconfNetworkingIsDisabled": (
        lambda tree: tree.unit("network.service").file("/etc/sysconfig/network", "NOZEROCONF=yes\n"),
        lambda tree: tree.unit("network.service").file("/etc/sysconfig/network", "NETWORKING=yes\n"),
    ),
    "CronServiceIsEnabled": (
        lambda tree: tree.package("cronie").unit("crond"),
        lambda tree: tree.package("cron").unit("cron", "inactive"),
    ),
    "AvahiDaemonServiceIsDisabled": no_unit("avahi-daemon"),
    "CupsServiceisDisabled": no_unit("cups"),
    "IscDhcpdServerNotInstalled": no_package("isc-dhcp-server"),
    "SendmailNotInstalled": no_package("sendmail"),
    "PostfixPackageIsUninstalled": no_package("postfix"),
    "PostfixNetworkListeningIsDisabled": (
        lambda tree: tree.package("postfix").file("/etc/postfix/main.cf", "inet_interfaces localhost\n"),
        lambda tree: tree.package("postfix").file("/etc/postfix/main.cf", "inet_interfaces = all\n"),
    ),
    "SldapdNotInstalled": no_package("slapd"),
    "RpcgssdServiceIsDisabled": no_unit("rpcgssd", "rpc-gssd"),
    "RpcidmapdServiceIsDisabled": no_unit("rpcidmapd", "nfs-idmapd"),
    "PortmapServiceIsDisabled": no_unit("rpcbind.socket", "rpcbind"),
    "NetworkFileSystemServiceIsDisabled": no_unit("nfs-server"),
    "RpcsvcgssdServiceIsDisabled": text(_INETD, "", "NEED_SVCGSSD   = yes\n"),
    "Bind9NotInstalled": no_package("bind9"),
    "DovecotCoreNotInstalled": no_package("dovecot-core"),
    "AuditdInstalled": (lambda tree: tree.package("auditd"), same),
    "AuditdServiceIsRunning": (
        lambda tree: tree.unit("auditd"),
        lambda tree: tree.unit("auditd").unit("auoms"),
    ),
    "SnmpServerIsDisabled": no_unit("snmpd"),
    "RsynServiceIsDisabled": no_unit("rsync"),
    "NisServerIsDisabled": no_unit("ypserv"),
    "RshClientNotInstalled": no_package("rsh", "rsh-client"),
    "SmbWithSambaIsDisabled": (
        lambda tree: tree.unit("smbd").file("/etc/samba/smb.conf", "[global]\n  min protocol = SMB2\n"),
        lambda tree: tree.unit("smbd").file("/etc/samba/smb.conf", "[global]\n ; min protocol = SMB2\n"),
    ),
    # the kernel and the network
    "VirtualMemoryRandomizationIsEnabled": kernel("kernel.randomize_va_space", good="2", bad="0"),
    "KernelSupportForCpuNx": text("/proc/cpuinfo", "flags\t: fpu nx lm\n", "flags\t: fpu lm\n"),
    "PacketRedirectSendingIsDisabled": pair("ipv4.conf.*.send_redirects", "0", "1"),
    "IcmpRedirectsIsDisabled": redirects(),
    "SourceRoutedPacketsIsDisabled": routed("all"),
    "AcceptingSourceRoutedPacketsIsDisabled": routed("default"),
    "IgnoringBogusIcmpBroadcastResponses": kernel(
        "net.ipv4.icmp_ignore_bogus_error_responses", good="1", bad="0"
    ),
    "IgnoringIcmpEchoPingsToMulticast": kernel("net.ipv4.icmp_echo_ignore_broadcasts", good="1", bad="0"),
    "MartianPacketLoggingIsEnabled": pair("ipv4.conf.*.log_martians", "1", "0"),
    "ReversePathSourceValidationIsEnabled": pair("ipv4.conf.*.rp_filter", "1", "0"),
    "TcpSynCookiesAreEnabled": kernel("net.ipv4.tcp_syncookies", good="1", bad="0"),
    "Ipv6ProtocolIsEnabled": pair("ipv6.conf.*.disable_ipv6", "0", "1"),
    "CoreDumpsAreRestricted": (
        lambda tree: tree.file("/etc/security/limits.conf", "* hard core 0\n").file(
            "/etc/sysctl.d/99-sysctl.conf", "fs.suid_dumpable = 0\n"
        ),
        lambda tree: tree.file("/etc/security/limits.conf", "# * hard core 0\n").file(
            "/etc/sysctl.d/99-sysctl.conf", "fs.suid_dumpable = 0\n"
        ),
    ),
    "DefaultDenyFirewallPolicyIsSet": (
        lambda tree: tree.prints(*_FIREWALL, out="-P INPUT DROP\n-P FORWARD DROP\n-P OUTPUT DROP\n"),
        lambda tree: tree.prints(*_FIREWALL, out="-P INPUT DROP\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n"),
    ),
    "SystemNotActingAsNetworkSniffer": (
        lambda tree: tree.file("/etc/rc.local", "PROMISC").prints("ip", "address", out="eth0: <UP>"),
        lambda tree: tree.file("/etc/rc.local", "PROMISC").prints("ip", "address", out="eth0: <PROMISC,UP>"),
    ),
    "AllWirelessInterfacesAreDisabled": (
        lambda tree: tree.folder("/sys/class/net/wlan0/wireless").file(
            "/sys/class/net/wlan0/operstate", "down\n"
        ),
        lambda tree: tree.folder("/sys/class/net/wlan0/wireless").file(
            "/sys/class/net/wlan0/operstate", "up\n"
        ),
    ),
    # logs and banners
    "LoggingIsConfigured": (_LOGGED, both(_LOGGED, lambda tree: tree.unit("rsyslog", "inactive"))),
    "SyslogPackageIsInstalled": (
        lambda tree: tree.package("systemd").package("rsyslog"),
        lambda tree: tree.package("rsyslog"),
    ),
    "SystemdJournaldServicePersistsLogMessages": (
        lambda tree: tree.package("systemd").folder("/var/log/journal", 0o2755),
        lambda tree: tree.package("systemd").folder("/var/log/journal", 0o755),
    ),
    "ALoggingServiceIsEnabled": (
        lambda tree: tree.package("systemd").unit("systemd-journald"),
        lambda tree: tree.package("systemd").unit("rsyslog"),
    ),
    "FilePermissionsForAllRsyslogLogFiles": text(RSYSLOG, "$FileCreateMode 0640\n", "$FileCreateMode 0644\n"),
    "AllRsyslogLogFilesAreOwnedByAdmGroup": (
        both(lambda tree: tree.group("adm", 4), rsyslog_line("$FileGroup adm")[0]),
        rsyslog_line("$FileGroup adm")[0],
    ),
    "AllRsyslogLogFilesAreOwnedBySyslogUser": (
        both(lambda tree: tree.user("syslog", 104), rsyslog_line("$FileOwner  syslog")[0]),
        both(lambda tree: tree.user("syslog", 104), rsyslog_line("$FileOwner syslog")[1]),
    ),
    "RsyslogNotAcceptingRemoteMessages": tuple(reversed(rsyslog_line("$ModLoad imudp"))),  # type: ignore[dict-item]
    "SyslogRotaterServiceIsEnabled": (
        _ROTATED,
        both(_ROTATED, lambda tree: tree.unit("logrotate.timer", "inactive")),
    ),
    "RemoteLoginWarningBannerIsConfigured": text("/etc/issue.net", "Keep out\n", "Debian \\v\n"),
    "LocalLoginWarningBannerIsConfigured": text("/etc/issue", "Keep out\n", "Debian \\r \\m\n"),
    # accounts
    "AllUsersHomeDirectoriesExist": (
        _ANN_IN,
        both(_ANN_IN, lambda tree: tree.user("bob", 1001, home="/home/bob")),
    ),
    "UsersOwnTheirHomeDirectories": (
        lambda tree: tree.folder("/root"),
        lambda tree: tree.folder("/root").folder("/home/bob").user("bob", 59_999, 59_999, home="/home/bob"),
    ),
    "RestrictedUserHomeDirectories": (home(0o750), home(0o755)),
    "UsersDotFilesArentGroupOrWorldWritable": (
        _ANN_IN,
        both(_ANN_IN, lambda tree: tree.file("/home/ann/.profile", "", 0o666)),
    ),
    "NoUsersHaveDotForwardFiles": (_ANN_IN, both(_ANN_IN, lambda tree: tree.file("/home/ann/.forward"))),
    "NoUsersHaveDotNetrcFiles": (_ANN_IN, both(_ANN_IN, lambda tree: tree.file("/home/ann/.netrc"))),
    "NoUsersHaveDotRhostsFiles": (_ANN_IN, both(_ANN_IN, lambda tree: tree.file("/home/ann/.rhosts"))),
    "AllEtcPasswdGroupsExistInEtcGroup": (same, lambda tree: tree.user("ann", 1000, 4711)),
    "NoDuplicateUidsExist": (same, lambda tree: tree.user("ann", 1)),
    "NoDuplicateGidsExist": (same, lambda tree: tree.group("staff", 1)),
    "NoDuplicateUserNamesExist": (same, lambda tree: tree.user("daemon", 2)),
    "NoDuplicateGroupsExist": (same, lambda tree: tree.group("daemon", 2)),
    "ShadowGroupIsEmpty": (
        lambda tree: tree.group("shadow", 42),
        lambda tree: tree.group("shadow", 42, "ann"),
    ),
    "RootGroupExists": (
        lambda tree: tree.file("/etc/group", "root:x:0:\n"),
        lambda tree: tree.file("/etc/group", "root:x:7:\n"),
    ),
    "SuRestrictedToRootGroup": text(
        "/etc/pam.d/su", "auth required pam_wheel.so use_uid\n", "auth required\n"
    ),
    "AllAccountsHavePasswords": (ann(), ann(":20000:0:99999:7:::")),
    "NonRootAccountsHaveUniqueUidsGreaterThanZero": (ann(), lambda tree: tree.user("toor", 0)),
    "DotDoesNotAppearInRootsPath": text("/etc/environment", 'PATH="/bin:/sbin"\n', 'PATH="/bin:.:/sbin"\n'),
    "AllBootloadersHavePasswordProtectionEnabled": text(
        "/boot/grub/grub.cfg", "password_pbkdf2 root x\n", "# password_pbkdf2 root x\n"
    ),
    "AuthenticationRequiredForSingleUserMode": (
        lambda tree: tree.file("/etc/shadow", f"root:{HASH}:20000:0:99999:7:::\n"),
        same,
    ),
    "NoLegacyPlusEntriesInEtcPasswd": (same, lambda tree: tree.add("/etc/passwd", "+::::::")),
    "NoLegacyPlusEntriesInEtcShadow": (same, lambda tree: tree.add("/etc/shadow", "+::::::::")),
    "NoLegacyPlusEntriesInEtcGroup": (same, lambda tree: tree.add("/etc/group", "+:::")),
    "PasswordExpiration": (
        ann(f"{HASH}:{TODAY - 10}:7:365:7:30::"),
        ann(f"{HASH}:{TODAY - 10}:7:99999:7:30::"),
    ),
    "PasswordExpirationWarning": login("7", "6", "PASS_WARN_AGE"),
    "PasswordHashingAlgorithm": login("SHA512", "YESCRYPT", "ENCRYPT_METHOD"),
    "MinDaysBetweenPasswordChanges": login("7", "0", "PASS_MIN_DAYS"),
    "MaxDaysBetweenPasswordChanges": login("365", "99999", "PASS_MAX_DAYS"),
    "InactivePasswordLockPeriod": (
        ann(f"{HASH}:{TODAY}:7:365:7:30::"),
        ann(f"{HASH}:{TODAY + 1}:7:365:7:30::"),
    ),
    "SystemAccountsAreNonLogin": (ann(), ann(shell="/usr/sbin/nologin")),
    "DefaultRootAccountGroupIsGidZero": (
        lambda tree: tree.file("/etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
        lambda tree: tree.file("/etc/passwd", "root:x:0:1::/root:/bin/sh\n"),
    ),
    "RootIsOnlyUidZeroAccount": (
        lambda tree: tree.file("/etc/group", "root:x:0:\n"),
        lambda tree: tree.file("/etc/group", "root:x:0:\n").user("toor", 0),
    ),
    "UnnecessaryAccountsAreRemoved": (same, lambda tree: tree.user("games", 5)),
    # PAM
    "PasswordCreationRequirements": text(
        "/etc/security/pwquality.conf",
        "retry = 3\nminlen=14\nminclass = 4\ndcredit = -1\nucredit = -1\nocredit = -1\nlcredit = -1\n",
        "retry = 3\n# minlen=14\nminclass = 4\ndcredit = -1\nucredit = -1\nocredit = -1\nlcredit = -1\n",
    ),
    "PasswordReuseIsLimited": text(
        _PAM,
        "password required pam_pwhistory.so remember=5\n",
        "password required pam_pwhistory.so remember=4\n",
    ),
}
