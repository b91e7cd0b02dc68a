"""snapshots, changes, tag, restore and vacuum."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import audiomem_sql as am
from audiomem_sql.storage.log.chain import FIRST_RECORD
from audiomem_sql.storage.log.reader import RECORD_HEADER

from .conftest import Command, Result, contents, fails


@pytest.fixture
def notes(audiomem: Command) -> str:
    """A table with versions 1 to 4: nothing, two rows, one of them changed, one removed."""
    audiomem(
        "create", "notes.flac", "id INTEGER PRIMARY KEY", "title TEXT", "data BLOB", "--profile", "embedded"
    )
    for change in (
        "INSERT INTO notes(title, data) VALUES ('one', x'00ff'), ('two', NULL)",
        "UPDATE notes SET title = 'zwei' WHERE id = 2",
        "DELETE FROM notes WHERE id = 1",
    ):
        assert audiomem("sql", "notes.flac", change).code == 0
    return "notes.flac"


def listed(result: Result) -> Any:
    assert result.code == 0, result
    return json.loads(result.out)


def rows(file: str) -> list[tuple[Any, ...]]:
    with am.open(file) as table:
        return [tuple(row.values()) for row in table.to_arrow(["id", "title"]).to_pylist()]


def test_snapshots(audiomem: Command, notes: str) -> None:
    assert (
        audiomem("tag", notes, "before", "--version", "2").out == "notes.flac: version 2 is called before\n"
    )
    assert audiomem("tag", notes, "newest").out == "notes.flac: version 5 is called newest\n"
    versions = listed(audiomem("snapshots", notes, "--json"))
    assert [(v["version"], v["added"], v["removed"], v["tags"], v["message"]) for v in versions] == [
        (1, 0, 0, [], None), (2, 2, 0, ["before"], None), (3, 1, 1, [], None), (4, 0, 1, [], None),
        (5, 0, 0, ["newest"], "tag before"), (6, 0, 0, [], "tag newest"),
    ]  # fmt: skip
    shown = audiomem("snapshots", notes)
    assert (shown.code, shown.err) == (0, "")
    lines = [line.split() for line in shown.out.splitlines()]
    assert lines[0] == ["version", "time", "added", "removed", "tags", "message"]
    assert lines[3][0] == "2"
    assert lines[3][3:] == ["2", "0", "before"]
    facts = listed(audiomem("info", notes, "--json"))
    assert [version["tags"] for version in facts["versions"]] == [v["tags"] for v in versions]
    assert "before" in audiomem("info", notes).out


def test_changes(audiomem: Command, notes: str) -> None:
    rows = listed(audiomem("changes", notes, "1", "--json"))
    assert [(c["version"], c["rowid"], c["change"], c["title"]) for c in rows] == [
        (2, 1, "insert", "one"), (2, 2, "insert", "two"), (3, 2, "update_preimage", "two"),
        (3, 2, "update_postimage", "zwei"), (4, 1, "delete", "one"),
    ]  # fmt: skip
    assert rows[0]["data"] == {"$base64": True, "encoded": "AP8="}
    assert listed(audiomem("changes", notes, "3", "3", "--json")) == rows[2:4]
    audiomem("tag", notes, "third", "--version", "3")
    assert listed(audiomem("changes", notes, "third", "third", "--json")) == rows[2:4]
    shown = audiomem("changes", notes, "4", "4")
    assert shown.out.splitlines()[-1].split() == ["4", "1", "delete", "1", "one", "x'00ff'"]
    assert listed(audiomem("changes", notes, "4", "3", "--json")) == []


def test_columns_that_are_called_like_ours(audiomem: Command) -> None:
    audiomem("create", "odd.flac", "change TEXT", "k2 TEXT")
    audiomem("sql", "odd.flac", "INSERT INTO odd VALUES ('a', 'b')")
    assert listed(audiomem("changes", "odd.flac", "2", "--json")) == [
        {"version": 2, "rowid": 1, "change": "insert", "change_2": "a", "k2": "b"}
    ]


def test_restore(audiomem: Command, notes: str) -> None:
    shown = audiomem("restore", notes, "2")
    assert (shown.code, shown.out) == (0, "notes.flac: version 5 has the rows of version 2: 2 rows\n")
    assert rows(notes) == [(1, "one"), (2, "two")]
    assert (
        audiomem("restore", notes, "5").out
        == "notes.flac: the newest version has the rows of version 5 already\n"
    )
    audiomem("tag", notes, "two", "--version", "2")
    audiomem("sql", notes, "DELETE FROM notes")
    assert audiomem("restore", notes, "two").code == 0
    assert rows(notes) == [(1, "one"), (2, "two")]
    assert listed(audiomem("snapshots", notes, "--json"))[-1]["message"] == "restore version 2"


def test_vacuum(audiomem: Command, notes: str) -> None:
    before = contents(Path())
    shown = audiomem("vacuum", notes, "--dry-run", "--retain", "2")
    assert shown.out.startswith("notes.flac: would keep versions 3 to 4 of 1 to 4, and write anew what is ")
    assert contents(Path()) == before
    shown = audiomem("vacuum", notes)
    assert shown.code == 0
    assert "versions 1 to 4 kept" in shown.out
    assert " before, " in shown.out
    assert [path.name for path in Path().iterdir()] == ["notes.flac"]
    assert len(listed(audiomem("changes", notes, "1", "--json"))) == 5
    audiomem("tag", notes, "third", "--version", "3")
    assert "versions 3 to 5 kept" in audiomem("vacuum", notes, "--retain", "1", "--level", "3").out
    assert "versions 3 to 5 kept" in audiomem("vacuum", notes, "--retain", "1000w").out
    assert rows(notes) == [(2, "zwei")]
    assert audiomem("verify", notes).code == 0


def test_vacuum_of_a_file_that_holds_one_version(audiomem: Command, notes: str) -> None:
    assert "versions 4 to 4 kept" in audiomem("vacuum", notes, "--retain", "1").out
    with am.open(notes) as table:
        assert table.snapshot.segments[0].catalog.created is None
    assert rows(notes) == [(2, "zwei")]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["changes", "2", "99"], 1, "version 99 is not kept. Versions 1 to 4 are kept; tags: none."),
        (["changes", "whole"], 1, "there is no tag 'whole'"),
        (["changes"], 2, "FIRST"),
        (["restore", "99"], 1, "version 99 is not kept"),
        (["restore", "whole"], 1, "there is no tag 'whole'"),
        (["restore"], 2, "VERSION"),
        (["tag"], 2, "NAME"),
        (["tag", "7"], 2, "'7' is no name for a version"),
        (["tag", ""], 2, "is no name for a version"),
        (["tag", "x", "--version", "99"], 1, "version 99 is not kept"),
        (["tag", "x", "--version", "y"], 2, "integer"),
        (["vacuum", "--retain", "some"], 2, "Write all, a number, or an age such as 30d."),
        (["vacuum", "--retain", "0"], 2, "at least the newest version"),
        (["vacuum", "--level", "23"], 2, "22"),
        (["snapshots", "more"], 2, "more"),
    ],
)
def test_wrong_usage(audiomem: Command, notes: str, arguments: list[str], code: int, words: str) -> None:
    before = contents(Path())
    fails(audiomem(arguments[0], notes, *arguments[1:]), code, words)
    assert contents(Path()) == before


VERBS = (["snapshots"], ["changes", "1"], ["tag", "x"], ["restore", "1"], ["vacuum"])


@pytest.mark.damages
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_files_that_are_no_table(audiomem: Command, notes: str, verb: list[str]) -> None:
    Path("text.flac").write_text("this is no sound\n" * 100)
    good = Path(notes).read_bytes()
    Path("short.flac").write_bytes(good[: len(good) * 2 // 3])
    before = contents(Path())
    fails(audiomem(verb[0], "gone.flac", *verb[1:]), 1, "gone.flac", "no such file")
    fails(audiomem(verb[0], "text.flac", *verb[1:]), 1, "not a FLAC file")
    if verb[0] in ("tag", "vacuum"):
        fails(audiomem(verb[0], "short.flac", *verb[1:]), 1, "the file ends after", "restore")
    assert contents(Path()) == before


@pytest.mark.damages
def test_verify_tells_what_is_wrong_with_the_log(audiomem: Command, notes: str, tmp_path: Path) -> None:
    """A writer is killed with two commits in the log; then its last byte is another one, then its header.

    If it was killed before it said that the last commit is durable, that one may have been torn.
    """
    code = "import sys, os, audiomem_sql as am; t = am.open(sys.argv[1])\n" + (
        "t.append([{'title': 'three'}]); sys.stdout.buffer.write(open(sys.argv[1] + '-wal', 'rb').read())\n"
        "sys.stdout.flush(); t.append([{'title': 'four'}]); os._exit(0)"
    )
    one = subprocess.run([sys.executable, "-c", code, notes], check=True, stdout=subprocess.PIPE).stdout
    log = Path(f"{notes}-wal")
    whole = log.read_bytes()
    assert audiomem("verify", notes).code == 0
    facts = listed(audiomem("info", notes, "--json"))
    assert (facts["version"], facts["size"]["log"]) == (6, len(whole))
    assert "log 65.5 kB" in audiomem("info", notes).out
    log.write_bytes(whole)

    last = len(whole.rstrip(b"\0")) - 1
    wrong_end = whole[:last] + b"\x7f" + whole[last + 1 :]
    log.write_bytes(wrong_end)
    shown = audiomem("verify", notes)
    assert shown.code == 1
    assert "the log was cut short or is damaged at version 6" in shown.out
    before = contents(Path())
    fails(audiomem("sql", notes, "DELETE FROM notes"), 1, "is damaged at version 6", "Restore the log")
    assert contents(Path()) == before

    log.write_bytes(one[:FIRST_RECORD] + wrong_end[FIRST_RECORD:])
    shown = audiomem("verify", notes)
    assert shown.code == 1
    assert shown.out.startswith(f"{tmp_path / notes}-wal: byte ")
    assert "what stands behind version 5 is no whole commit" in shown.out
    (problem,) = listed_problems(audiomem("verify", notes, "--json"))
    assert problem["page"] is None
    assert rows(notes) == [(2, "zwei"), (3, "three")]

    first = FIRST_RECORD + RECORD_HEADER.size + 3
    for offset in (first, FIRST_RECORD):  # inside the record, and in its length
        log.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
        shown = audiomem("verify", notes)
        assert f"byte {FIRST_RECORD}: the log was cut short or is damaged at version 5" in shown.out
        before = contents(Path())
        fails(audiomem("sql", notes, "DELETE FROM notes"), 1, "is damaged at version 5", "Restore the log")
        assert contents(Path()) == before

    log.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    shown = audiomem("verify", notes)
    assert shown.code == 1
    assert "notes.flac-wal: this is no write-ahead log, or its header is damaged" in shown.out
    fails(audiomem("sql", notes, "SELECT 1"), 1, "notes.flac-wal", "move it away")


def listed_problems(result: Result) -> list[dict[str, Any]]:
    assert result.code == 1
    facts = json.loads(result.out)
    assert facts["ok"] is False
    problems: list[dict[str, Any]] = facts["problems"]
    return problems
