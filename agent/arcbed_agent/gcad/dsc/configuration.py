"""A configuration: the resources of a document, its parameters applied, in the order they run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from arcbed_agent.gcad.dsc import mof
from arcbed_agent.gcad.dsc.mof import Instance
from arcbed_agent.gcad.dsc.parameters import apply
from arcbed_agent.gcad.dsc.results import Parameter

_DOCUMENT_CLASS = "omi_configurationdocument"
_CREDENTIAL = "msft_credential"


class ConfigurationError(Exception):
    """A configuration that cannot be run at all.

    Args:
        code: such as ``DSC:Configuration:CircularDependency``.
        phrase: one sentence.
    """

    def __init__(self, code: str, phrase: str) -> None:
        super().__init__(phrase)
        self.code = code
        self.phrase = phrase


@dataclass(frozen=True)
class Configuration:
    """What a document asks for.

    Args:
        name: the base name of the file.
        instances: resources in the order of the document.
        order: indices into `instances` in the order they run.
        depends_on: for each instance, the indices it waits for.
        warnings: parameters that name nothing.
    """

    name: str
    instances: list[Instance]
    order: list[int]
    depends_on: list[list[int]]
    warnings: list[str]


def resource_id(instance: Instance) -> str:
    """``ResourceID`` of an instance, or its class when it has none."""
    value = instance.get("ResourceID")
    return value if isinstance(value, str) and value else f"[{instance.class_name}]"


def load(document: Path, parameters: Sequence[Parameter]) -> Configuration:
    """Read `document`.

    Raises:
        ConfigurationError: it is broken, or its dependencies are.
    """
    try:
        everything = mof.read(document)
    except mof.MofError as problem:
        where = f"{document.name}:{problem.line}:{problem.column}"
        raise ConfigurationError("DSC:Document:Invalid", f"{where}: {problem.reason}") from problem
    except OSError as problem:
        raise ConfigurationError(
            "DSC:Document:Unreadable", f"{document.name}: {problem.strerror}"
        ) from problem
    declared = list(resources(everything))
    if not declared:
        raise ConfigurationError("DSC:Document:Empty", f"{document.name} holds no resource.")
    instances, warnings = apply(declared, parameters)
    depends_on = _dependencies(instances)
    return Configuration(document.stem, instances, _ordered(instances, depends_on), depends_on, warnings)


def resources(instances: Iterable[Instance]) -> Iterable[Instance]:
    """The resources among the instances: not the document's own, nor credentials."""
    for instance in instances:
        if instance.class_name.casefold() not in {_DOCUMENT_CLASS, _CREDENTIAL}:
            yield instance


def _dependencies(instances: Sequence[Instance]) -> list[list[int]]:
    by_id = {resource_id(instance).casefold(): index for index, instance in enumerate(instances)}
    found = []
    for instance in instances:
        value = instance.get("DependsOn")
        names = value if isinstance(value, list) else [] if value is None else [value]
        indices = []
        for name in names:
            index = by_id.get(str(name).casefold())
            if index is None:
                raise ConfigurationError(
                    "DSC:Configuration:UnknownDependency",
                    f"{resource_id(instance)} depends on {name}, which is not in the document.",
                )
            indices.append(index)
        found.append(indices)
    return found


def _ordered(instances: Sequence[Instance], depends_on: Sequence[Sequence[int]]) -> list[int]:
    """Depth first, dependencies before dependants, otherwise as the document has it; no recursion."""
    order: list[int] = []
    done: set[int] = set()
    for start in range(len(instances)):
        path = [start] if start not in done else []
        on_path = set(path)
        while path:
            index = path[-1]
            waiting = next((other for other in depends_on[index] if other not in done), None)
            if waiting is None:
                order.append(index)
                done.add(index)
                on_path.discard(path.pop())
            elif waiting in on_path:
                raise ConfigurationError(
                    "DSC:Configuration:CircularDependency",
                    f"{resource_id(instances[waiting])} depends on itself.",
                )
            else:
                path.append(waiting)
                on_path.add(waiting)
    return order
