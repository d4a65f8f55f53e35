"""The rows of the handler contract, by area."""

from __future__ import annotations

from handler_rules import folders, given, order, running, said, several

ROWS = [*folders.ROWS, *given.ROWS, *running.ROWS, *order.ROWS, *several.ROWS, *said.ROWS]
