"""The versions of a catalog and the changes of its columns, packed and checked."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from audiomem_sql.columns.column import MAX_COLUMN_ID
from audiomem_sql.columns.layouts import places_in
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.segment.catalog import Migration, SchemaHistory, Version
from audiomem_sql.storage.segment.checked_values import count, integer

#: Most changes of the columns of a table.
MAX_MIGRATIONS = 1 << 16


def pack_versions(versions: tuple[Version, ...]) -> list[list[Any]]:
    """Versions as lists."""
    return [[v.number, v.time, v.inserted, v.deleted, v.message] for v in versions]


def unpack_versions(value: Any) -> tuple[Version, ...]:
    """The inverse. DamagedFileError unless they are consecutive, and at least one."""
    versions = tuple(
        Version(
            count(number),
            integer(time),
            count(inserted),
            count(deleted),
            None if message is None else str(message),
        )
        for number, time, inserted, deleted, message in value
    )
    numbers = [version.number for version in versions]
    if not numbers or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise DamagedFileError("the catalog's versions are not consecutive")
    return versions


def pack_schemas(history: SchemaHistory) -> list[list[Any]]:
    """The schemas of a history, each with its first version."""
    return [
        [
            version,
            schema.to_catalog(),
            [check.to_catalog() for check in schema.checks],
            [key.to_catalog() for key in schema.keys],
        ]
        for version, schema in history.schemas
    ]


def pack_migrations(history: SchemaHistory) -> list[list[Any]]:
    """The migrations of a history."""
    return [[m.number, m.version, m.text] for m in history.migrations]


def history_of(content: Mapping[str, Any], stored: Schema, first: int, last: int) -> SchemaHistory:
    """The history in the map ``content``.

    stored: the columns of the segment. first, last: its versions. DamagedFileError if it contradicts them.
    """
    schemas = tuple((count(version), Schema.from_catalog(*packed)) for version, *packed in content["schemas"])
    firsts = [version for version, _ in schemas]
    if schemas and (firsts[0] != first or any(b <= a for a, b in pairwise(firsts)) or firsts[-1] > last):
        raise DamagedFileError("the catalog contradicts itself on the columns of its versions")
    for _, schema in schemas:
        places_in(stored, schema)
    migrations = _unpack_migrations(content["migrations"], last)
    if set(firsts[1:]) - {migration.version for migration in migrations}:
        raise DamagedFileError("the catalog has a change of columns that says nothing")
    next_column = count(content["next_column"], MAX_COLUMN_ID + 1)
    if any(column.id >= next_column for _, schema in ((0, stored), *schemas) for column in schema.columns):
        raise DamagedFileError("the catalog contradicts itself on the ids of columns")
    return SchemaHistory(schemas, migrations, next_column)


def _unpack_migrations(value: Any, last_version: int) -> tuple[Migration, ...]:
    if len(value) > MAX_MIGRATIONS:
        raise DamagedFileError("the catalog has more changes of columns than any that is written")
    migrations = tuple(Migration(count(n), count(v), str(text)) for n, v, text in value)
    if any(b.number != a.number + 1 or b.version <= a.version for a, b in pairwise(migrations)) or any(
        m.version > last_version or not m.number for m in migrations
    ):
        raise DamagedFileError("the catalog's changes of columns are not in order")
    return migrations
