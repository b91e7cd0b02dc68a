"""A search for several things at once: a text, and vectors of any columns, each with a weight.

In SQL it is written ``combined:`` and an object of JSON::

    WHERE t MATCH 'combined: {"query": "red", "vectors": {"image": [0.1, 0.9]}, "weights": {"image": 2}}'
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audiomem_sql.arrays import F32Array
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import DataTypeError, QueryError, did_you_mean
from audiomem_sql.search.embedding.vectors_in_sql import vector_of

#: The names of what a text is searched by, where weights are given.
WORDS, MEANING = "words", "meaning"
_PREFIX = re.compile(r"\s*combined\s*:\s*(?=\{)", re.IGNORECASE)
_KEYS = ("query", "vectors", "weights")
_REMEDY = 'Write combined: {"query": "red", "vectors": {"vec": [0.1, 0.9]}, "weights": {"vec": 2}}.'


@dataclass(frozen=True, slots=True)
class CombinedQuery:
    """What is looked for.

    text: as any other query that is a text; None: only vectors count. vectors: by the names of columns, as a
    search takes them. weights: by the names of columns, ``words`` and ``meaning``.
    """

    text: str | None = None
    vectors: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, query: object) -> CombinedQuery | None:
        """``query``, or what is written as one; None for any other.

        QueryError where its JSON says nothing.
        """
        if isinstance(query, CombinedQuery):
            return query
        prefix = _PREFIX.match(query) if isinstance(query, str) else None
        if prefix is None:
            return None
        assert isinstance(query, str)
        said = parsed_object(query[prefix.end() :])
        for key in said:
            if key not in _KEYS:
                raise QueryError(
                    f"a combined query has no {key!r:.60}", remedy=f"{did_you_mean(key, _KEYS)}{_REMEDY}"
                )
        text, vectors, weights = said.get("query"), said.get("vectors") or {}, said.get("weights") or {}
        if not isinstance(text, str | None) or not isinstance(vectors, dict) or not isinstance(weights, dict):
            raise QueryError("a combined query cannot be understood", remedy=_REMEDY)
        # a vector is read like any other, so as to be refused with the same words
        written = {
            name: value if isinstance(value, str) else json.dumps(value) for name, value in vectors.items()
        }
        return cls(text, {name: _written_vector(value, name) for name, value in written.items()}, weights)

    def weight(self, name: str, usual: float) -> float:
        """How much ``name`` counts; usual: where nothing is said."""
        return float(self.weights.get(name, usual))

    def check_weights(self, known: tuple[str, ...]) -> None:
        """QueryError for a weight of what is not searched, or that is no number from 0."""
        for name, weight in self.weights.items():
            if name not in known:
                raise QueryError(
                    f"there is a weight of {name!r:.60}, which is not searched",
                    remedy=f"{did_you_mean(str(name), known)}Weights are of {', '.join(known)}.",
                )
            if isinstance(weight, bool) or not _is_weight(weight):
                raise QueryError(
                    f"the weight {weight!r:.40} of {name} is no number from 0",
                    remedy="Pass a finite one: 0 for what does not count, 2 for what counts twice.",
                )
        if known and not any(self.weight(name, 1) for name in known):
            raise QueryError("all weights are 0", remedy="Leave out what should not count.")


def _written_vector(text: str, column: str | None) -> F32Array:
    """float32 (n,) of a JSON array, or of bits as BIT[n] takes them: digits 0 and 1, eight to a byte."""
    if text and len(text) % 8 == 0 and not text.strip("01"):
        return np.array([digit == "1" for digit in text], np.float32)
    try:
        return vector_of(text)
    except DataTypeError as error:
        place = None if column is None else f"column {column}"
        error.at(place=place, remedy="Pass a JSON array of finite numbers.")
        raise


def asked_of(
    schema: Schema, query: Any, column: str | None, vector: Any, weights: Any
) -> tuple[Any, str | None]:
    """What a door's arguments ask for: a query, and the column that it is asked of; None: the table.

    vector: of ``column``, or of the only column of vectors; or, as a mapping or its JSON, of several columns.
    weights: a mapping, or its JSON. QueryError for what says nothing.
    """
    if isinstance(vector, str) and vector.lstrip().startswith("{"):
        vector = parsed_object(vector)
    elif isinstance(vector, str):
        # a text would be embedded, where a column has vectors of texts
        vector = _written_vector(vector, column)
    if isinstance(weights, str):
        weights = parsed_object(weights)
    if not isinstance(weights, Mapping | None):
        raise QueryError(f"{weights!r:.60} are no weights", remedy='Pass a dict, such as {"words": 2}.')
    if vector is None:
        if query is None:
            raise QueryError("there is nothing to search for", remedy="Pass a text, or a vector.")
        if weights is None:
            return query, column
        if not isinstance(query, str):
            raise QueryError("weights need a text, or vector=", remedy="Pass the vector as vector=.")
        return CombinedQuery(query, {}, weights), column
    if not isinstance(query, str | None):
        raise QueryError("two vectors are asked for", remedy='Pass them as vector={"name": …}.')
    if not isinstance(vector, Mapping):
        name = _vector_column(schema) if column is None else column
        if query is None and weights is None:
            return vector, name
        vector, column = {name: vector}, None
    vectors = {
        name: _written_vector(value, name) if isinstance(value, str) else value
        for name, value in vector.items()
    }
    return CombinedQuery(query, vectors, weights or {}), column


def _vector_column(schema: Schema) -> str:
    """The column that a vector without a name belongs to. QueryError unless there is one."""
    own = [column.name for column in schema.visible.columns if column.type.kind is Kind.FLOAT]
    names = own or [schema.columns[column].name for column in schema.vectors]
    if len(names) != 1:
        raise QueryError(
            f"several columns have vectors: {', '.join(names)}" if names else "no column has vectors",
            remedy="Say which: column=…" if names else "Declare a column FLOAT[n], or TEXT SEMANTIC.",
        )
    return names[0]


def parsed_object(text: str) -> dict[str, Any]:
    """The object of JSON that ``text`` is. QueryError for anything else."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise QueryError(f"{text[:40]!r} is no JSON", remedy=_REMEDY) from None
    if not isinstance(said, dict):
        raise QueryError(f"{text[:40]!r} is no object of JSON", remedy=_REMEDY)
    return said


def _is_weight(weight: Any) -> bool:
    try:
        return math.isfinite(weight) and weight >= 0
    except (TypeError, OverflowError):
        return False
