"""audiomem ingest: new sources are added, changed ones replaced, and each is there whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

import audiomem_sql as am

from .conftest import Command, contents, fails


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder with sources of several kinds."""
    folder = tmp_path / "docs"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.md").write_text("# Sound\n\nA table can be heard.\n\n## Silence\n\nAn empty one, hardly.\n")
    (folder / "deep" / "b.txt").write_text("Plain words.\n")
    (folder / "c.csv").write_text("title,body,importance\nOne,first,1\nTwo,second,0.5\n")
    (folder / "d.jsonl").write_text('{"title": "x", "text": "line"}\n')
    return folder


def ingested(audiomem: Command, *arguments: str) -> dict[str, Any]:
    """The summary of an ingest."""
    result = audiomem("ingest", *arguments, "--json")
    assert result.code == 0, result
    facts = json.loads(result.out)
    assert isinstance(facts, dict)
    return facts


def counts(facts: dict[str, Any]) -> tuple[int, int, int, int]:
    """New, changed, unchanged, skipped."""
    sources = facts["sources"]
    return sources["new"], sources["changed"], sources["unchanged"], len(sources["skipped"])


def bodies(file: str) -> dict[str, list[str]]:
    """The texts of each source, in order."""
    texts: dict[str, list[str]] = {}
    with am.open(file) as table:
        for row in sorted(table.to_arrow().to_pylist(), key=lambda row: (row["source"], row["seq"])):
            texts.setdefault(row["source"], []).append(row["body"])
    return texts


def test_default_table(audiomem: Command, docs: Path) -> None:
    shown = audiomem("ingest", "kb.flac", "docs")
    assert shown.code == 0
    assert shown.err == ""
    assert shown.out.startswith(
        "sources: 4 new, 0 changed, 0 unchanged, 0 skipped\nrows: 6 added, 0 removed, 6 in all\n"
    )
    with am.open("kb.flac") as table:
        assert table.schema.sql() == (
            "id INTEGER PRIMARY KEY, source TEXT, place TEXT, seq INTEGER, title TEXT INDEXED, "
            "body TEXT INDEXED, created_at TIMESTAMP, importance REAL"
        )
        rows = table.to_arrow().to_pylist()
        assert [row["id"] for row in rows] == [1, 2, 3, 4, 5, 6]
        assert [(row["title"], row["importance"]) for row in rows if row["source"] == "docs/c.csv"] == [
            ("One", 1),
            ("Two", 0.5),
        ]
        assert sorted(table.sources) == ["docs/a.md", "docs/c.csv", "docs/d.jsonl", "docs/deep/b.txt"]
        assert table.versions[-1].message == "ingest: 4 sources"
    assert bodies("kb.flac")["docs/a.md"] == ["A table can be heard.", "An empty one, hardly."]


def test_again_adds_nothing(audiomem: Command, docs: Path) -> None:
    ingested(audiomem, "kb.flac", "docs")
    before = contents(Path())
    facts = ingested(audiomem, "kb.flac", "docs")
    assert counts(facts) == (0, 0, 4, 0)
    assert (facts["rows_added"], facts["version"]) == (0, 2)
    assert contents(Path()) == before


def test_changed_source_replaces_its_rows_in_one_commit(audiomem: Command, docs: Path) -> None:
    ingested(audiomem, "kb.flac", "docs")
    (docs / "a.md").write_text("# Sound\n\nHeard again.\n")
    (docs / "e.md").write_text("New.\n")
    facts = ingested(audiomem, "kb.flac", "docs")
    assert counts(facts) == (1, 1, 3, 0)
    assert (facts["rows_added"], facts["rows_removed"], facts["rows"], facts["version"]) == (2, 2, 6, 3)
    assert bodies("kb.flac")["docs/a.md"] == ["Heard again."]
    assert counts(ingested(audiomem, "kb.flac", "docs")) == (0, 0, 5, 0)
    with am.open("kb.flac") as table:
        assert [(version.inserted, version.deleted) for version in table.versions] == [(0, 0), (6, 0), (2, 2)]


def test_source_that_became_empty_loses_its_rows(audiomem: Command, docs: Path) -> None:
    ingested(audiomem, "kb.flac", "docs")
    (docs / "a.md").write_text("\n")
    facts = ingested(audiomem, "kb.flac", "docs")
    assert (counts(facts), facts["rows"]) == ((0, 1, 3, 0), 4)


def test_other_chunks_are_a_change(audiomem: Command, docs: Path) -> None:
    (docs / "a.md").write_text("Words and words. " * 30)
    assert ingested(audiomem, "kb.flac", "docs/a.md")["rows"] == 1
    facts = ingested(audiomem, "kb.flac", "docs/a.md", "--size", "100")
    assert counts(facts) == (0, 1, 0, 0)
    assert facts["rows"] > 4
    assert all(len(body) <= 100 for body in bodies("kb.flac")["docs/a.md"])


def test_table_of_another_shape(audiomem: Command, docs: Path) -> None:
    audiomem("create", "kb.flac", "body TEXT", "extra BLOB", "Source TEXT", "seq INTEGER")
    assert ingested(audiomem, "kb.flac", "docs")["rows"] == 6
    (docs / "c.csv").write_text("body\nother\n")
    assert ingested(audiomem, "kb.flac", "docs")["rows"] == 5
    audiomem("create", "narrow.flac", "id INTEGER PRIMARY KEY", "body TEXT")
    before = contents(Path())
    fails(audiomem("ingest", "narrow.flac", "docs"), 1, "narrow.flac", "no column source")
    assert contents(Path()) == before


def test_rows_of_others_stay(audiomem: Command, docs: Path) -> None:
    ingested(audiomem, "kb.flac", "docs")
    audiomem("sql", "kb.flac", "INSERT INTO kb(source, body) VALUES ('mine', 'by hand')")
    (docs / "a.md").write_text("Changed.\n")
    facts = ingested(audiomem, "kb.flac", "docs")
    assert facts["rows_removed"] == 2
    assert bodies("kb.flac")["mine"] == ["by hand"]


def test_bad_sources_are_reported_and_passed_over(audiomem: Command, docs: Path) -> None:
    (docs / "bad.jsonl").write_text('{"text": "fine"}\n{"text": \n')
    (docs / "program").write_bytes(b"\x7fELF" + bytes(range(256)))
    (docs / "broken.parquet").write_bytes(b"PAR1 no PAR1")
    result = audiomem("ingest", "docs/kb.flac", "docs")
    assert result.code == 1
    assert "sources: 5 new, 0 changed, 0 unchanged, 3 skipped\n" in result.out
    assert sorted(line.partition(": line")[0].partition(" (")[0] for line in result.err.splitlines()) == [
        "audiomem: 1 source could not be read.",
        "audiomem: cannot read docs/broken.parquet: the Parquet data cannot be read",
        "audiomem: skipped docs/bad.jsonl",
        "audiomem: skipped docs/program: binary: an executable or library of Linux",
    ]
    assert sorted(bodies("docs/kb.flac")) == ["a.md", "bad.jsonl", "c.csv", "d.jsonl", "deep/b.txt"]
    # The table itself lies among its sources, and is none.
    facts = json.loads(audiomem("ingest", "docs/kb.flac", "docs", "--json").out)
    assert counts(facts) == (0, 0, 5, 2)
    failed = {each["source"]: each["failed"] for each in facts["sources"]["skipped"]}
    assert failed == {"docs/broken.parquet": True, "docs/program": False}
    (docs / "bad.jsonl").unlink()
    (docs / "broken.parquet").unlink()
    assert audiomem("ingest", "docs/kb.flac", "docs").code == 0  # a program is nobody's fault


def test_nothing_that_can_be_read(audiomem: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.jsonl").write_text("{\n")
    fails(audiomem("ingest", "kb.flac", "empty"), 1, "nothing that can be read")
    result = audiomem("ingest", "kb.flac", "bad")
    assert result.code == 1
    assert result.err.splitlines()[-1] == "audiomem: bad: nothing could be read."
    assert not (tmp_path / "kb.flac").exists()


def test_small_commits_give_the_same_rows(audiomem: Command, docs: Path) -> None:
    for number in range(10):
        (docs / f"n{number}.md").write_text(f"# {number}\n\nText number {number}.\n")
    ingested(audiomem, "one.flac", "docs")
    facts = ingested(audiomem, "many.flac", "docs", "--commit-every", "0.00002")
    assert facts["commits"] > 5
    assert bodies("many.flac") == bodies("one.flac")
    assert counts(ingested(audiomem, "many.flac", "docs")) == (0, 0, 14, 0)


def test_options_of_the_new_file(audiomem: Command, docs: Path) -> None:
    ingested(audiomem, "kb.flac", "docs", "-o", "profile=embedded", "-o", "compression_level=3")
    with am.open("kb.flac") as table:
        assert (table.options.profile, table.options.compression_level) == ("embedded", 3)


def corpus(folder: Path, files: int) -> None:
    """Many files, each of several rows that name their number."""
    for number in range(files):
        path = folder / f"{number // 500:03d}" / f"{number:05d}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "".join(f"# Part {part}\n\n{number} of {part} " + "words " * 60 + "\n\n" for part in range(7))
        )


def _has_versions(file: Path, count: int) -> bool:
    if not file.exists():
        return False
    with am.open(file) as table:
        return table.version >= count


def test_ctrl_c_keeps_whole_sources(tmp_path: Path, audiomem: Command) -> None:
    corpus(tmp_path / "docs", 4000)
    command = [sys.executable, "-m", "audiomem_sql", "ingest", "kb.flac", "docs", "--commit-every", "0.05"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        while not _has_versions(tmp_path / "kb.flac", 3):
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate()
    assert running.returncode == 130
    assert "Traceback" not in err
    assert "stopping" in err
    assert "interrupted" in err.splitlines()[-1]
    assert out.startswith("sources: ")
    texts_by_source = bodies(str(tmp_path / "kb.flac"))
    assert 3 <= len(texts_by_source) < 4000
    assert all(len(texts) == 7 for texts in texts_by_source.values())
    with am.open(tmp_path / "kb.flac") as table:
        assert set(texts_by_source) == set(table.sources)
    facts = ingested(audiomem, "kb.flac", "docs")
    assert counts(facts) == (4000 - len(texts_by_source), 0, len(texts_by_source), 0)
    assert facts["rows"] == 28000


def test_progress_on_a_terminal(tmp_path: Path) -> None:
    corpus(tmp_path / "docs", 50)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "audiomem_sql", "ingest", "kb.flac", "docs"]
    environment = os.environ | {"COLUMNS": "100", "TERM": "xterm"}
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # so a terminal ends on Linux
            while part := os.read(ours, 1 << 16):
                shown += part
        said, _ = process.communicate()
    assert process.returncode == 0
    assert b"50 new" in said
    # A fast machine reads all sources between two pictures of the bar; the last picture is always drawn.
    assert re.search(rb"of 50 sources|writing [\d,]+ rows", shown)
    assert re.search(rb"([\d.]+)/\1 kB", shown)
    assert b"?" not in re.sub(rb"\x1b\[\?", b"", shown)  # what is not known is not shown
    os.close(ours)


def test_words_of_documents(audiomem: Command, docs: Path) -> None:
    (docs / "e.md").write_text("# Straße\n\nDas Paket SKU-17/b ist da.\n")
    ingested(audiomem, "kb.flac", "docs", "--model", "hashing")
    for query in ('keyword: body : "SKU-17/b"', "words: straße", "SKU-17/b"):
        found = audiomem("search", "kb.flac", query, "-k", "1", "--json")
        assert json.loads(found.out)[0]["source"].endswith("e.md")
    ingested(audiomem, "words.flac", "docs")
    found = audiomem("search", "words.flac", "silences", "--json")
    assert [row["title"] for row in json.loads(found.out)] == ["Sound: Silence"]
    before = Path("words.flac").read_bytes()
    for option in ("--words", "--no-words"):
        fails(audiomem("ingest", "words.flac", "docs", option), 2, "words.flac", f"Leave {option} out")
    assert Path("words.flac").read_bytes() == before
    ingested(audiomem, "words.flac", "docs")


def test_documents_without_words(audiomem: Command, docs: Path) -> None:
    ingested(audiomem, "bare.flac", "docs", "--no-words")
    fails(audiomem("search", "bare.flac", "silences"), 1, "bare.flac", "no column is searched")
    ingested(audiomem, "near.flac", "docs", "--no-words", "--model", "hashing")
    fails(
        audiomem("search", "near.flac", "words: silences"),
        1,
        "near.flac",
        "nothing here is searched by its words",
    )
    ingested(audiomem, "said.flac", "docs", "--words")
    with am.open("said.flac") as table:
        assert [column.name for column in table.schema.columns if column.indexed] == ["title", "body"]


def test_folder_is_followed(audiomem: Command, docs: Path) -> None:
    ingested(audiomem, "kb.flac", "docs")
    (docs / "a.md").rename(docs / "z.md")
    (docs / "c.csv").unlink()
    (docs / "d.jsonl").write_text('{"text": "another line"}\n')
    (docs / "new.txt").write_text("New words.\n")
    shown = audiomem("ingest", "kb.flac", "docs")
    assert shown.code == 0
    assert shown.out.startswith(
        "sources: 1 new, 1 changed, 1 renamed, 1 pruned, 1 unchanged, 0 skipped\n"
        "rows: 2 added, 3 removed, 5 in all\n"
    )
    assert sorted(bodies("kb.flac")) == ["docs/d.jsonl", "docs/deep/b.txt", "docs/new.txt", "docs/z.md"]
    with am.open("kb.flac") as table:
        assert [version.message for version in table.versions][1:] == [
            "ingest: 4 sources",
            "ingest: 3 sources, 1 pruned",
        ]
    (docs / "new.txt").unlink()
    assert ingested(audiomem, "kb.flac", "docs", "--keep")["sources"]["pruned"] == 0
    assert ingested(audiomem, "kb.flac", "docs", "--exclude", "deep")["sources"]["pruned"] == 1
    assert len(bodies("kb.flac")) == 3


def test_folder_that_became_empty(audiomem: Command, docs: Path) -> None:
    ingested(audiomem, "kb.flac", "docs")
    for path in [*docs.rglob("*.*")]:
        path.unlink()
    result = audiomem("ingest", "kb.flac", "docs")
    assert result.code == 1
    assert "4 sources whose files are gone stay in the table" in result.err
    assert len(bodies("kb.flac")) == 4
    assert ingested(audiomem, "kb.flac", "docs", "--prune")["sources"]["pruned"] == 4
    assert bodies("kb.flac") == {}


def _running(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "audiomem_sql", "ingest", "kb.flac", "docs", *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for(what: Any, running: subprocess.Popen[str]) -> None:
    for _ in range(3000):
        if what():
            return
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)
    raise AssertionError("it did not come")


@pytest.mark.parametrize("way", ["embedding", "reading"])
def test_ctrl_c_stops_at_once(tmp_path: Path, audiomem: Command, way: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("Here before.\n")
    ingested(audiomem, "kb.flac", "docs", *(["--model", "hashing"] if way == "embedding" else ["--no-words"]))
    text = "".join(f"Sentence {number} has some words of its own, {number * 7}. " for number in range(6000))
    for number in range(30):
        (tmp_path / "docs" / f"{number:02d}.md").write_text(f"# {number}\n\n{text}")
    with _running(tmp_path, "--commit-every", "0.6" if way == "embedding" else "1000") as running:
        if way == "embedding":
            _wait_for(lambda: _has_versions(tmp_path / "kb.flac", 3), running)
        else:  # it has processes that read
            _wait_for(lambda: len(psutil.Process(running.pid).children()) > 1, running)
        started = time.monotonic()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate()
    took = time.monotonic() - started
    assert running.returncode == 130, (out, err)
    assert "Traceback" not in err
    said = re.search(r"interrupted: ([\d,]+) of 31 sources are in the table", err)
    assert said is not None, err
    with am.open(tmp_path / "kb.flac") as table:
        assert len(table.sources) == int(said[1]) < 31
        assert set(bodies(str(tmp_path / "kb.flac"))) == set(table.sources)
        assert out.startswith("sources: ")
        assert f"{len(table):,} in all" in out
    assert took < 20  # two seconds where nobody else works


def test_ctrl_c_before_the_first_commit_says_that_there_is_no_table(tmp_path: Path) -> None:
    """Nothing is said of a table that was made and taken back."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("Words of a long text. " * 1_000_000)
    for arguments in ((), ("--json",)):
        with _running(tmp_path, *arguments) as running:
            _wait_for((tmp_path / "kb.flac").exists, running)
            running.send_signal(signal.SIGINT)
            out, err = running.communicate()
        assert running.returncode == 130, (out, err)
        assert not (tmp_path / "kb.flac").exists()
        last = err.splitlines()[-1]
        assert last.startswith("audiomem: interrupted: nothing is kept, and kb.flac is not there. Run")
        if arguments:
            facts = json.loads(out)
            assert (facts["version"], facts["file_bytes"], facts["rows"]) == (None, 0, 0)
        else:
            assert out == ""


def test_watch(tmp_path: Path, docs: Path) -> None:
    with _running(tmp_path, "--watch") as running:
        file = tmp_path / "kb.flac"
        try:
            _wait_for(lambda: _has_versions(file, 2), running)
            (docs / "a.md").rename(docs / "z.md")
            (docs / "e.txt").write_text("Seen at once.\n")
            (docs / "c.csv").unlink()
            _wait_for(lambda: _has_versions(file, 3) and "docs/e.txt" in bodies(str(file)), running)
        finally:
            running.send_signal(signal.SIGINT)
            out, err = running.communicate()
    assert running.returncode == 0, (out, err)
    assert sorted(bodies(str(file))) == ["docs/d.jsonl", "docs/deep/b.txt", "docs/e.txt", "docs/z.md"]
    assert "watching docs" in err
    assert re.search(r"^\d\d:\d\d:\d\d version \d+: .*(new|renamed|pruned)", out, re.MULTILINE), out


def test_watch_needs_files(audiomem: Command) -> None:
    fails(audiomem("ingest", "kb.flac", "https://example.invalid/", "--watch"), 2, "cannot follow https://")


def test_pictures_without_the_package_that_reads_them(
    audiomem: Command, docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.jpg"):
        (docs / name).write_bytes(b"\x89PNG\r\n\x1a\n" if name == "a.png" else b"\xff\xd8\xff\xe0")
    (docs / "a.mp3").write_bytes(b"ID3\4\0\0")
    for missing in ("PIL", "PIL.Image", "mutagen", "pypdfium2"):
        monkeypatch.setitem(sys.modules, missing, None)
    result = audiomem("ingest", str(tmp_path / "t.flac"), str(docs), "--json")
    assert result.code == 0, result
    skipped = json.loads(result.out)["sources"]["skipped"]
    assert [(Path(each["source"]).name, each["failed"]) for each in skipped] == [
        ("a.mp3", False),
        ("a.png", False),
        ("b.jpg", False),
    ]
    assert "audiomem: 2 pictures need pip install 'audiomem-sql[media]'" in result.err
    assert "audiomem: 1 audio file needs pip install 'audiomem-sql[media]'" in result.err
    assert "a.png" not in result.err
    (docs / "a.pdf").write_bytes(b"%PDF-1.7\n")
    result = audiomem("ingest", str(tmp_path / "t.flac"), str(docs), "--json")
    assert result.code == 1
    assert "audiomem: 1 source could not be read." in result.err
