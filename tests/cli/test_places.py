"""Places: links in a terminal, plain text elsewhere, and what opens them."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pexpect
import pytest

import audiomem_sql as am
from audiomem_sql.cli import openers
from audiomem_sql.cli.places import Place
from audiomem_sql.table.table import Table

from .conftest import Command, fails


@pytest.fixture
def kb(audiomem: Command, tmp_path: Path) -> str:
    """Rows of a text, of a PDF, of a recording, of the web, and of nowhere."""
    (tmp_path / "notes one.md").write_text("# Sound\n\nA table can be heard.\n")
    for name in ("book.pdf", "talk.mp3"):
        (tmp_path / name).write_bytes(b"\xff\x00binary")
    assert audiomem("ingest", "kb.flac", "notes one.md").code == 0
    with am.open("kb.flac") as table:
        rows = [
            ("book.pdf", "page=3"),
            (str(tmp_path / "talk.mp3"), "t=83.5"),
            ("https://example.org/a?b=1", "line=2"),
            (None, None),
            ("javascript://x", None),
            ("gone.txt", "line=4"),
            ("notes one.md", "line=12"),
        ]
        table.append(
            [{"source": source, "place": place, "seq": 0, "body": "heard too"} for source, place in rows]
        )
    return "kb.flac"


def test_plain_text_and_json(kb: str, audiomem: Command, tmp_path: Path) -> None:
    shown = audiomem("search", kb, "heard", "-k", "20").out
    assert "\n     book.pdf#page=3\n" in shown
    assert "\x1b" not in shown
    rows = json.loads(audiomem("search", kb, "heard", "-k", "20", "--json").out)
    links = {(row["source"], row["place"]): row["link"] for row in rows}
    assert links["book.pdf", "page=3"] == f"file://{tmp_path}/book.pdf#page=3"
    assert links["https://example.org/a?b=1", "line=2"] == "https://example.org/a?b=1#line=2"
    assert links["notes one.md", "line=12"] == f"file://{tmp_path}/notes%20one.md#line=12"
    assert links[None, None] is None


def test_links_in_a_terminal(kb: str, tmp_path: Path) -> None:
    command = f"{os.sys.executable} -m audiomem_sql"  # type: ignore[attr-defined]
    shown = pexpect.run(
        f"{command} search kb.flac heard --where \"source = 'book.pdf'\"",
        cwd=str(tmp_path),
        env={**os.environ, "TERM": "xterm-256color"},
    ).decode()
    link = f"\x1b]8;;file://{tmp_path}/book.pdf#page=3\x1b\\book.pdf#page=3\x1b]8;;\x1b\\"
    assert link in shown
    found = pexpect.run(
        f"{command} grep kb.flac heard -m 2", cwd=str(tmp_path), env={**os.environ, "TERM": "xterm"}
    ).decode()
    assert "can be \x1b[1;31mheard\x1b[0m." in found


def test_a_place_says_nothing_to_the_terminal(tmp_path: Path) -> None:
    place = Place("a\x1b]8;;http://evil\x07.txt", "line=1\x1b[31m")
    assert "\x1b" not in place.link("kb.flac").replace("file://", "")
    assert str(Place("x", "a=1&line=3").further(2)) == "x#a=1&line=5"
    assert Place("x", "byline=3").further(2) == Place("x", "byline=3")
    assert Place("x", "page=3&page=4").number("page") == 3
    assert Place("x", "page=3x").number("page") == 3
    assert Place("x", "page=x").number("page") is None
    assert Place("x", "page=99999999999").number("page") is None


def program(folder: Path, name: str) -> None:
    """A program that notes what it is called with."""
    path = folder / name
    path.write_text('#!/bin/sh\nprintf "%s\\n" "$(basename "$0")" "$@" > "$NOTED"\nexit 3\n')
    path.chmod(path.stat().st_mode | stat.S_IEXEC)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with the programs of a desktop alone; the file in which they note what they got."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("xdg-open", "vim", "code", "zathura", "mpv"):
        program(folder, name)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("NOTED", str(tmp_path / "noted"))
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "vim -R")
    monkeypatch.setattr(openers.sys, "platform", "linux")
    return tmp_path / "noted"


@pytest.mark.parametrize(
    ("row", "called"),
    [
        ("8", ["vim", "-R", "+12", "{folder}/notes one.md"]),
        ("2", ["zathura", "--page", "3", "{folder}/book.pdf"]),
        ("3", ["mpv", "--start=83.5", "{folder}/talk.mp3"]),
        ("4", ["xdg-open", "https://example.org/a?b=1#line=2"]),
    ],
)
def test_what_opens(
    kb: str, audiomem: Command, programs: Path, tmp_path: Path, row: str, called: list[str]
) -> None:
    wanted = [word.format(folder=tmp_path) for word in called]
    assert audiomem("open", kb, row).code == 3  # what the program ended with
    assert programs.read_text().splitlines() == wanted
    programs.unlink()
    facts = json.loads(audiomem("open", kb, row, "--json").out)
    assert facts["command"] == wanted
    printed = audiomem("open", kb, row, "--print")
    assert printed.out.splitlines()[1] == facts["link"]
    assert not programs.exists()


def test_editors(
    kb: str, audiomem: Command, programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", "code")
    printed = audiomem("open", kb, "8", "--print").out
    assert printed.splitlines()[0] == f"code --goto '{tmp_path}/notes one.md:12'"
    monkeypatch.delenv("VISUAL")
    monkeypatch.delenv("EDITOR")
    assert audiomem("open", kb, "8", "--print").out.startswith("xdg-open ")
    monkeypatch.setenv("EDITOR", "no-such-editor")
    fails(audiomem("open", kb, "8"), 1, "no-such-editor cannot be started", "--print")


@pytest.mark.parametrize("place", ["attachment=a.md&line=3", "message=1@x&line=3"])
def test_a_line_inside_something_is_none_of_the_file(programs: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "mail.eml").write_text("Subject: x\n\n")
    path = str(tmp_path / "mail.eml")
    assert openers.command_for(Place(path, place), "kb.flac") == ["xdg-open", path]


def test_an_editor_with_open_quotes(
    kb: str, audiomem: Command, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITOR", "vi 'x")
    fails(audiomem("open", kb, "8"), 2, "EDITOR is no command", "quotes")


#: What steers a terminal: a title, a screen, in one byte, and the direction of text.
STEERING = ["/x\x1b]0;pwned\x07", "foo://\x1b[2J", "http://e.org/\x9b2J\u202e"]


def test_sources_do_not_steer_the_terminal(audiomem: Command, programs: Path) -> None:
    with Table.create("s.flac", ["id INTEGER PRIMARY KEY", "source TEXT", "body TEXT"]) as table:
        table.append([{"source": source, "body": "a"} for source in STEERING])
    for arguments in (["1"], ["2"], ["1", "--print"], ["3", "--print"], ["3", "--json"]):
        result = audiomem("open", "s.flac", *arguments)
        assert all(
            c >= " " and c not in "\x7f\x9b\u202e" for c in (result.out + result.err).replace("\n", "")
        )
        assert "x1b" in result.err or "9b" in result.out
    assert json.loads(audiomem("open", "s.flac", "3", "--json").out)["source"] == STEERING[2]
    rows = audiomem("sql", "s.flac", "SELECT source FROM s", "--json").out
    assert "\x9b" not in rows
    assert [row["source"] for row in json.loads(rows)] == STEERING


def test_what_is_not_opened(kb: str, audiomem: Command, programs: Path) -> None:
    fails(audiomem("open", kb, "5"), 1, "row 5 has no source")
    fails(audiomem("open", kb, "6"), 1, "no address of the web")
    fails(audiomem("open", kb, "7"), 1, "gone.txt", "not there")
    fails(audiomem("open", kb, "70"), 1, "there is no row 70")
    fails(audiomem("open", kb, "x"), 1, "no id")
    audiomem("create", "n.flac", "a TEXT")
    fails(audiomem("open", "n.flac", "1"), 1, "no column source")
    assert not programs.exists()


def test_a_key_of_text_and_a_source_beside_the_table(
    audiomem: Command, programs: Path, tmp_path: Path
) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.txt").write_text("a\n")
    audiomem("create", "far/k.flac", "code TEXT PRIMARY KEY", "source TEXT")
    audiomem("sql", "far/k.flac", "INSERT INTO k VALUES ('it''s', 'a.txt')")
    assert audiomem("open", "far/k.flac", "it's", "--print").out.splitlines() == [
        f"vim -R {tmp_path}/far/a.txt",
        f"file://{tmp_path}/far/a.txt",
    ]
