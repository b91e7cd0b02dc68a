"""PDF files: pages, outline, reading order, scans, passwords."""

from __future__ import annotations

import io
import os
from datetime import datetime
from pathlib import Path

import pytest

from audiomem_sql.errors import DamagedFileError, DataTypeError
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document
from audiomem_sql.ingest.documents.pdf import time_of
from audiomem_sql.ingest.documents.registry import readers
from ingest.documents.office_files import pdf


def read(data: bytes, content: Content | None = None) -> Document:
    (document,) = readers()["pdf"].documents(content or Content("a.pdf", data=data))
    return document


def drawn(*pages: list[tuple[float, float, str]], size: int = 11) -> bytes:
    """A PDF file with texts at these places, drawn in that order."""
    from reportlab.pdfgen.canvas import Canvas

    stream = io.BytesIO()
    canvas = Canvas(stream, pagesize=(600, 800), invariant=1)
    for page in pages:
        canvas.setFont("Helvetica", size)
        for x, y, text in page:
            canvas.drawString(x, y, text)
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def scan(words: str, *, text: str = "") -> bytes:
    """A page that is an image of words, and one with text if there is one."""
    from PIL import Image, ImageDraw, ImageFont
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    image = Image.new("L", (1200, 400), 255)
    ImageDraw.Draw(image).text((60, 150), words, fill=0, font=ImageFont.load_default(90))
    stream = io.BytesIO()
    canvas = Canvas(stream, pagesize=(600, 200))
    canvas.drawImage(ImageReader(image), 0, 0, 600, 200)
    canvas.showPage()
    if text:
        canvas.drawString(50, 100, text)
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def test_pages_and_outline() -> None:
    document = read(pdf())
    assert document.title == "Field Guide"
    assert document.created_at is not None
    assert [(s.place, s.parents, s.heading, s.text) for s in document.sections] == [
        (
            "page=1",
            (),
            "Birds",
            "Gulls follow the boats, and they follow them for hours until the harbour is in sight.\n\n"
            "A paragraph of its own on birds.",
        ),
        ("page=2", ("Birds",), "Terns", "They dive.\n\nA paragraph of its own on terns."),
    ]


def test_a_heading_in_the_middle_of_a_page() -> None:
    from reportlab.pdfgen.canvas import Canvas

    stream = io.BytesIO()
    canvas = Canvas(stream, pagesize=(600, 800), invariant=1)
    for name, y in (("One", 700), ("Two", 500)):
        canvas.bookmarkPage(name)
        canvas.addOutlineEntry(name, name, 0)
        canvas.drawString(50, y, f"1.2 {name}")
        canvas.drawString(50, y - 60, f"below {name.lower()}")
    canvas.showPage()
    canvas.drawString(50, 700, "goes on")
    canvas.showPage()
    canvas.save()
    assert [(s.place, s.heading, s.text) for s in read(stream.getvalue()).sections] == [
        ("page=1", "One", "below one"),
        ("page=1", "Two", "below two"),
        ("page=2", "Two", "goes on"),
    ]


def columns(*, by_row: bool) -> list[tuple[float, float, str]]:
    left = [(50.0, 600.0 - 14 * n, f"left {n} of the first column") for n in range(5)]
    right = [(320.0, 600.0 - 14 * n, f"right {n} of the second column") for n in range(5)]
    texts = [(50.0, 100.0, "foot of the page"), *right, *left, (50.0, 700.0, "a title across the whole page")]
    return sorted(texts, key=lambda text: -text[1]) if by_row else texts


def test_reading_order_is_not_that_of_drawing() -> None:
    (section,) = read(drawn(columns(by_row=False))).sections
    order = ["a title", "left 0", "left 4", "right 0", "right 4", "foot"]
    at = [section.text.index(words) for words in order]
    assert at == sorted(at)


def test_a_word_cut_at_the_end_of_a_line() -> None:
    lines = ["This sentence has infor-", "mation on Anglo-", "Saxons in it, and it ends in a-"]
    (section,) = read(drawn([(50, 700 - 14 * n, line) for n, line in enumerate(lines)])).sections
    assert section.text == "This sentence has information on Anglo-Saxons in it, and it ends in a-"


def test_rows_stay_lines() -> None:
    rows = [(50.0, 700.0 - 14 * n, f"{n}) item") for n in range(3)]
    (section,) = read(drawn(rows)).sections
    assert section.text == "0) item\n1) item\n2) item"


def test_a_scan_is_read_by_tesseract() -> None:
    assert read(scan("Harbour 1987")).sections[0].text.split() == ["Harbour", "1987"]


def test_scans_are_told_where_there_is_no_tesseract(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        DataTypeError, match=r"a\.pdf: page 1: 1 page is an image without text, a scan: tesseract"
    ):
        read(scan("Harbour"))
    content = Content("a.pdf", data=scan("Harbour", text="words"))
    document = read(b"", content)
    assert [(s.place, s.text) for s in document.sections] == [("page=2", "words")]
    assert [str(p).split(". ")[0] for p in content.problems.listed] == [
        "a.pdf: page 1: 1 page is an image without text, a scan: "
        "tesseract, which reads images, is not installed"
    ]


def test_tesseract_that_fails_or_finds_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(DataTypeError, match="finds no text"):
        read(scan(""))
    program = tmp_path / "tesseract"
    program.write_text("#!/bin/sh\necho no such language >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(DataTypeError, match=r"tesseract failed \(no such language\)"):
        read(scan("Harbour"))


def test_a_password() -> None:
    with pytest.raises(DataTypeError, match=r"a\.pdf: it is protected by a password"):
        read(pdf(password="secret"))


def test_blank_pages_are_no_scans() -> None:
    assert read(drawn([], [])).sections == []


def test_a_file_on_the_disk_and_junk_before_it(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(b"junk\n" + pdf())
    assert read(b"", Content("a.pdf", path)).title == "Field Guide"


def test_a_file_cut_in_half() -> None:
    data = pdf()
    try:
        document = read(data[: len(data) // 2])
    except DamagedFileError:
        return
    assert all(section.text for section in document.sections)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("D:20240305143000+01'30'", datetime(2024, 3, 5, 13, 0)),
        ("D:20240305143000Z", datetime(2024, 3, 5, 14, 30)),
        ("20240305", datetime(2024, 3, 5)),
        ("D:20241305", None),
        ("soon", None),
    ],
)
def test_times(text: str, time: datetime | None) -> None:
    assert time_of(text) == time
