"""Office documents as the libraries and programs make them that people use."""

from __future__ import annotations

import io
import warnings
import zipfile
from datetime import datetime

WHEN = datetime(2024, 3, 5, 14, 30)


def docx() -> bytes:
    """Headings, a list, a numbered list, a table, a comment, a picture's description, by python-docx."""
    from docx import Document

    document = Document()
    document.core_properties.title = "Water Report"
    document.core_properties.created = WHEN
    document.add_paragraph("Before any heading.")
    document.add_heading("Supply", 1)
    document.add_paragraph("The lake gives most of it.")
    document.add_heading("Pipes", 2)
    document.add_paragraph("copper", "List Bullet")
    document.add_paragraph("lead", "List Bullet 2")
    document.add_paragraph("first", "List Number")
    document.add_paragraph("second", "List Number")
    document.add_heading("Prices", 1)
    table = document.add_table(2, 2)
    for row, texts in zip(table.rows, (("Town", "Price"), ("Bergen", "12.50")), strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    last = document.add_paragraph("Prices rise.\tSlowly.")
    document.add_comment(last.runs, "Says who?", author="Ada")
    return _saved(document)


def pptx() -> bytes:
    """Two slides with a title, bullets, a table, notes and a chart, by python-pptx."""
    from pptx import Presentation
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE
    from pptx.util import Inches

    deck = Presentation()
    deck.core_properties.title = "PowerPoint Presentation"
    deck.core_properties.created = WHEN
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Roadmap"
    frame = slide.placeholders[1].text_frame
    frame.text = "Ship the reader"
    inner = frame.add_paragraph()
    inner.text, inner.level = "with tests", 1
    slide.notes_slide.notes_text_frame.text = "Do not promise dates."
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = "Budget"
    size = (Inches(1), Inches(2), Inches(4), Inches(1))
    table = slide.shapes.add_table(2, 2, *size).table
    for row, texts in enumerate((("Item", "Euro"), ("Rent", "900"))):
        for column, text in enumerate(texts):
            table.cell(row, column).text = text
    data = CategoryChartData()
    data.categories = ["North", "South"]
    data.add_series("Rainfall", (1, 2))
    slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *size, data)
    return _saved(deck)


def xlsx() -> bytes:
    """Headers, dates, percentages, a formula with its value, a cell far away, a comment, by xlsxwriter."""
    import xlsxwriter

    stream = io.BytesIO()
    book = xlsxwriter.Workbook(stream)
    book.set_properties({"title": "Ledger", "created": WHEN})
    sheet = book.add_worksheet("Prices & more")
    date, share = book.add_format({"num_format": "yyyy-mm-dd"}), book.add_format({"num_format": "0.0%"})
    sheet.write_row(0, 0, ["Item", "Bought", "Share", "Total", "In stock"])
    sheet.write(1, 0, "Ink")
    sheet.write_datetime(1, 1, WHEN.replace(hour=0, minute=0), date)
    sheet.write(1, 2, 0.125, share)
    sheet.write_formula(1, 3, "=2*21", None, 42)
    sheet.write(1, 4, True)
    sheet.write_comment(1, 0, "blue or black?")
    sheet.write(1_048_575, 16_383, "far away")
    book.add_worksheet("Empty")
    notes = book.add_worksheet("Notes")
    notes.write(0, 0, "call the plumber")
    notes.write(1, 0, "buy stamps")
    book.close()
    return stream.getvalue()


def odt() -> bytes:
    """Headings, a list, a table, a footnote, spaces, by odfpy."""
    from odf import dc, meta, opendocument, table, text

    document = opendocument.OpenDocumentText()
    document.meta.addElement(dc.Title(text="Garden Notes"))
    document.meta.addElement(meta.CreationDate(text="2024-03-05T14:30:00"))
    add = document.text.addElement
    add(text.H(outlinelevel=1, text="Soil"))
    paragraph = text.P(text="Loam is")
    paragraph.addElement(text.S(c=2))
    paragraph.addText("best.")
    note = text.Note(noteclass="footnote", id="n1")
    note.addElement(text.NoteCitation(text="1"))
    body = text.NoteBody()
    body.addElement(text.P(text="See the almanac."))
    note.addElement(body)
    paragraph.addElement(note)
    add(paragraph)
    add(text.H(outlinelevel=2, text="Tools"))
    items = text.List()
    for name in ("spade", "rake"):
        item = text.ListItem()
        item.addElement(text.P(text=name))
        items.addElement(item)
    add(items)
    grid = table.Table(name="Beds")
    grid.addElement(table.TableColumn(numbercolumnsrepeated=2))
    for names in (("Bed", "Plant"), ("A", "Beans")):
        row = table.TableRow()
        for name in names:
            cell = table.TableCell()
            cell.addElement(text.P(text=name))
            row.addElement(cell)
        grid.addElement(row)
    add(grid)
    return _saved(document)


def ods() -> bytes:
    """Numbers, a date, a row and a cell that are said to be there a million times, by odfpy."""
    from odf import opendocument, table, text

    document = opendocument.OpenDocumentSpreadsheet()
    sheet = table.Table(name="Visits")
    for values in (("Place", "When", "Count"), ("Oslo", "2024-03-05", 12.5)):
        row = table.TableRow()
        for value in values:
            if value == "2024-03-05":
                cell = table.TableCell(valuetype="date", datevalue=value)
                cell.addElement(text.P(text="5. mars 2024"))
            elif isinstance(value, float):
                cell = table.TableCell(valuetype="float", value=value)
                cell.addElement(text.P(text="12,50"))
            else:
                cell = table.TableCell(valuetype="string")
                cell.addElement(text.P(text=value))
            row.addElement(cell)
        row.addElement(table.TableCell(numbercolumnsrepeated=16_000))
        sheet.addElement(row)
    gap = table.TableRow(numberrowsrepeated=1_000_000)
    gap.addElement(table.TableCell(numbercolumnsrepeated=16_000))
    sheet.addElement(gap)
    row = table.TableRow()
    cell = table.TableCell(valuetype="string")
    cell.addElement(text.P(text="the end"))
    row.addElement(cell)
    sheet.addElement(row)
    document.spreadsheet.addElement(sheet)
    return _saved(document)


def odp() -> bytes:
    """Two slides with text boxes, the first with a title, by odfpy."""
    from odf import draw, opendocument, style, text

    document = opendocument.OpenDocumentPresentation()
    layout = style.PageLayout(name="L")
    document.automaticstyles.addElement(layout)
    master = style.MasterPage(name="M", pagelayoutname=layout)
    document.masterstyles.addElement(master)
    for title, words in (("Harvest", "Apples first."), ("", "Pears then.")):
        page = draw.Page(masterpagename=master)
        for kind, content in (("title", title), ("outline", words)):
            if content:
                frame = draw.Frame(width="10cm", height="2cm")
                frame.setAttrNS("urn:oasis:names:tc:opendocument:xmlns:presentation:1.0", "class", kind)
                box = draw.TextBox()
                box.addElement(text.P(text=content))
                frame.addElement(box)
                page.addElement(frame)
        document.presentation.addElement(page)
    return _saved(document)


def epub() -> bytes:
    """Two chapters, one without a heading of its own, by ebooklib."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ebooklib import epub as library

    book = library.EpubBook()
    book.set_identifier("b1")
    book.set_title("The Lighthouse")
    book.set_language("en")
    book.add_metadata("DC", "date", "2024-03-05T14:30:00Z")
    chapters = []
    for number, (title, body) in enumerate(
        (("Arrival", "<h1>Arrival</h1><p>Fog on the pier.</p>"), ("The Stairs", "<p>Two hundred steps.</p>"))
    ):
        chapter = library.EpubHtml(title=title, file_name=f"text/c{number}.xhtml", lang="en")
        chapter.content = f"<html><head><title/></head><body>{body}</body></html>"
        book.add_item(chapter)
        chapters.append(chapter)
    book.toc = tuple(chapters)
    book.add_item(library.EpubNcx())
    book.add_item(library.EpubNav())
    book.spine = ["nav", *chapters]
    stream = io.BytesIO()
    library.write_epub(stream, book)
    return stream.getvalue()


def pdf(*, password: str | None = None) -> bytes:
    """Two pages with an outline and paragraphs, by reportlab."""
    from reportlab.lib.pagesizes import A5
    from reportlab.pdfgen.canvas import Canvas

    stream = io.BytesIO()
    canvas = Canvas(stream, pagesize=A5, encrypt=password, invariant=1)
    canvas.setTitle("Field Guide")
    pages = (
        (
            "Birds",
            ["Gulls follow the boats, and they follow them for", "hours until the harbour is in sight."],
        ),
        ("Terns", ["They dive."]),
    )
    for level, (title, lines) in enumerate(pages):
        canvas.bookmarkPage(title)
        canvas.addOutlineEntry(title, title, level)
        canvas.setFont("Helvetica-Bold", 18)
        canvas.drawString(50, 500, title)
        canvas.setFont("Helvetica", 11)
        for number, line in enumerate(lines):
            canvas.drawString(50, 470 - 13 * number, line)
        canvas.drawString(50, 400, f"A paragraph of its own on {title.lower()}.")
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def rtf() -> bytes:
    """A heading, a list, a table, a footnote, letters of other alphabets, by pandoc."""
    return pandoc("rtf")


MARKDOWN = """\
---
title: Ferry Times
date: 2024-03-05
---
Before.

# Summer

Boats leave hourly.[^1] Łódź, Москва, 東京, 🚢.

- north
- south

## Fares

| Who   | Price |
|-------|-------|
| Child | 3     |
| Adult | 6     |

[^1]: Not on Sundays.
"""


def pandoc(kind: str) -> bytes:
    """`MARKDOWN` as pandoc writes it in another format."""
    import subprocess

    import pypandoc

    done = subprocess.run(
        [pypandoc.get_pandoc_path(), "--from", "markdown", "--to", kind, "--standalone", "--output", "-"],
        input=MARKDOWN.encode(),
        capture_output=True,
        check=True,
    )
    return done.stdout


def _saved(document: object) -> bytes:
    stream = io.BytesIO()
    document.save(stream)  # type: ignore[attr-defined]
    return stream.getvalue()


def zipped(parts: dict[str, bytes | str]) -> bytes:
    """A zip file with these parts."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return stream.getvalue()


def changed(package: bytes, parts: dict[str, bytes | str]) -> bytes:
    """A package with some of its parts replaced or added."""
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        old = {name: archive.read(name) for name in archive.namelist()}
    return zipped({**old, **parts})


MAKERS = {
    "docx": docx,
    "pptx": pptx,
    "xlsx": xlsx,
    "odt": odt,
    "ods": ods,
    "odp": odp,
    "epub": epub,
    "pdf": pdf,
    "rtf": rtf,
}
