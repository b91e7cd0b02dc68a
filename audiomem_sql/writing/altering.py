"""What becomes of a table's columns by a change, and whether the rows that are there allow it."""

from __future__ import annotations

import pyarrow as pa

from audiomem_sql import search
from audiomem_sql.columns.affinity import NO_DIRECTION
from audiomem_sql.columns.checks import checks_of
from audiomem_sql.columns.creation import check_definitions
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.views import valid
from audiomem_sql.errors import ConstraintError
from audiomem_sql.migrations.changes import SchemaChange
from audiomem_sql.scan import scan
from audiomem_sql.storage.segment import AUTO, TableOptions, cuts_texts, matrix
from audiomem_sql.versions import Snapshot


def altered_schema(
    snapshot: Snapshot, change: SchemaChange, options: TableOptions, next_column: int
) -> Schema:
    """The columns after ``change``. next_column: the id of a new one.

    A change that brings a column that is searched by meaning brings one for its vectors, too. SchemaError for
    what cannot be done, ConstraintError when a row of ``snapshot`` violates a CHECK that comes with it, or
    has no direction where directions are compared from now on. MissingExtraError if nobody can say how long
    the vectors of the table's model are.
    """
    before = snapshot.schema
    schema = change.apply(before, next_column)
    check_definitions(schema)
    schema = with_new_vectors(before, schema, options, next_column)
    _check_directions(snapshot, schema)
    checks = checks_of(schema) if len(schema.checks) > len(before.checks) else None
    if checks is not None:
        for batch in scan(snapshot.at(snapshot.version, schema), range(len(schema))):
            checks.check_table(batch.rowids, pa.Table.from_arrays(list(batch.arrays), list(schema.names)))
    return schema


def with_new_vectors(before: Schema, schema: Schema, options: TableOptions, next_column: int) -> Schema:
    """``schema`` with columns of vectors for those columns that are searched by meaning, and have none yet.

    before: the columns so far. next_column: an id from which on those are free that ``schema`` does not use.
    """
    if len(schema.semantic_columns) <= len(schema.vectors):
        return schema
    width = search.dimensions_of(options.model, options.model_backend)
    # a table that is older than passages goes on without
    cuts = cuts_texts(options.passages, options.model) and not (
        options.passages == AUTO and before.vectors and not before.passages
    )
    return schema.with_vectors(width, max(next_column, *schema.ids) + 1, passages=cuts)


def _check_directions(snapshot: Snapshot, schema: Schema) -> None:
    """ConstraintError when a column gets an index by cosine, and a row has a vector of zeros there."""
    for number, column in enumerate(snapshot.schema.columns):
        place = schema.find(column.name)
        if column.needs_direction or place is None or not schema.columns[place].needs_direction:
            continue
        for batch in scan(snapshot, (number,)):
            zeros = valid(batch.arrays[0]) & ~matrix(batch.arrays[0]).any(axis=1)
            if zeros.any():
                raise ConstraintError(
                    f"row {batch.rowids[int(zeros.argmax())]}: {NO_DIRECTION}", place=f"column {column.name}"
                )
