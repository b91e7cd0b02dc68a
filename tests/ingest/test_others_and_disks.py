"""A table stays true when others write to it, disks are away, and versions are restored."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from audiomem_sql.cli.ingest import _opened
from audiomem_sql.ingest import ingestion
from audiomem_sql.ingest.ingestion import DEFAULT_COLUMNS
from audiomem_sql.ingest.reading import Outcome
from audiomem_sql.ingest.sources import find
from audiomem_sql.ingest.walking import Rules
from audiomem_sql.shards import ShardedSnapshot
from audiomem_sql.table.source_list import source_entries
from audiomem_sql.table.staged_rows import Batch, committed
from audiomem_sql.table.table import Table
from audiomem_sql.versions import REMOVED

from .folders import bring


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(name: str, text: str) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def made(path: str, **options: Any) -> Table:
    return Table.create(path, DEFAULT_COLUMNS, options)


def texts(table: Table) -> list[tuple[str, str]]:
    table.refresh()
    read = table.to_arrow(["source", "body"]).to_pylist()
    return sorted((row["source"], row["body"]) for row in read)


class Other:
    """Somebody else, who ingests once while rows are about to be written."""

    def __init__(self, table: str, path: str, away: str | None = None) -> None:
        self._table, self._path, self._away, self.was = table, path, away, 0

    def __call__(self, rows: int) -> None:
        self.was += 1
        if self.was > 1:
            return
        if self._away is not None:
            os.rename(self._away, "away")
        with Table(self._table) as other:
            bring(other, self._path)
        if self._away is not None:
            os.rename("away", self._away)


# -- others ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("path", ["kb.flac", "kb.shards"])
def test_somebody_else_moves_the_same(path: str) -> None:
    put("n/a.txt", "alpha")
    with made(path, **({"shards": 2} if path == "kb.shards" else {})) as table:
        bring(table, "n")
        os.rename("n/a.txt", "n/b.txt")
        put("n/c.txt", "gamma")
        other = Other(path, "n")
        report = bring(table, "n", on_commit=other)
        assert other.was <= 3
        assert texts(table) == [("n/b.txt", "alpha"), ("n/c.txt", "gamma")]
        assert sorted(table.sources) == ["n/b.txt", "n/c.txt"]
        assert report.renamed == 0


@pytest.mark.usefixtures("here")
def test_somebody_else_takes_out_what_is_moved() -> None:
    put("n/a.txt", "alpha")
    put("n/z.txt", "zeta")
    with made("kb.flac") as table:
        bring(table, "n")
        os.rename("n/a.txt", "n/b.txt")
        bring(table, "n", on_commit=Other("kb.flac", "n", away="n/b.txt"))
        assert texts(table) == [("n/b.txt", "alpha"), ("n/z.txt", "zeta")]
        assert sorted(table.sources) == ["n/b.txt", "n/z.txt"]


@pytest.mark.usefixtures("here")
def test_source_that_is_unchanged_and_no_longer_there(monkeypatch: pytest.MonkeyPatch) -> None:
    put("n/a.txt", "alpha")
    put("n/z.txt", "zeta")
    with made("kb.flac") as table:
        bring(table, "n")
        one_by_one = ingestion._Ingestion._one_by_one

        def overtaken(self: Any, sources: Any) -> Any:
            monkeypatch.setattr(ingestion._Ingestion, "_one_by_one", one_by_one)
            Other("kb.flac", "n", away="n/a.txt")(0)
            table.refresh()
            self._learn(table.snapshot)  # as after a commit
            yield sources[0], Outcome(None)

        monkeypatch.setattr(ingestion._Ingestion, "_one_by_one", overtaken)
        assert bring(table, "n").skipped == []
        assert texts(table) == [("n/a.txt", "alpha"), ("n/z.txt", "zeta")]


@pytest.mark.usefixtures("here")
def test_new_table_of_somebody_else_stays() -> None:
    def commit() -> None:
        with Table("kb.flac") as other:
            other.append([{"source": "x", "seq": 0, "body": "precious"}])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), _opened("kb.flac", {}, None, False):
        commit()
    with Table("kb.flac") as table:
        assert texts(table) == [("x", "precious")]
    with pytest.raises(KeyboardInterrupt), _opened("new.flac", {}, None, False):
        raise KeyboardInterrupt
    assert sorted(os.listdir()) == ["kb.flac"]


def test_prune_leaves_what_are_no_files(here: Path) -> None:
    put("n.txt", "n")
    batch = Batch("app", 7)
    with made("kb.flac") as table:
        numbers = {batch.source: (7).to_bytes(16, "big"), "app1": bytes(16), "old.txt": bytes(16)}
        table.append([{"source": "app1", "seq": 0, "body": "b"}], sources=numbers)
        report = bring(table, here, prune=True)
        assert report.pruned == 1  # old.txt
        assert sorted(table.sources) == ["app1", batch.source, "n.txt"]
    assert committed({batch.source: (8).to_bytes(16, "big")}, batch)
    assert not committed({batch.source: REMOVED}, batch)


# -- folders -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("same_name", [False, True])
def test_table_that_was_moved_alone_keeps_files_that_are_there(same_name: bool) -> None:
    put("a/docs/x.txt", "in a")
    put("a/docs/y.txt", "in a, too")
    with made("a/kb.flac") as table:
        bring(table, "a/docs")
    put(f"b/docs/{'x' if same_name else 'z'}.txt", "in b")
    os.rename("a/kb.flac", "b/kb.flac")
    with Table("b/kb.flac") as table:
        assert bring(table, "b/docs").pruned == 0
        assert ("docs/y.txt", "in a, too") in texts(table)
        shutil.rmtree("a/docs")
        assert bring(table, "b/docs").pruned == (1 if same_name else 2)


@pytest.mark.usefixtures("here")
def test_link_to_a_disk_that_is_away() -> None:
    put("n/a.txt", "alpha")
    put("disk/usb.txt", "usb")
    os.symlink("../disk", "n/disk")
    with made("kb.flac") as table:
        bring(table, "n")
        os.remove("disk/usb.txt")
        report = bring(table, "n")
        assert (report.pruned, report.kept is not None) == (0, True)
        assert len(table.sources) == 2
        put("disk/other.txt", "other")
        assert bring(table, "n").pruned == 1


@pytest.mark.usefixtures("here")
def test_disk_that_is_away_was_not_moved() -> None:
    put("media/other/o.txt", "o")
    put("media/disk/x.txt", "x text")
    put("media/disk/y.txt", "y text")
    put("b/q.txt", "q")
    with made("kb.flac") as table:
        bring(table, "media/disk", "b")
        os.rename("media/disk", "unplugged")
        put("b/x.txt", "x text")
        assert bring(table, "b").pruned == 0
        assert sorted(table.sources) == ["b/q.txt", "b/x.txt", "media/disk/y.txt"]


@pytest.mark.usefixtures("here")
def test_name_that_is_no_utf8_is_still_there() -> None:
    put("n/a.txt", "alpha")
    name = os.fsdecode(b"n/caf\xe9.txt")
    put(name, "coffee")
    with made("kb.flac") as table:
        bring(table, "n")
        assert bring(table, "n", rules=Rules(exclude=("caf*",))).pruned == 0
        os.rename(name, os.fsdecode(b"n/th\xe9.txt"))
        assert bring(table, "n").renamed == 1


@pytest.mark.usefixtures("here")
def test_line_of_an_ignore_file_that_is_no_pattern() -> None:
    put("n/.gitignore", "*.log\n!\n*.tmp\n")
    for name in ("a.txt", "b.log", "c.tmp"):
        put(f"n/{name}", name)
    told: list[tuple[str, str]] = []
    found = find(["n"], None, on_skip=lambda path, reason: told.append((str(path), reason)))
    assert [source.path.name for source in found.sources] == ["a.txt"]
    assert told == [("n/.gitignore", "line 2: ! is no pattern")]


@pytest.mark.usefixtures("here")
def test_other_tables_in_a_folder() -> None:
    put("n/a.txt", "alpha")
    faults: list[str] = []
    told: list[str] = []
    with made("n/other.flac") as other:
        other.append([{"source": "x", "seq": 0, "body": "b"}])
        assert os.path.exists("n/other.flac-wal")
        found = find(
            ["n"],
            None,
            on_skip=lambda path, reason: told.append(path.name),
            on_fault=lambda path, reason: faults.append(path.name),
        )
    assert [source.path.name for source in found.sources] == ["a.txt"]
    assert (told, faults) == (["other.flac"], [])


# -- versions ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("path", ["kb.flac", "kb.shards"])
@pytest.mark.parametrize("comes_back", [False, True])
def test_sources_of_a_restored_version_are_read_again(path: str, comes_back: bool) -> None:
    for name in ("a", "b", "e", "same"):
        put(f"n/{name}.txt", name)
    with made(path, **({"shards": 2} if path == "kb.shards" else {})) as table:
        bring(table, "n")
        version = table.version
        table.append([{"source": "of mine", "seq": 0, "body": "mine"}])
        os.rename("n/a.txt", "a.txt")
        put("n/b.txt", "b two")
        os.rename("n/e.txt", "n/f.txt")
        bring(table, "n")
        if not comes_back:
            table.vacuum()  # versions are kept
        table.restore(version)
        if comes_back:
            os.rename("a.txt", "n/a.txt")
        report = bring(table, "n")
        now = [("n/b.txt", "b two"), ("n/f.txt", "e"), ("n/same.txt", "same")]
        assert texts(table) == ([("n/a.txt", "a"), *now] if comes_back else now)
        assert report.unchanged == 1


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("path", ["kb.flac", "kb.shards"])
def test_what_was_taken_out_is_forgotten_with_its_versions(path: str) -> None:
    for name in ("a", "b"):
        put(f"n/{name}.txt", name)
    with made(path, **({"shards": 2} if path == "kb.shards" else {})) as table:
        bring(table, "n")
        os.remove("n/a.txt")
        bring(table, "n")
        assert source_entries(table.snapshot)["n/a.txt"] == REMOVED
        if isinstance(table.snapshot, ShardedSnapshot):
            before = table.snapshot.manifest.until(table.version - 1).sources
            assert (before["n/a.txt"], before["n/b.txt"]) == (bytes(12) + b"file",) * 2
        table.vacuum(retain="1")
        assert "n/a.txt" not in source_entries(table.snapshot)
