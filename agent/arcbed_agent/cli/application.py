"""From the command line to an exit code."""

from __future__ import annotations

import json
import logging
import os
import random
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from arcbed_agent import AGENT_VERSION
from arcbed_agent.cli.command import COMMANDS, Arguments, Command
from arcbed_agent.cli.failure import report
from arcbed_agent.cli.parsing import Invocation, parse
from arcbed_agent.cli.session import Session
from arcbed_agent.cli.terminal import Terminal
from arcbed_agent.cli.usage import command_usage, group_usage
from arcbed_agent.clock import CommandClock
from arcbed_agent.errors import AgentError
from arcbed_agent.host.layout import Layout
from arcbed_agent.logging import Redactor, open_log


def run(words: Sequence[str]) -> int:
    """Do what `words` say.

    Returns:
        The exit code: the number of the AZCM code, 0 for success.
    """
    layout = Layout.from_environment()
    with CommandClock(_clock_settings(layout), next(iter(words), "help")) as clock:
        return _run(layout, clock, words)


def _clock_settings(layout: Layout) -> Mapping[str, Any]:
    """What the local configuration says of the clock; one that cannot be read is told of later."""
    try:
        document = json.loads(layout["local_config"].read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _run(layout: Layout, clock: CommandClock, words: Sequence[str]) -> int:
    session = Session(
        layout=layout,
        terminal=Terminal(sys.stdout, sys.stderr, as_json=_wants_json(words)),
        clock=clock,
        chance=random.SystemRandom(),
        environment=os.environ,
        waiting=clock.waiting,
    )
    session.log.propagate = False
    session.log.addHandler(logging.NullHandler())
    try:
        return _guarded(session, words)
    finally:
        for handler in list(session.log.handlers):
            session.log.removeHandler(handler)
            handler.close()


def _guarded(session: Session, words: Sequence[str]) -> int:
    """Turn whatever happens into an exit code."""
    try:
        invocation = parse(words)
        _set_up(session, invocation)
        return _dispatch(session, invocation, words)
    except AgentError as error:
        return report(error, session.terminal, session.log)
    except KeyboardInterrupt:
        return report(AgentError(11, "cancelled by the user"), session.terminal, session.log)
    except BrokenPipeError:
        # The reader has gone, as with `azcmagent show | head`; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        session.log.debug("unexpected failure", exc_info=True)
        return report(AgentError(1, f"{type(error).__name__}: {error}"), session.terminal, session.log)


def _wants_json(words: Sequence[str]) -> bool:
    """Known before parsing, so that a command line that cannot be parsed fails in the wanted form too."""
    return any(word in {"-j", "--json"} for word in words)


def _set_up(session: Session, invocation: Invocation) -> None:
    terminal, arguments, command = session.terminal, invocation.arguments, invocation.command
    terminal.as_json = arguments.on("json")
    terminal.log_stderr = arguments.on("log-stderr")
    terminal.verbose = arguments.on("verbose")
    stream = terminal.err if terminal.log_stderr else terminal.out
    if terminal.verbose:
        session.log.setLevel(logging.DEBUG)
        session.log.addHandler(DebugLines(terminal, session.redactor))
    plain = arguments.on("no-color") or "NO_COLOR" in session.environment
    terminal.color = stream.isatty() and not plain
    for flag in command.flags if command else ():
        if flag.secret and (value := arguments.text(flag.name)):
            session.redactor.conceal(value)


class DebugLines(logging.Handler):
    """Shows what the log gets at debug level."""

    def __init__(self, terminal: Terminal, redactor: Redactor) -> None:
        super().__init__(logging.DEBUG)
        self._terminal = terminal
        self._redactor = redactor

    def emit(self, record: logging.LogRecord) -> None:
        """Print `record` if it is at debug level: all others have lines of their own."""
        if record.levelno == logging.DEBUG:
            pairs = "".join(f" {name}={value}" for name, value in getattr(record, "fields", {}).items())
            self._terminal.debug(self._redactor.clean(record.getMessage() + pairs))


def _dispatch(session: Session, invocation: Invocation, words: Sequence[str]) -> int:
    command, arguments = invocation.command, invocation.arguments
    if command is None or arguments.on("help"):
        session.terminal.result(_help(invocation))
        return 0
    _check_rights(session, command)
    _open_log(session, command, arguments)
    session.log.info("azcmagent %s: %s", AGENT_VERSION, shlex.join(["azcmagent", *words]))
    for flag in command.flags:
        if flag.declined and flag.name in arguments.flags:
            raise AgentError(3, f"--{flag.name} is not supported: {flag.declined}")
    document = command.run(session, arguments)
    if document is not None:
        session.terminal.document(document)
    session.log.info("Exit Code: AZCM0000: Success")
    return 0


def _help(invocation: Invocation) -> str:
    if invocation.command is not None:
        return command_usage(invocation.path, invocation.command)
    entry = invocation.entry
    return group_usage(invocation.path, entry, entry.below if entry and entry.below else COMMANDS)


def _check_rights(session: Session, command: Command) -> None:
    """Raises AgentError 18 when `command` is for root and this user is not."""
    if not command.needs_root or session.may_administer():
        return
    if session.production:
        advice = "Run the command again with sudo."
    else:
        advice = f"With ARC_ROOT set the owner of {session.layout.root} may do this as well."
    raise AgentError(18, "you must be root to run this command", advice)


def _open_log(session: Session, command: Command, arguments: Arguments) -> None:
    """Log to azcmagent.log; commands for everybody make no folder for it and go on without it.

    Raises:
        AgentError: 5, a command for root cannot write its log.
    """
    path = session.layout["cli_log"]
    if not command.needs_root and not path.parent.is_dir():
        return
    level = logging.DEBUG if arguments.on("verbose") else logging.INFO
    session.log.setLevel(level)
    try:
        session.log.addHandler(open_log(path, session.clock, redactor=session.redactor, level=level))
    except OSError as error:
        if command.needs_root:
            raise AgentError(5, f"cannot open {path}: {error.strerror}") from error
