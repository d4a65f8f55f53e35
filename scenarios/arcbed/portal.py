"""What the Azure portal would hand out: the onboarding script of "Add servers with Azure Arc".

Source: Microsoft's articles "Connect hybrid machines to Azure using a deployment script" and "Connect hybrid
machines to Azure at scale". Variables, steps and their order are the portal's. One thing is not: the
principal's secret goes to azcmagent in a file, since every user of a machine can read the arguments of its
processes.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

HIS = {
    "AzureCloud": "https://gbl.his.arc.azure.com",
    "AzureUSGovernment": "https://gbl.his.arc.azure.us",
    "AzureChinaCloud": "https://gbl.his.arc.azure.cn",
}
_CREDENTIALS = (
    'printf \'{"service-principal-id":"%s","service-principal-secret":"%s"}\' '
    '"$ServicePrincipalId" "$ServicePrincipalClientSecret" > "$credentials"'
)
_TAG_NAME = re.compile(r"[^<>%&\\?/,='\"]{1,512}")
_TAG_VALUE = re.compile(r"[^,'\"=]{0,256}")


@dataclass(frozen=True)
class Principal:
    """A service principal that may onboard."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True)
class Onboarding:
    """What the portal's form is filled in with.

    Args:
        principal: signs in; None lets a person sign in with a device code (``authType`` token).
        cloud: a key of `HIS`.
    """

    subscription_id: str
    resource_group: str
    tenant_id: str
    location: str
    correlation_id: str
    tags: Mapping[str, str] = field(default_factory=dict)
    principal: Principal | None = None
    cloud: str = "AzureCloud"


def linux_script(wanted: Onboarding) -> str:
    """The script to paste into a shell.

    Raises:
        ValueError: a cloud that has no identity service known here, or a tag that azcmagent would refuse.
    """
    if wanted.cloud not in HIS:
        raise ValueError(f"the cloud must be one of {', '.join(HIS)}, not '{wanted.cloud}'")
    return "\n".join(
        [
            *_variables(wanted),
            "",
            *_download(wanted),
            "",
            "# Install the hybrid agent",
            "bash ~/install_linux_azcmagent.sh",
            "sleep 5",
            "",
            *_connect(wanted),
            "",
        ]
    )


def _variables(wanted: Onboarding) -> list[str]:
    values = {
        "subscriptionId": wanted.subscription_id,
        "resourceGroup": wanted.resource_group,
        "tenantId": wanted.tenant_id,
        "location": wanted.location,
        "authType": "principal" if wanted.principal else "token",
        "correlationId": wanted.correlation_id,
        "cloud": wanted.cloud,
    }
    secret = {}
    if wanted.principal:
        secret = {
            "ServicePrincipalId": wanted.principal.client_id,
            "ServicePrincipalClientSecret": wanted.principal.client_secret,
        }
    return [
        *(f"{name}={shlex.quote(value)}" for name, value in secret.items()),
        *([""] if secret else []),
        *(f"export {name}={shlex.quote(value)}" for name, value in values.items()),
    ]


def _download(wanted: Onboarding) -> list[str]:
    his = HIS[wanted.cloud]
    body = {
        "subscriptionId": "$subscriptionId",
        "resourceGroup": "$resourceGroup",
        "tenantId": "$tenantId",
        "location": "$location",
        "correlationId": "$correlationId",
        "authType": "$authType",
        "operation": "onboarding",
        "messageType": "DownloadScriptFailed",
        "message": "$LINUX_INSTALL_SCRIPT_OUTPUT",
    }
    report = json.dumps(body, separators=(",", ":")).replace('"', '\\"')
    return [
        "# Download the installation script",
        f"LINUX_INSTALL_SCRIPT_OUTPUT=$(wget {his}/azcmagent-linux -O ~/install_linux_azcmagent.sh 2>&1)",
        "if [ $? != 0 ]; then",
        f'    wget -qO- --method=PUT --body-data="{report}" "{his}/log" > /dev/null 2>&1 || true',
        "fi",
        'echo "$LINUX_INSTALL_SCRIPT_OUTPUT"',
    ]


def _connect(wanted: Onboarding) -> list[str]:
    arguments = [
        '--resource-group "$resourceGroup"',
        '--tenant-id "$tenantId"',
        '--location "$location"',
        '--subscription-id "$subscriptionId"',
        '--cloud "$cloud"',
    ]
    if wanted.tags:
        arguments.append(f"--tags {shlex.quote(_tags(wanted.tags))}")
    arguments.append('--correlation-id "$correlationId"')
    if wanted.principal is None:
        return ["# Run connect command", " ".join(["sudo azcmagent connect", *arguments])]
    # printf is a part of the shell: the secret never is an argument of a process.
    return [
        "# Run connect command; the principal's secret goes by a file, not by the command line",
        "credentials=$(mktemp)",
        _CREDENTIALS,
        " ".join(['sudo azcmagent connect --config "$credentials"', *arguments]),
        'rm -f "$credentials"',
    ]


def _tags(tags: Mapping[str, str]) -> str:
    for name, value in tags.items():
        if not _TAG_NAME.fullmatch(name) or not _TAG_VALUE.fullmatch(value):
            raise ValueError(f"the tag {name}={value} cannot be written in an onboarding script")
    return ",".join(f"{name}={value}" for name, value in tags.items())
