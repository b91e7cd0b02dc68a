"""The arguments of CREATE VIRTUAL TABLE … USING audiomem: a path, columns and options; and the table."""

from __future__ import annotations

import os
from collections.abc import Sequence

from audiomem_sql.columns.arguments import is_option, parse_options
from audiomem_sql.columns.column import HIDDEN, fold, quote
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.errors import OptionError, SchemaError, StorageError
from audiomem_sql.machine.file_names import is_there
from audiomem_sql.search import allow_model
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.table import Table
from audiomem_sql.vtab.interface import Host


def create(host: Host, database: str, name: str, arguments: Sequence[str]) -> Table:
    """A table at a new file, or at one that exists; its columns may then be left out."""
    path, definitions, options = _parse(arguments)
    path = _resolve(host, database, path)
    if is_there(path) or options.get("salvage", "off").lower() == "on":
        return _open_existing(path, definitions, options)
    if not definitions:
        raise StorageError(
            "there is no such file, and no columns are given to create it with",
            file=path,
            remedy="Check the path, or name the columns behind it: "
            "'notes.flac', id INTEGER PRIMARY KEY, body TEXT.",
        )
    schema = parse_columns(definitions)
    hidden_names(name, schema)
    return Table.create(path, schema, options)


def connect(host: Host, database: str, arguments: Sequence[str]) -> Table:
    """The table again, from the schema of a database that was closed meanwhile; nothing is created."""
    path, definitions, options = _parse(arguments)
    return _open_existing(_resolve(host, database, path), definitions, options, again=True)


def declaration(name: str, schema: Schema) -> str:
    """The statement that tells SQLite the columns of the table called ``name``."""
    hidden = ", ".join(f"{quote(column)} HIDDEN" for column in hidden_names(name, schema))
    return f"CREATE TABLE x({schema.declaration()}, {hidden})"


def hidden_names(name: str, schema: Schema) -> list[str]:
    """The hidden columns: one with the table's name, then rank, distance, k, version, as_of.

    Where a column has the table's name already, the hidden one gets an underscore behind it.
    """
    own = name
    while own in schema or fold(own) in HIDDEN:
        own += "_"
    return [own, *HIDDEN]


def _parse(arguments: Sequence[str]) -> tuple[str, list[str], dict[str, str]]:
    """(path, column definitions, options) of the arguments of CREATE VIRTUAL TABLE."""
    if not arguments or not arguments[0].strip():
        raise OptionError(
            "audiomem needs the path of a FLAC file",
            remedy="Write: CREATE VIRTUAL TABLE t USING audiomem('t.flac', …).",
        )
    path = arguments[0].strip()
    if path[0] in "'\"" and path[-1] == path[0] and len(path) > 1:
        path = path[1:-1].replace(path[0] * 2, path[0])
    definitions = [argument for argument in arguments[1:] if not is_option(argument)]
    return path, definitions, parse_options(argument for argument in arguments[1:] if is_option(argument))


def _resolve(host: Host, database: str, path: str) -> str:
    """A relative path starts at the folder of the database file, so that the two travel together."""
    if path.startswith("~"):
        path = os.path.expanduser(path)
    folder = os.path.dirname(host.db_filename(database) or "")
    return os.path.abspath(os.path.join(folder, path))


def _open_existing(
    path: str, definitions: list[str], options: dict[str, str], *, again: bool = False
) -> Table:
    """The table at ``path``. again: it was created long ago, and its columns may have changed since."""
    table = Table(
        path,
        version=options.pop("version", None),
        as_of=options.pop("as_of", None),
        salvage=_salvage(options),
        on_damage=options.pop("on_damage", "fail").lower(),
    )
    try:
        changed = again and table.migrations
        if definitions and not changed and parse_columns(definitions) != table.schema:
            raise SchemaError(
                f"the columns given are not those of the file, which has {table.schema.sql()}",
                file=path,
                remedy="Leave the columns out: the file knows its own.",
            )
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
                allow_model(table.options.model)
    except BaseException:
        table.close()
        raise
    return table


def _salvage(options: dict[str, str]) -> bool:
    """Take ``salvage=on`` out of the options: how the file is opened, not how it was made."""
    chosen = options.pop("salvage", "off").lower()
    if chosen not in ("on", "off"):
        raise OptionError(f"salvage is on or off, not {chosen!r}")
    return chosen == "on"
