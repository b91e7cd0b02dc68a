"""What cannot be read inside a source whose rest is: it is listed, in the report and by the command."""

from __future__ import annotations

import json
import pickle
import sys
import zipfile
from pathlib import Path

import pytest

from audiomem_sql.cli.main import run
from audiomem_sql.ingest.documents import content
from audiomem_sql.ingest.ingestion import DEFAULT_COLUMNS, Report, ingest
from audiomem_sql.ingest.reading import COLUMNS, Reading, read_group
from audiomem_sql.ingest.sources import Source, find_sources
from audiomem_sql.table.table import Table
from audiomem_sql.versions import DIGEST_BYTES


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"\0" if name.endswith(".bin") else f"text of {name}")
    return path


def report_of(table: Path, folder: Path) -> Report:
    with Table(table) if table.exists() else Table.create(table, DEFAULT_COLUMNS) as opened:
        return ingest(opened, find_sources([folder]))


def test_problems_inside_are_skipped_sources(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    zipped(folder / "a.zip", "a.txt", "x.bin", "y.bin", "b.txt")
    (folder / "c.txt").write_text("more")
    report = report_of(tmp_path / "t.flac", folder)
    assert (report.new, report.rows_added) == (2, 3)
    assert report.skipped == [
        (f"{folder}/a.zip!{name}", "binary: it has NUL bytes") for name in ("x.bin", "y.bin")
    ]
    again = report_of(tmp_path / "t.flac", folder)
    assert (again.unchanged, again.rows_added, again.rows_removed) == (2, 0, 0)


def test_problems_travel_between_processes(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", "a.txt", "x.bin")
    known: list[tuple[Source, bytes | None]] = [(source, None) for source in find_sources([path])]
    table, _, [outcome] = pickle.loads(pickle.dumps(read_group(known, Reading(), list(COLUMNS))))
    assert (table.num_rows, len(outcome.digest)) == (1, DIGEST_BYTES)
    assert [(error.file, error.what) for error in outcome.problems] == [
        (f"{path}!x.bin", "binary: it has NUL bytes")
    ]


def test_what_a_missing_package_left_out_is_read_once_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    folder = tmp_path / "in"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x010E] = "A tower"
    Image.new("RGB", (8, 8)).save(tmp_path / "i.jpg", exif=exif)
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("a.txt", "text")
        archive.write(tmp_path / "i.jpg", "i.jpg")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "PIL.Image", None)
        without.setitem(sys.modules, "PIL", None)
        for rows in (1, 1):
            report = report_of(tmp_path / "t.flac", folder)
            assert [name for name, _ in report.skipped] == [f"{folder}/a.zip!i.jpg"]
            assert report.rows_added == rows
    report = report_of(tmp_path / "t.flac", folder)
    assert (report.changed, report.rows_added, report.rows_removed, report.skipped) == (1, 2, 1, [])
    assert report_of(tmp_path / "t.flac", folder).unchanged == 1


def test_very_many_problems_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "PROBLEMS_LIMIT", 2)
    folder = tmp_path / "in"
    folder.mkdir()
    zipped(folder / "a.zip", *(f"{n}.bin" for n in range(5)), "a.txt")
    report = report_of(tmp_path / "t.flac", folder)
    assert [reason for _, reason in report.skipped][2:] == ["3 more things inside cannot be read"]


def test_the_command_lists_them(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = zipped(tmp_path / "a.zip", "a.txt", "x.bin")
    (tmp_path / "b.tar").write_bytes(b"no archive")
    assert run(["ingest", str(tmp_path / "t.flac"), str(path), str(tmp_path / "b.tar"), "--json"]) == 1
    out, err = capfd.readouterr()
    assert [entry["source"] for entry in json.loads(out)["sources"]["skipped"]] == [
        f"{path}!x.bin",
        str(tmp_path / "b.tar"),
    ]
    assert f"skipped {path}!x.bin: binary: it has NUL bytes" in err
    assert f"cannot read {tmp_path / 'b.tar'}: the archive cannot be read (truncated header)" in err
