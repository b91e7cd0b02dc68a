"""Transactions that are rolled back: nothing of them stays, in memory or on the disk."""

from __future__ import annotations

import os
from pathlib import Path

from samples import arrow, create, rows

from audiomem_sql.storage.log.chain import FIRST_RECORD
from audiomem_sql.table.table import Table


def delete(table: Table, rowids: list[int]) -> int:
    table.begin()
    assert table.transaction is not None
    for rowid in rowids:
        table.transaction.delete(rowid)
    return table.commit()


def test_rollback_leaves_no_trace(tmp_path: Path) -> None:
    with create(tmp_path / "t.flac", 0) as table:
        before = (tmp_path / "t.flac").read_bytes()
        for _ in range(2):
            table.begin()
            assert table.transaction is not None
            table.transaction.insert(1, [1, *[None] * 10])
            assert len(table) == 1
            table.prepare()
            table.rollback()
            assert len(table) == 0
        assert (tmp_path / "t.flac").read_bytes() != before  # it says that a log goes with it
        assert not any((tmp_path / "t.flac-wal").read_bytes()[FIRST_RECORD:])
        table.append(arrow(rows(3)))
        table.checkpoint()
        table.begin()
        assert table.transaction is not None
        table.transaction.delete(1)
        table.prepare()
        table.rollback()
        assert len(table) == 3
        assert not any((tmp_path / "t.flac-wal").read_bytes()[FIRST_RECORD:])
    assert os.listdir(tmp_path) == ["t.flac"]


def test_rollback_of_what_is_too_large_for_the_log(tmp_path: Path) -> None:
    with create(tmp_path / "t.flac", 0) as table:
        before = (tmp_path / "t.flac").read_bytes()
        for rows_before in (0, 1):
            if rows_before:
                table.append([{"id": 1}])
                table.checkpoint()
                before = (tmp_path / "t.flac").read_bytes()
            for _ in range(2):
                table.begin()
                assert table.transaction is not None
                for number in range(2, 302):
                    table.transaction.insert(number, [number, None, None, "x" * 2000, *[None] * 7])
                table.prepare()
                assert (tmp_path / "t.flac").read_bytes() != before
                table.rollback()
                assert len(table) == rows_before
            assert (tmp_path / "t.flac").read_bytes() == before
        assert os.listdir(tmp_path) == ["t.flac"]


def test_a_reader_forgets_a_commit_that_was_taken_back(tmp_path: Path) -> None:
    with create(tmp_path / "t.flac", 3) as table, Table(tmp_path / "t.flac") as reader:
        table.begin()
        assert table.transaction is not None
        table.transaction.delete(1)
        table.prepare()
        assert reader.refresh()
        assert len(reader) == 2
        table.rollback()
        table.append(arrow(rows(4, 0, 4)))
        assert reader.refresh()
        assert len(reader) == len(table) == 7
