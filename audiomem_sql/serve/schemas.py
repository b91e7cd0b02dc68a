"""Bodies of requests, and examples of answers, as OpenAPI shows them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_EXAMPLE_ROWS = {
    "table": "kb",
    "version": 7,
    "columns": [{"name": "id", "type": "INTEGER"}, {"name": "title", "type": "TEXT"}],
    "rows": [{"id": 1, "title": "Frames"}, {"id": 2, "title": "Cells"}],
    "next": "WzcsIDJd",
}
_EXAMPLE_SQL = {
    "columns": [{"name": "year", "type": "INTEGER"}, {"name": "count(*)", "type": None}],
    "rows": [{"year": 2021, "count(*)": 14}],
    "truncated": False,
}
_EXAMPLE_SEARCH = {
    "table": "kb",
    "version": 7,
    "columns": [
        {"name": "id", "type": "INTEGER"},
        {"name": "distance", "type": "REAL"},
        {"name": "snippet", "type": "TEXT"},
    ],
    "rows": [{"id": 2, "distance": 0.31, "snippet": "A [cell] has a checksum …"}],
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:audiomem:error:QueryError"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
#: What every route may answer.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": "An error as RFC 9457 has it.",
        "content": {"application/problem+json": {"schema": _PROBLEM}},
    }
    for status in ("4XX", "5XX")
}


def rows_answer(example: dict[str, Any], description: str) -> dict[int | str, dict[str, Any]]:
    """The answer 200 of a route that gives rows in any format."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    properties = {
        "columns": {"type": "array", "items": {"type": "object"}},
        "rows": {"type": "array", "items": {"type": "object"}},
    }
    schema = {"type": "object", "required": ["columns", "rows"], "properties": properties}
    return {
        200: {
            "description": description,
            "content": {
                "application/json": {"schema": schema, "example": example},
                "application/x-ndjson": {"schema": {"type": "string"}},
                "text/csv": {"schema": {"type": "string"}},
                "application/vnd.apache.arrow.stream": binary,
                "application/vnd.apache.parquet": binary,
            },
        }
    }


ROWS = rows_answer(_EXAMPLE_ROWS, "Rows, in the order of their rowids unless another is asked for.")
SQL = rows_answer(_EXAMPLE_SQL, "The result.")
FOUND = rows_answer(_EXAMPLE_SEARCH, "The rows that answer best, the best first.")


class SqlBody(BaseModel):
    """A statement."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"sql": "SELECT year, count(*) FROM kb WHERE year > ? GROUP BY year", "parameters": [2020]}
            ]
        },
    )
    sql: str = Field(description="One statement that reads.", max_length=100_000)
    parameters: list[Any] | dict[str, Any] = Field(
        default_factory=list, description='Values for ? or :name; bytes are {"base64": "…"}.'
    )
    limit: int | None = Field(default=None, ge=1, description="Most rows; JSON says if there were more.")


class SearchBody(BaseModel):
    """A search."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"query": "how do I reset a password", "k": 5, "where": "year > 2020"}]
        },
    )
    query: str | None = Field(
        default=None,
        description="A question or words; words:, semantic:, keyword:, hybrid: before it choose.",
    )
    vector: list[float] | dict[str, list[float]] | None = Field(
        default=None, description="A vector to search for, or vectors by the names of columns."
    )
    k: int = Field(default=10, ge=1, le=10_000, description="Rows.")
    where: str | None = Field(
        default=None, description="A condition on the rows, which applies before the ranking."
    )
    parameters: list[Any] = Field(default_factory=list, description="Values for the ? of where.")
    columns: list[str] | None = Field(default=None, description="Columns of the answer.", min_length=1)
    column: str | None = Field(default=None, description="The column to search.")
    weights: dict[str, float] | None = Field(
        default=None, description="How much words, meaning and columns count."
    )
    fusion: str | None = Field(
        default=None, description="How meaning and words are joined: standardised or rrf."
    )
    weight: float | None = Field(default=None, description="The share of meaning, 0 to 1.")
    snippet: str | None = Field(
        default=None, description="A column of which to show the part that has the words."
    )
    snippet_words: int = Field(default=16, ge=1, le=64, description="Most words of a snippet.")
    snippet_marks: tuple[str, str] = Field(
        default=("[", "]"), description="What stands around words that match."
    )
    version: str | int | None = Field(default=None, description="A version: number or tag.")
    as_of: str | None = Field(default=None, description="The newest version at a time, UTC.")


class Appended(BaseModel):
    """What became of an append."""

    version: int = Field(description="The version that has the rows.", examples=[8])
    rows: int = Field(description="Rows that came.", examples=[2])
    repeated: bool = Field(description="Whether they had been added before, by a request of the same key.")


class Ingested(BaseModel):
    """What became of a source."""

    version: int = Field(examples=[9])
    source: str = Field(examples=["guide.md"])
    outcome: str = Field(description="new, changed or unchanged.", examples=["new"])
    rows_added: int = Field(examples=[12])
    rows_removed: int = Field(examples=[0])


class State(BaseModel):
    """Whether the server works."""

    status: str = Field(examples=["ok"])


class TableEntry(BaseModel):
    """A table in the list."""

    name: str = Field(examples=["kb"])
    rows: int = Field(examples=[2000])
    version: int = Field(examples=[7])
    scopes: list[str] = Field(description="What the caller may do with it.", examples=[["read", "file"]])


class TableList(BaseModel):
    """The tables that the caller may read."""

    tables: list[TableEntry]


class ColumnEntry(BaseModel):
    """A column."""

    name: str = Field(examples=["title"])
    type: str = Field(examples=["TEXT"])
    definition: str = Field(examples=["title TEXT NOT NULL"])
    primary_key: bool
    not_null: bool
    unique: bool
    semantic: bool = Field(description="Whether it is searched by meaning.")
    indexed: bool = Field(description="Whether it has an index of words, or of vectors.")


class TableDescription(BaseModel):
    """A table in a version."""

    name: str = Field(examples=["kb"])
    rows: int = Field(examples=[2000])
    version: int = Field(examples=[7])
    version_time: str = Field(examples=["2026-11-01 10:00:00"])
    columns: list[ColumnEntry]
    constraints: list[str]
    tags: dict[str, int] = Field(examples=[{"before-import": 3}])
    model: str | None = Field(description="The model of the columns that are searched by meaning.")


class VersionEntry(BaseModel):
    """A version."""

    version: int
    time: str
    inserted: int
    deleted: int
    tags: list[str]
    message: str | None


class VersionList(BaseModel):
    """Versions, newest first. next: pass it as ``before`` for those behind."""

    version: int
    versions: list[VersionEntry]
    next: int | None
