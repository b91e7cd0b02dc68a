"""Messages of a WebSocket's client."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from audiomem_sql.serve.schemas import SearchBody


class IdMessage(BaseModel):
    """What is about one question, such as ``cancel``."""

    model_config = ConfigDict(extra="forbid")
    id: str = Field(max_length=64)


class MoreMessage(IdMessage):
    """The client takes further chunks."""

    chunks: int = Field(default=1, ge=1, le=64)


class ChangesMessage(IdMessage):
    """Follow the table: the versions behind ``after``, by default those that come."""

    after: int | None = Field(default=None, ge=0, lt=1 << 63)
    rows: bool = False
    columns: list[str] | None = Field(default=None, min_length=1)
    where: str | None = None
    parameters: list[Any] = Field(default_factory=list)


class SearchMessage(SearchBody):
    """A search; sequence: comes back with the answer."""

    id: str = Field(max_length=64)
    sequence: int | None = None


class RowsMessage(IdMessage):
    """Rows in chunks of ``size``; ``chunks`` of them at once, then as many as are asked for."""

    columns: list[str] | None = Field(default=None, min_length=1)
    where: str | None = None
    parameters: list[Any] = Field(default_factory=list)
    version: str | int | None = None
    as_of: str | None = None
    after: str | None = Field(default=None, max_length=200)
    size: int = Field(default=500, ge=1, le=10_000)
    chunks: int = Field(default=2, ge=1, le=64)
    limit: int | None = Field(default=None, ge=1)
