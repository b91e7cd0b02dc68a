"""The statement that writes to a table now, as far as SQLite lets a virtual table see it."""

from __future__ import annotations

from audiomem_sql.columns.column import fold, quote
from audiomem_sql.columns.lexemes import text_literal
from audiomem_sql.errors import UnsupportedError
from audiomem_sql.vtab.interface import WritingHost
from audiomem_sql.vtab.statement_text import HEAD, Writing, read_writing

#: Characters of a text that is whole: one in UTF-8 may be cut before ``HEAD`` characters.
_WHOLE = HEAD // 4


class RunningStatement:
    """Looks at the statement that calls xUpdate of the table ``name`` of ``database``.

    A statement that names the table as its target calls it itself, as a virtual table has no triggers. Any
    other one calls it through a trigger, of which nothing is known.
    """

    def __init__(self, host: WritingHost, database: str, name: str) -> None:
        self._host = host
        self._database = database
        self.name = name
        self._text: str | None = None
        self._writing: Writing | None = None

    def writing(self) -> Writing | None:
        """What the statement says of the table; None if it does not name it, or if that is in doubt."""
        texts = self._host.writing()
        text = texts[0] if len(texts) == 1 else None
        if text is None:
            return None
        if text != self._text:
            self._writing = self._read(text)
            self._text = text
        return self._writing

    def tells_at_the_end(self) -> bool:
        """Whether nobody sees the rowids of the rows that it inserts before they are durable.

        It is no part of a transaction that was begun by hand, no trigger that could go on with
        ``last_insert_rowid()``, and does not name that itself.
        """
        if self._host.in_transaction or self.writing() is None:
            return False
        assert self._text is not None
        return len(self._text) < _WHOLE and "last_insert_rowid" not in self._text.lower()

    def forget(self) -> None:
        """Another table of the same name may be there from now on.

        SQLite begins a transaction, or sets a savepoint, before each statement that makes one.
        """
        self._text = None

    def refuse_returning(self) -> None:
        """UnsupportedError if the statement is an INSERT … RETURNING: its rows would be those that were sent.

        SQLite makes them of the statement's own values before the table has seen any, so that an id or a
        default that the table chose would be NULL.
        """
        for text in self._host.returning():
            if text is not None and self._read(text) is not None:
                raise UnsupportedError(
                    f"INSERT … RETURNING cannot be answered for {self.name}: SQLite does not ask a virtual "
                    "table for the rows that it stored",
                    remedy="Leave RETURNING out, and take last_insert_rowid(), or SELECT the rows. In "
                    "SQLAlchemy: engine.dialect.insert_returning = False.",
                )

    def refuse_command(self, path: str) -> None:
        """UnsupportedError if a trigger may have written the row that is a command: a stranger's, perhaps."""
        if self.writing() is None:
            raise UnsupportedError(
                "a trigger cannot run a command, and none runs inside another statement that writes",
                file=path,
                remedy=f"Run it as a statement of its own, INSERT INTO {self.name}(…), with the name of the "
                "database before that of the table if several databases have such a table.",
            )

    def _read(self, text: str) -> Writing | None:
        """What a statement says of the table; None if the table is not what it writes to."""
        writing = read_writing(text)
        return writing if writing is not None and self._is_target(writing) else None

    def _is_target(self, writing: Writing) -> bool:
        """Whether this table is what the name of the target means."""
        if fold(writing.table) != fold(self.name):
            return False
        if writing.database is not None:
            return fold(writing.database) == fold(self._database)
        # SQLite looks in temp, in main, and then in what is attached
        own = fold(self._database)
        before = {"temp": (), "main": ("temp",)}.get(own, ("temp", "main"))
        if any(self._is_in(database) for database in before):
            return False
        return own in ("temp", "main") or not self._finds(
            "SELECT 1 FROM pragma_database_list AS own JOIN pragma_database_list AS before"
            f" ON own.name = {text_literal(self._database)} COLLATE NOCASE"
            " AND before.seq BETWEEN 2 AND own.seq - 1"
            f" WHERE EXISTS (SELECT 1 FROM pragma_table_info({text_literal(self.name)}, before.name))"
        )

    def _is_in(self, database: str) -> bool:
        """Whether a table or view of this name is in another database of the connection."""
        name = text_literal(self.name)
        return self._finds(
            f"SELECT 1 FROM {quote(database)}.sqlite_master WHERE name = {name} COLLATE NOCASE"
        )

    def _finds(self, sql: str) -> bool:
        return self._host.finds(sql) is not False  # an authorizer may forbid the question
