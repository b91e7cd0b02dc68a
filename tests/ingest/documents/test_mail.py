"""E-mail: messages, mailboxes and attachments, as programs write them and as they come."""

from __future__ import annotations

import base64
import io
import mailbox
import zipfile
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path

import pytest

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.ingest.documents import email as mail
from audiomem_sql.ingest.documents.content import Content

from .outlook_message import outlook_message
from .reading import kind_of, read, rows_of_file


def message(subject: str = "Übung", text: str = "Grüße aus Köln.\n", **headers: str) -> EmailMessage:
    made = EmailMessage()
    made["From"] = "Ann Lee <ann@example.org>"
    made["To"] = "Bob <bob@example.org>, carl@example.org"
    made["Date"] = "Fri, 21 Nov 2025 14:05:00 +0100"
    made["Message-ID"] = "<1.2@example.org>"
    made["Subject"] = subject
    for name, value in headers.items():
        made[name] = value
    made.set_content(text, charset="iso-8859-1", cte="quoted-printable")
    return made


def saved(path: Path, made: EmailMessage | bytes) -> Path:
    path.write_bytes(made if isinstance(made, bytes) else bytes(made))
    return path


def test_a_message_has_its_head_its_text_its_date_and_its_place(tmp_path: Path) -> None:
    [row] = rows_of_file(saved(tmp_path / "a.eml", message()))
    assert row["title"] == "Übung"
    assert row["body"] == (
        "From: Ann Lee <ann@example.org>\nTo: Bob <bob@example.org>, carl@example.org\n"
        "Date: Fri, 21 Nov 2025 14:05:00 +0100\n\nGrüße aus Köln."
    )
    assert row["created_at"] == datetime(2025, 11, 21, 13, 5)
    assert row["place"] == "message=1.2@example.org"


def test_of_alternatives_the_plain_text_is_read_and_html_where_there_is_no_other(tmp_path: Path) -> None:
    both = message()
    both.add_alternative("<h1>Rich</h1><p>Only here.", subtype="html")
    assert "Only here" not in str(rows_of_file(saved(tmp_path / "a.eml", both)))
    rich = message()
    rich.set_content("<p>First.</p><h1>Head</h1><p>Köln &amp; more", subtype="html")
    first, second = rows_of_file(saved(tmp_path / "b.eml", rich))
    assert first["body"].endswith("+0100\n\nFirst.")
    assert (second["title"], second["body"]) == ("Übung: Head", "Köln & more")
    blank = message(text=" \n")
    blank.add_alternative("<p>Said.</p>", subtype="html")
    assert rows_of_file(saved(tmp_path / "c.eml", blank))[0]["body"].endswith("\n\nSaid.")


def test_texts_that_follow_each_other_are_all_read(tmp_path: Path) -> None:
    made = message()
    made.set_content("<p>The body.</p>", subtype="html")
    made.make_mixed()
    footer = EmailMessage()
    footer.set_content("To leave the list, write to it.")
    made.attach(footer)
    [row] = rows_of_file(saved(tmp_path / "a.eml", made))
    assert row["body"].endswith("The body.\n\nTo leave the list, write to it.")


def test_attachments_are_documents_of_their_own_and_base64_is_never_in_a_row(tmp_path: Path) -> None:
    made = message()
    made.add_attachment(b"# Plan\n\nSell **eggs**.", maintype="text", subtype="markdown", filename="plän.md")
    made.add_attachment(b"name,text\nx,one\ny,two\n", maintype="text", subtype="csv", filename="t.csv")
    made.add_attachment(bytes(range(256)) * 40, maintype="application", subtype="x-thing", filename="b.bin")
    inner = message("Inner", "Forwarded.", **{"X-Note": "ä"})
    made.add_attachment(inner)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("deep/note.txt", "In the zip.")
    made.add_attachment(packed.getvalue(), maintype="application", subtype="zip", filename="z.zip")
    data = bytes(made)
    rows, problems = read(saved(tmp_path / "a.eml", data))
    first = "message=1.2@example.org"
    assert [(row["place"], row["title"], row["body"].rpartition("\n")[2]) for row in rows] == [
        (first, "Übung", "Grüße aus Köln."),
        (f"{first}&attachment=pl%C3%A4n.md&line=3", "Plan", "Sell **eggs**."),
        (f"{first}&attachment=t.csv&line=2", "x", "one"),
        (f"{first}&attachment=t.csv&line=3", "y", "two"),
        (f"{first}&attachment=attachment4.eml&{first}", "Inner", "Forwarded."),
        (f"{first}&attachment=z.zip&member=deep/note.txt&line=1", "z.zip", "In the zip."),
    ]
    assert [(error.file, error.what) for error in problems] == [
        (f"{tmp_path / 'a.eml'}!b.bin", "binary: it has NUL bytes")
    ]
    assert not any(base64.b64encode(bytes(range(200)))[:30].decode() in row["body"] for row in rows)


def test_an_attachment_beside_a_text_that_is_not_chosen_is_read(tmp_path: Path) -> None:
    made = message()
    made.add_alternative("<p>Rich", subtype="html")
    made.get_payload()[1].make_mixed()
    made.get_payload()[1].add_attachment("Attached.", filename="n.txt")
    rows = rows_of_file(saved(tmp_path / "a.eml", made))
    assert [row["body"].rpartition("\n")[2] for row in rows] == ["Grüße aus Köln.", "Attached."]


@pytest.mark.parametrize(
    ("head", "body", "said"),
    [
        ("text/plain; charset=x-unknown", "Grüße".encode(), "Grüße"),
        ("text/plain; charset=utf-8", "Gr\xfcße".encode("cp1252"), "Gr\ufffd"),
        ("text/plain", "Grüße".encode("cp1252"), "Grüße"),
        ("text/plain; charset=utf-8; format=flowed", b"one \r\ntwo\r\nthree", "one two\nthree"),
        ('text/plain; charset="koi8-r"', "Привет".encode("koi8-r"), "Привет"),
        ("text/plain", b"a\0b", "ab"),
    ],
)
def test_broken_and_odd_charsets_survive(tmp_path: Path, head: str, body: bytes, said: str) -> None:
    data = f"Subject: x\r\nFrom: é@x\r\nContent-Type: {head}\r\n\r\n".encode() + body
    [row] = rows_of_file(saved(tmp_path / "a.eml", data))
    assert row["body"].startswith(f"From: é@x\n\n{said}")


def test_mailboxes_are_read_message_by_message(tmp_path: Path) -> None:
    path = tmp_path / "list.mbox"
    box = mailbox.mbox(path)
    for number in range(3):
        made = message(f"Number {number}", "Dear all,\n\nFrom here on\n>From there.\n")
        if number:
            made.replace_header("Message-ID", f"<{number}@x>")
        else:
            del made["Message-ID"]
        box.add(made)
    box.close()
    rows = rows_of_file(path)
    assert [(row["title"], row["place"]) for row in rows] == [
        ("Number 0", "message=1"),
        ("Number 1", "message=1@x"),
        ("Number 2", "message=2@x"),
    ]
    assert all(row["body"].endswith("Dear all,\n\nFrom here on\nFrom there.") for row in rows)
    nameless = tmp_path / "Inbox"
    nameless.write_bytes(path.read_bytes())
    assert kind_of(nameless) == "mailbox"


def test_a_mailbox_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    one = b"From a@x Mon Jan 01 00:00:00 2024\nSubject: s\n\n" + b"text\n" * 1000 + b"\n"
    path = saved(tmp_path / "a.mbox", one * 400)
    largest = 0

    class Counting(io.BufferedReader):
        def read(self, size: int | None = -1) -> bytes:
            raise AssertionError("the mailbox was read at once")

    with open(path, "rb", buffering=0) as raw, Counting(raw) as stream:
        for data in mail._messages(stream):
            assert data is not None
            largest = max(largest, len(data))
    assert largest < len(one)


def test_a_message_of_a_mailbox_that_is_too_large_costs_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "MESSAGE_LIMIT", 1 << 20)
    parts = [
        b"From a@x Mon Jan 01 00:00:00 2024\nSubject: %d\n\n%s\n\n" % (n, b"x" * (size))
        for n, size in enumerate((3, 3 << 20, 3))
    ]
    rows, problems = read(saved(tmp_path / "a.mbox", b"".join(parts)))
    assert [row["title"] for row in rows] == ["0", "2"]
    assert [error.place for error in problems] == ["message 2"]


def test_messages_of_a_mailbox_begin_behind_an_empty_line_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = b"From a@x Mon Jan 01 00:00:00 2024\n"
    data = begin + b"Subject: 0\n\nSaid\n" + begin + b"below.\n\n" + begin + b"Subject: 1\n\nwords\n"
    rows = rows_of_file(saved(tmp_path / "a.mbox", data))
    assert [(row["title"], row["body"].split()[-1]) for row in rows] == [("0", "below."), ("1", "words")]
    assert "From a@x" in rows[0]["body"]
    # the end of a line that is read in pieces is no empty line
    monkeypatch.setattr(mail, "_LINE", 40)
    long = b"x" * 39 + b"\n"
    data = begin + b"Subject: 0\n\n" + long + begin + b"below.\n\n" + begin + b"Subject: 1\n\nwords\n"
    assert [row["title"] for row in rows_of_file(saved(tmp_path / "b.mbox", data))] == ["0", "1"]


def test_a_message_of_a_mailbox_may_have_as_much_as_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = b"Subject: %d\n\nwords\n\n"
    for limit, expected in ((len(message) - 1, ["0", "1"]), (len(message) - 2, [])):
        monkeypatch.setattr(mail, "MESSAGE_LIMIT", limit)
        data = b"".join(b"From a@x Mon Jan 01 00:00:00 2024\n" + message % n for n in range(2))
        rows, problems = read(saved(tmp_path / "a.mbox", data))
        assert [row["title"] for row in rows] == expected
        assert [row["body"] for row in rows] == ["words"] * len(expected)
        assert len(problems) == 2 - len(expected)


def test_files_of_a_maildir_and_of_apple_mail_are_messages(tmp_path: Path) -> None:
    data = bytes(message())
    assert kind_of(saved(tmp_path / "1732190700.M1P2.host,S=123:2,S", data)) == "email"
    frame = saved(tmp_path / "1.emlx", b"%d\n%s<?xml?><plist/>" % (len(data), data))
    assert rows_of_file(frame)[0]["body"].endswith("\n\nGrüße aus Köln.")
    assert kind_of(saved(tmp_path / "note", b"From: here\nto there.\n")) == "text"


def test_ten_thousand_nested_parts_are_refused_in_time(tmp_path: Path) -> None:
    begin = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(10_000)
    )
    data = b"From: a@x\nSubject: deep\n" + begin + b"\nend"
    rows, problems = read(saved(tmp_path / "a.eml", data))
    assert [row["title"] for row in rows] == ["deep"]
    assert "nested too deeply" in problems[0].what


def test_very_many_parts_are_refused_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "PARTS_LIMIT", 100)
    head = b'From: a@x\nSubject: wide\nContent-Type: multipart/mixed; boundary="b"\n\n'
    for count in (99, 100):
        rows, problems = read(saved(tmp_path / "a.eml", head + b"--b\n\nword\n" * count + b"--b--\n"))
        assert [row["title"] for row in rows] == ["wide"]
        assert ("word" in rows[0]["body"], len(problems)) == (count == 99, int(count == 100))


def test_long_headers_do_not_take_long(tmp_path: Path) -> None:
    people = ", ".join(f'"{n} (x" <a{n}@x.org>' for n in range(100_000))
    kinds = "; ".join(f"a{n}=b" for n in range(100_000))
    data = f"From: a@x\nTo: {people}\nSubject: s\nContent-Type: text/plain; {kinds}\n\nBody.".encode()
    [*_, last] = rows_of_file(saved(tmp_path / "a.eml", data))
    assert last["body"].endswith("Body.")


def test_forwarded_messages_are_read_to_a_depth(tmp_path: Path) -> None:
    made = message("0", "text 0")
    for level in range(1, 9):
        outer = message(str(level), f"text {level}")
        outer.add_attachment(made)
        made = outer
    rows, problems = read(saved(tmp_path / "a.eml", made))
    assert [row["title"] for row in rows] == ["8", "7", "6", "5", "4", "3"]
    assert len(problems) == 1


def test_content_that_is_no_mail_at_all_is_a_text(tmp_path: Path) -> None:
    [row] = rows_of_file(saved(tmp_path / "a.eml", b"\xff\xfe\x00 nothing"))
    assert "nothing" in row["body"]
    assert list(mail.read(Content("a.eml", data=b""))) == []


def test_messages_that_outlook_saved(tmp_path: Path) -> None:
    rows = rows_of_file(saved(tmp_path / "a.msg", outlook_message()))
    head = 'From: "Ann Lee" <ann@example.org>\nTo: Bob <bob@example.org>\nDate: 2023-11-14 22:13:20'
    assert [(row["place"], row["title"], row["body"]) for row in rows] == [
        (None, "Übung", f"{head}\n\nGrüße.\nAnn"),
        ("attachment=plan.md&line=3", "Plan", "Sell eggs."),
    ]
    assert {row["created_at"] for row in rows} == {datetime(2023, 11, 14, 22, 13, 20)}
    with pytest.raises(DamagedFileError, match=r"a\.msg: this outlook file cannot be read"):
        rows_of_file(saved(tmp_path / "a.msg", b"no message"))
