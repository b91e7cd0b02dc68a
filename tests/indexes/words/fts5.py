"""FTS5 over a few rows: the judge of the keyword index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw


class Fts5:
    """An FTS5 table in memory, its rowids counted from 0."""

    def __init__(
        self,
        rows: Sequence[Sequence[str | None]],
        columns: Sequence[str] = ("body",),
        tokenize: str = "unicode61",
    ) -> None:
        self.connection = apsw.Connection(":memory:")
        quoted = tokenize.replace('"', '""')
        self.connection.execute(
            f'CREATE VIRTUAL TABLE t USING fts5({", ".join(columns)}, tokenize = "{quoted}")'
        )
        marks = ", ".join("?" * (len(columns) + 1))
        with self.connection:
            for rowid, row in enumerate(rows):
                self.connection.execute(
                    f"INSERT INTO t(rowid, {', '.join(columns)}) VALUES ({marks})", (rowid, *row)
                )

    def rows(self, query: str) -> list[int]:
        """Rowids, ascending."""
        sql = "SELECT rowid FROM t WHERE t MATCH ? ORDER BY rowid"
        return [row[0] for row in self.connection.execute(sql, (query,))]

    def ranked(self, query: str) -> list[tuple[int, float]]:
        """Rowids and bm25(), by rowid."""
        return list(
            self.connection.execute("SELECT rowid, bm25(t) FROM t WHERE t MATCH ? ORDER BY rowid", (query,))
        )

    def shown(self, function: str, query: str, *arguments: Any) -> dict[int, str]:
        """What highlight or snippet make of the first column of each row that matches."""
        marks = "".join(", ?" for _ in arguments)
        sql = f"SELECT rowid, {function}(t, 0{marks}) FROM t WHERE t MATCH ?"
        return dict(self.connection.execute(sql, (*arguments, query)).fetchall())

    def instances(self) -> list[tuple[bytes, int, int]]:
        """(term, row, position) of every token."""
        self.connection.execute("CREATE VIRTUAL TABLE temp.v USING fts5vocab('main', 't', 'instance')")
        sql = "SELECT CAST(term AS BLOB), doc, offset FROM temp.v"
        return [(bytes(term), row, position) for term, row, position in self.connection.execute(sql)]

    def error(self, query: str) -> str | None:
        """What FTS5 says of a query that it refuses."""
        try:
            self.connection.execute("SELECT 1 FROM t WHERE t MATCH ?", (query,)).fetchall()
        except apsw.Error as error:
            return str(error)
        return None
