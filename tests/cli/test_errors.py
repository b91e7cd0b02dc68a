"""Bad input: the exit code, one line that says what is wrong, and nothing changed on the disk."""

from __future__ import annotations

import json
import os
import subprocess
import wave
from pathlib import Path

import pytest

from audiomem_sql.storage.pages.header import FORMAT_VERSION, PAGE_HEADER, PAGE_MAGIC, PageHeader
from audiomem_sql.table.table import Table

from .conftest import Command, contents, fails, process

READERS = (
    ["sql", "FILE", "SELECT 1"],
    ["shell", "FILE"],
    ["info", "FILE"],
    ["verify", "FILE"],
    ["ingest", "FILE", "a.md"],
)


@pytest.fixture
def files(audiomem: Command, tmp_path: Path) -> Path:
    """A folder with a table of 2,000 rows and things that are none."""
    audiomem("create", "good.flac", "id INTEGER PRIMARY KEY", "source TEXT", "seq INTEGER", "body TEXT")
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000)"
    assert (
        audiomem(
            "sql", "good.flac", f"{rows} INSERT INTO good SELECT i, 's', i, hex(randomblob(50)) FROM n"
        ).code
        == 0
    )
    with wave.open("music.wav", "wb") as sound:
        sound.setparams((2, 2, 44100, 0, "NONE", ""))
        sound.writeframes(bytes(range(256)) * 400)
    subprocess.run(["flac", "--silent", "music.wav"], check=True)
    Path("text.flac").write_text("this is no sound\n" * 100)
    Path("empty.flac").touch()
    Path("a.md").write_text("# A\n\nwords\n")
    good = Path("good.flac").read_bytes()
    Path("short.flac").write_bytes(good[: len(good) * 2 // 3])
    middle = len(good) // 2
    Path("spoiled.flac").write_bytes(good[:middle] + bytes(40) + good[middle + 40 :])
    Path("newer.flac").write_bytes(_newer(good))
    return tmp_path


def _newer(data: bytes) -> bytes:
    """The file with every page header saying that it is of the next format version."""
    at = data.find(PAGE_MAGIC)
    while at >= 0:
        header = PageHeader.unpack(data[at : at + PAGE_HEADER.size])
        if header is not None:
            names = [name for name in PageHeader.__dataclass_fields__ if name != "format_version"]
            changed = PageHeader(
                **{name: getattr(header, name) for name in names}, format_version=FORMAT_VERSION + 1
            )
            data = data[:at] + changed.pack() + data[at + PAGE_HEADER.size :]
        at = data.find(PAGE_MAGIC, at + 1)
    return data


@pytest.mark.damages
@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("music.flac", "this FLAC file holds sound, not a table"),
        ("text.flac", "not a FLAC file"),
        ("empty.flac", ""),
        ("newer.flac", f"format version {FORMAT_VERSION + 1}"),
        (".", ""),
    ],
)
def test_no_table(audiomem: Command, files: Path, file: str, words: str) -> None:
    before = contents(files)
    for verb, *rest in READERS:
        result = audiomem(verb, *(file if word == "FILE" else word for word in rest))
        if verb == "verify" and result.out:
            assert (result.code, words in result.out, result.err.count("\n")) == (
                1,
                True,
                1,
            )  # damage is its subject
        else:
            fails(result, 1, words)
    assert contents(files) == before


@pytest.mark.damages
def test_missing_file(audiomem: Command, files: Path) -> None:
    before = contents(files)
    for verb, *rest in READERS[:4]:
        fails(
            audiomem(verb, *("gone.flac" if word == "FILE" else word for word in rest)),
            1,
            "gone.flac",
            "no such file",
        )
    fails(audiomem("ingest", "new.flac", "gone/"), 1, "gone")
    fails(audiomem("ingest", "no/such/folder/new.flac", "a.md"), 1, "no/such/folder")
    fails(audiomem("create", "no/such/folder/new.flac", "a TEXT"), 1, "no/such/folder")
    assert contents(files) == before


@pytest.mark.damages
def test_spoiled_page(audiomem: Command, files: Path) -> None:
    before = contents(files)
    verified = audiomem("verify", "spoiled.flac")
    assert verified.code == 1
    assert verified.out.count("\n") == 1
    assert "page " in verified.out
    assert "CRC-32C" in verified.out
    assert verified.err.startswith("audiomem: spoiled.flac: 1 problem")
    facts = json.loads(audiomem("verify", "spoiled.flac", "--json").out)
    assert facts["ok"] is False
    assert len(facts["problems"]) == 1
    assert isinstance(facts["problems"][0]["page"], int)
    fails(
        audiomem("sql", "spoiled.flac", "SELECT sum(length(body)) FROM spoiled"), 1, "page", "audiomem verify"
    )
    shown = process("shell", "spoiled.flac", cwd=files, stdin="select sum(length(body)) from spoiled;\n")
    assert shown.code == 1
    assert "Traceback" not in shown.err
    assert audiomem("info", "spoiled.flac").code == 0
    assert contents(files) == before


@pytest.mark.damages
def test_cut_off_file(audiomem: Command, files: Path) -> None:
    before = contents(files)
    verified = audiomem("verify", "short.flac")
    assert verified.code == 1
    assert "missing" in verified.out
    assert len(json.loads(audiomem("verify", "short.flac", "--json").out)["problems"]) == 1
    fails(audiomem("sql", "short.flac", "SELECT sum(length(body)) FROM short"), 1, "short.flac")
    fails(audiomem("ingest", "short.flac", "a.md"), 1, "missing", "Restore")
    assert contents(files) == before


@pytest.mark.damages
def test_place_that_cannot_be_written(audiomem: Command, files: Path) -> None:
    # Permissions do not stop root, these places do.
    for path in ("/proc/new.flac", "a.md/new.flac"):
        result = audiomem("create", path, "a TEXT")
        fails(result, 1, path.rpartition("/")[0])
        fails(audiomem("ingest", path, "a.md"), 1, path.rpartition("/")[0])
    os.chmod("good.flac", 0o444)
    full = process("sql", "good.flac", "SELECT hex(randomblob(9999)) FROM good", cwd=files)
    assert full.code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], "frobnicate"),
        (["sql", "good.flac"], "Missing argument"),
        (["info"], "FILE"),
        (["info", "good.flac", "--colour"], "--colour"),
        (["info", "good.flac", "more"], "more"),
        (["create", "x.flac"], "COLUMN"),
        (["create", "x.flac", "a FOO"], "FOO"),
        (["create", "x.flac", "a TEXT", "a TEXT"], "twice"),
        (["create", "x.flac", "a TEXT", "--profile", "hifi"], "hifi"),
        (["create", "x.flac", "a TEXT", "--compression-level", "99"], "99"),
        (["create", "x.flac", "a TEXT", "--compression-level", "high"], "integer"),
        (["create", "x.flac", "a TEXT", "-o", "loudness=11"], "loudness"),
        (["create", "x.flac", "a TEXT", "-o", "loudness"], "loudness"),
        (["sql", "good.flac", "SELECT 1", "--json", "--csv"], "--csv"),
        (["sql", "good.flac", "SELECT 1", "-p", "x"], "'x'"),
        (["sql", "good.flac", "  "], "empty"),
        (["ingest", "x.flac", "a.md", "--size", "3"], "3"),
        (["ingest", "x.flac", "a.md", "--overlap", "900"], "overlap"),
        (["ingest", "x.flac", "a.md", "--commit-every", "0"], "--commit-every"),
        (["ingest", "good.flac", "a.md", "-o", "profile=mobile"], "Leave"),
        (["ingest", "x.flac"], "PATH"),
    ],
)
@pytest.mark.damages
def test_wrong_usage(audiomem: Command, files: Path, arguments: list[str], words: str) -> None:
    before = contents(files)
    fails(audiomem(*arguments), 2, words)
    assert contents(files) == before


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELEC 1", "SELEC"),
        ("SELECT nope FROM good", "nope"),
        ("SELECT * FROM bad", "The tables are: good."),
        ("SELECT :a", "-p a=…"),
        ("INSERT INTO good(id) VALUES (1)", "UNIQUE"),
        ("INSERT INTO good(id) VALUES ('x')", "id"),
        ("SELECT * FROM good WHERE good MATCH 'x'", "MATCH"),
        ("UPDATE good SET seq = 0; SELECT * FROM good; ROLLBACK", "ROLLBACK"),
    ],
)
@pytest.mark.damages
def test_errors_of_sql(audiomem: Command, files: Path, query: str, words: str) -> None:
    result = audiomem("sql", "good.flac", query)
    assert result.code == 1
    if ";" not in query:
        fails(result, 1)
    assert result.err.splitlines()[-1].startswith("audiomem: ")
    assert words.partition("ROLL")[0] in result.err
    assert "Traceback" not in result.err
    assert audiomem("verify", "good.flac").code == 0


@pytest.mark.damages
def test_one_result_at_a_time_for_programs(audiomem: Command, files: Path) -> None:
    result = audiomem("sql", "good.flac", "SELECT 1 AS a; SELECT 2 AS b", "--json")
    assert result.code == 1
    assert json.loads(result.out) == [{"a": 1}]
    assert "several results" in result.err


@pytest.mark.damages
def test_existing_files_are_left_alone(audiomem: Command, files: Path) -> None:
    before = contents(files)
    for file in ("good.flac", "music.flac", "text.flac"):
        fails(audiomem("create", file, "a TEXT"), 1, file, "exists already")
    assert contents(files) == before


@pytest.mark.damages
def test_damage_that_leaves_the_table_readable_is_one_line_on_stderr(
    audiomem: Command, tmp_path: Path
) -> None:
    with Table.create("t.flac", ["id INTEGER PRIMARY KEY", "v INTEGER"]) as table:
        table.append([{"v": 1}])
        log, end = Path("t.flac-wal"), table.snapshot.log.end  # type: ignore[union-attr]
        data = bytearray(log.read_bytes())
        data[end : end + 9] = b"half of a"
        log.write_bytes(data)
        shown = audiomem("sql", "t.flac", "SELECT v FROM t", "--csv")
        assert (shown.code, shown.out) == (0, "v\n1\n")
        first, *_ = shown.err.splitlines()
        assert first.startswith(
            f"audiomem: warning: {tmp_path / log}: byte {end}: what stands behind version 2 "
        )
        assert shown.err.count("warning") == 1
        assert audiomem("verify", "t.flac").code == 1
