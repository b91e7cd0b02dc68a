"""Random conditions for ``samples.SCHEMA``: as SQL for DuckDB, and as expressions for pyarrow."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from samples import INTEGERS, REALS, TEXTS, WORDS

COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")


def text_literal(text: str) -> str:
    """A text in SQL; DuckDB takes no NUL in one."""
    return " || chr(0) || ".join("'" + part.replace("'", "''") + "'" for part in text.split("\0"))


def answered_by(query: str) -> str:
    """The table in memory that has the answers: DuckDB's own, or the Arrow table that it was made of.

    DuckDB 1.4.0 takes a comparison "at most NaN" for true of every row of an Arrow table, NULL included, and
    asks whatever gives it Arrow data for all rows.
    """
    asked = ("<= 'nan'::DOUBLE", "'nan'::DOUBLE >=", "AND 'nan'::DOUBLE")
    return "arrow_rows" if any(part in query for part in asked) else "own"


def literal(rng: random.Random, column: str) -> str:
    """A value of a column's type, in SQL."""
    if column in ("id", "n"):
        number = rng.choice(INTEGERS) if rng.random() < 0.5 else rng.randrange(-5, 7000)
        return f"({number})::BIGINT"
    if column == "x":
        value = rng.choice([*REALS, -0.0, float("nan"), 0.25, 0.5])
        return f"'{value!r}'::DOUBLE"
    if column in ("title", "category", "doc", "code"):
        choices = [*TEXTS, *WORDS, "K000005", "K004000", '{"n": 5}', "it's", 'say "so"', "zzz"]
        return "(" + text_literal(rng.choice(choices)) + ")"
    if column == "raw":
        return "'" + "".join(f"\\x{byte:02x}" for byte in rng.randbytes(rng.randrange(3))) + "'::BLOB"
    if column == "seen":
        return f"make_timestamp({rng.randrange(-(10**9), 2 * 10**9)}000000)"
    return rng.choice(["true", "false"])


def condition(rng: random.Random, depth: int = 2) -> str:
    """A random condition in SQL."""
    if depth and rng.random() < 0.45:
        joined = rng.choice([" AND ", " OR "]).join(
            condition(rng, depth - 1) for _ in range(rng.randrange(2, 4))
        )
        return f"NOT ({joined})" if rng.random() < 0.25 else f"({joined})"
    column = rng.choice(["id", "id", "n", "x", "title", "category", "doc", "raw", "ok", "seen", "code"])
    kind = rng.random()
    if kind < 0.5:
        sides = [column, literal(rng, column)]
        return f" {rng.choice(COMPARISONS)} ".join(sides if rng.random() < 0.8 else sides[::-1])
    if kind < 0.65:
        values = ", ".join(literal(rng, column) for _ in range(rng.randrange(1, 6)))
        return f"{column} {rng.choice(['IN', 'NOT IN'])} ({values})"
    if kind < 0.75:
        return f"{column} IS {rng.choice(['NULL', 'NOT NULL'])}"
    if kind < 0.85:
        return f"{column} BETWEEN {literal(rng, column)} AND {literal(rng, column)}"
    others = [
        "ok", "NOT ok", "title LIKE 'the%'", "starts_with(title, 'a')", "contains(title, 'cell')", "length(title) > 20",
        "n % 3 = 1", "id + 1 > 500", "x * 2 < n", "vec[1] > 0.5", "isnan(x)", "category = title", "title < code",
        "n IS DISTINCT FROM 5", "coalesce(n, 7) = 7", "CAST(n AS VARCHAR) LIKE '1%'", "year(seen) > 2000",
    ]  # fmt: skip
    return rng.choice(others)


def expression(rng: random.Random, memory: pa.Table, depth: int = 2) -> Any:
    """A random filter of pyarrow, with literals from the data and around it."""
    if depth and rng.random() < 0.45:
        made = expression(rng, memory, depth - 1)
        for _ in range(rng.randrange(1, 3)):
            other = expression(rng, memory, depth - 1)
            made = made & other if rng.random() < 0.5 else made | other
        return ~made if rng.random() < 0.25 else made
    name = rng.choice([name for name in memory.column_names if name != "vec"])
    field, values = pc.field(name), memory.column(name)
    kind = rng.random()
    if kind < 0.5:
        value = values[rng.randrange(len(values))]
        left, right = (field, pc.scalar(value)) if rng.random() < 0.8 else (pc.scalar(value), field)
        return rng.choice(
            [left == right, left != right, left < right, left <= right, left > right, left >= right]
        )
    if kind < 0.65:
        chosen = [values[rng.randrange(len(values))].as_py() for _ in range(rng.randrange(1, 6))]
        if name == "x" and 0.0 in chosen:  # Arrow's sets tell them apart, ours do not
            chosen += [0.0, -0.0]
        return field.isin(pa.array(chosen, memory.schema.field(name).type))
    if kind < 0.75:
        return rng.choice([field.is_null(), field.is_valid(), field.is_null(nan_is_null=True)])
    return rng.choice(
        [
            pc.field("ok"),
            pc.field("id") + 1 > 500,
            pc.field("n") > pc.scalar(99.5),
            pc.field("x") > pc.scalar(0),
            pc.field("x").cast(pa.float32()) < pc.scalar(pa.scalar(0.5, pa.float32())),
            pc.field("x").is_nan(),
            pc.starts_with(pc.field("title"), "the "),
            pc.match_like(pc.field("title"), "%audio%"),
            pc.utf8_length(pc.field("title")) > 20,
            pc.field("title") < pc.field("code"),
            pc.if_else(pc.field("ok"), pc.field("n") > 5, pc.scalar(None)),
            pc.list_element(pc.field("vec"), 0) > 0.5,
            pc.field("seen") > pa.scalar(10**9, pa.timestamp("s")),
            pc.scalar(True),
            pc.scalar(pa.scalar(None, pa.bool_())),
        ]
    )
