"""Files of several segments, read by what docs/FORMAT.md says alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fixtures.make_v2_chains import FILES, ROWS, place, thresholds

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.segment import EarlierSegment
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.table import Table
from audiomem_sql.writing import placement
from storage.format_reader import APPENDED, COMPACT, PARITY, WHOLE, Header, read_table

PCM = [name for name in FILES if name != "spectrum_chain.flac"]


def trailing(count: int, *, appended: bool) -> int:
    """Pages of parity of ``archive`` behind ``count`` pages: of the least T of which these are left."""

    def parity(pages: int) -> int:
        root = next(half for half in range(pages + 1) if (2 * half) ** 2 >= pages)  # ⌈√T ÷ 2⌉
        return -(-pages // 5) + 1 + (root if appended else 0)

    return next(pages - count for pages in range(count, 10 * count + 20) if pages - parity(pages) == count)


@pytest.mark.parametrize("name", PCM)
def test_a_reader_made_from_the_document_alone(tmp_path: Path, name: str) -> None:
    table = read_table(place(name, tmp_path))
    newest = table.segments[-1]
    seal = newest.catalog["seal"]
    wanted = ROWS[name]
    if name == "killed_standard.flac":  # its log is in pieces
        wanted = [1, 2, 3, 4]
    assert table.rowids() == wanted
    front = table.front
    assert (front.segment, front.digest) == (newest.header.segment, newest.digest)
    assert (front.table, front.version) == (newest.catalog["table"], newest.catalog["versions"][-1][0])
    if table.announced is None:
        assert (front.state, front.session) == (0, bytes(8))
        assert (front.generation, front.sealed) == (seal["generation"], len(table.pages))
    else:
        assert front == table.announced
        assert (front.state, front.generation) == (1, seal["generation"] + 1)
        assert front.sealed == len(table.pages) - 1


@pytest.mark.parametrize("name", PCM)
def test_links_and_generations(tmp_path: Path, name: str) -> None:
    table = read_table(place(name, tmp_path))
    for before, after in pairwise(table.segments):
        seal = after.catalog["seal"]
        link = [before.header.segment, before.digest, before.catalog["seal"]["generation"]]
        assert seal["before"] == link
        assert seal["generation"] > link[2]
        assert after.catalog["versions"][0][0] == before.catalog["versions"][-1][0] + 1
        assert after.first >= before.first + before.header.count
        assert [entry[0] for entry in seal["earlier"]] == [
            each.header.segment for each in table.segments[: len(seal["earlier"])]
        ]
    folded = [each.catalog["seal"]["folded"] for each in table.segments]
    for segment, told in zip(table.segments, folded, strict=True):
        if told is not None and name != "kinds.flac":  # whose last commit was none of the log's
            assert told[1] == segment.catalog["versions"][-1][0]
    if len(table.segments) == 3:
        assert len({told[0] for told in folded}) == 3


@pytest.mark.parametrize("name", ["rewritten_archive.flac", "appended_archive.flac"])
def test_the_pages_of_parity(tmp_path: Path, name: str) -> None:
    """As many as the formulas say, behind the own pages; each with the id of its segment and its number."""
    table = read_table(place(name, tmp_path))
    for segment in table.segments:
        header, first = segment.header, segment.first
        is_last = segment is table.segments[-1]
        assert header.flags & COMPACT
        if name == "rewritten_archive.flac" and not is_last:
            continue  # the newest one stands for it
        before = first if header.flags & WHOLE else 0
        stop = first + header.count + trailing(before + header.count, appended=bool(header.flags & APPENDED))
        for page in range(first + header.count, stop):
            told = Header.read(table.pages[page])
            assert (told.kind, told.segment, told.number) == (PARITY, header.segment, page - first)
            told.cells(table.pages[page], page - first)
        assert not is_last or stop == len(table.pages)


@pytest.mark.damages
@pytest.mark.parametrize("appended", [True, False])
def test_an_earlier_segment_that_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, appended: bool
) -> None:
    """A seal whose digest is not that of the segment in front of it."""
    right = placement._earlier

    def wrong(*place: Any) -> EarlierSegment:
        return replace(right(*place), digest=bytes(16))

    path = tmp_path / "t.flac"
    with (
        thresholds(appended=appended),
        Table.create(path, ["id INTEGER PRIMARY KEY", "word TEXT"], {"profile": "embedded"}) as table,
    ):
        table.append([{"word": "one"}])
        table.checkpoint()
        table.append([{"word": "two"}])
        monkeypatch.setattr(placement, "_earlier", wrong)
    with pytest.raises(DamagedFileError, match="page 0 is not the one that the newest continues"):
        TableReader(path)
