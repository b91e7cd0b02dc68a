"""A sharded table sounds otherwise, and as a stream."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiomem_sql import upkeep
from audiomem_sql.cli.main import run
from audiomem_sql.errors import OptionError, UnsupportedError
from audiomem_sql.table.table import Table
from shards.sharded import check, codes, create, digests, row


def test_transcode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All shards, with all versions; a reader goes on, and so do the commits that follow."""
    path = tmp_path / "t.shards"
    create(path, 40, 3).close()
    with Table(path) as table:
        table.append([row(40)])
    reader = Table(path)
    whole = codes(reader)
    assert run(["transcode", str(path), "--protection", "standard", "--profile", "mobile"]) == 0
    assert "profile=mobile" in capsys.readouterr().out
    assert codes(reader) == whole
    reader.close()
    for shard in range(3):
        with Table(path / f"shard-{shard:04d}.flac") as file:
            assert (file.options.profile, file.options.protection) == ("mobile", "standard")
            assert len(file.snapshot.segments) == 1
            assert file.snapshot.segments[0].file.is_protected
    with Table(path) as table:
        assert (table.options.profile, table.options.protection) == ("mobile", "standard")
        assert codes(table) == whole
        assert len(codes(table, 2)) == 40
        table.append([row(41)])
        check(table)
        table.vacuum()
        check(table)


def test_a_transcode_that_ends_early_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = 0

    def broken(*given: object, **named: object) -> None:
        nonlocal done
        done += 1
        if done == 2:
            raise OSError("the disk is full")
        vacuum(*given, **named)  # type: ignore[arg-type]

    vacuum = upkeep.vacuum
    with create(tmp_path / "t.shards", 40, 3) as table:
        before = digests(tmp_path)
        with pytest.raises(OptionError):
            table.transcode({"profile": "loud"})
        with pytest.raises(OptionError, match="model is not how a table sounds"):
            table.transcode({"model": "hashing"})
        assert digests(tmp_path) == before
        monkeypatch.setattr(upkeep, "vacuum", broken)
        with pytest.raises(OSError, match="full"):
            table.transcode({"protection": "archive"})
    monkeypatch.undo()
    with Table(tmp_path / "t.shards") as table:
        check(table)
        assert len(codes(table)) == 40
        table.transcode({"protection": "archive"})
        assert all(shard.segments[0].file.is_protected for shard in table.snapshot.shards)
        check(table)


def test_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is streamed is one version, as one file has it."""
    with create(tmp_path / "t.shards", 40, 3) as table:
        table.append([row(40)])
        with pytest.raises(OptionError, match="seconds"):
            table.stream(tmp_path / "none", seconds=0)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["t.shards"]
        made = table.stream(tmp_path / "old", 2)
        assert (made.version, made.rows) == (2, 40)
    assert run(["stream", str(tmp_path / "t.shards"), str(tmp_path / "hls")]) == 0
    assert "version 3" in capsys.readouterr().out
    for folder, rows in (("old", 40), ("hls", 41)):
        with Table(tmp_path / folder / "t.m3u8") as stream:
            assert codes(stream) == {f"c{number}" for number in range(rows)}
            assert [version.number for version in stream.snapshot.versions] == [rows - 38]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hls", "old", "t.shards"]


def test_what_does_not_work_is_refused(tmp_path: Path) -> None:
    create(tmp_path / "t.shards", 20).close()
    before = digests(tmp_path)
    with Table(tmp_path / "t.shards") as table:
        with pytest.raises(UnsupportedError, match="a sharded table") as caught:
            table.set_cover(None)
        assert caught.value.remedy
    assert digests(tmp_path) == before
