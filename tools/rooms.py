"""The order of the rooms: the whole rule of what may import what. ``tests/test_layout.py`` checks it."""

from __future__ import annotations

#: A module may import from its own room and from rooms that stand before it.
#: A room is a folder, or a module at the top.
ROOMS = (
    "_version",
    "first_use",
    "errors",
    "arrays",
    "warn_once",
    "observe",
    "machine",
    "bytes",
    "protection",
    "audio",
    "columns",
    "blocks",
    "remote",
    "predicates",
    "indexes",
    "storage",
    "versions",
    "shards",
    "scan",
    "sound",
    "search",
    "migrations",
    "writing",
    "upkeep",
    "table",
    "udfs",
    "vtab",
    "frames",
    "ingest",
    "conversion",
    "importing",
    "exporting",
    "loadable",
    "connections",
    "dbapi",
    "document_store",
    "orm",
    "pandas",
    "polars",
    "dask",
    "ray",
    "spark",
    "langchain",
    "llamaindex",
    "haystack",
    "sqlalchemy",
    "django",
    "datasette_plugin",
    "doctor",
    "jobs",
    "serve",
    "mcp",
    "cli",
    "__main__",
    "__init__",
)
#: The same inside the rooms that have rooms; "." stands for the modules of the room itself.
INNER = {
    "remote": ("tiers", ".", "commits", "__init__"),
    "audio": ("flac", "mp4", "spectrum", "source", "finding", "__init__"),
    "indexes": ("keys", "vectors", "words", "__init__"),
    "storage": ("pages", "segment", "log", "__init__"),
    "search": ("models", "embedding", "ranking", "analyses", "."),
    "vtab": (".", "apsw", "duckdb", "__init__"),
    "orm": (".", "sqlalchemy", "__init__"),
}
#: Rooms that only these import.
ONLY_FOR = {"serve": ("mcp", "cli"), "mcp": ("cli",), "jobs": ("jobs", "serve", "cli")}
#: Rooms that do not import each other in either direction.
STRANGERS = (
    ("vtab", "udfs"),
    ("indexes.keys", "indexes.vectors"),
    ("indexes.keys", "indexes.words"),
    ("indexes.vectors", "indexes.words"),
    ("storage.segment", "storage.log"),
)


def room(name: str) -> str:
    """The room of a module that is named below the package, such as ``scan`` of ``scan.plan``."""
    return name.split(".")[0]


def inner_room(name: str, rooms: tuple[str, ...]) -> str:
    """The room inside its room that a module stands in."""
    second = name.split(".")[1] if "." in name else "__init__"
    return second if second in rooms else "."
