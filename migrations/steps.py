"""An application's list of changes, each applied once: the table knows how many it has seen.

The list only ever grows at its end. A program calls :func:`migrate` with all of it whenever it opens a table,
old or new; each step that is missing is committed, and the commit records its number and text in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from audiomem_sql.errors import SchemaError
from audiomem_sql.migrations.changes import IndexColumn, SchemaChange, parse_change


class _Step(Protocol):
    @property
    def number(self) -> int: ...

    @property
    def text(self) -> str: ...


class Migratable(Protocol):
    """A table that can be altered."""

    path: str

    @property
    def migrations(self) -> Sequence[_Step]:
        """The changes that the table went through."""

    def alter(self, change: SchemaChange | str) -> int:
        """Commit a change."""


def migrate(table: Migratable, steps: Sequence[SchemaChange | str]) -> int:
    """Apply those of ``steps`` that ``table`` has not seen; how many they were.

    steps: every change since the table was first created, in order. SchemaError, and nothing is done, when
    the table went through other changes than these.
    """
    expected_texts = [str(_change(step)) for step in steps]
    applied = [step.text for step in table.migrations]
    for number, (text, expected) in enumerate(zip(applied, expected_texts, strict=False), 1):
        if text != expected and not _is_written_out(text, _change(steps[number - 1])):
            raise SchemaError(
                f"step {number} of the table was {text!r}, not {expected!r}",
                place=table.path,
                remedy="Add new steps at the end, and leave those that were applied as they are.",
            )
    if len(applied) > len(expected_texts):
        raise SchemaError(
            f"the table went through {len(applied)} changes, and {len(expected_texts)} are given",
            place=table.path,
            remedy="Use the newer list of steps that it was changed with.",
        )
    for step in steps[len(applied) :]:
        table.alter(step)
    return len(expected_texts) - len(applied)


def _change(step: SchemaChange | str) -> SchemaChange:
    return parse_change(step) if isinstance(step, str) else step


def _is_written_out(text: str, change: SchemaChange) -> bool:
    """Whether ``text`` is what a column of texts makes of an index without options."""
    if not isinstance(change, IndexColumn) or change.options.strip():
        return False
    return text == str(IndexColumn(change.name, "tokenize='auto'"))
