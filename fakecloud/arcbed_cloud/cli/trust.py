"""``fakecloud trust``: how each client is told to trust this control plane, for one process at a time."""

from __future__ import annotations

import shlex

from arcbed_cloud.cli.options import State, fail, state_folder

CLIENTS = (
    ("Python SDKs, MSAL, Azure CLI", "REQUESTS_CA_BUNDLE"),
    ("Python SDKs (async), Azure CLI cloud metadata, Go", "SSL_CERT_FILE"),
    ("Node.js (read when the process starts)", "NODE_EXTRA_CA_CERTS"),
    ("curl", "CURL_CA_BUNDLE"),
)


def command(state: State = None) -> None:
    """Print settings that make single programs trust the control plane. Nothing is installed."""
    file = (state_folder(state) / "ca.pem").resolve()
    if not file.is_file():
        fail(f"{file} does not exist yet: the first `fakecloud serve` makes it.")
    quoted = shlex.quote(str(file))
    print(f"# Certificate authority: {file}")
    print("# It can vouch for Azure's names, localhost and loopback addresses only.")
    print("# Prefix a command with one of:\n")
    for clients, variable in CLIENTS:
        print(f"# {clients}\n{variable}={quoted}\n")
    print("# azcmagent: in localconfig.json of the machine")
    print(f'# "tls.caBundle": "{file}"')
    print(
        "\n# A bundle that replaces the system's holds no public roots: set it only where you talk to arcbed."
    )
