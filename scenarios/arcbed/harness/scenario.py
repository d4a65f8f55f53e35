"""Scripted scenarios: how one is declared, and where they are found.

A story is a module below `arcbed.stories` with a coroutine function decorated by `scenario`.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from arcbed.harness.bed import Bed
from arcbed.harness.contract import CloudOptions
from arcbed.harness.errors import BedError

Story = Callable[[Bed], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A story that can be run.

    Args:
        name: how it is called on the command line, ``field/name`` for reproductions of reported problems.
        title: one line.
        about: what a reader wants to know before it runs.
        options: the control plane it needs.
        needs: what the place must have, see `arcbed.harness.places.Place.lacks`; elsewhere it is not covered.
        story: the function.
        long: it takes minutes.
        alone: it measures time or CPU, and holds only on a machine that does nothing else.
    """

    name: str
    title: str
    about: str
    options: CloudOptions
    story: Story
    needs: tuple[str, ...] = ()
    long: bool = False
    alone: bool = False


def scenario(
    title: str,
    *,
    options: CloudOptions | None = None,
    needs: tuple[str, ...] = (),
    long: bool = False,
    alone: bool = False,
) -> Callable[[Story], Scenario]:
    """Declare a story; its name is that of its module, its docstring is shown in reports."""

    def declare(story: Story) -> Scenario:
        path = story.__module__.partition("stories.")[2] or story.__module__
        return Scenario(
            name=path.replace(".", "/").replace("_", "-"),
            title=title,
            about=inspect.getdoc(story) or "",
            options=options or CloudOptions(),
            needs=needs,
            long=long,
            alone=alone,
            story=story,
        )

    return declare


def discover() -> Mapping[str, Scenario]:
    """Every story that came with this copy of arcbed, by name, field reproductions last."""
    from arcbed import stories

    found = [
        value
        for module in pkgutil.walk_packages(stories.__path__, f"{stories.__name__}.")
        if not module.ispkg
        for value in vars(importlib.import_module(module.name)).values()
        if isinstance(value, Scenario)
    ]
    return {one.name: one for one in sorted(found, key=lambda one: ("/" in one.name, one.name))}


def named(*names: str) -> list[Scenario]:
    """The stories called `names`, in that order; a file's name, as ``cut_machine``, will do.

    Raises:
        BedError: there is none of that name.
    """
    known = discover()
    wanted = [name.replace("_", "-") for name in names]
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise BedError(f"no scenario called {name}; {hint}`arcbed list` shows all")
    return [known[name] for name in wanted]
