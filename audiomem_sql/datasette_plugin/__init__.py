"""A plugin of datasette: `datasette kb.flac` shows a table, with a page that searches it.

Found by its entry point. Databases that are FLAC files are opened by the loadable extension, see `database`;
the search page of a table is `/kb/kb/-/search`, see `search_page`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from datasette import hookimpl

from audiomem_sql.datasette_plugin.database import AudioMemDatabase, is_table_file

#: Where the search page of a table is.
ROUTE = r"/(?P<database>[^/]+)/(?P<table>[^/]+)/-/search(?P<format>\.json)?$"


@hookimpl
def startup(datasette: Any) -> Callable[[], Any]:
    """Open the files that are tables as such, before datasette looks into them as SQLite databases."""

    async def replace() -> None:
        from click import ClickException

        from audiomem_sql.errors import AudioMemError

        for name, database in list(datasette.databases.items()):
            if database.path is None or not is_table_file(database.path):
                continue
            opened = AudioMemDatabase(datasette, str(database.path), is_mutable=database.is_mutable)
            try:
                await opened.look()
            except AudioMemError as error:
                raise ClickException(str(error)) from error
            datasette.remove_database(name)
            datasette.add_database(opened, name=name, route=database.route)

    return replace


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    """The search page."""
    from audiomem_sql.datasette_plugin.search_page import search_page

    return [(ROUTE, search_page)]


@hookimpl(optionalhook=True)
def get_metadata(datasette: Any) -> dict[str, Any]:
    """What lets the search box of datasette's own page of a table work, where words alone are searched.

    A search by meaning ranks all rows, and that page shows whatever was found in an order of its own.
    """
    found = {}
    for name, database in datasette.databases.items():
        if isinstance(database, AudioMemDatabase) and database.modes == ["words"]:
            search = {"fts_table": database.table, "fts_pk": database.row_key, "searchmode": "raw"}
            found[name] = {"tables": {database.table: search}}
    return {"databases": found}


@hookimpl
def table_actions(datasette: Any, database: str, table: str) -> list[dict[str, str]]:
    """A link to the search page, in the menu of a table."""
    opened = datasette.databases.get(database)
    if isinstance(opened, AudioMemDatabase) and opened.table == table and opened.modes:
        return [{"href": f"{datasette.urls.table(database, table)}/-/search", "label": "Search this table"}]
    return []
