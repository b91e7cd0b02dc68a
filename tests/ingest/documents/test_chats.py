"""Exported chats and bookmarks, known by what is in them."""

from __future__ import annotations

import json
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from audiomem_sql.errors import DamagedFileError

from .reading import kind_of, read, rows_of_file

SLACK = [
    {"type": "message", "user": "U1", "text": "Lunch? &lt;3 <https://x.org|here>", "ts": "1700000000.000100"},
    {"type": "message", "user": "U2", "text": "Yes <@U1>, see <#C9|food>", "ts": "1700000060.000200"},
    {
        "type": "message",
        "user": "U9",
        "text": "Late",
        "ts": "1700009000.000300",
        "files": [{"name": "a.pdf"}],
    },
]
USERS = [
    {"id": "U1", "name": "ann", "profile": {"display_name": "Ann"}},
    {"id": "U2", "name": "bob", "profile": {"display_name": "", "real_name": "Bob B"}},
]
SLACK_ROWS = [
    (
        "#general",
        "message=1700000000.000100",
        "Ann: Lunch? <3 here (https://x.org)\nBob B: Yes @Ann, see #food",
    ),
    ("#general", "message=1700009000.000300", "U9: Late\n[a.pdf]"),
]


def shown(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["title"], row["place"], row["body"]) for row in rows]


def test_a_slack_export_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "general").mkdir()
    path = tmp_path / "general" / "2023-11-14.json"
    path.write_text(json.dumps(SLACK, indent=1))
    (tmp_path / "users.json").write_text(json.dumps(USERS))
    rows = rows_of_file(path)
    assert shown(rows) == SLACK_ROWS
    assert [row["created_at"] for row in rows] == [
        datetime(2023, 11, 14, 22, 13, 20, 100),
        datetime(2023, 11, 15, 0, 43, 20, 300),
    ]


def test_a_slack_export_in_its_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("general/2023-11-14.json", json.dumps(SLACK))
        archive.writestr("users.json", json.dumps(USERS))
    rows, _ = read(tmp_path / "export.zip")
    expected = [(title, f"member=general/2023-11-14.json&{place}", body) for title, place, body in SLACK_ROWS]
    assert shown(rows)[:2] == expected


@pytest.mark.parametrize(
    ("stamps", "first"),
    [
        (("[31.12.23, 21:05:12] ", "[01.01.24, 00:01:00] "), datetime(2023, 12, 31, 21, 5, 12)),
        (
            ("\u200e[12/31/23, 9:05:12\u202fPM] ", "[1/1/24, 12:01:00\u202fAM] "),
            datetime(2023, 12, 31, 21, 5, 12),
        ),
        (("12/31/23, 9:05 PM - ", "1/1/24, 12:01 AM - "), datetime(2023, 12, 31, 21, 5)),
        (("31/12/2023, 21:05 - ", "01/01/2024, 00:01 - "), datetime(2023, 12, 31, 21, 5)),
        (("31/12/2023 21:05 - ", "01/01/2024 00:01 - "), datetime(2023, 12, 31, 21, 5)),
        (("31/12/23 à 21:05 - ", "01/01/24 à 00:01 - "), datetime(2023, 12, 31, 21, 5)),
        (("31/12/23, 9:05 p. m. - ", "1/1/24, 12:01 a. m. - "), datetime(2023, 12, 31, 21, 5)),
        (("2023-12-31, 21:05 - ", "2024-01-01, 00:01 - "), datetime(2023, 12, 31, 21, 5)),
        (("2023/12/31 21:05 - ", "2024/01/01 00:01 - "), datetime(2023, 12, 31, 21, 5)),
        (("05/04/2024, 21:05 - ", "06/04/2024, 00:01 - "), datetime(2024, 4, 5, 21, 5)),
        (("4/5/24, 9:05 PM - ", "4/6/24, 12:01 AM - "), datetime(2024, 4, 5, 21, 5)),
    ],
)
def test_whatsapp_in_the_formats_of_telephones(
    tmp_path: Path, stamps: tuple[str, str], first: datetime
) -> None:
    path = tmp_path / "WhatsApp Chat with Bob.txt"
    path.write_text(
        f"{stamps[0]}Ann: Happy new year: soon\nand more\n{stamps[1]}Bob B: Now!\n", encoding="utf-8"
    )
    rows = rows_of_file(path)
    assert shown(rows) == [
        ("Bob", "line=1", "Ann: Happy new year: soon\nand more"),
        ("Bob", "line=3", "Bob B: Now!"),
    ]
    assert rows[0]["created_at"] == first
    assert 0 < (rows[1]["created_at"] - first).total_seconds() < 86400


def test_other_texts_are_no_chats(tmp_path: Path) -> None:
    for number, text in enumerate(
        ("12/31/23 was a Sunday - so: what\n", "A note.\n31.12.23, 21:05 - Ann: x\n", "")
    ):
        (tmp_path / f"{number}.txt").write_text(text)
        assert kind_of(tmp_path / f"{number}.txt") == "text"


@pytest.mark.parametrize(
    ("line", "is_it"),
    [
        ("2024-01-01 12:00:05 - INFO: started", False),
        ("2024-01-01 12:00:05 - server.web - Warning: slow", False),
        ("01/02/2024, 12:00 - info: a name in a group", False),
        ("01/02/2024, 12:00 - Ann: INFO: started", True),
    ],
)
def test_logs_of_programs_are_no_chats(tmp_path: Path, line: str, is_it: bool) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"{line}\n{line.replace('INFO', 'ERROR')}\n")
    assert (kind_of(path) == "whatsapp") == is_it
    path.write_text(f"{line}\n01/02/2024, 12:00 - Ann: hi\n")
    assert kind_of(path) == "whatsapp"


def chatgpt() -> list[dict[str, Any]]:
    def node(name: str, role: str, text: str, parent: str | None, at: float) -> dict[str, Any]:
        said = {"id": name, "author": {"role": role}, "create_time": at, "content": {"parts": [text]}}
        return {"id": name, "parent": parent, "children": [], "message": said}

    nodes = [
        node("s", "system", "hidden", None, 1.7e9),
        node("q1", "user", "What is FLAC?", "s", 1.7e9 + 1),
        node("old", "assistant", "Dropped answer", "q1", 1.7e9 + 2),
        node("a1", "assistant", "A codec.", "q1", 1.7e9 + 3),
        node("q2", "user", "Lossless?", "a1", 1.7e9 + 4),
        node("a2", "assistant", "Yes.", "q2", 1.7e9 + 5),
    ]
    mapping = {each["id"]: each for each in nodes}
    return [{"title": "Sound", "create_time": 1.7e9, "mapping": mapping, "current_node": "a2"}]


def test_conversations_of_chatgpt_are_the_branch_that_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps(chatgpt() * 2))
    rows = rows_of_file(path)
    assert shown(rows)[:2] == [
        ("Sound", "message=q1", "User: What is FLAC?\nAssistant: A codec."),
        ("Sound", "message=q2", "User: Lossless?\nAssistant: Yes."),
    ]
    assert len(rows) == 4
    assert rows[1]["created_at"] == datetime(2023, 11, 14, 22, 13, 24)


@pytest.mark.parametrize(
    "more", [{}, {"mapping": {"a": 1}}, {"mapping": {"a": {"b": 1}}}, {"chat_messages": ["x"]}]
)
def test_rows_with_the_names_of_conversations_are_rows(tmp_path: Path, more: dict[str, Any]) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"conversation_id": "1", "text": f"Line {n}", **more} for n in (1, 2)]))
    assert [(row["body"], row["place"]) for row in rows_of_file(path)] == [
        ("Line 1", "line=1&row=1"),
        ("Line 2", "line=1&row=2"),
    ]


def test_conversations_of_claude(tmp_path: Path) -> None:
    said = [
        {"uuid": "1", "sender": "human", "text": "Hi", "created_at": "2024-05-01T10:00:00.000Z"},
        {"uuid": "2", "sender": "assistant", "text": "Hello.", "created_at": "2024-05-01T10:00:02.000Z"},
    ]
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps([{"uuid": "c", "name": "Greeting", "chat_messages": said}]))
    assert shown(rows_of_file(path)) == [("Greeting", "message=1", "User: Hi\nAssistant: Hello.")]


def test_a_cut_export_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps(chatgpt(), indent=1)[:-40])
    with pytest.raises(DamagedFileError, match=r"conversations\.json: line \d+: this is not JSON"):
        rows_of_file(path)
    loop = chatgpt()
    loop[0]["mapping"]["s"]["parent"] = "a2"
    path.write_text(json.dumps(loop))
    assert len(rows_of_file(path)) == 2


NETSCAPE = """<!DOCTYPE NETSCAPE-Bookmark-file-1>
<META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=UTF-8">
<TITLE>Bookmarks</TITLE><H1>Bookmarks</H1>
<DL><p>
    <DT><H3 ADD_DATE="1700000000">Dev &amp; more</H3>
    <DL><p>
        <DT><A HREF="https://a.org/?x=1&amp;y=2" ADD_DATE="1700000000" TAGS="sound,db">FLAC</A>
        <DD>A codec.
        <DT><H3>Deep</H3>
        <DL><p><DT><A HREF="https://b.org">B</A></DL><p>
    </DL><p>
    <DT><A HREF="https://c.org">C</A>
</DL><p>
"""


def test_bookmarks_that_browsers_export(tmp_path: Path) -> None:
    path = tmp_path / "bookmarks.html"
    path.write_text(NETSCAPE)
    rows = rows_of_file(path)
    assert shown(rows) == [
        (
            "Dev & more: FLAC",
            "url=https://a.org/%3Fx%3D1%26y%3D2",
            "FLAC\nhttps://a.org/?x=1&y=2\nA codec.\nTags: sound,db",
        ),
        ("Dev & more: Deep: B", "url=https://b.org", "B\nhttps://b.org"),
        ("C", "url=https://c.org", "C\nhttps://c.org"),
    ]
    assert rows[0]["created_at"] == datetime(2023, 11, 14, 22, 13, 20)


def test_bookmarks_of_chrome_and_firefox(tmp_path: Path) -> None:
    link = {"type": "url", "name": "FLAC", "url": "https://a.org", "date_added": "13344473600000000"}
    folder = {"type": "folder", "name": "Dev", "children": [link]}
    bar = {"type": "folder", "name": "Bookmarks bar", "children": [folder]}
    chrome = tmp_path / "Bookmarks"
    chrome.write_text(json.dumps({"checksum": "0", "roots": {"bookmark_bar": bar}, "version": 1}))
    [row] = rows_of_file(chrome)
    assert shown([row]) == [("Bookmarks bar: Dev: FLAC", "url=https://a.org", "FLAC\nhttps://a.org")]
    assert row["created_at"] == datetime(2023, 11, 14, 22, 13, 20)
    firefox = tmp_path / "bookmarks-2024.json"
    inner = [
        {"title": "FLAC", "uri": "https://a.org", "dateAdded": 1700000000000000},
        {"uri": "place:sort=8"},
    ]
    firefox.write_text(json.dumps({"guid": "root________", "title": "", "children": inner}))
    assert shown(rows_of_file(firefox)) == [("FLAC", "url=https://a.org", "FLAC\nhttps://a.org")]
