"""What a source of rows is: columns that it decides on, and batches of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from audiomem_sql.columns.column import Column, fold
from audiomem_sql.importing.bad_lines import BadLines
from audiomem_sql.importing.inputs import Inputs


class MisfitError(Exception):
    """A row does not fit the columns that the rows before it told. It never leaves the room."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked of a source.

    declared: columns whose types the user or the table says, by folded name. table: of a database, or the
    sheet of a workbook. header: whether the first line names the columns. sorted_by: a column whose values
    the rows come in the order of, where the source can do that.
    """

    declared: Mapping[str, Column] = field(default_factory=dict)
    table: str | None = None
    header: bool = True
    sorted_by: str | None = None

    def of(self, name: str) -> Column | None:
        """The column that is declared, if it is."""
        return self.declared.get(fold(name))


class RowSource(Protocol):
    """Rows of files of one kind."""

    @property
    def key(self) -> str | None:
        """The primary key that the source says, if it does."""
        ...

    @property
    def sorts(self) -> bool:
        """Whether it heeds ``Wishes.sorted_by``."""
        ...

    def schema(self, whole: bool) -> pa.Schema:
        """The columns, by a look at the first rows, or at all of them if ``whole``."""
        ...

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, with the columns of the schema that was decided last.

        MisfitError where rows do not fit it, which cannot be if the whole was looked at.
        """
        ...

    def done(self) -> tuple[int, int]:
        """Bytes of the files that are read, and that there are."""
        ...


class Opener(Protocol):
    """What opens files of one kind."""

    def __call__(self, inputs: Inputs, wishes: Wishes, bad: BadLines) -> RowSource:
        """The rows of the files."""
        ...
