"""Every type that a table holds goes through DuckDB's doors and comes back: the type, and each value."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import audiomem_sql as am
from audiomem_sql.errors import DataTypeError
from vtab.duckdb.logical import ARRAYS, AS_TEXT, NEWER, VALUES, rows_of

#: SQLite has no part in this.
DOORS = ("extension",)
ALL = (*VALUES, *AS_TEXT, *ARRAYS, *(NEWER if duckdb.__version__ >= "1.5" else ()))
#: DuckDB 1.5 pushes no TIME_NS into any dataset, and asks for pytz where it pushes a TIMESTAMPTZ.
PUSHES_ALL = duckdb.__version__ >= "2"
HAS_COPY = duckdb.__version__ >= "1.5.6"


@pytest.fixture
def con(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    with duckdb.connect(config={"threads": 2, "allow_unsigned_extensions": "true"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def seen(connection: Any, source: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"SELECT typeof(x), x::VARCHAR, i FROM {source} ORDER BY i").fetchall()


@pytest.mark.parametrize("interface", ["", "stable"])
def test_every_type_through_the_extension(con: Any, interface: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMEM_DUCKDB_INTERFACE", interface)
    am.load(con)
    for value in ALL:
        con.execute(f"CREATE OR REPLACE TABLE given AS {rows_of(value)}")
        if HAS_COPY:
            con.execute("COPY given TO 'x.flac' (FORMAT audiomem)")
        else:
            con.execute("SELECT audiomem_write('x.flac', given, {'overwrite': true}) FROM given").fetchall()
        wanted = seen(con, "given")
        assert len(wanted) == 2100
        assert seen(con, "'x.flac'") == wanted, value
        assert seen(con, "(SELECT x, i FROM audiomem_scan('x.flac') WHERE i >= 7)") == wanted[7:], value
        if HAS_COPY:
            con.execute("CREATE OR REPLACE TABLE back AS FROM given LIMIT 0")
            con.execute("COPY back FROM 'x.flac' (FORMAT audiomem)")
            assert seen(con, "back") == wanted, value


@pytest.mark.parametrize("lossless", ["false", "true"])
def test_every_type_through_a_relation_and_a_dataset(con: Any, lossless: str, tmp_path: Path) -> None:
    con.execute(f"SET arrow_lossless_conversion = {lossless}")
    for number, value in enumerate(ALL):
        con.execute(f"CREATE OR REPLACE TABLE given AS {rows_of(value)}")
        path = tmp_path / f"{number}.flac"
        am.write_flac(con.table("given"), path).close()
        am.attach(con, path, "ours")
        wanted, found = seen(con, "given"), seen(con, "ours")
        if value in AS_TEXT or "ENUM" in value:  # the same values, of a type that Arrow has
            assert [row[1:] for row in found] == [row[1:] for row in wanted], value
        else:
            assert found == wanted, value
        equal = [f"SELECT count(*) FROM {source} WHERE x = {value}" for source in ("ours", "given")]
        if "ENUM" not in value and value not in AS_TEXT and (value not in NEWER or PUSHES_ALL):
            assert con.execute(equal[0]).fetchone() == con.execute(equal[1]).fetchone(), value


def test_what_no_column_holds_is_refused_by_name(con: Any) -> None:
    am.load(con)
    with pytest.raises(DataTypeError, match=r"x\.flac: column u: no column type holds DuckDB's UNION"):
        am.write_flac(con.sql("SELECT union_value(a := 1) AS u"), "x.flac")
    assert not Path("x.flac").exists()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.month_day_nano_interval(), pa.MonthDayNano([1, 2, 1500])),
        (pa.duration("ns"), 1_000_001),
        (pa.timestamp("ns", "UTC"), 1_700_000_000_000_000_001),
    ],
)
def test_what_is_finer_than_a_microsecond_is_not_cut(con: Any, kind: Any, value: Any) -> None:
    am.write_flac(pa.table({"x": pa.array([value], kind)}), "x.flac").close()
    am.attach(con, "x.flac", "ours")
    am.load(con)
    for source in ("ours", "audiomem_scan('x.flac')"):
        with pytest.raises(duckdb.Error, match="is finer than a microsecond"):
            con.execute(f"SELECT x FROM {source}").fetchall()


#: Columns by name: how a value is made of a number.
COLUMNS = {
    "d": "((i * 7919) % 2000 - 1000)::DECIMAL(9,2) / 8 - 3",
    "small": "(((i * 31) % 199) / 4)::DECIMAL(6,2)",
    "wide": "(i * 1000003 - 900000000)::DECIMAL(30,4)",
    "h": "((i * 104729) % 3001 - 1500)::HUGEINT",
    "u": "((i * 7) % 901)::UBIGINT",
    "day": "DATE '1999-12-20' + ((i * 17) % 400)::INTEGER",
    "clock": "TIME '00:00:00' + to_seconds((i * 613) % 86000)",
    "s": "('2020-01-01'::TIMESTAMP + to_seconds((i * 977) % 90000))::TIMESTAMP_S",
    "ns": "('2020-01-01'::TIMESTAMP + to_seconds((i * 77) % 9000))::TIMESTAMP_NS",
    "tz": "('2020-01-01'::TIMESTAMP + to_seconds((i * 771) % 90000))::TIMESTAMPTZ",
    "id": "('00000000-0000-0000-0000-00000000' || lpad(((i * 13) % 700)::VARCHAR, 4, '0'))::UUID",
    "mood": "(['sad', 'ok', 'happy'])[1 + i % 3]::ENUM('sad', 'ok', 'happy')",
    "bits": "((i % 8)::INTEGER)::BIT",
    "l": "[i % 5, i % 3]",
}


def predicate(rng: random.Random, texts: dict[str, list[str]], depth: int = 0) -> str:
    """A random condition on the columns; each constant is a value that is there."""
    if depth < 2 and rng.random() < 0.4:
        parts = [predicate(rng, texts, depth + 1) for _ in range(2)]
        return f"({parts[0]} {rng.choice(('AND', 'OR'))} {parts[1]})"
    if depth < 2 and rng.random() < 0.15:
        return f"NOT ({predicate(rng, texts, depth + 1)})"
    name = rng.choice(list(texts))
    value = rng.choice(texts[name])
    form = rng.randrange(5)
    if form == 0:
        return f"{name} IS {rng.choice(('', 'NOT '))}NULL"
    if form == 1:
        return f"{name} IN ({', '.join(rng.choice(texts[name]) for _ in range(3))})"
    if form == 2:
        return f"{name} BETWEEN {value} AND {rng.choice(texts[name])}"
    return f"{name} {rng.choice(('=', '<>', '<', '<=', '>', '>='))} {value}"


@pytest.mark.parametrize("way", ["extension", "stable", "dataset"])
def test_random_predicates_are_those_over_parquet(
    con: Any, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIOMEM_DUCKDB_INTERFACE", "stable" if way == "stable" else "")
    made = ", ".join(f"CASE WHEN (i + {n}) % 11 > 0 THEN {sql} END AS {name}" for n, (name, sql) in enumerate(COLUMNS.items()))  # fmt: skip
    con.execute(f"CREATE TABLE given AS SELECT i AS row_number, {made} FROM range(3000) AS r(i)")
    am.write_flac(con.table("given"), "x.flac").close()
    con.execute("COPY given TO 'x.parquet' (FORMAT parquet)")
    if way == "dataset":
        am.attach(con, "x.flac", "ours")
    else:
        am.load(con)
        con.execute("CREATE VIEW ours AS FROM 'x.flac'")
    types = dict(con.execute("SELECT column_name, column_type FROM (DESCRIBE given)").fetchall())
    con.execute("CREATE VIEW parquet AS FROM 'x.parquet'")
    casts = {"h": "HUGEINT", "mood": types["mood"], "bits": "BIT"}  # which Parquet does not keep
    changed = ", ".join(f"{name}::{kind} AS {name}" for name, kind in casts.items())
    con.execute(f"CREATE OR REPLACE VIEW parquet AS SELECT * REPLACE ({changed}) FROM 'x.parquet'")
    if way == "dataset":  # the dataset has texts for an ENUM
        con.execute(f"CREATE VIEW typed AS SELECT * REPLACE (mood::{types['mood']} AS mood) FROM ours")
    else:
        con.execute("CREATE VIEW typed AS FROM ours")
    texts = {}
    for name in COLUMNS:
        if name == "tz" and way == "dataset" and not PUSHES_ALL:
            continue
        found = con.execute(
            f"SELECT DISTINCT {name}::VARCHAR FROM given WHERE {name} IS NOT NULL ORDER BY 1 LIMIT 40"
        )
        texts[name] = [f"'{text}'::{types[name]}" for (text,) in found.fetchall()]
    rng = random.Random(22)
    for number in range(120):
        condition = predicate(rng, texts)
        queries = [
            f"SELECT row_number FROM {source} WHERE {condition} ORDER BY 1" for source in ("typed", "parquet")
        ]
        ours, wanted = (con.execute(query).fetchall() for query in queries)
        assert ours == wanted, (number, condition)
