"""Every documented flag of azcmagent, as data: what is taken, what help prints, what is declined.

Source: Microsoft's articles "azcmagent CLI reference", "azcmagent connect", "azcmagent disconnect",
    "azcmagent check", "azcmagent logs" and "azcmagent show", and the agent's release notes for `since`.
    Flags marked *ours* are the testbed's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["string", "file", "bool"]


@dataclass(frozen=True)
class Flag:
    """One flag.

    Args:
        name: long form without dashes; also its key in a ``--config`` file.
        help: one line.
        short: one letter.
        kind: ``bool`` flags take no value, or one after ``=``.
        since: agent release that brought it.
        aliases: older spellings.
        choices: the values it takes, if they are few.
        secret: its value must never reach a log.
        ours: the product does not have it.
        declined: why it does nothing here; using it is an error that says so.
    """

    name: str
    help: str
    short: str = ""
    kind: Kind = "string"
    since: str = ""
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    secret: bool = False
    ours: bool = False
    declined: str = ""


COMMON = (
    Flag("config", "Path to a JSON or YAML file with flag values", kind="file", since="1.4"),
    Flag("help", "Show help for a command", short="h", kind="bool"),
    Flag("json", "Print the result as JSON", short="j", kind="bool"),
    Flag(
        "log-stderr",
        "Send errors and verbose messages to stderr instead of stdout",
        kind="bool",
        aliases=("useStderr",),
    ),
    Flag("no-color", "Print without colors", kind="bool", since="1.22"),
    Flag("verbose", "Print and log debug messages", short="v", kind="bool"),
)

AUTHENTICATION = (
    Flag("access-token", "Access token for Azure Resource Manager", secret=True),
    Flag("service-principal-id", "Application (client) id of the service principal", short="i"),
    Flag("service-principal-secret", "Secret of the service principal", short="p", secret=True),
    Flag(
        "service-principal-secret-file",
        "File that holds the secret; keeps it off the process list",
        ours=True,
    ),
    Flag(
        "service-principal-cert",
        "PEM or PFX file with certificate and private key, without a password",
        kind="file",
        since="1.41",
    ),
    Flag(
        "service-principal-cert-thumbprint",
        "Certificate in a Windows certificate store",
        since="1.49",
        declined="it reads Windows certificate stores; use --service-principal-cert",
    ),
    Flag(
        "use-device-code",
        "Sign in with a device code (the default without a desktop)",
        kind="bool",
        since="1.22",
    ),
    Flag("use-azcli", "Use the sign-in of the Azure CLI", kind="bool", since="1.59"),
    Flag("tenant-id", "Tenant of the subscription", short="t"),
    Flag("user-tenant-id", "Tenant of the account, when it is another one", since="1.35"),
)

CONNECT = (
    *AUTHENTICATION,
    Flag("subscription-id", "Id or name of the subscription", short="s"),
    Flag("resource-group", "Resource group for the machine; made if it does not exist", short="g"),
    Flag("location", "Azure region for the machine's metadata", short="l"),
    Flag("resource-name", "Name of the machine in Azure (default: host name)", short="n"),
    Flag(
        "use-aws-ec2-hostname",
        "On AWS, use the host name instead of the instance id",
        kind="bool",
        since="1.62",
    ),
    Flag("cloud", "Azure cloud: AzureCloud, AzureUSGovernment or AzureChinaCloud", since="1.0"),
    Flag("tags", "Tags of the machine: Key1=Value1,Key2='a value'"),
    Flag("correlation-id", "GUID that names this onboarding"),
    Flag("private-link-scope", "ARM id of the private link scope", since="1.4"),
    Flag(
        "ignore-network-check",
        "Go on although required endpoints cannot be reached",
        kind="bool",
        since="1.15",
        aliases=("skip-network-check",),
    ),
    Flag("enable-automatic-upgrade", "Let Azure upgrade the agent", kind="bool", since="1.62"),
    Flag(
        "gateway-id",
        "ARM id of an Arc gateway",
        since="1.45",
        declined="there is no Arc gateway and no Arc proxy service in the testbed",
    ),
    Flag(
        "automanage-profile",
        "ARM id of an Automanage profile",
        declined="the control plane has no Microsoft.Automanage provider",
    ),
    Flag(
        "identity-key-store",
        "Where the machine's key is kept",
        since="1.62",
        declined="keys are kept in files; a TPM is not supported",
    ),
)

DISCONNECT = (
    *AUTHENTICATION,
    Flag(
        "force-local-only",
        "Only reset this machine; leave Azure as it is",
        short="f",
        kind="bool",
        since="1.0",
    ),
)

CHECK = (
    Flag("location", "Region to check (default: the machine's own)", short="l"),
    Flag("cloud", "Azure cloud to check; needs --location"),
    Flag(
        "enable-pls-check",
        "Expect private addresses where private link is offered",
        short="p",
        kind="bool",
        since="1.20",
        aliases=("use-private-link",),
    ),
    Flag(
        "extensions",
        "Check endpoints of extensions too: all or sql",
        short="e",
        since="1.41",
        declined="the testbed serves no extension's own endpoints",
    ),
    Flag(
        "include-all",
        "Check optional endpoints too",
        kind="bool",
        since="1.52",
    ),
)

SHOW = (Flag("os", "Add details of the operating system", kind="bool", since="1.29"),)

UPGRADE = (
    Flag("version", "Upgrade to this version, MAJOR.MINOR", since="1.62"),
    Flag("correlation-id", "GUID of the request that this upgrade answers", ours=True),
)

LOGS = (
    Flag("full", "Collect all log files, not only the newest", short="f", kind="bool", since="1.24"),
    Flag("output", "Path of the zip file", short="o", kind="file"),
)

EXTENSION_REMOVE = (
    Flag("name", "Remove this extension", short="n", since="1.39"),
    Flag("all", "Remove all extensions", short="a", kind="bool", since="1.39"),
)

CONFIG_SET = (
    Flag("add", "Add to the list instead of replacing it", short="a", kind="bool"),
    Flag("remove", "Remove from the list instead of replacing it", short="r", kind="bool"),
)
