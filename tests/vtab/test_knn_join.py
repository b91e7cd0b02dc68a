"""k-NN joins: MATCH with a vector or a text of another table, and audiomem_knn, beside a brute-force model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest

import audiomem_sql as am
from audiomem_sql.arrays import F32Array
from audiomem_sql.connections import register
from audiomem_sql.errors import DataTypeError, QueryError
from audiomem_sql.search.analyses import knn
from audiomem_sql.search.ranking import parts
from audiomem_sql.vtab.virtual_table import VirtualTable

LEFT, RIGHT, WIDTH = 30, 400, 20
METRICS = ("cosine", "l2", "ip")


def drawn(count: int, seed: int) -> F32Array:
    """Around a few points, and of different lengths; some are equal."""
    points = np.random.default_rng(1).standard_normal((12, WIDTH)) * 2
    rng = np.random.default_rng(seed)
    made = points[rng.integers(0, 12, count)] + rng.standard_normal((count, WIDTH))
    made[5::17] = made[4]
    return made.astype(np.float32)


def distances(stored: F32Array, query: F32Array, metric: str) -> np.ndarray[Any, Any]:
    one, other = stored.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        return np.linalg.norm(one - other, axis=1)
    if metric == "ip":
        return -(one @ other)
    return 1 - one @ other / np.linalg.norm(one, axis=1) / np.linalg.norm(other)


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[apsw.Connection]:
    """Table a with vectors, table b with them in four columns: of each metric, and without an index."""
    con = apsw.Connection(str(tmp_path / "t.sqlite"))
    register(con)
    columns = ", ".join(f"{metric} FLOAT[{WIDTH}] INDEXED(metric={metric})" for metric in METRICS)
    con.execute(
        f"CREATE VIRTUAL TABLE a USING audiomem('a.flac', id INTEGER PRIMARY KEY, part INTEGER, vec FLOAT[{WIDTH}])"
    )
    con.execute(
        f"CREATE VIRTUAL TABLE b USING audiomem('b.flac', id INTEGER PRIMARY KEY, part INTEGER, {columns}, bare FLOAT[{WIDTH}])"
    )
    with con:
        for number, vector in enumerate(drawn(LEFT, 2), 1):
            con.execute(
                "INSERT INTO a VALUES (?, ?, ?)",
                (number, number % 4, None if number == 7 else vector.tobytes()),
            )
        for number, vector in enumerate(drawn(RIGHT, 3), 1):
            value = None if number == 9 else vector.tobytes()
            con.execute("INSERT INTO b VALUES (?, ?, ?, ?, ?, ?)", (number, number % 4, *[value] * 4))
    con.execute("INSERT INTO b(b) VALUES ('checkpoint')")
    with con:  # rows of the log, and rows of a segment that are gone
        con.execute("DELETE FROM b WHERE id % 50 = 3")
        con.execute("UPDATE b SET part = 1 WHERE id = 20")
    yield con
    con.close()


def expected(
    sql: apsw.Connection, metric: str, k: int, lefts: str = "1", rights: str = "1"
) -> dict[int, list[tuple[int, float]]]:
    """The nearest rows of b and their distances, by the rows of a that have a vector."""
    rows = sql.execute(f"SELECT id, bare FROM b WHERE bare IS NOT NULL AND ({rights})").fetchall()
    ids = np.array([row[0] for row in rows])
    stored = np.array([np.frombuffer(row[1], "<f4") for row in rows])
    found = {}
    for left, vector in sql.execute(f"SELECT id, vec FROM a WHERE vec IS NOT NULL AND ({lefts})").fetchall():
        away = distances(stored, np.frombuffer(vector, "<f4"), metric)
        order = np.lexsort((ids, away.astype(np.float32).round(5)))[:k]
        found[left] = [(int(ids[place]), float(away[place])) for place in order]
    return found


def check(rows: list[Any], model: dict[int, list[tuple[int, float]]]) -> None:
    """Rows (left, right, distance) are those of the model, in its order but for equal distances."""
    assert {row[0] for row in rows} == set(model)
    for left, nearest in model.items():
        here = [row[1:3] for row in rows if row[0] == left]
        assert sorted(row[0] for row in here) == sorted(row[0] for row in nearest)
        assert np.allclose([row[1] for row in here], [row[1] for row in nearest], rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("column", [*METRICS, "bare"])
def test_join_and_function_are_the_model(sql: apsw.Connection, column: str) -> None:
    model = expected(sql, "cosine" if column == "bare" else column, 5)
    on = f"b.{column} MATCH a.vec AND b.k = 5"
    rows = sql.execute(f"SELECT a.id, b.id, b.distance FROM a JOIN b ON {on}").fetchall()
    check(rows, model)
    called = f"SELECT left_row_id, right_row_id, distance FROM audiomem_knn('a', 'vec', 'b', '{column}', 5)"
    assert sql.execute(f"{called} ORDER BY left_row_id, place").fetchall() == rows
    for swapped in (
        f"b JOIN a ON {on}",
        f"b, a WHERE {on}",
        f"a CROSS JOIN b ON {on}",
        f"(SELECT * FROM a) AS a JOIN b ON {on}",
    ):
        assert sorted(sql.execute(f"SELECT a.id, b.id, b.distance FROM {swapped}")) == sorted(rows)
    sql.execute("INSERT INTO b(b) VALUES ('vacuum')")
    assert sql.execute(f"SELECT a.id, b.id, b.distance FROM a JOIN b ON {on}").fetchall() == rows
    assert sql.execute(called).fetchall() == rows


def test_the_left_side_is_any_relation(sql: apsw.Connection) -> None:
    """A table of SQLite's own, a view, a common table expression, a sub-select, JSON: what has vectors joins."""
    wanted = [
        row[:2]
        for row in sorted(sql.execute("SELECT a.id, b.id FROM a JOIN b ON b.l2 MATCH a.vec AND b.k = 3"))
    ]
    sql.execute("CREATE TABLE own(id INTEGER PRIMARY KEY, vec BLOB, text TEXT)")
    sql.execute("INSERT INTO own SELECT id, vec, vec_to_json(vec) FROM a")
    sql.execute("CREATE TEMP VIEW seen AS SELECT id, text AS vec FROM own")
    for left in (
        "own AS x",
        "seen AS x",
        "(SELECT id, vec FROM own WHERE id % 2 UNION ALL SELECT id, vec FROM own WHERE NOT id % 2) AS x",
        "(SELECT own.id, a.vec FROM own JOIN a USING (id) WHERE a.vec IS NOT NULL) AS x",
        "(SELECT key AS id, value AS vec FROM json_each((SELECT json_group_object(id, text) FROM own))) AS x",
    ):
        found = sql.execute(
            f"SELECT x.id, b.id FROM {left} JOIN b ON b.l2 MATCH x.vec AND b.k = 3"
        ).fetchall()
        assert sorted((int(one), other) for one, other in found) == wanted, left
        inner = sql.execute(
            f"WITH y AS (SELECT * FROM {left}) SELECT y.id, b.id FROM y, b WHERE b.l2 MATCH y.vec AND b.k = 3"
        )
        assert sorted((int(one), other) for one, other in inner) == wanted, left
    outer = sql.execute(
        "SELECT x.id, b.id FROM own AS x LEFT JOIN b ON b.l2 MATCH x.vec AND b.k = 1 AND b.part = x.id % 4"
    )
    assert sum(row[1] is not None for row in outer) == LEFT - 1


def test_outer_joins(sql: apsw.Connection) -> None:
    on = "b.l2 MATCH a.vec AND b.k = 2 AND b.part = a.part"
    model = expected(sql, "l2", 2)
    left = sql.execute(
        "SELECT a.id, b.id, b.distance FROM a LEFT JOIN b ON b.l2 MATCH a.vec AND b.k = 2"
    ).fetchall()
    assert [row for row in left if row[1] is None] == [(7, None, None)]
    check([row for row in left if row[1] is not None], model)
    for part in range(4):
        inner = sql.execute(
            f"SELECT a.id, b.id, b.distance FROM a JOIN b ON {on} WHERE a.part = ?", (part,)
        ).fetchall()
        check(inner, expected(sql, "l2", 2, f"part = {part}", f"part = {part}"))
    right = sql.execute("SELECT a.id, b.id FROM a RIGHT JOIN b ON b.l2 MATCH a.vec AND b.k = 2").fetchall()
    assert {row[1] for row in right} == {row[0] for row in sql.execute("SELECT id FROM b")}
    assert sorted(row for row in right if row[0] is not None) == sorted(
        (row[0], row[1]) for row in left if row[1]
    )


def test_self_join(sql: apsw.Connection) -> None:
    rows = sql.execute(
        "SELECT x.id, y.id, y.distance FROM a AS x JOIN a AS y ON y.vec MATCH x.vec AND y.k = 3"
    ).fetchall()
    assert rows == [
        (left, right, distance)
        for left, right, _, distance in sql.execute("SELECT * FROM audiomem_knn('a', 'vec', 'a', 'vec', 3)")
    ]
    first = {left: (right, distance) for left, right, distance in reversed(rows)}
    vectors = dict(sql.execute("SELECT id, vec FROM a").fetchall())
    assert all(vectors[left] == vectors[right] for left, (right, _) in first.items())
    assert 7 not in first


@pytest.mark.parametrize("column", [*METRICS, "bare"])
def test_with_filters_and_versions(sql: apsw.Connection, column: str) -> None:
    metric = "cosine" if column == "bare" else column
    join = (
        f"SELECT a.id, b.id, b.distance FROM a JOIN b ON b.{column} MATCH a.vec AND b.k = 4 AND b.filter = ?"
    )
    called = (
        f"SELECT left_row_id, right_row_id, distance FROM audiomem_knn('a', 'vec', 'b', '{column}', 4, ?)"
    )
    for condition in ("part = 2", "id % 3 = 1 AND part <> 1", "id = 100", "id < 0"):
        rows = sql.execute(join, (condition,)).fetchall()
        if condition != "id < 0":
            check(rows, expected(sql, metric, 4, "1", condition))
        assert sql.execute(called, (condition,)).fetchall() == rows
    rows = sql.execute(f"{called} WHERE left_filter = 'part = 1'", ("part = 2",)).fetchall()
    check(rows, expected(sql, metric, 4, "part = 1", "part = 2"))
    was = sql.execute(
        f"SELECT a.id, b.id, b.distance FROM a JOIN b ON b.{column} MATCH a.vec AND b.k = 4 AND b.version = 2"
    ).fetchall()
    assert sql.execute(f"{called} WHERE version = 2", (None,)).fetchall() == was
    assert was != sql.execute(called, (None,)).fetchall()
    assert sql.execute(f"{called} WHERE left_version = 1", (None,)).fetchall() == []


def test_a_condition_that_changes_from_row_to_row(sql: apsw.Connection) -> None:
    """What one search remembers is not used for another condition, version or open transaction."""
    by_part = "SELECT a.id, b.id, b.distance FROM a JOIN b ON b.bare MATCH a.vec AND b.k = 3 AND "
    rows = sql.execute(by_part + "b.part = a.part ORDER BY a.part % 2, a.id").fetchall()
    same = sql.execute(by_part + "b.filter = 'part = ' || a.part").fetchall()
    assert sorted(rows) == sorted(same)
    for part in range(4):
        here = [row for row in rows if row[0] % 4 == part]
        check(here, expected(sql, "cosine", 3, f"part = {part}", f"part = {part}"))
    before = sql.execute(
        "SELECT a.id, b.id FROM a JOIN b ON b.bare MATCH a.vec AND b.k = 3 AND b.version = 1 + a.id % 3"
    ).fetchall()
    for version in (2, 3):
        alone = sql.execute(
            f"SELECT a.id, b.id FROM a JOIN b ON b.bare MATCH a.vec AND b.k = 3 AND b.version = {version}"
        ).fetchall()
        assert [row for row in before if 1 + row[0] % 3 == version] == [
            row for row in alone if 1 + row[0] % 3 == version
        ]
    sql.execute("BEGIN")
    sql.execute("DELETE FROM b WHERE id < 300")
    check(sql.execute(by_part + "1").fetchall(), expected(sql, "cosine", 3))
    called = "SELECT left_row_id, right_row_id, distance FROM audiomem_knn('a', 'vec', 'b', 'bare', 3)"
    check(sql.execute(called).fetchall(), expected(sql, "cosine", 3))
    sql.execute("ROLLBACK")


@pytest.mark.parametrize("kept", [0, 20_000, parts.KEPT_BYTES])
def test_a_condition_is_evaluated_once(
    sql: apsw.Connection, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """A join asks the connection for the rows that pass, and reads the vectors, once, or as there is room."""
    monkeypatch.setattr(parts, "KEPT_BYTES", kept)
    evaluated: list[Any] = []
    passing = VirtualTable.rows_passing

    def counted(self: VirtualTable, *arguments: Any) -> Any:
        evaluated.append(arguments)
        return passing(self, *arguments)

    monkeypatch.setattr(VirtualTable, "rows_passing", counted)
    rows = sql.execute(
        "SELECT a.id, b.id, b.distance FROM a JOIN b ON b.bare MATCH a.vec AND b.k = 2 AND b.filter = 'part = 2'"
    ).fetchall()
    check(rows, expected(sql, "cosine", 2, "1", "part = 2"))
    assert len(evaluated) == 1


@pytest.mark.parametrize("column", METRICS)
def test_through_an_index(sql: apsw.Connection, monkeypatch: pytest.MonkeyPatch, column: str) -> None:
    """A segment so large that a search looks through a part of it is asked by its index."""
    monkeypatch.setattr(knn, "SEARCHED_IN_FULL", 10)
    monkeypatch.setattr(knn, "_ASKED", 7)
    monkeypatch.setattr(knn, "_COMPARED", 50)
    sql.execute("INSERT INTO b(b) VALUES ('vacuum')")
    for number, vector in enumerate(drawn(20, 8), 1001):  # in the log
        sql.execute("INSERT INTO b VALUES (?, 1, ?, ?, ?, ?)", (number, *[vector.tobytes()] * 4))
    called = (
        f"SELECT left_row_id, right_row_id, distance FROM audiomem_knn('a', 'vec', 'b', '{column}', 6, ?)"
    )
    check(sql.execute(called, (None,)).fetchall(), expected(sql, column, 6))
    check(sql.execute(called, ("part = 1",)).fetchall(), expected(sql, column, 6, "1", "part = 1"))


def test_cut_vectors_through_an_index(sql: apsw.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that the index does not have may be all that a vector has."""
    monkeypatch.setattr(knn, "SEARCHED_IN_FULL", 10)
    sql.execute(
        f"CREATE VIRTUAL TABLE cut USING audiomem('cut.flac', id INTEGER PRIMARY KEY, vec FLOAT[{2 * WIDTH}] INDEXED(dimensions={WIDTH}))"
    )
    made = np.concatenate([drawn(RIGHT, 3), drawn(RIGHT, 4)], axis=1)
    made[50:60, :WIDTH] = 0
    with sql:
        for number, vector in enumerate(made):
            sql.execute("INSERT INTO cut VALUES (?, ?)", (number, vector.tobytes()))
    sql.execute("INSERT INTO cut(cut) VALUES ('checkpoint')")
    rows = sql.execute(
        "SELECT left_row_id, right_row_id, distance FROM audiomem_knn('cut', 'vec', 'cut', 'vec', 3, NULL, NULL, 'id BETWEEN 48 AND 52')"
    ).fetchall()
    joined = "SELECT x.id, y.id, y.distance FROM cut AS x JOIN cut AS y ON y.vec MATCH x.vec AND y.k = 3 WHERE x.id BETWEEN 48 AND 52"
    assert sorted(rows) == sorted(sql.execute(joined))


def test_texts(sql: apsw.Connection) -> None:
    sql.execute(
        "CREATE VIRTUAL TABLE faq USING audiomem('faq.flac', id INTEGER PRIMARY KEY, body TEXT SEMANTIC INDEXED, model=hashing)"
    )
    sql.execute("CREATE VIRTUAL TABLE ask USING audiomem('ask.flac', id INTEGER PRIMARY KEY, title TEXT)")
    subjects = ("cats and dogs", "a new password", "flac frames", "the spectrum")
    texts = [f"{verb} {subject}" for subject in subjects for verb in ("see", "reset", "what about", "play")]
    with sql:
        sql.executemany("INSERT INTO faq(body) VALUES (?)", [(text,) for text in texts])
        sql.executemany("INSERT INTO ask(title) VALUES (?)", [(text,) for text in (*subjects, None, "  ")])
    for state in ("log", "segment"):
        join = "SELECT ask.id, faq.id, faq.distance FROM ask JOIN faq ON faq.body MATCH 'semantic:' || ask.title AND faq.k = 2 WHERE ask.id < 6"
        called = (
            "SELECT left_row_id, right_row_id, distance FROM audiomem_knn('ask', 'title', 'faq', 'body', 2)"
        )
        rows = sql.execute(join).fetchall()
        found = sql.execute(called).fetchall()
        assert len(rows) == 8
        assert [row[:2] for row in found] == [row[:2] for row in rows], state
        assert np.allclose([row[2] for row in found], [row[2] for row in rows], atol=2e-6)
        both = sql.execute(
            "SELECT ask.id, (SELECT body FROM faq WHERE faq MATCH ask.title LIMIT 1) FROM ask WHERE id < 5"
        ).fetchall()
        assert all(subjects[number - 1] in text for number, text in both)
        # its own texts have vectors of the same model
        near = sql.execute(
            "SELECT left_row_id, right_row_id FROM audiomem_knn('faq', NULL, 'faq', NULL, 1)"
        ).fetchall()
        assert near == [(number, number) for number in range(1, len(texts) + 1)]
        sql.execute("INSERT INTO faq(faq) VALUES ('vacuum')")


def test_python_gives_the_same(sql: apsw.Connection, tmp_path: Path) -> None:
    rows = sql.execute("SELECT * FROM audiomem_knn('a', 'vec', 'b', 'l2', 5, 'part = 1')").fetchall()
    with am.open(tmp_path / "a.flac") as a, am.open(tmp_path / "b.flac") as b:
        found = a.knn_join(b, 5, other_column="l2", other_where="part = ?", other_parameters=(1,))
        assert found.column_names == ["left_row_id", "right_row_id", "place", "distance"]
        assert [tuple(row.values()) for row in found.to_pylist()] == rows
        some = a.knn_join(b, other_column="bare", where="id = 2")
        assert some["place"].to_pylist() == list(range(1, 11))
        assert a.knn_join(b, other_column="bare", where="id = 7").num_rows == 0
        with pytest.raises(QueryError, match="is no table"):
            a.knn_join("b.flac")  # type: ignore[arg-type]
        for k in (0, "3", 2.5, True):
            with pytest.raises(QueryError, match=rf"b\.flac: k = {k!r}"):
                a.knn_join(b, k, other_column="bare")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "what"),
    [
        ("'a', 'vec', 'b', 'bare', 0", "k = 0 is no number"),
        ("'a', 'vec', 'b', 'bare', 1000000000", "over the limit"),
        ("'a', 'vec', 'b', 'bare', 'five'", "five"),
        ("'a', 'vec', 'b'", "several columns have vectors: cosine, l2, ip, bare"),
        ("'a', 'vec', 'b', 'part'", "column part has no vectors"),
        ("'a', 'none', 'b', 'bare'", r"a\.flac: there is no column none"),
        ("'a', 'vec', 'b', 'none'", r"b\.flac: there is no column none"),
        ("'a', 5, 'b', 'bare'", "5 is no column"),
        ("'a', 'vec', 'nothing', 'bare'", "no audiomem table nothing"),
        ("'a', 'vec', NULL, 'bare'", "None is no table"),
        ("'a', 'vec', 'short', 'vec'", f"vectors of {WIDTH} numbers cannot be compared with those of 3"),
        ("'short', 'word', 'a', 'vec'", "column word has no vectors"),
        ("'a', 'vec', 'b', 'bare', 5, 'nope > 1'", "nope"),
        ("'a', 'vec', 'b', 'bare', 5, 7", "7 is no condition"),
        ("'a', 'vec', 'b', 'bare', 5, NULL, 99", "99"),
    ],
)
def test_what_is_refused(sql: apsw.Connection, call: str, what: str) -> None:
    sql.execute("CREATE VIRTUAL TABLE short USING audiomem('short.flac', word TEXT, vec FLOAT[3])")
    with pytest.raises((am.AudioMemError, apsw.Error), match=what):
        sql.execute(f"SELECT * FROM audiomem_knn({call})").fetchall()


def test_a_vector_of_zeros(sql: apsw.Connection) -> None:
    sql.execute("INSERT INTO a(id, vec) VALUES (99, zeroblob(?))", (4 * WIDTH,))
    for column in ("l2", "ip"):
        rows = sql.execute(
            "SELECT count(*) FROM audiomem_knn('a', 'vec', 'b', ?, 1, NULL, NULL, 'id = 99')", (column,)
        )
        assert rows.fetchall() == [(1,)]
    with pytest.raises((DataTypeError, apsw.Error), match="row 99"):
        sql.execute("SELECT * FROM audiomem_knn('a', 'vec', 'b', 'bare', 1)").fetchall()
    with pytest.raises((DataTypeError, apsw.Error), match="not all of them 0"):
        sql.execute("SELECT a.id FROM a JOIN b ON b.bare MATCH a.vec AND b.k = 1").fetchall()


def test_a_cross_join_that_asks_first(sql: apsw.Connection) -> None:
    with pytest.raises((QueryError, apsw.Error), match="comes second"):
        sql.execute("SELECT a.id FROM b CROSS JOIN a ON b.bare MATCH a.vec AND b.k = 1").fetchall()
