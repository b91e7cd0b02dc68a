"""A table that is served: its readers, its snapshots, what is told of it, and its writer."""

from __future__ import annotations

import threading
from typing import Any

from audiomem_sql.columns.column import ROWID_NAMES, fold
from audiomem_sql.columns.table_names import table_name
from audiomem_sql.columns.timestamps import render
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import AudioMemError, OptionError, StorageError
from audiomem_sql.machine.file_names import absolute, is_there
from audiomem_sql.machine.urls import is_url, shown
from audiomem_sql.serve.problems import Problem
from audiomem_sql.table.reader import TableReader


class ServedTable:
    """The table in the file, folder or URL ``place``. Safe to use from several threads.

    One reader has the files open; each request gets the snapshot of now of it, or of a version. Whatever
    is committed, or vacuumed, meanwhile does not change what the request sees.
    """

    def __init__(self, place: str) -> None:
        self.place = absolute(place)
        self.name = table_name(place, remedy=f"Make a link with another name: ln -s {place} notes.flac")
        if not is_url(self.place) and not is_there(self.place):
            raise StorageError("there is no such file", file=place, remedy="Check the path.")
        self._lock = threading.Lock()
        self._reader = TableReader(self.place)
        #: Its file, where it is one.
        self.path_of_file = self._reader.files.base
        #: Texts that name where it is, the longest first; none of them leaves the server.
        self.names = sorted(
            {self.place, shown(self.place), place, self._reader.path, self.path_of_file},
            key=len,
            reverse=True,
        )

    def reader(self, version: str | None = None, as_of: str | None = None) -> TableReader:
        """The table as it is now, at a version (number or tag), or at a time; it must not be closed.

        Problem 410 for a version that is not kept any more, QueryError for one that there is not, OptionError
        for a version and a time.
        """
        if version is not None and as_of is not None:
            raise OptionError("version and as_of exclude each other", remedy="Leave one out.")
        with self._lock:
            self._reader.refresh()
            oldest = self._reader.versions[0].number
            if version is not None and version.isdecimal() and int(version[:20]) < oldest:
                raise gone(self._reader, f"version {int(version[:20])} is not kept any more")
            return self._reader.pinned(version, as_of)

    def look(self) -> int:
        """The newest version; a store that is otherwise asked now and then is asked at once."""
        with self._lock:
            stored = getattr(self._reader.files, "stored", None)
            if stored is not None:
                stored.look()
            self._reader.refresh()
            return self._reader.version

    def is_ready(self) -> bool:
        """Whether its files can be read."""
        try:
            return len(self.reader()) >= 0
        except (AudioMemError, OSError):
            return False

    def summary(self) -> dict[str, Any]:
        """What a list of tables says of it."""
        reader = self.reader()
        return {"name": self.name, "rows": len(reader), "version": reader.version}

    def description(self, version: str | None = None, as_of: str | None = None) -> dict[str, Any]:
        """Columns, constraints, counts and the version."""
        reader = self.reader(version, as_of)
        schema = reader.schema
        last = next(each for each in reversed(reader.versions) if each.number <= reader.version)
        return {
            "name": self.name,
            "rows": len(reader),
            "version": reader.version,
            "version_time": render(last.time),
            "columns": [
                {
                    "name": column.name,
                    "type": str(column.type),
                    "definition": column.sql(),
                    "primary_key": column.primary_key,
                    "not_null": column.not_null,
                    "unique": column.unique,
                    "semantic": column.semantic,
                    "indexed": column.indexed or column.vector_index is not None,
                }
                for column in schema.columns
            ],
            "constraints": [check.sql() for check in schema.checks] + [key.sql() for key in schema.keys],
            "tags": reader.tags,
            "model": reader.options.model if schema.semantic_columns else None,
        }

    def versions(self, before: int | None, limit: int) -> dict[str, Any]:
        """The versions that are kept, newest first; ``before`` one, at most ``limit``."""
        reader = self.reader()
        tags: dict[int, list[str]] = {}
        for name, number in sorted(reader.tags.items()):
            tags.setdefault(number, []).append(name)
        kept = [each for each in reversed(reader.versions) if before is None or each.number < before]
        return {
            "version": reader.version,
            "versions": [
                {
                    "version": each.number,
                    "time": render(each.time),
                    "inserted": each.inserted,
                    "deleted": each.deleted,
                    "tags": tags.get(each.number, []),
                    "message": each.message,
                }
                for each in kept[:limit]
            ],
            "next": kept[limit - 1].number if len(kept) > limit else None,
        }

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            self._reader.close()


def gone(reader: TableReader, what: str) -> Problem:
    """410: what was there is not kept any more; the answer says what is."""
    oldest, newest = reader.versions[0].number, reader.version
    tags = "".join(f", {name} ({number})" for name, number in sorted(reader.tags.items()))
    return Problem(
        410,
        f"{what}; kept are versions {oldest} to {newest}{tags}",
        kind="QueryError",
        more={"kept": {"oldest": oldest, "newest": newest, "tags": dict(reader.tags)}},
    )


def key_column(reader: TableReader) -> tuple[str, bool]:
    """(name, whether it is the rowid) of what finds a single row: the primary key, or else the rowid.

    Problem 400 for a key of several columns.
    """
    schema = reader.schema
    alias = schema.rowid_column
    if alias is not None:
        return schema.columns[alias].name, True
    if any(key.primary for key in schema.keys):
        raise Problem(400, "the key has several columns; ask for rows with where=… and parameter=…")
    for column in schema.columns:
        if column.primary_key:
            return column.name, False
    taken = {fold(name) for name in schema.names}
    return next((name for name in ROWID_NAMES if name not in taken), ROWID_NAMES[0]), True


def is_text(reader: TableReader, name: str) -> bool:
    """Whether a column holds texts, so that a key in a path is one as it stands."""
    kind = reader.schema[name].type
    return kind.logical is not None or kind.kind in (Kind.TEXT, Kind.JSON, Kind.TIMESTAMP)
