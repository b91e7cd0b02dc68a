"""Office documents made by the libraries that people use: what is found in them, and where."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psutil
import pytest

from audiomem_sql.errors import DamagedFileError, DataTypeError, LimitError
from audiomem_sql.ingest.documents import legacy
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document
from audiomem_sql.ingest.documents.registry import reader_of, readers
from audiomem_sql.ingest.rows import rows_of
from audiomem_sql.ingest.sources import Source, find_sources
from ingest.documents.office_files import MAKERS, WHEN, changed, pandoc

Row = tuple[str | None, str | None, str]


@cache
def made(kind: str) -> bytes:
    """A document of that kind."""
    return MAKERS[kind]()


def documents(data: bytes, name: str) -> list[Document]:
    suffix = Path(name).suffix
    reader = reader_of(name, suffix, data[:8192])
    assert reader is not None
    return list(reader.documents(Content(name, data=data)))


def outline(data: bytes, name: str) -> list[Row]:
    """(place, heading, text) of each section."""
    return [(s.place, s.heading, s.text) for d in documents(data, name) for s in d.sections]


def test_word() -> None:
    (document,) = documents(made("docx"), "a.docx")
    assert (document.title, document.created_at) == ("Water Report", WHEN)
    assert [(s.parents, s.heading, s.text) for s in document.sections] == [
        ((), None, "Before any heading."),
        ((), "Supply", "The lake gives most of it."),
        (("Supply",), "Pipes", "- copper\n- lead\n1. first\n2. second"),
        ((), "Prices", "Town | Price\nBergen | 12.50\n\nPrices rise.\tSlowly.\n\nComment by Ada: Says who?"),
    ]


def test_word_by_pandoc_with_a_footnote() -> None:
    (document,) = documents(pandoc("docx"), "a.docx")
    assert document.title == "Ferry Times"
    texts = {s.heading: s.text for s in document.sections}
    number = texts["Summer"].split("[")[1].split("]")[0]
    note = f"[{number}] Not on Sundays."
    assert texts["Summer"] == (
        f"Boats leave hourly.[{number}] Łódź, Москва, 東京, 🚢.\n\n{note}\n\n- north\n- south"
    )
    assert texts["Fares"] == "Who | Price\nChild | 3\nAdult | 6"


W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def word(body: str) -> str:
    """The text of a Word document whose body is ``body``."""
    space = f'{W} xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    data = changed(
        made("docx"), {"word/document.xml": f"<w:document {space}><w:body>{body}</w:body></w:document>"}
    )
    return "\n\n".join(text for _, _, text in outline(data, "a.docx"))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            "<w:p><w:del><w:r><w:delText>old</w:delText></w:r></w:del><w:ins><w:r><w:t>new</w:t></w:r></w:ins></w:p>",
            "new",
        ),
        ("<w:p><w:r><w:instrText>PAGE</w:instrText></w:r><w:r><w:t>3</w:t></w:r></w:p>", "3"),
        ("<w:p><w:moveFrom><w:r><w:t>gone</w:t></w:r></w:moveFrom><w:r><w:t>here</w:t></w:r></w:p>", "here"),
        ("<w:sdt><w:sdtContent><w:p><w:r><w:t>control</w:t></w:r></w:p></w:sdtContent></w:sdt>", "control"),
        (
            "<w:p><w:hyperlink><w:r><w:t>link</w:t></w:r></w:hyperlink><w:r><w:t>ed</w:t></w:r></w:p>",
            "linked",
        ),
        ("<w:p><w:r><w:t>a</w:t><w:br/><w:t>b</w:t><w:br w:type='page'/></w:r></w:p>", "a\nb"),
        (
            "<w:p><w:pPr><w:tabs><w:tab w:pos='9'/></w:tabs></w:pPr><w:r><w:t>x</w:t></w:r></w:p>",
            "x",
        ),
        (
            "<w:p><mc:AlternateContent><mc:Choice><w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:txbxContent>"
            "</mc:Choice><mc:Fallback><w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:txbxContent>"
            "</mc:Fallback></mc:AlternateContent><w:r><w:t>around</w:t></w:r></w:p>",
            "boxed\n\naround",
        ),
        (
            "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>out</w:t></w:r></w:p><w:tbl><w:tr><w:tc><w:p><w:r><w:t>in</w:t></w:r></w:p>"
            "</w:tc><w:tc><w:p/></w:tc></w:tr></w:tbl></w:tc><w:tc><w:p><w:r><w:t>side</w:t></w:r></w:p></w:tc></w:tr></w:tbl>",
            "out in | side",
        ),
    ],
)
def test_word_s_markup(body: str, text: str) -> None:
    assert word(body) == text


def test_slides() -> None:
    (document,) = documents(made("pptx"), "a.pptx")
    assert (document.title, document.created_at) == ("Roadmap", WHEN)
    (first, second) = document.sections
    assert (first.place, first.heading) == ("slide=1", "Roadmap")
    assert first.text == "Ship the reader\n  with tests\n\nNotes: Do not promise dates."
    assert (second.place, second.heading) == ("slide=2", "Budget")
    assert second.text.startswith("Item | Euro\nRent | 900\n\n")
    assert {"Rainfall", "North", "South"} <= set(second.text.split("\n"))


def test_sheets() -> None:
    found = documents(made("xlsx"), "a.xlsx")
    assert {(d.title, d.created_at) for d in found} == {("Ledger", WHEN)}
    assert outline(made("xlsx"), "a.xlsx") == [
        (
            "sheet=Prices %26 more&row=2",
            "Prices & more",
            "Item: Ink\nBought: 2024-03-05\nShare: 12.5%\nTotal: 42\nIn stock: TRUE",
        ),
        ("sheet=Prices %26 more&row=1048576", "Prices & more", "far away"),
        ("sheet=Prices %26 more&row=2", "Prices & more", "Comment: blue or black?"),
        ("sheet=Notes&row=1", "Notes", "call the plumber"),
        ("sheet=Notes&row=2", "Notes", "buy stamps"),
    ]


def test_sheets_by_openpyxl_with_times() -> None:
    from datetime import date, time, timedelta

    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.append(["Day", "At", "For", "When", "Shown", "Number"])
    sheet.append([date(1900, 1, 5), time(8, 15), timedelta(hours=30), WHEN, 0.5, 1e20])
    sheet["E2"].number_format = '"days: "0'
    stream = io.BytesIO()
    book.save(stream)
    ((_, _, text),) = outline(stream.getvalue(), "a.xlsx")
    assert (
        text == "Day: 1900-01-05\nAt: 08:15:00\nFor: 30:00:00\nWhen: 2024-03-05 14:30:00\nShown: 0.5\n"
        "Number: 1e+20"
    )


def test_opendocument_text() -> None:
    (document,) = documents(made("odt"), "a.odt")
    assert (document.title, document.created_at) == ("Garden Notes", WHEN)
    assert [(s.parents, s.heading, s.text) for s in document.sections] == [
        ((), "Soil", "Loam is  best.\n\nNote: See the almanac."),
        (("Soil",), "Tools", "- spade\n- rake\n\nBed | Plant\nA | Beans"),
    ]


def _cell(*inside: str) -> str:
    return f"<table:table-cell>{''.join(inside)}</table:table-cell>"


def test_tables_inside_tables_of_opendocument() -> None:
    """What stands behind the inner table, in its cell, its row and its text, is where it was."""

    def table(*rows: str) -> str:
        inside = "".join(f"<table:table-row>{row}</table:table-row>" for row in rows)
        return f"<table:table>{inside}</table:table>"

    inner = table(_cell("<text:p>in</text:p>") + _cell("<text:p>ner</text:p>"))
    outer = table(
        _cell("<text:p>before</text:p>", inner, "<text:p>behind</text:p>") + _cell("<text:p>beside</text:p>"),
        _cell("<text:p>below</text:p>") + _cell("<text:p>last</text:p>"),
    )
    content = (
        '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
        'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0">'
        f"<office:body><office:text>{outer}<text:p>after</text:p></office:text></office:body>"
        "</office:document-content>"
    )
    ((_, _, text),) = outline(changed(made("odt"), {"content.xml": content}), "a.odt")
    assert text == "before in | ner behind | beside\nbelow | last\n\nafter"


def test_opendocument_sheets() -> None:
    assert outline(made("ods"), "a.ods") == [
        ("sheet=Visits&row=2", "Visits", "Place: Oslo\nWhen: 2024-03-05\nCount: 12.5"),
        ("sheet=Visits&row=1000003", "Visits", "Place: the end"),
    ]


def test_opendocument_slides() -> None:
    (document,) = documents(made("odp"), "a.odp")
    assert document.title == "Harvest"
    assert [(s.place, s.heading, s.text) for s in document.sections] == [
        ("slide=1", "Harvest", "Apples first."),
        ("slide=2", None, "Pears then."),
    ]


def test_book() -> None:
    found = documents(made("epub"), "a.epub")
    assert {(d.title, d.created_at) for d in found} == {("The Lighthouse", WHEN)}
    assert outline(made("epub"), "a.epub") == [
        ("chapter=2", "Arrival", "Fog on the pier."),
        ("chapter=3", "The Stairs", "Two hundred steps."),
    ]


def test_rich_text_by_pandoc() -> None:
    (document,) = documents(made("rtf"), "a.rtf")
    texts = {s.heading: s.text for s in document.sections}
    assert texts["Summer"].startswith("Boats leave hourly.")
    assert "Łódź, Москва, 東京, 🚢." in texts["Summer"]
    assert "Note: Not on Sundays." in texts["Summer"]
    assert texts["Fares"] == "Who | Price\nChild | 3\nAdult | 6"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb"caf\'e9 \'93quoted\'94", "café “quoted”"),
        (rb"\u321?\'f3d\uc2\u378\'bf\'bf", "Łódź"),
        (rb"\u-10180?\u-8502?x", "\U0001f2cax"),
        (rb"{\f1 \'ef\'f0}", "пр"),
        (rb"a{\v hidden}b{\*\unknown gone}c{\pict 00ff}d", "abcd"),
        (rb"one\par two\line three", "one\n\ntwo\nthree"),
        (rb"\bin4 {}{}x", "x"),
        (rb"\trowd\intbl a\cell\intbl b\cell\row\pard after", "a | b\n\nafter"),
        (rb"a{\footnote why}b", "ab\n\nNote: why"),
        (rb"{\field{\*\fldinst HYPERLINK}{\fldrslt link}}", "link"),
        (rb"x\~y\_z\-w \{\}", "x\xa0y\u2011zw {}"),
    ],
)
def test_rich_text_s_words(body: bytes, text: str) -> None:
    head = rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 A;}{\f1\fcharset204 B;}}"
    head += rb"{\info{\title T}{\creatim\yr2024\mo3\dy5\hr14\min30}}"
    (document,) = documents(head + body + b"}", "a.rtf")
    assert (document.title, document.created_at) == ("T", WHEN)
    assert "\n\n".join(s.text for s in document.sections) == text


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("name", ["a", "a.zip", "a.pdf"])
def test_a_wrong_suffix(kind: str, name: str) -> None:
    if name == "a":
        reader = reader_of(name, "", made(kind)[:8192])
        assert reader is not None
        assert not reader.is_text
    right = [d.sections for d in documents(made(kind), f"a.{kind}")]
    assert [d.sections for d in documents(made(kind), name)] == right


@pytest.mark.parametrize(
    ("data", "name", "error", "words"),
    [
        (b"", "a.docx", DamagedFileError, "empty"),
        (b"\x93 words", "a.pptx", DamagedFileError, "this is no PPTX file"),
        (b" \n", "a.ppt", DamagedFileError, "this is no PPT file"),
        (b"PK\3\4 and nothing", "a.xlsx", DamagedFileError, "a.xlsx"),
        (b"%PDF-1.7 and nothing", "a.pdf", DamagedFileError, "PDFium cannot read it"),
        (b"{\\rtf1 and no end", "a.rtf", DamagedFileError, "ends in the middle"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "a.doc", DataTypeError, "no document of Office"),
    ],
)
def test_what_is_none(data: bytes, name: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        documents(data, name)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("graph.dot", b"digraph {\n a [label=<<table><tr><td>x</td></tr></table>>]\n}"),
        ("report.xls", b"name\tprice\ntea\t3\n"),
        ("report.xls", "name\tprice\ntee\t3 \u20ac\n".encode("utf-16")),
        ("notes.doc", ("é" * 5000).encode()),
    ],
)
def test_text_under_the_suffix_of_a_document(name: str, data: bytes) -> None:
    (document,) = documents(data, name)
    text = data.decode("utf-16" if data.startswith(b"\xff\xfe") else "utf-8")
    assert "\n".join(section.text for section in document.sections) == text.rstrip("\n")


def test_a_page_that_is_called_a_workbook() -> None:
    page = b"<html><body><table><tr><td>a</td><td>b</td></tr></table></body></html>"
    assert outline(page, "a.xls") == [(None, None, "a | b")]


def test_a_password() -> None:
    import msoffcrypto.format.ooxml

    stream = io.BytesIO()
    msoffcrypto.format.ooxml.OOXMLFile(io.BytesIO(made("docx"))).encrypt("secret", stream)
    for name in ("a.docx", "a.xls"):
        with pytest.raises(DataTypeError, match=rf"{name}: it is protected by a password"):
            documents(stream.getvalue(), name)
    manifest = '<m xmlns:x="x"><file-entry><encryption-data/></file-entry></m>'
    with pytest.raises(DataTypeError, match=r"a\.odt: it is protected by a password"):
        documents(changed(made("odt"), {"META-INF/manifest.xml": manifest}), "a.odt")
    drm = '<e><EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/></e>'
    with pytest.raises(DataTypeError, match="the book is encrypted"):
        documents(changed(made("epub"), {"META-INF/encryption.xml": drm}), "a.epub")


COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + "WordDocument\0".encode("utf-16-le")


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program called soffice first in the path."""
    path = folder / "soffice"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_old_documents_without_libreoffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With it, they are read by `make documents`."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataTypeError, match=r"a\.doc: .*Install LibreOffice, or save it as \.docx"):
        documents(COMPOUND, "a.doc")


def test_libreoffice_that_fails_or_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "exit 0")
    with pytest.raises(DamagedFileError, match=r"a\.doc: LibreOffice cannot read it: it made nothing of it"):
        documents(COMPOUND, "a.doc")
    program(
        tmp_path,
        monkeypatch,
        'while [ "$1" != --outdir ]; do shift; done; mkdir "$2"; echo x > "$2/document.docx"',
    )
    with pytest.raises(DamagedFileError, match="what it made is no document"):
        documents(COMPOUND, "a.doc")
    monkeypatch.setattr(legacy, "SECONDS", 0.2)
    pid = tmp_path / "pid"
    program(tmp_path, monkeypatch, f"sleep 60 & echo $! > {pid}; wait")
    with pytest.raises(LimitError, match="did not read it in"):
        documents(COMPOUND, "a.doc")
    assert is_dead(int(pid.read_text()))


def is_dead(pid: int) -> bool:
    """Whether a process is gone, or is only waited for."""
    for _ in range(100):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_a_folder_of_them(tmp_path: Path) -> None:
    for kind in MAKERS:
        (tmp_path / f"a.{kind}").write_bytes(made(kind))
    sources = find_sources([tmp_path])
    assert {source.path.suffix[1:] for source in sources} == set(MAKERS)
    for source in sources:
        rows = list(rows_of(source))
        assert rows, source
        assert rows[0]["created_at"] is not None
        if source.path.suffix in (".pptx", ".xlsx", ".pdf", ".epub"):
            assert all(row["place"] for row in rows)


def test_gzip(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "a.docx.gz"
    path.write_bytes(gzip.compress(made("docx")))
    reader: Callable[[Content], list[Document]] = lambda c: list(readers()["word"].documents(c))  # noqa: E731
    assert reader(Content("a.docx.gz", path))[0].title == "Water Report"
    assert isinstance(Source(path, "a", 1, "word"), Source)
