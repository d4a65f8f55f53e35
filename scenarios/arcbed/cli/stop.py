"""``arcbed stop``."""

from __future__ import annotations

from arcbed.cli.console import STATE, StateOption, console, fail


def stop(state: StateOption = STATE) -> None:
    """Stop the control plane; its state stays."""
    from arcbed.harness import detached
    from arcbed.harness.errors import BedError

    running = detached.find(state)
    if running is None:
        console().print(f"No control plane runs on {state}.")
        return
    try:
        detached.stop(running)
    except BedError as error:
        fail(str(error))
    console().print(f"Stopped. The state stays in {state}.")
