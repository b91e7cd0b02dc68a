"""A broken line of CSV or JSON Lines costs that line, and is named."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiomem_sql.errors import AudioMemError, DataTypeError, LimitError
from audiomem_sql.ingest import delimited
from audiomem_sql.ingest.documents import content as contents
from audiomem_sql.ingest.documents.content import Problems
from audiomem_sql.ingest.ingestion import DEFAULT_COLUMNS, ingest
from audiomem_sql.ingest.rows import rows_of
from audiomem_sql.ingest.sources import Source, find_sources
from audiomem_sql.table.table import Table

Bodies = list[tuple[str, str]]
Read = Callable[[str, str | bytes], tuple[Bodies, Bodies]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """The bodies in a file by place, and the faults by place."""

    def reader(name: str, content: str | bytes) -> tuple[Bodies, Bodies]:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        (source,) = find_sources([tmp_path / name])
        faults = Problems()
        rows = [(row["place"], row["body"]) for row in rows_of(source, problems=faults)]
        return rows, [(str(fault.place), fault.what) for fault in faults.listed]

    return reader


@pytest.mark.parametrize(
    ("lines", "kept", "faults"),
    [
        (["a,b", "x,y,z", "c,d"], "2b 4d", {3: "3 fields where the header has 2"}),
        (['a,"b"c', "c,d"], "3d", {2: "',' expected after '\"'"}),
        (['a,"b', "c,d", "e,f"], "3d 4f", {2: "a quotation mark is not closed"}),  # to the end of the file
        (['a,"b', "c,d", 'e,"f"', "g,h"], "3d 4f 5h", {2: "a quotation mark is not closed"}),
        (['a,"b', 'e,"f', "g", 'h"', "i,j"], "3f\ng\nh 6j", {2: "a quotation mark is not closed"}),
        (['a,"b', 'c "d" e",x', "g,h"], "4h", {2: "up to line 3"}),  # one record of two lines, wrongly quoted
        (['a,"b', "one field", 'e,"f"', "g,h"], "5h", {2: "up to line 4"}),
        (['a,"b', "", "c,d"], "4d", {2: "a quotation mark is not closed"}),
        (["a,b", 'c,"d'], "2b", {3: "not CSV (unexpected end of data)"}),
        (['a,"b\nc"', 'd,"e"f', "g,h"], "2b\nc 5h", {4: "not CSV"}),
        (
            ["a,b", "", "c", ",d,"],
            "2b 4title: c 5d",
            {},
        ),  # what is short, or has empty fields more, is no fault
    ],
)
def test_csv(read: Read, lines: list[str], kept: str, faults: dict[int, str]) -> None:
    found, reported = read("a.csv", "\n".join(["title,body", *lines]) + "\n")
    assert " ".join(f"{place.removeprefix('line=')}{body}" for place, body in found) == kept
    assert [place for place, _ in reported] == [f"line {line}" for line in faults]
    for (_, reason), what in zip(reported, faults.values(), strict=True):
        assert what in reason


@pytest.mark.parametrize("ends", ["\r\n", "\r"])
def test_csv_with_other_line_ends(read: Read, ends: str) -> None:
    found, reported = read("a.csv", ends.join(["title,body", "a,b", 'c,"d', "e,f", "g,h,i", "j,k"]))
    assert found == [("line=2", "b"), ("line=4", "f"), ("line=6", "k")]
    assert [place for place, _ in reported] == ["line 3", "line 5"]


def test_json_lines(read: Read) -> None:
    lines = [{"body": "a"}, {"body": "b"}]
    text = "\n".join(
        [json.dumps(lines[0]), '{"body": ', "[1]", '{"body": "lone \\ud800"}', json.dumps(lines[1])]
    )
    found, reported = read("a.jsonl", text)
    assert found == [("line=1", "a"), ("line=5", "b")]
    assert [place for place, _ in reported] == ["line 2", "line 3", "line 4"]
    assert [reason[:12] for _, reason in reported] == ["this is not ", "this is an a", "the text has"]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json"])
def test_bytes_that_are_not_utf8_cost_their_record(read: Read, name: str) -> None:
    good, bad = b'"caf\xc3\xa9 %d"', b'"caf\xc3\xa9 \xff"'
    values = [good % 1, bad, good % 2]
    content = {
        "a.csv": b"\n".join([b"body", *values]),
        "a.jsonl": b"\n".join(b'{"body": %s}' % value for value in values),
        "a.json": b"[%s]" % b",\n".join(b'{"body": %s}' % value for value in values),
    }[name]
    found, reported = read(name, content)
    assert [body for _, body in found] == ["café 1", "café 2"]
    assert [reason for _, reason in reported] == ["the text has characters that are not Unicode"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'title,body\na,"b\n'),
        ("a.csv", "a,b\n1,2,3\n4,5,6\n"),
        ("a.csv", 'a,"b"c\n1,2\n'),  # the header itself
        ("a.jsonl", "{\n[]\n"),
        ("a.json", "[{}, 1]"),
    ],
)
def test_a_file_without_a_good_record_is_refused(read: Read, name: str, content: str) -> None:
    if name == "a.json":
        assert read(name, content) == (
            [],
            [("line 1, row 2", "this is a number where an object is expected")],
        )
        return
    with pytest.raises(DataTypeError, match=name):
        read(name, content)


def test_without_a_report_the_first_fault_is_an_error(tmp_path: Path) -> None:
    for name, content in {"a.csv": "a,b\n1,2\n1,2,3\n", "a.jsonl": '{"a": 1}\n{\n'}.items():
        (tmp_path / name).write_text(content)
        (source,) = find_sources([tmp_path / name])
        with pytest.raises(DataTypeError, match=r"line [23]:"):
            list(rows_of(source))


def test_a_quotation_mark_that_is_open_for_very_long(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "VALUE_LIMIT", 2000)
    rows = [f"t{number},text {number}" for number in range(1000)]
    found, reported = read("a.csv", "\n".join(["title,body", 'a,"b', *rows]))
    assert len(found) == 1000
    assert reported == [("line 2", "a quotation mark is not closed")]
    with pytest.raises(LimitError, match="more than 2000 characters"):
        read("b.csv", "\n".join(["title,body", 'a,"b', *(f"{row},more" for row in rows)]))


def test_reading_again_is_bounded(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ['a,"b', *["c,d"] * 50] * 40
    found, reported = read("a.csv", "\n".join(["title,body", "x,y", *lines]))
    assert len(found) == 1 + 40 * 50
    assert len(reported) == 40
    monkeypatch.setattr(delimited, "_AGAIN_LIMIT", 1000)
    with pytest.raises(DataTypeError, match="not CSV"):
        read("a.csv", "\n".join(["title,body", "x,y", *lines]))


@given(st.lists(st.lists(st.text(alphabet='ab,"\n ;é', max_size=6), min_size=2, max_size=2), max_size=12))
def test_what_is_well_written_is_never_reported(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerows([["title", "body"], *rows])
    path = tmp_path_factory.getbasetemp() / "well.csv"
    path.write_text(stream.getvalue(), newline="")
    (source,) = find_sources([path])
    faults = Problems()
    found = [row["body"] for row in rows_of(source, problems=faults)]
    assert faults.listed == []
    assert len(found) == sum(any(field.strip() for field in row) for row in rows)


def test_a_damaged_file_keeps_its_other_lines(read: Read) -> None:
    """One mark more: at most a record and those that it swallows are lost, or cut in two."""
    chance = random.Random(5)
    rows = [
        [f"t{number}", f'body "{number}", of\ntwo lines' if number % 5 == 0 else f"body {number}"]
        for number in range(60)
    ]
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([["title", "body"], *rows])
    text = stream.getvalue()
    known = {body for _, body in rows}
    for _ in range(60):
        at = chance.randrange(11, len(text))
        changed = text[:at] + '"' + text[at:]
        found, reported = read("a.csv", changed)
        bodies = [body for _, body in found]
        assert len(set(bodies) - known) <= 2, changed[at - 20 : at + 20]
        assert len(set(bodies) & known) >= 60 - 7, (len(bodies), reported)


def test_the_report_of_an_ingest_names_the_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(contents, "PROBLEMS_LIMIT", 3)
    Path("a.csv").write_text("title,body\n" + "a,b,c\n" * 5 + "t,fine\n")
    Path("b.jsonl").write_text('{"body": "b"}\n{\n')
    Path("c.csv").write_text("title,body\nx,y,z\n")
    seen: list[AudioMemError] = []
    with Table.create("kb.flac", DEFAULT_COLUMNS) as table:
        sources = find_sources(["a.csv", "b.jsonl", "c.csv"])

        def tell(source: Source, error: AudioMemError) -> None:
            seen.append(error)

        report = ingest(table, sources, on_skip=tell, on_part=tell)
        assert (report.new, report.rows_added) == (2, 2)
        assert [(name, reason.partition(":")[0]) for name, reason in report.skipped] == [
            ("a.csv", "line 2"),
            ("a.csv", "line 3"),
            ("a.csv", "line 4"),
            ("a.csv", "2 more things inside cannot be read"),
            ("b.jsonl", "line 2"),
            ("c.csv", "3 fields where the header has 2"),
        ]
        assert [str(error.file) for error in seen] == [name for name, _ in report.skipped]
        assert [error.place for error in seen] == ["line 2", "line 3", "line 4", None, "line 2", "line 2"]
        assert ingest(table, sources[:2]).unchanged == 2
