"""azcmagent genkey."""

from __future__ import annotations

from arcbed_agent.cli.command import Arguments, Command
from arcbed_agent.cli.session import Session
from arcbed_agent.errors import AgentError


def run(session: Session, _arguments: Arguments) -> dict[str, str] | None:
    """Make the machine's key if there is none, and print its public half (base64 of PKCS#1 DER).

    Raises:
        AgentError: 67, the key is that of a connected machine; 103, it cannot be made or read.
    """
    from arcbed_agent.config import AgentConfig

    config = AgentConfig.load(session.layout)
    if config.connected or session.layout["registration"].exists():
        raise AgentError(67, "the machine's key is in use", "Disconnect the machine first.")
    public = _public_key(session)
    if session.terminal.as_json:
        return {"publicKey": public}
    session.terminal.result(public)
    return None


def _public_key(session: Session) -> str:
    from arcbed_agent.files import make_folder, write_durably
    from arcbed_agent.himds.keys import MachineKey

    path = session.layout["machine_key"]
    try:
        if path.exists():
            return MachineKey.from_pem(path.read_bytes()).public_text
        key = MachineKey.generate()
        make_folder(path.parent, mode=0o750)
        write_durably(path, key.pem, mode=0o600)
    except OSError as error:
        raise AgentError(103, f"cannot store the key at {path}: {error.strerror}") from error
    return key.public_text


COMMAND = Command(
    "Generate the machine's key pair and print the public key",
    run,
    description="Generate a key pair for connecting a machine asynchronously, and print the public key.",
    needs_root=True,
)
