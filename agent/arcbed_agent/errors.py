"""The agent's errors: one exception, and the documented codes as data.

Source: Microsoft's article "Troubleshoot Azure Connected Machine agent connection issues": tables of codes.
The process exit code is the number of the code: AZCM0042 leaves with 42.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Number to the short text that the agent prints after the code.
CODES: dict[int, str] = {
    0: "Success",
    1: "Unknown Error",
    2: "Internal Agent Error",
    3: "Operation Not Supported",
    4: "Arc Proxy Service Not Running",
    5: "Failed To Open Log File",
    6: "Failed To Initialize",
    11: "Cancelled By User",
    12: "Invalid Access Token",
    16: "Missing Mandatory Parameter",
    18: "Not Running As Root",
    19: "Invalid Config File Path",
    20: "Unknown Region",
    23: "Invalid Parameter Value",
    26: "Network Error",
    27: "Configuration Conflict",
    28: "Failed To Open TPM Device",
    41: "Failed To Obtain Token",
    42: "Failed To Create Resource",
    43: "Failed To Delete Resource",
    44: "Resource Already Exists",
    45: "Failed To Update Key",
    61: "Failed To Reach Agent Service",
    62: "Failed To Connect",
    63: "Failed To Disconnect",
    64: "Agent Service Not Responding",
    65: "Failed To Get Agent Metadata",
    66: "Failed To Get Agent Status",
    67: "Already Connected",
    68: "Failed To Resolve Subscription Name",
    69: "Failed To Update Local Configuration",
    70: "Failed To Read Local Configuration",
    72: "Extension Tool Error",
    73: "Failed To Get Partner Configuration",
    74: "Failed To Add Extension",
    75: "Failed To Get Cloud Configuration",
    76: "Failed To Connect With TPM",
    81: "Failed To Get MSI Certificate",
    82: "Failed To Get MSI Certificate With TPM",
    83: "Failed To Register Persistent Credential",
    101: "Command Execution Error",
    102: "Failed To Get Host Name",
    103: "RSA Key Error",
    104: "Failed To Get Private Key",
    105: "Failed To Sign Message",
    106: "Failed To Save Parameters File",
    107: "Failed To Get Certificate",
    108: "TPM Key Error",
}


@dataclass(eq=False)
class AgentError(Exception):
    """A failure with its documented number.

    Args:
        number: the AZCM number, also the exit code.
        message: one sentence for the person at the terminal.
        advice: what to do next, shown below the message.
    """

    number: int
    message: str
    advice: str = ""

    @property
    def code(self) -> str:
        """``AZCM0042``."""
        return f"AZCM{self.number:04d}"

    @property
    def title(self) -> str:
        """The short text of the code."""
        return CODES.get(self.number, CODES[1])

    def __str__(self) -> str:
        return f"{self.code}: {self.title}: {self.message}"
