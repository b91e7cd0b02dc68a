"""Hive folders through both doors, judged by DuckDB's own read_parquet over the same tree of Parquet files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import audiomem_sql as am
from audiomem_sql.vtab.duckdb import many_files, source

#: SQLite has no part in this.
DOORS = ("extension",)
#: Values of the folders k=… of a tree: each has files of its own.
VALUES = [
    ["2020-01-01", "2020-1-2", " 0020-02-29 "],
    ["2020-01-01 10:00:00", "2020-01-01T1:2", "2020-02-01T10:00:00.1234567", "2020-02-01T10:00:00+02:00"],
    ["2020-01-01 00:00:00", "2020-02-01"],
    ["1", "-05", " 3", "0x1F", "0b11", "-9223372036854775808"],
    ["1", "02"],
    ["+5", "1_0"],
    ["9223372036854775808"],
    ["1.5", "2"],
    ["true", "false"],
    ["2020-02-30", "2020-13-01"],
    ["2020-01-01T10", "2020-01-01T"],
    ["__HIVE_DEFAULT_PARTITION__", "5"],
    ["__HIVE_DEFAULT_PARTITION__", "2020-01-01T10:00"],
    ["__HIVE_DEFAULT_PARTITION__", "x"],
    ["__HIVE_DEFAULT_PARTITION__"],
    ["NULL", "2020-01-01"],
    ["null", "a"],
    ["null"],
    ["", "3"],
    ["a+b", "a%20b%2F", "%C3%A9", "a%2", "%zz"],
    ["%31", "2"],
    ["٣"],
]
QUERIES = [
    "FROM read('t', '**/*.{x}')",
    "SELECT year, day, region FROM read('t', '**/*.{x}') WHERE year = 2024 AND n > 3",
    "SELECT n FROM read('t', '**/*.{x}') WHERE day > DATE '2024-01-01' OR region IS NULL",
    "SELECT n FROM read('t', '**/*.{x}') WHERE region IS NOT NULL AND n < 4 AND region LIKE 'e%'",
    "SELECT n, s FROM read('t', '**/*.{x}') WHERE year IN (2023, 2025) AND s = 's1'",
    "SELECT n FROM read('t', '**/*.{x}') WHERE year = n + 2020",
    "SELECT n FROM read('t', '**/*.{x}') WHERE NOT (region = 'eu west' OR year = 2023)",
    "SELECT count(*) FROM read('t', '**/*.{x}') WHERE year = 1999",
    "SELECT year, region, count(*), sum(n) FROM read('t', '**/*.{x}') GROUP BY ALL",
    "SELECT year, count(*) FROM read('t', '*/*/*/*.{x}', union_by_name := true) GROUP BY ALL",
    "SELECT * EXCLUDE filename, parse_filename(filename, true) FROM read('t', '**/*.{x}', filename := true)",
    "FROM read('t', '**/*.{x}', hive_partitioning := false)",
    "FROM read('t', '**/*.{x}', hive_types_autocast := false)",
    "FROM read('t', '**/*.{x}', hive_types := {'year': 'VARCHAR','day': TIMESTAMP})",
    "SELECT n FROM read('t', '**/*.{x}', hive_types := {'year': DOUBLE}) WHERE year > 2023.5 AND n < 9",
    "FROM read('t', '**/*.{x}', hive_types_autocast := false, hive_types := {day: 'DATE', year: BIGINT})",
    "FROM read('over', '**/*.{x}', hive_types := {'ID': 'VARCHAR'})",
    "FROM read('t', '')",
    "FROM read('over', '**/*.{x}') WHERE id = 7",
    "FROM read('mixed', '**/*.{x}')",
    "FROM read('other', '*/*.{x}')",
]


@pytest.fixture(scope="module")
def doors() -> Iterator[dict[str, Any]]:
    package = duckdb.connect(config={"threads": 2})
    am.register_duckdb(package)
    extension = duckdb.connect(config={"threads": 2, "allow_unsigned_extensions": "true"})
    am.load(extension)
    yield {"package": package, "extension": extension}
    package.close()
    extension.close()


@pytest.fixture(scope="module")
def trees(doors: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trees of FLAC files and of Parquet files with the same rows."""
    made = tmp_path_factory.mktemp("hive")
    con = doors["extension"]
    rows = """SELECT i AS n, 's' || i % 3 AS s, 2023 + i % 3 AS year, DATE '2024-01-01' + (i % 2)::INT AS day,
        [NULL, 'eu west', 'us/1'][i % 3 + 1] AS region FROM range(12) t(i)"""
    for format, ending in (("audiomem", "flac"), ("parquet", "parquet")):
        (made / ending).mkdir()
        option = f"FORMAT {format}, FILE_EXTENSION '{ending}'"
        con.execute(f"COPY ({rows}) TO '{made}/{ending}/t' ({option}, PARTITION_BY (year, region, day))")
        for name, key in (("over", "ID"), ("mixed", "a"), ("other", "A")):
            copied = f"COPY (SELECT 1::BIGINT AS id, 2::BIGINT AS z, 7 AS k) TO '{made}/{ending}/{name}'"
            con.execute(f"{copied} ({option}, PARTITION_BY k)")
            os.rename(made / ending / name / "k=7", made / ending / name / f"{key}=7")
        con.execute(
            f"COPY (SELECT 1::BIGINT AS id, 2::BIGINT AS z) TO '{made}/{ending}/mixed/x.{ending}' (FORMAT {format})"
        )
        (made / ending / "other" / "a=8").mkdir()
        con.execute(
            f"COPY (SELECT 1::BIGINT AS id, 2::BIGINT AS z) TO '{made}/{ending}/other/a=8/x.{ending}' (FORMAT {format})"
        )
    return made


def answer(connection: Any, query: str) -> tuple[list[Any], list[Any]]:
    relation = connection.execute(query)
    columns = [(name, str(kind)) for name, kind, *_ in relation.description]
    return columns, sorted(relation.fetchall(), key=repr)


def both(trees: Path, query: str) -> tuple[str, str]:
    """A query of FLAC files, and of Parquet files."""
    tables = (("audiomem_scan", "flac"), ("read_parquet", "parquet"))
    made = []
    for function, ending in tables:
        text = query.replace("{x}", ending).replace("', ''", "'").replace("', '", "/")
        made.append(text.replace("read('", f"{function}('{trees}/{ending}/"))
    return made[0], made[1]


@pytest.mark.parametrize("query", QUERIES)
def test_as_read_parquet(doors: dict[str, Any], trees: Path, query: str) -> None:
    ours, theirs = both(trees, query)
    for name, connection in doors.items():
        assert answer(connection, ours) == answer(connection, theirs), name


def test_types_of_values(doors: dict[str, Any], tmp_path: Path) -> None:
    con = doors["extension"]
    for number, texts in enumerate(VALUES):
        for text in texts:
            for format, ending in (("audiomem", "flac"), ("parquet", "parquet")):
                folder = tmp_path / ending / str(number) / f"k={text}"
                folder.mkdir(parents=True)
                con.execute(
                    f"COPY (SELECT 1 AS id) TO '{folder}/x.{ending}' (FORMAT {format}, USE_TMP_FILE 0)"
                )
        query = f"SELECT k FROM read('{number}', '*/*.{{x}}')"
        ours, theirs = both(tmp_path, query)
        assert answer(con, ours) == answer(con, theirs), texts


GIVEN = {
    "BIGINT": ["1", " -05", "", "null", "__HIVE_DEFAULT_PARTITION__"],
    "DOUBLE": ["1.5", "-2e3", "7", "inf"],
    "FLOAT": ["0.1"],
    "BOOLEAN": ["true", "F", "1"],
    "DATE": ["2024-01-02", "2024-01-02 10%3A00%3A00"],
    "TIMESTAMP": ["2024-01-02", "2024-01-02 10%3A00"],
    "text": ["", "null", "a%20b"],
}


def test_types_that_are_given(doors: dict[str, Any], tmp_path: Path) -> None:
    con = doors["extension"]
    for kind, texts in GIVEN.items():
        for format, ending in (("audiomem", "flac"), ("parquet", "parquet")):
            for text in texts:
                folder = tmp_path / ending / kind / f"k={text}"
                folder.mkdir(parents=True)
                con.execute(
                    f"COPY (SELECT 1 AS id) TO '{folder}/x.{ending}' (FORMAT {format}, USE_TMP_FILE 0)"
                )
        ours, theirs = both(
            tmp_path, f"SELECT k FROM read('{kind}', '*/*.{{x}}', hive_types := {{k: {kind}}})"
        )
        assert answer(con, ours) == answer(con, theirs), kind


def test_files_without_such_rows_are_not_read(
    doors: dict[str, Any], trees: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    now = source.NamedTable.now

    def noted(table: source.NamedTable) -> Any:
        read.append(table.path)
        return now(table)

    monkeypatch.setattr(many_files.NamedTable, "now", noted)
    wanted = {
        "year = 2024": "year=2024",
        "region IS NULL AND n >= 0": "region=__HIVE_DEFAULT_PARTITION__",
        "day > DATE '2024-01-01'": "day=2024-01-02",
        "region = 'us/1'": "region=us%2F1",
    }
    for condition, part in wanted.items():
        for name, connection in doors.items():
            read.clear()
            query = f"SELECT count(*) FROM audiomem_scan('{trees}/flac/t') WHERE {condition}"
            (count,) = connection.execute(query).fetchone()
            assert count > 0
            assert read
            assert all(part in path for path in read), (name, condition, read)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("FROM audiomem_scan('{t}/mixed/**/*.flac', hive_partitioning := true)", "have the same keys"),
        ("FROM audiomem_scan('{t}/t', filter := 'year = 2024')", "there is no column 'year'"),
        ("FROM audiomem_scan('{t}/t', hive_types := {'n': 'BIGINT'})", "no folder has the key n"),
        ("FROM audiomem_scan('{t}/t', hive_types := {'year': 'MAP'})", "year cannot be MAP"),
        ("FROM audiomem_scan('{t}/t', hive_types := 'year')", "hive_types is not year"),
        ("FROM audiomem_scan('{t}/t', hive_types := {'region': 'DATE'})", "of the folder region is no DATE"),
        (
            "FROM audiomem_scan('{t}/t', hive_types := {'year': 'DATE'}, hive_partitioning := false)",
            "is for columns of folders",
        ),
        ("FROM audiomem_scan('{t}/none')", "there is no such file"),
        ("FROM audiomem_scan('{t}')", "there is no column"),
    ],
)
def test_what_is_refused(doors: dict[str, Any], trees: Path, query: str, message: str) -> None:
    for name, connection in doors.items():
        with pytest.raises(duckdb.Error) as caught:
            connection.execute(query.replace("{t}", f"{trees}/flac")).fetchall()
        assert message in str(caught.value), name


def test_a_folder_that_is_no_text(doors: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "k=%FF").mkdir()
    am.write_flac([{"n": 1}], tmp_path / "k=%FF" / "a.flac").close()
    for connection in doors.values():
        with pytest.raises(duckdb.Error, match="k=%FF is no text in UTF-8"):
            connection.execute(f"FROM audiomem_scan('{tmp_path}')")


def test_parts_of_tables_are_no_tables_of_a_folder(doors: dict[str, Any], tmp_path: Path) -> None:
    rows = [{"n": number} for number in range(40)]
    (tmp_path / "a=1").mkdir()
    am.write_flac(rows, tmp_path / "a=1" / "kb.shards", shards=4, profile="embedded").close()
    (tmp_path / "a=2").mkdir()
    with am.write_flac(rows, tmp_path / "a=2" / "kb.flac", deltas="beside") as table:
        table.append([{"n": number} for number in range(90_000)])
    assert (tmp_path / "a=2" / "kb.flac.d").is_dir()
    for connection in doors.values():
        for path in (tmp_path, f"{tmp_path}/**/*.*"):
            found = connection.execute(
                f"SELECT a, count(*) FROM audiomem_scan('{path}') GROUP BY 1 ORDER BY 1"
            )
            assert found.fetchall() == [(1, 40), (2, 90_040)]


def test_a_glob_of_hive_folders_as_a_table(doors: dict[str, Any], trees: Path) -> None:
    query = "SELECT year, count(*) FROM '{}/t/**/*.{}' GROUP BY 1 ORDER BY 1"
    con = doors["extension"]
    ours = con.execute(query.format(trees / "flac", "flac")).fetchall()
    assert ours == con.execute(query.format(trees / "parquet", "parquet")).fetchall() != []


def test_append_and_names_of_partitions(doors: dict[str, Any], tmp_path: Path) -> None:
    con = doors["extension"]
    copy = (
        "COPY (SELECT {} AS n, 'x' AS k) TO '{}' (FORMAT audiomem, FILE_EXTENSION 'flac', PARTITION_BY k, {})"
    )
    con.execute(copy.format(1, tmp_path / "p", "FILENAME_PATTERN 'part_{i}'"))
    assert [path.name for path in (tmp_path / "p" / "k=x").iterdir()] == ["part_0.flac"]
    con.execute(copy.format(2, tmp_path / "p", "FILENAME_PATTERN 'part_{uuid}', APPEND"))
    con.execute(copy.format(3, tmp_path / "p", "OVERWRITE_OR_IGNORE"))
    assert con.execute(f"SELECT n, k FROM audiomem_scan('{tmp_path}/p') ORDER BY n").fetchall() == [
        (1, "x"), (2, "x"), (3, "x"),
    ]  # fmt: skip
    con.execute(copy.format(4, tmp_path / "p", "OVERWRITE"))
    assert con.execute(f"FROM audiomem_scan('{tmp_path}/p')").fetchall() == [(4, "x")]
