"""ASM_LinuxAuditResource: the older form of the Linux baseline, whose rules are numbers.

A number is one or more rules of `baseline`; the Docker baseline is not evaluated.

Source: Azure/azure-policy, samples/GuestConfiguration (AzureLinuxBaseline); Azure/azure-osconfig, asb.
"""

from __future__ import annotations

from typing import ClassVar

from arcbed_agent.gcad.dsc.baseline import sshd
from arcbed_agent.gcad.dsc.baseline.rules import DEFAULTS, RULES
from arcbed_agent.gcad.dsc.resource import Current, Resource, ResourceFault

_LINUX = "OMS.Linux"
#: Payload keys without ``Ensure`` by number; what is not here is reported as not supported.
KEYS: dict[str, tuple[str, ...]] = {
    "2.1": ("NodevOptionEnabledForAllRemovableMedia",),
    "2.2": ("NoexecOptionEnabledForAllRemovableMedia",),
    "2.3": ("NosuidOptionEnabledForAllRemovableMedia",),
    "5": ("NoexecNosuidOptionsEnabledForAllNfsMounts",),
    "12.1": ("PermissionsOnEtcPasswd",),
    "12.2": ("PermissionsOnEtcGroup",),
    "22": ("RootGroupExists",),
    "23.2": ("AllAccountsHavePasswords",),
    "24": ("NonRootAccountsHaveUniqueUidsGreaterThanZero",),
    "25": ("VirtualMemoryRandomizationIsEnabled",),
    "26": ("KernelSupportForCpuNx",),
    "40.1": ("SourceRoutedPacketsIsDisabled",),
    "40.2": ("AcceptingSourceRoutedPacketsIsDisabled",),
    "43": ("IgnoringIcmpEchoPingsToMulticast",),
    "44": ("IgnoringBogusIcmpBroadcastResponses",),
    "47": ("TcpSynCookiesAreEnabled",),
    "48": ("SystemNotActingAsNetworkSniffer",),
    "49": ("AllWirelessInterfacesAreDisabled",),
    "50": ("Ipv6ProtocolIsEnabled",),
    "56": ("DisabledSupportForRds",),
    "89": ("ZeroconfNetworkingIsDisabled",),
    "90": ("CronServiceIsEnabled",),
    "110": ("SshPermitEmptyPasswordsIsDisabled",),
    "114": ("AvahiDaemonServiceIsDisabled",),
    "115": ("CupsServiceisDisabled",),
    "116": ("IscDhcpdServerNotInstalled",),
    "120": ("SendmailNotInstalled",),
    "121": ("PostfixPackageIsUninstalled",),
    "122": ("PostfixNetworkListeningIsDisabled",),
    "124": ("SldapdNotInstalled",),
    "137": ("DovecotCoreNotInstalled",),
    "159": ("UnnecessaryAccountsAreRemoved",),
    "161": ("AuditdInstalled",),
    "162": ("AuditdServiceIsRunning",),
    "179": ("SnmpServerIsDisabled",),
    "181": ("RsynServiceIsDisabled",),
}


class OlderBaselineRule(Resource):
    """A rule by its number."""

    names: ClassVar[tuple[str, ...]] = ("ASM_LinuxAuditResource",)
    code: ClassVar[str] = "ASM_LinuxAuditResource"
    keys: ClassVar[tuple[str, ...]] = ("Msid",)
    settable: ClassVar[bool] = False

    def inspect(self) -> Current:
        """The rule, under its newer name."""
        number = self.text("Msid")
        if self.text("BaselineName", _LINUX) != _LINUX or number not in KEYS:
            baseline = self.text("BaselineName", _LINUX)
            raise ResourceFault("NotSupported", f"Rule {number} of {baseline} is not evaluated.")
        current = Current({"Msid": number, "PolicyName": self.text("PolicyName"), "BaselineName": _LINUX})
        for key in KEYS[number]:
            failure = self._failure(key)
            if failure:
                current.reasons.append(self.reason(number, failure))
        return current

    def _failure(self, key: str) -> str | None:
        if key in sshd.KEYS:
            finding = sshd.audit(self.host, key, "")
            return None if finding.passed else finding.phrase
        return RULES[key](self.host, DEFAULTS.get(key, ""))
