"""log, diff and grep: what was done, what is different, and lines that match."""

from __future__ import annotations

import json
import random
import re
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import audiomem_sql as am
from audiomem_sql.table.row_diff import differences
from audiomem_sql.table.table import Table

from .conftest import Command, fails


@pytest.fixture
def todo(audiomem: Command) -> str:
    """Versions 1 to 5: made, three rows, one changed, one gone and one new, a column more."""
    audiomem("create", "todo.flac", "id INTEGER PRIMARY KEY", "task TEXT", "done BOOLEAN")
    for sql in (
        "INSERT INTO todo(task, done) VALUES ('write', 0), ('listen', 0), ('rest', 1)",
        "UPDATE todo SET task = 'write more', done = 1 WHERE id = 1",
        "DELETE FROM todo WHERE id = 3",
        "INSERT INTO todo VALUES (9, 'sing', 0)",
    ):
        assert audiomem("sql", "todo.flac", sql).code == 0
    audiomem("tag", "todo.flac", "before", "--version", "2")
    audiomem("alter", "todo.flac", "add column year INTEGER DEFAULT 2000")
    return "todo.flac"


def test_log(todo: str, audiomem: Command) -> None:
    shown = audiomem("log", todo, "--oneline").out.splitlines()
    assert shown[0] == "7 +0 -0 add column year INTEGER DEFAULT 2000"
    assert "2 (before) +3 -0" in shown
    assert shown[-1].startswith("1 ")
    assert audiomem("log", todo, "-n", "1").out.splitlines()[0] == "version 7"
    listed = json.loads(audiomem("log", todo, "--json").out)
    assert listed == json.loads(audiomem("snapshots", todo, "--json").out)[::-1]


def test_diff(todo: str, audiomem: Command) -> None:
    shown = audiomem("diff", todo, "before").out.splitlines()
    assert shown == [
        "todo.flac: version 2 to 7: rows 1 added, 1 removed, 1 changed",
        "columns added: year",
        "~ id=1  task: write → write more  done: 0 → 1",
        "- id=3  task=rest  done=1",
        "+ id=9  task=sing  done=0  year=2000",
    ]
    assert audiomem("diff", todo, "before", "--stat").out.splitlines() == shown[:2]
    assert audiomem("diff", todo, "before", "--limit", "1").out.splitlines() == [
        *shown[:3],
        "… and 2 more (--limit 0 shows all)",
    ]
    facts = json.loads(audiomem("diff", todo, "7", "2", "--json").out)
    assert (facts["added"], facts["removed"], facts["changed"]) == (1, 1, 1)
    assert facts["columns"] == {"added": [], "removed": ["year"], "renamed": []}
    assert facts["rows"][0] == {
        "change": "changed",
        "key": {"id": 1},
        "columns": {"task": {"from": "write more", "to": "write"}, "done": {"from": 1, "to": 0}},
    }
    same = audiomem("diff", todo, "3", "3")
    assert (same.code, same.out) == (0, "todo.flac: version 3 to 3: rows 0 added, 0 removed, 0 changed\n")
    fails(audiomem("diff", todo, "88"), 1, "88")


def test_diff_by_another_key(audiomem: Command) -> None:
    with Table.create("k.flac", ["code TEXT PRIMARY KEY", "v BLOB", "w REAL"]) as table:
        table.append([{"code": "a", "v": b"1", "w": 1.0}, {"code": "b", "v": b"2", "w": 2.0}])
    connection = am.connect("k.flac")
    connection.execute("DELETE FROM k")
    connection.execute("INSERT INTO k VALUES ('b', x'32', 2.0), ('a', x'39', 1.0), ('c', NULL, NULL)")
    connection.close()
    assert audiomem("diff", "k.flac", "2").out.splitlines() == [
        "k.flac: version 2 to 4: rows 1 added, 0 removed, 1 changed",
        "+ code=c",
        "~ code=a  v: x'31' → x'39'",
    ]
    facts = json.loads(audiomem("diff", "k.flac", "2", "--json").out)
    assert facts["rows"][1]["columns"]["v"]["to"] == {"$base64": True, "encoded": "OQ=="}


def test_diff_by_a_key_of_bytes(audiomem: Command) -> None:
    with Table.create("b.flac", ["k BLOB PRIMARY KEY", "v TEXT"]) as table:
        table.append([{"k": b"1", "v": "a"}])
    (row,) = json.loads(audiomem("diff", "b.flac", "1", "--json").out)["rows"]
    assert row["key"] == {"k": {"$base64": True, "encoded": "MQ=="}}


def test_diff_is_what_differs(tmp_path: Path) -> None:
    """Of random commits, in the log and in segments, against the rows of both versions themselves."""
    seeded = random.Random(5)
    with Table.create(tmp_path / "r.flac", ["id INTEGER PRIMARY KEY", "a TEXT", "b INTEGER"]) as table:
        states: dict[int, dict[int, tuple[Any, ...]]] = {1: {}}
        rows: dict[int, tuple[Any, ...]] = {}
        for _ in range(14):
            transaction = table.begin()
            for _ in range(seeded.randrange(1, 6)):
                rowid = seeded.randrange(1, 12)
                row = (rowid, seeded.choice("xyz"), seeded.choice([None, 1, 2]))
                if rowid in rows and seeded.random() < 0.4:
                    transaction.delete(rowid)
                    del rows[rowid]
                elif rowid in rows:
                    transaction.update(rowid, rowid, row)
                    rows[rowid] = row
                else:
                    transaction.insert(rowid, row)
                    rows[rowid] = row
            table.commit()
            states[table.version] = dict(rows)
            if seeded.random() < 0.3:
                table.checkpoint()
        for _ in range(30):
            first, second = seeded.choice(list(states)), seeded.choice(list(states))
            old, new = states[first], states[second]
            found = {(each.change, each.key["id"]) for each in differences(table, first, second)}
            assert found == {
                *(("added", rowid) for rowid in new.keys() - old.keys()),
                *(("removed", rowid) for rowid in old.keys() - new.keys()),
                *(("changed", rowid) for rowid in new.keys() & old.keys() if old[rowid] != new[rowid]),
            }


# -- grep --------------------------------------------------------------------------------------------------

LINES = ["A table can be heard.", "tables, Tables", "a.b", "axb", "", "Straße in ÄÖÜ", "x" * 3000 + " heard"]


@pytest.fixture
def kb(audiomem: Command, tmp_path: Path) -> str:
    with Table.create(
        "kb.flac",
        ["id INTEGER PRIMARY KEY", "source TEXT", "place TEXT", "title TEXT", "body TEXT", "n INT"],
    ) as table:
        table.append(
            [
                {"source": "a.md", "place": "line=3", "title": "Heard", "body": "\n".join(LINES[:3])},
                {
                    "source": "a.md",
                    "place": "line=9",
                    "title": "Heard",
                    "body": "\r\n".join(LINES[3:5]) + "\r\n",
                },
                {"source": "b.md", "place": None, "title": None, "body": LINES[5] + "\n"},
            ]
        )
        table.append([{"source": None, "body": LINES[6]}, {"source": None, "body": None}])
    return "kb.flac"


def test_grep(kb: str, audiomem: Command) -> None:
    shown = audiomem("grep", kb, "heard", "--column", "body")
    assert (shown.code, shown.out) == (0, f"a.md#line=3:A table can be heard.\n4:{LINES[6]}\n")
    assert audiomem("grep", kb, "Heard").out == "a.md#line=3:Heard\n"  # the title stands in both rows
    assert audiomem("grep", kb, "a.b").out == "a.md#line=5:a.b\na.md#line=9:axb\n"
    assert audiomem("grep", kb, "-F", "a.b").out == "a.md#line=5:a.b\n"
    assert audiomem("grep", kb, "-i", "straße").out == "b.md:Straße in ÄÖÜ\n"
    assert audiomem("grep", kb, "-w", "tables").out == "a.md#line=4:tables, Tables\n"
    assert audiomem("grep", kb, "^a", "-c").out == "a.md:2\n"
    assert audiomem("grep", kb, "a", "-l").out == "a.md\nb.md\nkb.flac\n"
    assert audiomem("grep", kb, "a", "-m", "1").out.count("\n") == 1
    assert audiomem("grep", kb, "sing").code == 1
    (match,) = json.loads(audiomem("grep", kb, "ÄÖ", "--json").out)
    assert (match["id"], match["source"], match["column"], match["spans"]) == (3, "b.md", "body", [[10, 12]])
    assert json.loads(audiomem("grep", kb, "nowhere", "--json").out) == []


def test_grep_names_the_line_of_the_source(audiomem: Command, tmp_path: Path) -> None:
    lines = ["# Sound", "", "First word.", "", "Second word.", "## More", "", "", "Third", "word."]
    (tmp_path / "a.md").write_text("\n".join(lines))
    (tmp_path / "a.py").write_text(
        "import os\n\n\ndef one():\n    return 1\n\n\ndef two():\n    return 2  # word\n"
    )
    assert audiomem("ingest", "n.flac", "a.md", "a.py").code == 0
    matches = json.loads(audiomem("grep", "n.flac", "(?i)word|return", "--json").out)
    assert len(matches) == 5
    for match in matches:
        number = int(match["place"].removeprefix("line="))
        assert (tmp_path / match["source"]).read_text().splitlines()[number - 1] == match["line"]
        assert match["link"].endswith(f"#line={number}")


def test_grep_shows_every_row_of_a_table_without_sources(audiomem: Command) -> None:
    with Table.create("n.flac", ["id INTEGER PRIMARY KEY", "note TEXT", "title TEXT"]) as table:
        table.append([{"note": "same", "title": "same"}] * 2)
    assert audiomem("grep", "n.flac", "same").out == "1:same\n1:same\n2:same\n2:same\n"
    assert audiomem("grep", "n.flac", "same", "-c").out == "n.flac:4\n"


def test_grep_says_what_is_wrong(kb: str, audiomem: Command) -> None:
    fails(audiomem("grep", kb, "a("), 2, "no regular expression", "-F")
    fails(audiomem("grep", "gone.flac", "a"), 2, "gone.flac")
    fails(audiomem("grep", kb, "a", "--column", "n"), 2, "no column of TEXT is called n")


PATTERNS = ["heard", "^t", "d.$", "a.b", "tables?", "[A-Z]", "^$", "x{5}", "ÄÖ", "", "ein|in"]


def test_grep_finds_the_lines_of_grep(kb: str, audiomem: Command, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("\n".join(LINES) + "\n")
    for option, pattern in product([None, "-i", "-F", "-w"], PATTERNS):
        if option == "-w" and pattern in ("", "^$"):
            continue  # grep has rules of its own for words of nothing
        wanted = subprocess.run(
            ["grep", option or "-E", *(["-E"] if option in ("-i", "-w") else []), "--", pattern, "lines"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        )
        options = [] if option is None else [option]
        result = audiomem("grep", kb, *options, "--column", "body", "--", pattern)
        found = [re.sub(r"^(a\.md#line=\d+|b\.md|4):", "", line) for line in result.out.splitlines()]
        assert (result.code, found) == (wanted.returncode, wanted.stdout.splitlines()), (option, pattern)
