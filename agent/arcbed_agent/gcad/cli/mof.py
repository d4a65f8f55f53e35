"""``gcad mof FILE...``: what a document holds, one JSON object a line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arcbed_agent.gcad.dsc import mof
from arcbed_agent.gcad.dsc.mof import Instance, Reference, Value


def print_instances(files: Sequence[str]) -> int:
    """Print the instances of each file: `class`, `alias` and `properties`.

    Returns:
        1 when a file is broken or cannot be read, with file, line and reason on standard error; the others
        are printed all the same.
    """
    code = 0
    for name in files:
        try:
            instances = mof.read(Path(name))
        except mof.MofError as problem:
            print(problem, file=sys.stderr)
            code = 1
        except OSError as problem:
            print(f"{name}: {problem.strerror}", file=sys.stderr)
            code = 1
        else:
            for instance in instances:
                print(json.dumps(plain(instance)))
    return code


def plain(instance: Instance) -> dict[str, Any]:
    """An instance as JSON; an alias used as a value is ``{"alias": "$Name"}``."""
    return {
        "class": instance.class_name,
        "alias": instance.alias,
        "properties": {name: _value(value) for name, value in instance.properties.items()},
    }


def _value(value: Value) -> Any:
    if isinstance(value, Reference):
        return {"alias": value.alias}
    if isinstance(value, list):
        return [_value(item) for item in value]
    if isinstance(value, Instance):
        return plain(value)
    return value
