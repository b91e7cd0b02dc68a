"""Logical types in SQLite: a table of ours answers as a native one that holds the images with the collations.

What a condition finds is also compared with ``where`` of the table, whose values have no affinity either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import hypothesis
import pytest
from hypothesis import strategies as st

import audiomem_sql
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.types import ColumnType, collation_of

#: Random tables for each type.
EXAMPLES = 5
_SIGNED = st.integers(-130, 130)
_CLOCK = st.builds(
    "{:02d}:{:02d}:{:02d}".format, *[st.integers(0, 23), st.integers(0, 59), st.integers(0, 59)]
)
_DAY = st.builds("{:04d}-{:02d}-{:02d}".format, st.integers(1, 9999), st.integers(1, 12), st.integers(1, 28))
_NEAR_DAY = st.builds("2024-02-{:02d}".format, st.integers(1, 29))
_DAYS = st.one_of(_NEAR_DAY, _NEAR_DAY, _DAY)
_FRACTION = st.sampled_from(("", "", ".5", ".25"))
_MOMENT = st.builds("{} {}{}".format, _DAYS, _CLOCK, _FRACTION)
_ZONE = st.sampled_from(("Z", "+00:00", "+05:30", "-08:00", ""))
_ZONED = st.builds("{}{}".format, _MOMENT, _ZONE)
_HUGE = st.one_of(_SIGNED.map(str), st.integers(-(2**127), 2**127 - 1).map(str))
_UUID = st.integers(0, 40).map("f47ac10b-58cc-4372-a567-0e02b2c3d4{:02d}".format)


def _decimal(digits: int, scale: int) -> st.SearchStrategy[str]:
    largest = 10**digits - 1
    whole = st.one_of(st.integers(-300, 300), st.integers(-largest, largest))
    return whole.map(lambda number: _scaled(number, scale))


def _scaled(number: int, scale: int) -> str:
    text = str(abs(number)).zfill(scale + 1)
    return f"{'-' if number < 0 else ''}{text[:-scale]}.{text[-scale:]}"


#: Each type with its values.
TYPES: dict[str, st.SearchStrategy[Any]] = {
    "DECIMAL(5,2)": _decimal(5, 2),
    "DECIMAL(18,4)": _decimal(18, 4),
    "NUMERIC(30,3)": _decimal(30, 3),
    "DECIMAL(76,20)": _decimal(76, 20),
    "HUGEINT": _HUGE,
    "UHUGEINT": st.integers(0, 2**128 - 1).map(str),
    "BIGNUM": st.one_of(_HUGE, st.integers(-(10**60), 10**60).map(str)),
    "UBIGINT": st.one_of(st.integers(0, 130), st.integers(2**63 - 2, 2**64 - 1).map(str)),
    "DATE": _DAYS,
    "TIME": st.builds("{}{}".format, _CLOCK, _FRACTION),
    "TIME_S": _CLOCK,
    "TIMETZ": st.builds("{}{}{}".format, _CLOCK, _FRACTION, st.sampled_from(("+00", "+05:30", "-08"))),
    "TIMESTAMP_S": st.builds("{} {}".format, _DAYS, _CLOCK),
    "TIMESTAMP_NS": st.builds("2024-02-{:02d} {}{}".format, st.integers(1, 29), _CLOCK, _FRACTION),
    "TIMESTAMPTZ": _ZONED,
    "DURATION_MS": st.builds("{} days {}".format, st.integers(-3, 3), _CLOCK),
    "INTERVAL": st.builds("{} months {} days".format, st.integers(-3, 30), st.integers(-3, 40)),
    "UUID": _UUID,
    "BIT": st.text("01", min_size=1, max_size=9),
    "ENUM('b', 'a', 'it''s, c)')": st.sampled_from(("b", "a", "it's, c)")),
    "INTEGER[]": st.sampled_from(("[]", "[1,null]", "[1,2]", "[10]")),
    "STRUCT(a INTEGER, b VARCHAR)": st.sampled_from(
        ('{"a":1,"b":"x"}', '{"a":null,"b":""}', '{"a":2,"b":null}')
    ),
    "MAP(VARCHAR, DECIMAL(5,2))": st.sampled_from(("{}", '{"k":"1.50"}', '{"k":null,"l":"2.00"}')),
}
_COMPARED = ("=", "<>", "<", "<=", ">", ">=", "IS", "IS NOT")
_JUNK = st.one_of(
    st.sampled_from(
        (None, "", "x", "2024", "2024-02", "12", "1e1", "-0", ".5", "999999", b"", b"x", "infinity")
    ),
    st.integers(-130, 130),
    st.sampled_from((2**63 - 1, -(2**63), 10**17)),
    st.sampled_from((0.5, 1.25, -0.005, 0.1 + 0.2, 12.3, 1e18, 1e300, -1e300, 2.0**63)),
)


#: Values of rows, and conditions with their parameters.
Case = tuple[list[Any], list[tuple[str, tuple[Any, ...]]]]


@st.composite
def _cases(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> Case:
    rows = draw(st.lists(st.one_of(values, values, values, st.none()), max_size=12))
    operand = st.one_of(*[st.sampled_from(rows)] * bool(rows), values, _JUNK)
    conditions: list[tuple[str, tuple[Any, ...]]] = [("x IS NULL", ()), ("x IS NOT NULL", ())]
    for _ in range(6):
        shape = draw(st.sampled_from((*_COMPARED, "IN", "NOT IN", "BETWEEN", "OR", "AND")))
        first, second = draw(operand), draw(operand)
        if shape in ("IN", "NOT IN", "BETWEEN"):
            text = "x BETWEEN ? AND ?" if shape == "BETWEEN" else f"x {shape} (?, ?)"
        elif shape in ("OR", "AND"):
            text = (
                f"x {draw(st.sampled_from(_COMPARED))} ? {shape} NOT x {draw(st.sampled_from(_COMPARED))} ?"
            )
        else:
            text, second = f"x {shape} ?", ...
        conditions.append((text, tuple(value for value in (first, second) if value is not ...)))
    return rows, conditions


def _node(name: str) -> Node:
    node = ColumnType.parse(name).logical
    assert node is not None
    return node


def _native(connection: apsw.Connection, name: str) -> None:
    """A native table ``n`` of the images of ``t``, with its affinity and collation."""
    declared = connection.execute("SELECT type FROM pragma_table_info('t') WHERE name = 'x'").get
    node = _node(name)
    connection.execute(f'CREATE TABLE n(id INTEGER PRIMARY KEY, x "{declared}" COLLATE {collation_of(node)})')
    connection.execute("INSERT INTO n SELECT id, CAST(x AS TEXT) FROM t")


@pytest.mark.parametrize("name", TYPES)
def test_it_answers_as_a_native_table_of_the_images(name: str, tmp_path_factory: Any) -> None:
    @hypothesis.settings(max_examples=EXAMPLES, deadline=None)
    @hypothesis.given(case=_cases(TYPES[name]))
    def check(case: Case) -> None:
        _check(name, *case, tmp_path_factory.mktemp("logical"))

    check()


def _check(name: str, rows: list[Any], conditions: Any, folder: Path) -> None:
    path = folder / "t.flac"
    connection = apsw.Connection(":memory:")
    audiomem_sql.register(connection)
    quoted = str(path).replace("'", "''")
    connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{quoted}', id INTEGER PRIMARY KEY, x {name})")
    half = len(rows) // 2
    for part in (rows[:half], rows[half:]):  # some in a segment, some not yet
        connection.executemany("INSERT INTO t(x) VALUES (?)", [(row,) for row in part])
        if part is not rows[half:]:
            connection.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    _native(connection, name)
    queries = [(f"SELECT id FROM {{}} WHERE {text} ORDER BY id", values) for text, values in conditions]
    queries += [
        ("SELECT id, CAST(x AS TEXT) FROM {} ORDER BY x, id", ()),
        ("SELECT DISTINCT CAST(x AS TEXT) FROM {} ORDER BY x DESC", ()),
        ("SELECT CAST(min(x) AS TEXT), CAST(max(x) AS TEXT), count(x), count(DISTINCT x) FROM {}", ()),
        ("SELECT CAST(x AS TEXT), count(*) FROM {} GROUP BY x ORDER BY x", ()),
    ]
    queries.append(("SELECT a.id, b.id FROM {0} a JOIN n b ON a.x = b.x ORDER BY 1, 2", ()))
    for sql, values in queries:
        ours, native = (connection.execute(sql.format(table), values).fetchall() for table in "tn")
        assert ours == native, (sql, values)
    images = {image for (image,) in connection.execute("SELECT x FROM n")}
    is_text = collation_of(_node(name)) == "BINARY"
    with audiomem_sql.open(path) as table:
        for text, values in conditions:
            if is_text and not images.issuperset(values):
                continue  # where takes a value in any of its spellings
            found = [
                rowid for (rowid,) in connection.execute(f"SELECT id FROM n WHERE {text} ORDER BY id", values)
            ]
            assert table.to_arrow(["id"], text, values)["id"].to_pylist() == found, (text, values)
    connection.close()
