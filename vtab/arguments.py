"""The arguments of CREATE VIRTUAL TABLE … USING audiomem: a path, columns and options; and the table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from audiomem_sql import search
from audiomem_sql.columns.arguments import is_option, parse_options
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.columns.table_names import is_utf8, path_of, table_name
from audiomem_sql.columns.tokenizers import AUTO
from audiomem_sql.errors import InFile, OptionError, SchemaError, StorageError, UnsupportedError
from audiomem_sql.machine import file_names
from audiomem_sql.machine.file_names import is_there
from audiomem_sql.machine.urls import is_url
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.sharded_creation import SHARD_OPTIONS, check_same_shards
from audiomem_sql.table.table import Table
from audiomem_sql.versions import AlreadyThereError
from audiomem_sql.vtab.hidden_columns import HiddenColumns, only_prefixed
from audiomem_sql.vtab.interface import Host

#: Options that say how a connection has a table; the others are kept in the file.
_OF_CONNECTION = ("hidden", "version", "as_of", "salvage", "on_damage", "cache", "partial", "replicas")
_SWITCHES = {"on": True, "off": False, "1": True, "0": False}


@dataclass(frozen=True, slots=True)
class Declared:
    """A table of a connection: that of the engine, and the hidden columns that SQL has behind its own."""

    table: Table
    hidden: HiddenColumns

    @property
    def declaration(self) -> str:
        """The statement that tells SQLite the columns."""
        return f"CREATE TABLE x({self.table.schema.declaration()}, {self.hidden.declaration()})"


def create(host: Host, database: str, name: str, arguments: Sequence[str]) -> Declared:
    """A table at a new file, or at one that exists; its columns may then be left out."""
    path, definitions, options = _parse(arguments)
    file = _resolve(host, database, path)
    _resolve_replicas(host, database, options)
    with InFile(file):
        table_name(path, name, remedy="Write the name of the table in UTF-8.")
        prefixed = only_prefixed(options)
        table = _created(file, definitions, options)
    return Declared(table, HiddenColumns.of(name, table.schema, prefixed=prefixed))


def connect(host: Host, database: str, name: str, arguments: Sequence[str]) -> Declared:
    """The table again, from the schema of a database that was closed meanwhile; nothing is created."""
    path, definitions, options = _parse(arguments)
    file = _resolve(host, database, path)
    _resolve_replicas(host, database, options)
    with InFile(file):
        prefixed = only_prefixed(options)
        table = _open_existing(file, definitions, options, again=True)
    return Declared(table, HiddenColumns.of(name, table.schema, prefixed=prefixed))


def joined(table: Table, name: str, arguments: Sequence[str]) -> Declared:
    """A table of the engine that the connection has open already, connected to once more."""
    _, _, options = _parse(arguments)
    return Declared(table, HiddenColumns.of(name, table.schema, prefixed=only_prefixed(options)))


def is_missing(host: Host, database: str, arguments: Sequence[str]) -> bool:
    """Whether the file that a schema names is not there."""
    path, _, options = _parse(arguments)
    if options.get("salvage", "off").lower() == "on" or options.get("replicas"):
        return False
    return not is_there(_resolve(host, database, path))


def missing_declaration(name: str, arguments: Sequence[str]) -> str:
    """What is declared of a table whose file is missing: the columns that the schema names, if it does.

    One visible column is needed; no statement gets as far as reading it.
    """
    _, definitions, options = _parse(arguments)
    schema = parse_columns(definitions or ['"the file is missing" TEXT'])
    hidden = HiddenColumns.of(name, schema, prefixed=only_prefixed(options))
    return f"CREATE TABLE x({schema.declaration()}, {hidden.declaration()})"


def _created(path: str, definitions: list[str], options: dict[str, str]) -> Table:
    if is_url(path) and definitions:
        return _created_at_url(path, definitions, options)
    if is_there(path) or options.get("salvage", "off").lower() == "on" or options.get("replicas"):
        return _open_existing(path, definitions, options)
    if not definitions:
        raise StorageError(
            "there is no such file, and no columns are given to create it with",
            file=path,
            remedy="Check the path, or name the columns behind it: "
            "'notes.flac', id INTEGER PRIMARY KEY, body TEXT.",
        )
    return Table.create(path, definitions, options)


def _created_at_url(path: str, definitions: list[str], options: dict[str, str]) -> Table:
    """A table at a URL; the one that is there, if there is one, or nothing can be written there."""
    own = {name: value for name, value in options.items() if name not in _OF_CONNECTION}
    try:
        Table.create(path, definitions, own).close()
    except (AlreadyThereError, UnsupportedError):
        return _open_existing(path, definitions, options)
    return _open_existing(path, [], {name: options[name] for name in options if name not in own})


def _parse(arguments: Sequence[str]) -> tuple[str, list[str], dict[str, str]]:
    """(path, column definitions, options) of the arguments of CREATE VIRTUAL TABLE."""
    if not arguments or not arguments[0].strip():
        raise OptionError(
            "audiomem needs the path of a FLAC file",
            remedy="Write: CREATE VIRTUAL TABLE t USING audiomem('t.flac', …).",
        )
    path = path_of(arguments[0])
    for argument in arguments[1:]:
        if not is_utf8(argument):
            raise SchemaError(
                f"{os.fsencode(argument.strip())[:60]!r} is not UTF-8",
                file=path,
                remedy="Write names and options in UTF-8; the path may be any bytes.",
            )
    definitions = [argument for argument in arguments[1:] if not is_option(argument)]
    with InFile(path):
        options = parse_options(argument for argument in arguments[1:] if is_option(argument))
        TableOptions.check_names(options, (*_OF_CONNECTION, *SHARD_OPTIONS))
    if options.get("cache") and not options.get("replicas") and not is_url(path):
        from audiomem_sql.remote.tiers import local_file_is_not_cached  # loaded where it is needed

        raise local_file_is_not_cached(path)
    return path, definitions, options


def _resolve_replicas(host: Host, database: str, options: dict[str, str]) -> None:
    """Let the places of the option ``replicas`` be absolute, from where the path of the table is."""
    if options.get("replicas"):
        places = [each.strip() for each in options["replicas"].split(",")]
        options["replicas"] = ", ".join(_resolve(host, database, each) for each in places if each)


def unquoted(argument: str) -> str:
    """The path that the first argument names, as it is written."""
    path = argument.strip()
    if path[0] in "'\"" and path[-1] == path[0] and len(path) > 1:
        path = path[1:-1].replace(path[0] * 2, path[0])
    return path


def absolute(path: str, database_file: str | None) -> str:
    """A relative path starts at the folder of the database file, so that the two travel together."""
    if path.startswith("~"):
        path = os.path.expanduser(path)
    return file_names.absolute(path, os.path.dirname(database_file or ""))


def _resolve(host: Host, database: str, path: str) -> str:
    return absolute(path, host.db_filename(database))


def _open_existing(
    path: str, definitions: list[str], options: dict[str, str], *, again: bool = False
) -> Table:
    """The table at ``path``. again: it was created long ago, and its columns may have changed since."""
    table = Table(
        path,
        version=options.pop("version", None),
        as_of=options.pop("as_of", None),
        salvage=_switch(options, "salvage"),
        on_damage=options.pop("on_damage", "fail").lower(),
        cache=options.pop("cache", None),
        partial=_switch(options, "partial"),
        replicas=options.pop("replicas", None),
    )
    try:
        changed = again and table.migrations
        if definitions and not changed and not _is_declared_by(table.schema, parse_columns(definitions)):
            raise SchemaError(
                f"the columns given are not those of the file, which has {table.schema.sql()}",
                file=path,
                remedy="Leave the columns out: the file knows its own.",
            )
        check_same_shards(table.snapshot, options)
        if options:
            parsed = TableOptions.parse(options)
            for option in options:
                if options[option].lower() != "auto" and getattr(parsed, option) != getattr(
                    table.options, option
                ):
                    raise OptionError(
                        f"the file was made with {option}={getattr(table.options, option)}",
                        file=path,
                        remedy="Leave the option out: the file knows its own.",
                    )
            if "model" in options and not again:  # what a database says of its tables is no word of the user
                search.allow_model(table.options.model)
    except BaseException:
        table.close()
        raise
    return table


def _is_declared_by(schema: Schema, declared: Schema) -> bool:
    """Whether ``declared`` is a declaration of a table: where INDEXED names no tokenizer, any will do."""
    if len(declared) != len(schema):
        return False
    columns = [
        replace(column, tokenize=own.tokenize) if column.tokenize == AUTO else column
        for column, own in zip(declared.columns, schema.columns, strict=True)
    ]
    return declared.changed(columns) == schema


def _switch(options: dict[str, str], name: str) -> bool:
    """Take ``name=on`` out of the options: how the file is opened, not how it was made."""
    chosen = options.pop(name, "off").lower()
    if chosen not in _SWITCHES:
        raise OptionError(f"{name} is on or off, not {chosen!r}")
    return _SWITCHES[chosen]
