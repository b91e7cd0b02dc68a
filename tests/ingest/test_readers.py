"""Prose: encodings, plain text and Markdown."""

from __future__ import annotations

import gzip
import inspect
import json.decoder
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiomem_sql.errors import (
    AudioMemError,
    DamagedFileError,
    DataTypeError,
    LimitError,
    OptionError,
    StorageError,
)
from audiomem_sql.ingest import contents
from audiomem_sql.ingest.documents.markdown import parse_markdown
from audiomem_sql.ingest.documents.registry import reader_of
from audiomem_sql.ingest.documents.text import parse_text
from audiomem_sql.ingest.readers import Document, Section, read_documents
from audiomem_sql.ingest.sources import Source, suffix_of

Read = Callable[[str, bytes], list[Document]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def reader(name: str, content: bytes) -> list[Document]:
        path = tmp_path / name
        path.write_bytes(content)
        reader = reader_of(name, suffix_of(path), content)
        kind = reader.kind if reader else "text"
        return list(read_documents(Source(path, name, len(content), kind)))

    return reader


def outline(document: Document) -> list[tuple[tuple[str, ...], str | None, str]]:
    return [(s.parents, s.heading, s.text) for s in document.sections]


# --- encodings


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_encodings(read: Read, codec: str) -> None:
    assert read("a.txt", "naïve – “café”\r\nline\rline".encode(codec)) == [
        Document(None, [Section(None, "naïve – “café”\nline\nline", line=1)])
    ]


def test_big_endian_utf16_with_a_mark(read: Read) -> None:
    assert read("a.txt", b"\xfe\xff" + "né".encode("utf-16-be"))[0].sections[0].text == "né"


def test_html_says_its_own_encoding(read: Read) -> None:
    page = '<meta charset="koi8-r"><p>Привет'.encode("koi8-r")
    assert read("a.html", page)[0].sections[0].text == "Привет"
    page = '<?xml version="1.0" encoding="iso-8859-2"?><p>Łódź</p>'.encode("iso-8859-2")
    assert "Łódź" in read("a.xhtml", page)[0].sections[0].text
    page = '<meta charset="nonsense"><p>café'.encode("cp1252")
    assert read("b.html", page)[0].sections[0].text == "café"


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("é".encode() + b"abc\xff", "byte 5"),  # UTF-8 with one damaged byte
        (b"\xe9\x01", "byte 0"),  # a control byte
        (b"\xe9 \x81", "byte 0"),  # not in Windows-1252
        (b"abc\0def", "byte 3"),
        (b"\xff\xfeab\0", "byte 4"),  # half a character
        (b"\xff\xfea\0\0\0", "character 1"),
        (b"x" * (1 << 20) + "é".encode() * 600_000 + b"\xe9", f"byte {(1 << 20) + 1_200_000}"),
    ],
)
def test_what_is_not_text_is_refused_with_its_place(read: Read, content: bytes, place: str) -> None:
    with pytest.raises(DataTypeError) as caught:
        read("a.txt", content)
    assert caught.value.place == place
    assert str(caught.value.file) == "a.txt"


@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(data)
    try:
        text = contents.read_text(path, "any.txt", declared=True)
    except AudioMemError:
        return
    assert "\0" not in text
    assert "\r" not in text


def test_gzip(read: Read) -> None:
    packed = gzip.compress(b"# Title\n\nbody")
    assert outline(read("a.md.gz", packed)[0]) == [((), "Title", "body")]
    with pytest.raises(DamagedFileError, match="gzip"):
        read("a.md.gz", packed[:-9])
    with pytest.raises(DamagedFileError, match="gzip"):
        read("a.md.gz", packed[:12] + b"\xff\xff" + packed[14:])


def test_gzip_that_expands_too_far(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "SIZE_LIMIT", 1 << 21)
    bomb = gzip.compress(b"a " * (1 << 20) + b"b")
    with pytest.raises(LimitError, match="2 MiB"):
        read("a.txt.gz", bomb)
    with pytest.raises(LimitError, match="2 MiB"):
        read("a.txt", gzip.decompress(bomb))


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html", "a.rst", "a.log"])
@pytest.mark.parametrize("content", [b"", b" \n\t\r\n ", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_blank_files_hold_no_document(read: Read, name: str, content: bytes) -> None:
    assert read(name, content) == []


def test_files_that_are_not_there_or_not_prose(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"gone\.txt"):
        list(read_documents(Source(tmp_path / "gone.txt", "gone.txt", 0, "text")))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="not a regular file"):
        list(read_documents(Source(tmp_path / "pipe", "pipe", 0, "text")))
    with pytest.raises(StorageError, match="cannot be read"):
        list(read_documents(Source(tmp_path, "folder", 0, "text")))
    with pytest.raises(OptionError, match="read_records"):
        list(read_documents(Source(tmp_path, "a.csv", 0, "csv")))


# --- plain text


def test_a_short_first_line_that_stands_alone_is_the_title() -> None:
    assert parse_text("The Title\n\nBody text.").title == "The Title"
    assert parse_text("\nThe Title\n\nBody text.").sections[0].text == "The Title\n\nBody text."
    for text in ("A sentence.\n\nBody", "no blank line\nbody", "alone", "x" * 81 + "\n\nbody"):
        assert parse_text(text).title is None


def test_underlined_headings() -> None:
    text = """\
=====
Guide
=====

Words.

Install
=======
Run it.

  indented
  --------

Linux
-----
apt

Windows
-------
setup
"""
    document = parse_text(text)
    assert document.title == "Guide"
    assert outline(document) == [
        ((), "Guide", "Words."),
        (("Guide",), "Install", "Run it.\n\n  indented\n  --------"),
        (("Guide", "Install"), "Linux", "apt"),
        (("Guide", "Install"), "Windows", "setup"),
    ]


def test_rules_and_tables_are_not_headings() -> None:
    table = "====  ====\na     b\n====  ====\n1     2"
    text = f"words\nmore\n-----\n\n{table}\n\n-----\n\nend\n\nToo long a line\n---"
    assert outline(parse_text(text)) == [((), None, text)]


def test_logs_have_no_headings(read: Read) -> None:
    (document,) = read("a.log", b"start\n=====\n\nrun")
    assert document == Document(None, [Section(None, "start\n=====\n\nrun", line=1)])


def test_the_first_line_keeps_its_indent() -> None:
    assert parse_text("\n\n  indented\nline\n\n").sections[0].text == "  indented\nline"


# --- Markdown


def test_markdown_sections() -> None:
    text = """\
---
title: "The: Guide"  # quoted
tags: [a]
---
Intro with a <!-- note -->.

<!-- a comment
# no heading
-->

# *First* `code` & [link][ref]

Para one
continues.

```sh
# not a heading
```

- a
  - b
    # inside a list
1. one

Setext
heading
-------
> # quoted

| a | b |
|---|---|
| 1 | 2 |

### Deep #
![image](x.png)

## Leaf

[ref]: https://example.org
"""
    document = parse_markdown(text)
    assert document.title == "The: Guide"
    first = "First code & link"
    assert outline(document) == [
        ((), None, "Intro with a <!-- note -->."),
        (
            (),
            first,
            "Para one\ncontinues.\n\n```sh\n# not a heading\n```\n\n- a\n  - b\n    # inside a list\n1. one",
        ),
        ((first,), "Setext heading", "> # quoted\n\n| a | b |\n|---|---|\n| 1 | 2 |"),
        ((first, "Setext heading"), "Deep", "![image](x.png)"),
        ((first,), "Leaf", "[ref]: https://example.org"),
    ]


@pytest.mark.parametrize(
    ("text", "title", "count"),
    [
        ("# One\n\na\n\n## Two\n\nb", "One", 2),
        ("# One\n\na\n\n# Two\n\nb", None, 2),
        ("# Only", "Only", 1),
        ("---\n\nrule, not front matter\n\n---\n", None, 1),
        ("---\ntitle: never closed\n\ntext", None, 1),
        ("---\ntitle: 'single'\n...\ntext", "single", 1),
        ("---\ntitle: plain # comment\n---\ntext", "plain", 1),
        ("---\ntitle: >\n  folded\n---\n# One\n\ntext", "One", 1),
        ("---\n---\ntext", None, 1),
        ("# a\n\n##\n\ntext", "a", 1),
        ("text\n# \n", None, 1),
    ],
)
def test_markdown_titles(text: str, title: str | None, count: int) -> None:
    document = parse_markdown(text)
    assert document.title == title
    assert len(document.sections) == count


@pytest.mark.parametrize(
    "top", ["---\n\nno front matter\n\n---", "---\nkey: value, never closed\n\ntext", "--- \n..a"]
)
def test_rules_at_the_top_are_text(top: str) -> None:
    assert outline(parse_markdown(f"{top}\n# One\n\nbelow")) == [((), None, top), ((), "One", "below")]


@pytest.mark.parametrize(
    ("value", "title"),
    [
        ("plain # comment", "plain"),
        ("a#b", "a#b"),
        ("# comment", "# comment"),
        ("", None),
        ("'a # b' # comment", "a # b"),
        ('"never closed', "never closed"),
        ('""', None),
        ("[a, b]", None),
        ("|", None),
    ],
)
def test_titles_of_front_matter(value: str, title: str | None) -> None:
    assert parse_markdown(f"---\nTitle: {value}\n---\ntext").title == title


def test_a_heading_with_nothing_below_keeps_its_words() -> None:
    assert outline(parse_markdown("# A\n## B\n## C\n### D\n")) == [
        (("A",), "B", "B"),
        (("A", "C"), "D", "D"),
    ]


@given(
    st.lists(
        st.sampled_from(
            ["# h\n", "text\n", "\n", "```\n", "- x\n", "> q\n", "===\n", "---\n", "    i\n", "<b>\n"]
        )
    )
)
def test_markdown_loses_no_text(lines: list[str]) -> None:
    text = "".join(lines)
    document = parse_markdown(text)
    kept = "".join(f"{s.parents}\n{s.heading or ''}\n{s.text}\n" for s in document.sections)
    for word in ("text", "x", "q", "i"):
        assert kept.count(word) >= "".join(lines).count(word)


# --- a real corpus


def test_documentation_of_the_standard_library(read: Read) -> None:
    text = inspect.getdoc(json.decoder.JSONDecoder) or ""
    (document,) = read("json.txt", text.encode())
    assert " ".join(s.text for s in document.sections).split() == text.split()
