"""Streams through every door, whole and in part; and one that is written to a store and played from it."""

from __future__ import annotations

import json
import subprocess
from hashlib import sha512
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pysqlite3
import pytest
from cli.conftest import Command, audiomem  # noqa: F401
from obstore.store import S3Store

import audiomem_sql as am
from audiomem_sql import dbapi
from audiomem_sql.errors import AudioMemError, QueryError
from audiomem_sql.polars import scan_flac
from audiomem_sql.upkeep import Stream
from remote.conftest import BUCKET
from remote.proxy import FaultyProxy

COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT INDEXED (tokenize='ascii')", "n INTEGER"]
ROWS = [{"id": n, "body": f"wave {sha512(b'%d' % n).hexdigest()}", "n": n % 10} for n in range(1, 1001)]


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stream, Stream, int]:
    """A stream that is whole, one of which the second half is missing, and the rows that are there."""
    folder = tmp_path_factory.mktemp("streams")
    with am.Table.create(folder / "notes.flac", COLUMNS, {"profile": "embedded"}) as table:
        table.append(ROWS)
        whole = table.stream(folder / "whole", seconds=0.4)
        part = table.stream(folder / "part", seconds=0.4)
    segments = sorted((folder / "part").glob("*.m4s"))
    for path in segments[len(segments) // 2 :]:
        path.unlink()
    with am.open(part.table, partial=True) as table:
        rows = len(table)
    assert 100 < rows < 900
    return whole, part, rows


def test_python(streams: tuple[Stream, Stream, int]) -> None:
    whole, part, rows = streams
    for where in (whole.table, whole.playlist):
        with am.open(where) as table:
            assert table.to_arrow().to_pylist() == ROWS
            assert len(table.search("words: wave", k=3)) == 3
        assert am.read_flac(where, ["id"], "id > ?", [999])["id"].tolist() == [1000]
        assert scan_flac(where).filter(pl.col("id") == 7).collect().to_dicts() == [ROWS[6]]
    with am.open(part.table, partial=True) as table:
        assert table.to_arrow().to_pylist() == ROWS[:rows]
        assert [row["id"] for row in table.search("words: wave", k=3, columns=["id"]).to_pylist()]
        assert table.get(rows + 1) is None
    with pytest.raises(AudioMemError, match=r"notes\.m3u8: .* has not arrived"):
        am.open(part.table)


@pytest.mark.parametrize("native", [True, False])
def test_sqlite(streams: tuple[Stream, Stream, int], native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMEM_EXTENSION", "on" if native else "off")
    whole, part, rows = streams
    query = "SELECT count(*), max(id), sum(n) FROM notes"
    connection = am.connect(whole.table)
    assert connection.execute(query).fetchall() == [(1000, 1000, 4500)]
    assert connection.execute("SELECT count(*) FROM notes WHERE version = 1").fetchall() == [(0,)]
    with pytest.raises(Exception, match="a stream is only read"):
        connection.execute("DELETE FROM notes")
    connection.close()
    connection = am.connect(part.table, partial=True)
    expected = [(rows, rows, sum(row["n"] for row in ROWS[:rows]))]
    assert connection.execute(query).fetchall() == expected
    assert connection.execute("SELECT count(*) FROM notes WHERE body MATCH 'wave'").fetchall() == [(rows,)]
    with pytest.raises(Exception, match="only read"):
        connection.execute("INSERT INTO notes(id) VALUES (5000)")
    connection.execute(f"CREATE VIRTUAL TABLE again USING audiomem('{part.table}', partial=1)")
    assert connection.execute(query.replace("notes", "again")).fetchall() == expected
    for options, message in (
        ("", "has not arrived"),
        (", partial=off", "has not arrived"),
        (", partial=2", "on or off"),
    ):
        with pytest.raises(Exception, match=message):
            connection.execute(f"CREATE VIRTUAL TABLE other USING audiomem('{part.table}'{options})")
    connection.close()


def test_other_programs(streams: tuple[Stream, Stream, int]) -> None:
    whole, part, rows = streams
    assert dbapi.connect(whole.table).execute("SELECT count(*) FROM notes").fetchone() == (1000,)
    other = pysqlite3.connect(":memory:")
    am.load(other)
    other.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{part.table}', partial=on)")
    assert other.execute("SELECT count(*) FROM t").fetchone() == (rows,)
    other.close()


def test_duckdb(streams: tuple[Stream, Stream, int]) -> None:
    whole, part, rows = streams
    python = duckdb.connect()
    am.register_duckdb(python)
    extension = duckdb.connect(config={"allow_unsigned_extensions": True})
    am.load(extension)
    for connection in (python, extension):

        def ask(what: str, connection: Any = connection) -> list[Any]:
            return list(connection.execute(f"SELECT count(*), max(id) FROM audiomem_scan({what})").fetchall())

        assert ask(f"'{whole.table}'") == [(1000, 1000)]
        assert ask(f"'{part.table}', partial := true") == [(rows, rows)]
        assert ask(f"'{part.table}', partial := true, filter := 'id < 50'") == [(49, 49)]
        assert ask(f"'{whole.table}', partial := false") == [(1000, 1000)]
        with pytest.raises(duckdb.Error, match="has not arrived"):
            ask(f"'{part.table}'")
        with pytest.raises(duckdb.Error, match="partial is for one file"):
            ask(f"['{part.table}', '{whole.table}'], partial := true")
        connection.close()
    connection = duckdb.connect()
    with am.open(part.table, partial=True) as table:
        assert am.attach(connection, table, "t") == "t"
        assert connection.execute("SELECT count(*) FROM t").fetchall() == [(rows,)]
    connection.close()


def test_shell(streams: tuple[Stream, Stream, int], audiomem: Command, tmp_path: Path) -> None:  # noqa: F811
    whole, part, rows = streams
    flac = str(Path(whole.playlist).parent.with_name("notes.flac"))
    shown = audiomem("stream", flac, "hls", "--seconds", "0.4")
    assert shown.code == 0, shown.err
    assert shown.out.startswith(f"hls/index.m3u8: version 2 of {flac}, 1,000 rows, ")
    facts = json.loads(audiomem("stream", flac, "more", "--json", "--version", "1").out)
    assert (facts["table"], facts["rows"], facts["version"]) == ("more/notes.m3u8", 0, 1)
    assert audiomem("stream", flac, "hls").code == 1
    assert audiomem("sql", "hls/notes.m3u8", "SELECT count(*) FROM notes", "--csv").out.split() == [
        "count(*)",
        "1000",
    ]
    answer = audiomem("sql", part.table, "SELECT count(*) FROM notes", "--csv", "--partial")
    assert answer.out.split() == ["count(*)", str(rows)]
    refused = audiomem("sql", part.table, "SELECT count(*) FROM notes")
    assert (refused.code, "has not arrived" in refused.err) == (1, True)
    assert f"{rows:,} of 1,000 rows, " in audiomem("info", part.table, "--partial").out
    arrived = json.loads(audiomem("info", part.table, "--partial", "--json").out)["arrived"]
    assert (arrived["rows"], arrived["rows_in_all"]) == (rows, 1000)
    assert json.loads(audiomem("info", whole.table, "--json").out)["arrived"] is None
    assert audiomem("verify", whole.table).code == 0
    assert audiomem("backup", whole.table, "copy.flac").code == 0


def test_it_plays_from_a_store_while_it_is_queried(
    streams: tuple[Stream, Stream, int],
    store: S3Store,
    proxy: FaultyProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.upstream}")  # the proxy only reads
    flac = Path(streams[0].playlist).parent.with_name("notes.flac")
    with am.open(flac) as table:
        made = table.stream(f"s3://{BUCKET}/hls", seconds=0.4)
        with pytest.raises(AudioMemError, match="there is a stream already"):
            table.stream(f"s3://{BUCKET}/hls")
    address = f"http://127.0.0.1:{proxy.port}/{BUCKET}/hls/"
    command = ["ffmpeg", "-v", "warning", "-xerror", "-i", f"{address}index.m3u8", "-f", "null", "-"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as player:
        for where in (made.table, f"{address}notes.m3u8", f"{address}index.m3u8?token=SECRET"):
            with am.open(where) as table:
                assert table.to_arrow().to_pylist() == ROWS
        assert player.communicate()[1] == b""
    assert player.returncode == 0


def test_a_column_whose_index_is_on_its_way(streams: tuple[Stream, Stream, int]) -> None:
    """It may not be known in which language its words are."""
    folder = Path(streams[0].playlist).parent.with_name("auto")
    with am.Table.create(
        folder.with_suffix(".flac"), ["body TEXT INDEXED"], {"profile": "embedded"}
    ) as table:
        table.append([{"body": row["body"]} for row in ROWS[:400]])
        made = table.stream(folder, seconds=0.4)
    sorted(folder.glob("*.m4s"))[-1].unlink()
    with am.open(made.table, partial=True) as table:
        assert table.to_arrow().num_rows
        with pytest.raises(QueryError, match=r"auto\.m3u8: column body: the index .* has not arrived"):
            table.search("words: wave")
