"""The two hashes of a guest assignment, as recorded answers of Azure show them.

Built-in policies compare `parameter_hash` in their existence condition, so not a byte may differ.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping


def parameter_text(parameters: Iterable[Mapping[str, str]]) -> str:
    """``name=value`` pairs joined by ``,`` in the order of definition; empty for no parameters."""
    return ",".join(f"{parameter['name']}={parameter['value']}" for parameter in parameters)


def parameter_hash(text: str) -> str:
    """``parameterHash``: the text of `parameter_text`, UTF-8 in base64."""
    return base64.b64encode(text.encode()).decode()


def assignment_hash(content_hash: str | None, text: str) -> str:
    """``assignmentHash``: the package's SHA-256 and that of the parameters' text, in capitals, around a dot.

    Args:
        content_hash: hex, in any case; None for an assignment whose content is not known.
        text: of `parameter_text`.
    """
    return f"{(content_hash or '').upper()}.{hashlib.sha256(text.encode()).hexdigest().upper()}"
