"""The positional arguments of ``azcmagent config``."""

from __future__ import annotations

from arcbed_agent.cli.command import Arguments
from arcbed_agent.config import Property, property_named
from arcbed_agent.errors import AgentError

_ADVICE = "azcmagent config info lists the properties."


def one_property(arguments: Arguments) -> Property:
    """The property that is the only word.

    Raises:
        AgentError: 16, there is no word; 101, there are more; 23, there is no such property.
    """
    if not arguments.words:
        raise AgentError(16, "the name of a property is missing", _ADVICE)
    if len(arguments.words) > 1:
        raise AgentError(101, f'unexpected argument "{arguments.words[1]}"')
    return known(arguments.words[0])


def known(name: str) -> Property:
    """The property called `name`.

    Raises:
        AgentError: 23, there is none.
    """
    try:
        return property_named(name)
    except AgentError as error:
        error.advice = error.advice or _ADVICE
        raise
