"""The search page of a table: rows found by words, by meaning or by both, with snippets and places."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from datasette import NotFound, Response
from datasette.utils import sqlite_timelimit, tilde_decode
from datasette.utils.sqlite import sqlite3
from markupsafe import Markup, escape

from audiomem_sql.columns.column import quote
from audiomem_sql.datasette_plugin.database import AudioMemDatabase

#: Rows on a page, unless ``k`` says how many.
ROWS = 20
MOST_ROWS = 200
#: Milliseconds that a search by meaning may take, if datasette allows less: the first one loads a model.
MODEL_MS = 30_000
#: What stands around the words that were found, until the text was made HTML: no text has these.
_OPEN, _CLOSE = "\ue000", "\ue001"
_PREFIXES = {"words": "words: ", "meaning": "semantic: ", "hybrid": "hybrid: "}
#: Columns that say where a row was read.
SOURCE, PLACE = "source", "place"


async def search_page(datasette: Any, request: Any) -> Any:
    """The page, or the same as JSON."""
    database, opened = await _asked(datasette, request)
    query = (request.args.get("q") or "").strip()
    mode = request.args.get("mode") or opened.modes[0]
    if mode not in opened.modes:
        mode = opened.modes[0]
    found: list[dict[str, Any]] = []
    problem = None
    if query:
        try:
            found = await _found(datasette, database, opened, query, mode, _rows(request.args.get("k")))
        except sqlite3.Error as error:
            problem = str(error)
            if problem == "interrupted":
                problem = "The search took longer than datasette's setting sql_time_limit_ms allows."
    if request.url_vars["format"]:
        if problem:
            return Response.json({"ok": False, "error": problem}, status=400)
        return Response.json(
            {"ok": True, "query": query, "mode": mode, "rows": [_plain(row) for row in found]}
        )
    context = {
        "database": database,
        "table": opened.table,
        "query": query,
        "mode": mode,
        "modes": opened.modes,
        "found": found,
        "problem": problem,
        "table_url": datasette.urls.table(database, opened.table),
    }
    page = await datasette.render_template("audiomem_search.html", context, request=request)
    return Response.html(page, status=400 if problem else 200)


async def _asked(datasette: Any, request: Any) -> tuple[str, AudioMemDatabase]:
    """The database and its table, if the visitor may see them. NotFound for any other."""
    name, table = (tilde_decode(request.url_vars[part]) for part in ("database", "table"))
    try:
        opened = datasette.get_database(route=name)
    except KeyError:
        raise NotFound(f"There is no database {name}") from None
    if not isinstance(opened, AudioMemDatabase) or opened.table != table or not opened.modes:
        raise NotFound(f"{table} has nothing that is searched")
    await datasette.ensure_permissions(
        request.actor,
        [("view-table", (opened.name, table)), ("view-database", opened.name), "view-instance"],
    )
    return opened.name, opened


def _rows(text: str | None) -> int:
    return max(1, min(MOST_ROWS, int(text))) if text and text.isascii() and text.isdecimal() else ROWS


async def _found(
    datasette: Any, name: str, opened: AudioMemDatabase, query: str, mode: str, count: int
) -> list[dict[str, Any]]:
    table = quote(opened.table)
    shown = [each for each in opened.columns if each not in opened.searched]
    texts = [opened.columns.index(each) for each in opened.searched]
    snippets = [f"snippet({table}, {index}, :open, :close, '…', 48)" for index in texts]
    columns = ", ".join([quote(opened.row_key), "audiomem_rank", *snippets, *map(quote, shown)])
    statement = (
        f"SELECT {columns} FROM {table} WHERE {table} MATCH :query AND audiomem_k = :k ORDER BY audiomem_rank"
    )
    values_of = {"open": _OPEN, "close": _CLOSE, "query": _PREFIXES[mode] + query, "k": count}
    limit = datasette.setting("sql_time_limit_ms")
    limit = limit if mode == "words" else max(limit, MODEL_MS)

    def search(connection: Any) -> list[Any]:
        with sqlite_timelimit(connection, limit):
            return list(connection.execute(statement, values_of).fetchall())

    rows = []
    for row in await opened.execute_fn(search):
        values = dict(zip(shown, list(row)[2 + len(texts) :], strict=True))
        place = values.get(PLACE)
        rows.append(
            {
                "key": row[0],
                "url": datasette.urls.row(name, opened.table, str(row[0])),
                "rank": row[1],
                "texts": dict(zip(opened.searched, map(_marked, list(row)[2:]), strict=False)),
                "values": {
                    key: value for key, value in values.items() if not isinstance(value, bytes | None)
                },
                "link": link_to(values.get(SOURCE), place, opened.path),
            }
        )
    return rows


def _marked(text: str | None) -> Markup | None:
    """A snippet as HTML, its words marked."""
    if text is None:
        return None
    return Markup(str(escape(text)).replace(_OPEN, "<mark>").replace(_CLOSE, "</mark>"))


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    texts = {name: None if text is None else str(text) for name, text in row["texts"].items()}
    return {**row, "texts": texts}


def link_to(source: Any, place: Any, table: str) -> str | None:
    """A URL of the place that a row was read from: of a page of the web, or of a file that is there."""
    if not isinstance(source, str) or not source:
        return None
    fragment = f"#{place}" if isinstance(place, str) and place else ""
    if urlsplit(source).scheme in ("http", "https"):
        return source + fragment
    path = source if os.path.isabs(source) else os.path.join(os.path.dirname(os.path.abspath(table)), source)
    return Path(path).as_uri() + fragment if "\x00" not in path and os.path.exists(path) else None
