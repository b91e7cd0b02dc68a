"""Texts on which readers took minutes and hours, by the square or the cube of their length.

No time is asserted: a reader that is slow again does not come to an end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from audiomem_sql.ingest.documents import grammar_process, source_code
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document
from audiomem_sql.ingest.documents.grammar_process import GrammarProcess
from audiomem_sql.ingest.documents.recognising import is_mailbox, is_separator
from audiomem_sql.ingest.documents.registry import reader_of, readers
from audiomem_sql.ingest.documents.source_code import parse_code
from audiomem_sql.ingest.documents.subtitles import TIMES_LIMIT

from .office_files import MAKERS, changed

HALF = 1 << 19


def documents(name: str, data: bytes) -> list[Document]:
    """The documents in a file."""
    suffix = name[name.rfind(".") :]
    reader = reader_of(name, suffix, data[:8192])
    assert reader is not None
    return list(readers()[reader.kind].documents(Content(name, data=data)))


def text(name: str, data: bytes) -> str:
    """All text in a file."""
    return "\n".join(section.text for document in documents(name, data) for section in document.sections)


@pytest.mark.parametrize("repeated", [b"00:00 ", b"00:00 2025", b"1", b":", b"00:00 \r"])
def test_a_line_that_is_hardly_a_separator(repeated: bytes) -> None:
    line = b"From " + repeated * (HALF // len(repeated))
    assert not is_mailbox("a", line)
    assert is_separator(line) == (repeated == b"00:00 2025")
    message = b"Subject: a\n\nb\n\n"
    (document,) = documents("a.mbox", b"From a 10:00 2025\n" + message + line.replace(b"2025", b"") + b"\n")
    assert len(document.sections) == 1


def test_separators() -> None:
    sender = b"From " + b"a" * 250 + b"@example.org"
    assert is_separator(sender + b" Fri Nov 21 14:05:00 2025 +0100\r\n")
    assert is_mailbox("a", b"From - Fri Nov 21 14:05:00 2025\r\nFrom: a\r\n")
    assert not is_separator(b"From 2025 at 14:05 we met\n")
    assert not is_separator(b" From a Fri Nov 21 14:05:00 2025\n")


def test_paragraphs_in_one_cell() -> None:
    count = 100_000
    said = text("a.rtf", rb"{\rtf1 \intbl " + rb"a\par " * count + rb"b\cell c\cell\row}")
    assert said == "a " * count + "b | c"
    assert text("a.rtf", rb"{\rtf1 \intbl\par\par a\par b\cell\row}") == "a b"


def test_a_format_of_brackets() -> None:
    number = '<xf numFmtId="200"/>'
    style = f'<styleSheet><numFmts><numFmt numFmtId="200" formatCode="{"[" * HALF}"/></numFmts>'
    parts = {"xl/styles.xml": f"{style}<cellXfs>{number * 20}</cellXfs></styleSheet>"}
    assert documents("a.xlsx", changed(MAKERS["xlsx"](), parts))


def test_a_voice_without_end() -> None:
    begin = "WEBVTT\n\n00:00.000 --> 00:01.000\n"
    assert text("a.vtt", f"{begin}<v{' ' * HALF}<b>Ann".encode()).endswith("Ann")
    assert text("a.vtt", f"{begin}<v.loud  Ann Lee>Hi <v Bo>Ho".encode()) == "Ann Lee: Hi Bo: Ho"


def test_a_line_that_is_sung_again_and_again() -> None:
    (document,) = documents("a.lrc", b"[00:01.00] [00:05]" * (HALF // 18) + b" la la\n[00:09]end")
    assert document.sections[0].text.count("la la") == TIMES_LIMIT


def test_a_paragraph_of_flowed_lines() -> None:
    count = 200_000
    for extra, between in ((b"", " "), (b"; delsp=yes", "")):
        head = b"Content-Type: text/plain; format=flowed" + extra + b"\n\n"
        said = text("a.eml", b"From: a\n" + head + b"word \n" * count + b"end\n> quoted \nlast")
        assert said.endswith(f"word{between}word{between}end\n> quoted{between}last")


@pytest.fixture
def process() -> Iterator[GrammarProcess]:
    """A process that finds definitions."""
    process = GrammarProcess()
    yield process
    process.close()


LONG = "function f() {\n}\n" * 2000


#: A step of a parser that does not end, and never asks whether to stop.
ENDLESS = "serve(lambda *_: sum(iter(int, 1)))"


def test_a_step_of_a_grammar_that_does_not_end(
    process: GrammarProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        grammar_process, "_CODE", grammar_process._CODE.replace("serve(definitions_in)", ENDLESS)
    )
    assert process.definitions("", "typescript", 0.0) is None
    monkeypatch.undo()
    assert not process.definitions("a<b," * 60_000, "typescript", 0.1)
    found = process.definitions("function g() {\n}\nclass A {\n m() {}\n}\n", "typescript", 5.0)
    assert found is not None  # there is another process by now
    assert [(one.name, one.start, one.stop, one.parents) for one in found] == [
        ("g", 0, 2, ()),
        ("A", 2, 5, ()),
        ("A.m", 3, 4, ("A",)),
    ]


def test_long_code_is_cut_as_short_code_is(monkeypatch: pytest.MonkeyPatch) -> None:
    there = parse_code(LONG, "javascript")
    assert [section.heading for section in there.sections] == ["f"] * 2000
    assert grammar_process._KEPT.process._process is not None
    monkeypatch.setattr(source_code, "HERE_LIMIT", len(LONG))
    assert parse_code(LONG, "javascript") == there


def test_where_there_can_be_no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    grammar_process._KEPT.close()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert [section.heading for section in parse_code(LONG, "javascript").sections] == [None]
    monkeypatch.setattr(source_code, "ALONE_LIMIT", len(LONG))
    assert len(parse_code(LONG, "javascript").sections) == 2000


def test_a_process_that_is_killed(process: GrammarProcess) -> None:
    assert process.definitions("function f() {}", "javascript", 5.0)
    assert process._process is not None
    process._process.kill()
    process._process.wait()
    assert process.definitions("function f() {}", "javascript", 5.0)


def test_it_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    script = (
        "import time\nfrom audiomem_sql.ingest.documents import grammar_process\n"
        "grammar_process.definitions('function f() {}', 'javascript', 5.0)\n"
        "print(grammar_process._KEPT.process._process.pid, flush=True)\ntime.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert os.getpgid(pid) != os.getpgid(parent.pid)  # Ctrl-C is not for it
        parent.send_signal(signal.SIGKILL)
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(60)
