"""Schemas that a user may write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume
from hypothesis import strategies as st

from audiomem_sql.columns.schema import (
    Check,
    Column,
    Key,
    Schema,
    fold,
    parse_columns,
    quote,
)
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import SchemaError

ROOT = Path(__file__).parents[2]
RESERVED: set[str] = set()
CONFLICTS = st.sampled_from(["ABORT", "ABORT", "IGNORE", "REPLACE"])


def refusal(*definitions: str) -> str:
    with pytest.raises(SchemaError) as caught:
        parse_columns(definitions)
    return str(caught.value)


@st.composite
def columns(draw: st.DrawFn) -> Column:
    name = draw(
        st.one_of(
            st.text(
                st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
            ),
            st.text(alphabet="ab_Z0 \"'`[](),-=", min_size=1, max_size=6),
            st.sampled_from(["select", "Key", "primary", "semantic", "id", "größe"]),
        )
    )
    assume(fold(name) not in RESERVED)
    kind = draw(st.sampled_from(Kind))
    column_type = ColumnType(kind, draw(st.integers(1, 65535)) if kind is Kind.FLOAT else 0)
    collated = kind not in (Kind.FLOAT, Kind.JSON, Kind.TIMESTAMP)
    text, key = kind is Kind.TEXT, kind not in (Kind.FLOAT, Kind.JSON)
    return Column(
        name,
        column_type,
        not_null=draw(st.booleans()),
        unique=key and draw(st.booleans()),
        collation=draw(st.sampled_from(["BINARY", "NOCASE", "RTRIM"])) if collated else "BINARY",
        semantic=text and draw(st.booleans()),
        default=draw(
            st.sampled_from(
                [None, None, "5", "- 1.5e-3", "'it''s'", "x'00'", "(1 /* ) */ + 2)", "CURRENT_TIME"]
            )
        ),
        null_conflict=draw(CONFLICTS),
        key_conflict=draw(CONFLICTS),
    )


NAMES = st.sampled_from([None, None, "plain", "two words", 'quo"te', "check", ""])


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    found = draw(st.lists(columns(), min_size=1, max_size=6, unique_by=lambda column: fold(column.name)))
    keys = [i for i, column in enumerate(found) if column.type.kind not in (Kind.FLOAT, Kind.JSON)]
    if keys and draw(st.sampled_from([False, True])):
        i = draw(st.sampled_from(keys))
        old = found[i]
        found[i] = replace(
            old, primary_key=True, no_alias=draw(st.booleans()), autoincrement=draw(st.booleans())
        )
    together = []
    if len(keys) > 1:
        for _ in range(draw(st.integers(0, 2))):
            chosen = draw(st.lists(st.sampled_from(keys), min_size=2, unique=True))
            primary = not any(column.primary_key for column in found) and not any(
                key.primary for key in together
            )
            names = tuple(found[i].name for i in chosen)
            conflict = "ABORT" if names in [key.columns for key in together] else draw(CONFLICTS)
            together.append(Key(names, primary and draw(st.booleans()), draw(NAMES), conflict))
    checks = []
    for column in draw(st.lists(st.sampled_from(found), max_size=2)):
        expression = draw(
            st.sampled_from(["{} IS NOT 5", "(1 /* ) */ > {})", "{} <> 'it''s )' -- )\n AND 1"])
        )
        checks.append(Check(expression.replace("{}", quote(column.name)), draw(NAMES)))
    return Schema(tuple(found), tuple(checks), tuple(together))
