"""Rows exchanged in one commit, sources remembered across segments, and two who ingest the same at once."""

from __future__ import annotations

import pickle
from pathlib import Path

import msgpack
import pytest
from sealed import Sealed

import audiomem_sql as am
from audiomem_sql.errors import ConstraintError, DamagedFileError, QueryError, SchemaError
from audiomem_sql.ingest.identity import PAGE, PageNote, page_notes, without_removed
from audiomem_sql.ingest.ingestion import DEFAULT_COLUMNS, Reading, ingest
from audiomem_sql.ingest.sources import Source, find_sources
from audiomem_sql.table.source_list import source_entries
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.versions import pack_sources, unpack_sources


def bodies(table: Table) -> list[str]:
    """The texts in the order of their rowids."""
    table.refresh()
    return sorted(row["body"] for row in table.to_arrow().to_pylist())


def test_append_replaces_what_matches(tmp_path: Path) -> None:
    with Table.create(
        tmp_path / "t.flac", ["id INTEGER PRIMARY KEY", "kind TEXT", "word TEXT UNIQUE"]
    ) as table:
        table.append([{"kind": "a", "word": str(number)} for number in range(100)])
        table.append([{"kind": "b", "word": "b"}])
        version = table.append(
            [{"id": 3, "kind": "c", "word": "5"}, {"kind": "c", "word": "new"}],
            replace="kind = ?",
            parameters=["a"],
        )
        assert (version, table.versions[-1].inserted, table.versions[-1].deleted) == (4, 2, 100)
        assert sorted(tuple(row.values()) for row in table.to_arrow().to_pylist()) == [
            (3, "c", "5"), (101, "b", "b"), (102, "c", "new"),
        ]  # fmt: skip
        with pytest.raises(ConstraintError, match="UNIQUE"):
            table.append([{"kind": "d", "word": "b"}], replace="kind = 'c'")
        with pytest.raises(QueryError):
            table.append([], replace="kind ==")
        assert table.append([], replace="kind = 'nothing'") == 4
        assert table.append([], replace="kind = 'c'") == 5
        assert [row["word"] for row in table.to_arrow().to_pylist()] == ["b"]


def test_sources_of_the_newest_segment_win(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", ["body TEXT"]) as table:
        assert table.sources == {}
        table.append([{"body": "1"}], sources={"a": b"1" * 16, "b": b"1" * 16})
        table.append([{"body": "2"}])
        table.append([], sources={"b": b"2" * 16, "ü": b"2" * 16})
        assert table.version == 4
    with am.open(tmp_path / "t.flac") as table:
        assert table.sources == {"a": b"1" * 16, "b": b"2" * 16, "ü": b"2" * 16}


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\xc1",
        msgpack.packb([1]),
        msgpack.packb({"a": b"short"}),
        msgpack.packb({"a": "x" * 16}),
        msgpack.packb({b"a": b"x" * 16}),
        msgpack.packb({"a": b"x" * 16}) + b"more",
        b"\x81\xa1\xff\xc4\x10" + b"x" * 16,
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xa1a\xd5\x01xx",
        b"\x91" * 5000,
    ],
)
def test_nonsense_is_no_list_of_sources(packed: bytes) -> None:
    with pytest.raises(DamagedFileError, match="list of sources"):
        unpack_sources(packed)


@pytest.mark.damages
def test_verify_reads_the_list_of_sources(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with Table.create(path, ["body TEXT"]) as table:
        table.append([{"body": "1"}])
    sealed = Sealed.read(path)
    sealed.catalog["sources"] = sealed.store(b"\xc1")
    sealed.write(path)
    with Table(path) as table:
        with pytest.raises(DamagedFileError, match=r"t\.flac: sources: the list of sources"):
            table.sources  # noqa: B018
        steps: list[tuple[int, int]] = []
        faults = [problem.what for problem in problems(table, lambda *at: steps.append(at))]
        assert faults == [
            "the data is not that which the segment was sealed with",
            "sources: the list of sources cannot be understood (FormatError)",
        ]
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1]


def test_list_of_sources_comes_back() -> None:
    sources = {f"docs/{number}.md": bytes([number % 256]) * 16 for number in range(1000)}
    assert unpack_sources(pack_sources(sources)) == sources


def test_two_who_ingest_the_same_at_once(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text(f"text {number}")
    sources = find_sources([tmp_path])
    Table.create(tmp_path / "t.flac", DEFAULT_COLUMNS).close()
    with am.open(tmp_path / "t.flac") as one, am.open(tmp_path / "t.flac") as other:
        overtaken = False

        def overtake(rows: int) -> None:
            nonlocal overtaken
            if not overtaken:
                overtaken = True
                assert ingest(other, sources).new == 5

        report = ingest(one, sources, on_commit=overtake)
        assert (report.new, report.changed, report.rows_removed) == (0, 5, 5)
        assert bodies(one) == bodies(other) == [f"text {number}" for number in range(5)]


def test_source_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("before")
    lines = '{"text": "line"}\n' * 20_000
    (tmp_path / "b.json").write_text("[" + lines.replace("\n", ",\n") + "{")
    (tmp_path / "c.jsonl").write_text(lines)
    with Table.create(tmp_path / "t.flac", DEFAULT_COLUMNS) as table:
        report = ingest(
            table, find_sources([tmp_path / f"{name}" for name in ("a.txt", "b.json", "c.jsonl")])
        )
        assert [(Path(name).name, report.new) for name, _ in report.skipped] == [("b.json", 2)]
        assert bodies(table) == ["before"] + ["line"] * 20_000
        assert len(table.sources) == 2


def test_several_processes_read_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(300):
        (folder / f"{number:03d}.md").write_text(f"# {number}\n\n" + "Some sentences, and more. " * 700)
    (folder / "010.jsonl").write_text('{"text": "line"}\n' * 100 + "{")
    (folder / "020.jsonl").write_text('{"text": "a long line of a large file"}\n' * (9 << 20 >> 5))
    (folder / "empty.txt").write_text("")
    sources = find_sources([folder])
    reports, tables = [], []
    for processes in (1, 2):
        done: list[str] = []
        with Table.create(tmp_path / f"{processes}.flac", DEFAULT_COLUMNS) as table:
            report = ingest(
                table,
                sources,
                commit_characters=2_000_000,
                processes=processes,
                on_source=lambda source, done=done: done.append(source.name),  # type: ignore[misc]
            )
            assert done == [source.name for source in sources]
            assert [Path(name).name for name, _ in report.skipped] == ["010.jsonl"]  # its last line
            assert len(table.sources) == 303
            assert report.commits > 2
            reports.append((report.new, report.rows_added, report.text_bytes, report.skipped))
            tables.append(table.to_arrow())
    assert reports[0] == reports[1]
    assert tables[0].equals(tables[1])


def test_errors_travel_between_processes() -> None:
    error = DamagedFileError("what", file="file", place="place", remedy="remedy")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is DamagedFileError
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_stopping_inside_a_source_drops_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("whole")
    (tmp_path / "b.jsonl").write_text('{"text": "line"}\n' * 5000)
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > 6

    with Table.create(tmp_path / "t.flac", DEFAULT_COLUMNS) as table:
        report = ingest(table, find_sources([tmp_path / "a.txt", tmp_path / "b.jsonl"]), stop=stop)
        assert (report.stopped, report.new, report.rows_added) == (True, 1, 1)
        assert bodies(table) == ["whole"]
        report = ingest(table, find_sources([tmp_path / "a.txt", tmp_path / "b.jsonl"]))
        assert (report.new, report.unchanged, report.rows_added) == (1, 1, 5000)


def test_digest_tells_bytes_and_ways_of_reading(tmp_path: Path) -> None:
    def source(name: str, text: str) -> Source:
        path = tmp_path / name
        path.write_text(text)
        return find_sources([path])[0]

    prose, records = source("a.txt", "text"), source("a.csv", "body\ntext\n")
    plain = Reading()
    assert plain.digest(prose) == Reading(body_column="body").digest(prose)
    assert plain.digest(records) != Reading(body_column="body").digest(records)
    assert len({plain.digest(prose), Reading(size=100).digest(prose), Reading(overlap=9).digest(prose)}) == 3
    before = plain.digest(prose)
    assert plain.digest(source("a.txt", "text!")) != before
    assert len(before) == 16


def test_table_without_the_columns(tmp_path: Path) -> None:
    table = Table.create(tmp_path / "t.flac", ["source TEXT", "seq INTEGER"])
    with table, pytest.raises(SchemaError, match="no column body"):
        ingest(table, [])


def test_a_page_that_says_the_same_under_another_tag_is_remembered_anew(tmp_path: Path) -> None:
    """Its rows stay, and the next question is asked with the newest tag."""
    (tmp_path / "page.html").write_text("<p>Words of a page.")
    url = "https://example.org/"
    page = Source(tmp_path / "page.html", url, 20, "html", PAGE)

    def notes(tag: str) -> dict[str, dict[str, bytes]]:
        return {url: {PageNote("html", tag).entry(url): b"h" * 16}}

    def tags(table: Table) -> set[str]:
        entries = source_entries(table.snapshot)
        return {note.etag for note, _ in page_notes(without_removed(entries)).values()}

    with Table.create(tmp_path / "t.flac", DEFAULT_COLUMNS) as table:
        assert ingest(table, [page], notes=notes("one")).new == 1
        assert tags(table) == {"one"}
        for tag, version in (("one", 2), ("two", 3), ("two", 3), ("", 3)):
            report = ingest(table, [page], notes=notes(tag))
            assert (report.unchanged, report.rows_added, table.version) == (1, 0, version)
        assert tags(table) == {"two"}
        assert len(table) == 1


def test_a_long_source_is_told_of_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("Words of a long text. " * 20_000)
    read: list[int] = []
    with Table.create(tmp_path / "t.flac", DEFAULT_COLUMNS) as table:
        table.append([{"source": "before", "body": "x"}])
        (source,) = find_sources([path])
        ingest(table, [source], on_reading=lambda of, characters: read.append(characters))
    assert read == sorted(set(read))
    assert len(read) > 2
    assert 0 < read[0] < read[-1] <= path.stat().st_size


def test_what_is_told_of_a_commit(tmp_path: Path) -> None:
    """First the texts that are embedded, each text once, then the bytes that are written."""
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text(f"Words of {name if name < 'c' else 'b'}.")
    columns = [column.replace("body TEXT", "body TEXT SEMANTIC") for column in DEFAULT_COLUMNS]
    told: list[tuple[str, int, int]] = []
    with Table.create(tmp_path / "t.flac", columns, {"model": "hashing"}) as table:
        ingest(
            table,
            find_sources([tmp_path / f"{name}.txt" for name in "abc"]),
            on_commit=lambda rows: told.append(("commit", rows, rows)),
            on_rows=lambda done, total: told.append(("embedded", done, total)),
            on_written=lambda done, total: told.append(("written", done, total)),
        )
    assert told[0] == ("commit", 3, 3)
    kinds = [kind for kind, *_ in told]
    assert kinds == sorted(kinds)  # in the order of what is done
    assert {total for kind, _, total in told if kind == "embedded"} == {2}
    assert all(0 <= done <= total for _, done, total in told)
