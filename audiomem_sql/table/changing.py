"""How the columns of a table change, and what they are searched by."""

from __future__ import annotations

from collections.abc import Sequence

from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import InFile, OptionError, did_you_mean
from audiomem_sql.machine.progress import Progress
from audiomem_sql.migrations.changes import DropSemantic, IndexColumn, SchemaChange, UnindexColumn
from audiomem_sql.table.schema_changes import SchemaChanges

#: What a column of texts is searched by.
INDEXES = ("words", "semantic")


class Changing:
    """The changes of the columns of a table."""

    _schema_changes: SchemaChanges

    @property
    def path(self) -> str:
        """Where the table is."""
        raise NotImplementedError

    @property
    def schema(self) -> Schema:
        """The columns."""
        raise NotImplementedError

    @property
    def version(self) -> int:
        """The number of the version."""
        raise NotImplementedError

    def vacuum(self, *, progress: Progress | None = None) -> int:
        """Write the rows again."""
        raise NotImplementedError

    def alter(self, change: SchemaChange | str, *, message: str | None = None) -> int:
        """Change the columns, in a commit of its own; the new version.

        Older versions keep the columns that they had.

        change: ``"add column year INTEGER DEFAULT 2000"``, ``"drop column year"``, ``"rename column year TO
        born"``, ``"index column body"``, ``"alter column body set semantic"``, or one of the objects of
        :mod:`audiomem_sql.migrations` that they describe. SchemaError for what cannot be done. No row is
        written: those that are there have the DEFAULT in a new column.
        """
        return self._schema_changes.alter(change, message)

    def reembed(
        self,
        model: str | None = None,
        *,
        model_backend: str | None = None,
        progress: Progress | None = None,
        passages: str | None = None,
        vector_codes: str | None = None,
    ) -> int:
        """Make all vectors anew, with ``model`` and its ``model_backend`` from now on; the new version.

        Either is, by default, the one that the table has. passages: ``on``, ``off`` or tokens, from now on:
        whether texts that are longer than the window of the model are cut. vector_codes: ``compact`` or
        ``fine``, from now on: how finely vectors are stored.

        The first commit gives the table other columns of vectors, the following ones fill them, some thousand
        rows each: one that is stopped goes on where it stopped, when it is called again with the same model.
        Older versions keep theirs. progress: called with rows done and rows in all.
        """
        return self._schema_changes.reembed(model, model_backend, progress, passages, vector_codes)

    def reindex(
        self,
        *,
        add: str | None = None,
        drop: str | None = None,
        columns: str | Sequence[str] | None = None,
        tokenize: str | None = None,
        model: str | None = None,
        model_backend: str | None = None,
        passages: str | None = None,
        vector_codes: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Search columns of texts by ``words``, or by meaning (``semantic``), too, or no longer; the version.

        add, drop: which. columns: by default, for words all of TEXT, for meaning ``body``, or the only one of
        TEXT; of what is dropped, all that have it. tokenize: how texts become words, as in INDEXED. The
        others: as in :meth:`reembed`, for meaning. With neither, all indexes are written anew.

        Each change is a commit, and older versions keep what they had. Words are indexed by a vacuum that
        keeps all versions. Vectors are made some hundred rows in a commit: when that is stopped, the same
        call goes on. progress: called with rows done and rows in all.
        """
        with InFile(self.path):
            what = add if add is not None else drop
            if add is not None and drop is not None:
                raise OptionError("add and drop are two calls", remedy="Make one after the other.")
            if what is not None and what not in INDEXES:
                raise OptionError(
                    f"there is no index {what!r:.40}",
                    remedy=f"{did_you_mean(what, INDEXES)}Say words, or semantic.",
                )
            meaning = {
                "model": model,
                "model_backend": model_backend,
                "passages": passages,
                "vector_codes": vector_codes,
            }
            _check_settings(add, tokenize, meaning)
            names = [] if what is None else self._columns_for(what, columns, dropped=add is None)
        if add == "semantic":
            return self._schema_changes.add_meaning(
                names, model, model_backend, progress, passages, vector_codes
            )
        for name in names:
            if drop is not None:
                self.alter((UnindexColumn if drop == "words" else DropSemantic)(name))
            elif (change := self._of_words(name, tokenize)) is not None:
                self.alter(change)
        if drop is None:
            self.vacuum(progress=progress)
        return self.version

    def _columns_for(self, what: str, columns: str | Sequence[str] | None, *, dropped: bool) -> list[str]:
        """The columns that are meant. OptionError, or SchemaError, if there are none."""
        texts = [column for column in self.schema.visible.columns if column.type.kind is Kind.TEXT]
        if columns is not None:
            names = [columns] if isinstance(columns, str) else list(columns)
            for name in names:
                if self.schema[name] not in texts:
                    raise OptionError(
                        f"column {name} is {self.schema[name].type}, and only TEXT has words and meaning",
                        remedy=f"Name one of: {', '.join(text.name for text in texts)}.",
                    )
            return names
        if dropped:
            chosen = [text for text in texts if (text.indexed if what == "words" else text.semantic)]
        elif what == "words":
            default = [text for text in texts if text.name in ("title", "body")]
            chosen = default if any(text.name == "body" for text in default) else texts
        else:
            chosen = [text for text in texts if text.semantic or text.name == "body"] or texts
            if len(chosen) > 1 and not any(text.semantic for text in chosen):
                raise OptionError(
                    "several columns have texts",
                    remedy=f"Say which: columns={[text.name for text in texts]!r:.200}.",
                )
        if not chosen:
            said = "no column has it" if dropped else "there is no column of TEXT"
            raise OptionError(f"{what}: {said}", remedy="`audiomem info` shows the columns.")
        return [text.name for text in chosen]

    def _of_words(self, name: str, tokenize: str | None) -> IndexColumn | None:
        """The change that gives a column its index of words; None if it has that already."""
        options = "" if tokenize is None else "tokenize='{}'".format(tokenize.replace("'", "''"))
        change = IndexColumn(name, options)
        column = self.schema[name]
        if column.indexed and (tokenize is None or change.is_done_in(column)):
            return None
        return change


def _check_settings(add: str | None, tokenize: str | None, meaning: dict[str, str | None]) -> None:
    """OptionError for what belongs to another index."""
    if tokenize is not None and add != "words":
        raise OptionError("tokenize is how words are made", remedy="Say it with add='words'.")
    given = [name for name, value in meaning.items() if value is not None]
    if given and add != "semantic":
        raise OptionError(f"{given[0]} is of a search by meaning", remedy="Say it with add='semantic'.")
