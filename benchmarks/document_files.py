"""Files of many kinds with planted words, each made by the tool that people make it with."""

from __future__ import annotations

import gzip
import io
import json
import mailbox
import random
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

Words = Callable[[str], str]
#: Name of a file, and what makes it in a folder.
Maker = Callable[[Path, Words], object]

_MARKUP = """---
title: {title}
---

# {heading}

A paragraph with {text} and *{emphasis}*.[^1]

- {item}

| {column} | Price |
|----------|-------|
| {cell}   | 3     |

```python
{code} = 1
```

[^1]: {footnote}
"""
_PARTS = ("title", "heading", "text", "emphasis", "item", "column", "cell", "code", "footnote")


class Planted:
    """The words in each file: made up, each there once."""

    def __init__(self, seed: int = 1) -> None:
        self._dice = random.Random(seed)
        self.words: dict[str, list[str]] = {}

    def of(self, name: str) -> Words:
        """Gives a new word for a place in the file called ``name``."""
        words = self.words.setdefault(name, [])

        def word(place: str) -> str:
            letters = "".join(
                self._dice.choice("bdfgklmnprstvz") + self._dice.choice("aeiou") for _ in range(5)
            )
            words.append(f"q{letters}")
            return words[-1]

        return word


def markup(word: Words) -> str:
    """Markdown with a word in each place."""
    return _MARKUP.format(**{part: word(part) for part in _PARTS})


def pandoc(kind: str) -> Maker:
    """What pandoc writes."""

    def make(path: Path, word: Words) -> None:
        import pypandoc

        command = [
            pypandoc.get_pandoc_path(),
            "--from",
            "markdown",
            "--to",
            kind,
            "--standalone",
            "--output",
            path,
        ]
        subprocess.run(command, input=markup(word).encode(), check=True)

    return make


def text(template: str, encoding: str = "utf-8") -> Maker:
    """A text with words where it has stars."""

    def make(path: Path, word: Words) -> None:
        first, *rest = template.split("*")
        path.write_text(first + "".join(word("text") + part for part in rest), encoding)

    return make


def docx(path: Path, word: Words) -> None:
    from docx import Document

    document = Document()
    document.core_properties.title = word("title")
    document.add_heading(word("heading"), 1)
    document.add_paragraph(word("text"))
    document.add_paragraph(word("item"), "List Bullet")
    table = document.add_table(1, 2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = word("cell"), word("cell")
    document.sections[0].header.paragraphs[0].text = "Page"
    run = document.add_paragraph("Said").add_run(" twice")
    document.add_comment(run, word("comment"), author="Ada")
    document.save(str(path))


def pptx(path: Path, word: Words) -> None:
    from pptx import Presentation
    from pptx.util import Inches

    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = word("title")
    slide.placeholders[1].text_frame.text = word("bullet")
    slide.notes_slide.notes_text_frame.text = word("notes")
    cells = slide.shapes.add_table(1, 2, Inches(1), Inches(2), Inches(4), Inches(1)).table
    cells.cell(0, 0).text, cells.cell(0, 1).text = word("cell"), word("cell")
    deck.save(str(path))


def xlsx(path: Path, word: Words) -> None:
    from openpyxl import Workbook
    from openpyxl.comments import Comment

    book = Workbook()
    sheet = book.active
    sheet.title = word("sheet")
    sheet.append([word("header"), "Price"])
    sheet.append([word("cell"), 12])
    sheet["A2"].comment = Comment(word("comment"), "Ada")
    book.create_sheet("Second").append([word("cell of the second sheet")])
    book.save(path)


def ods(path: Path, word: Words) -> None:
    from odf import opendocument, table
    from odf import text as odf_text

    document = opendocument.OpenDocumentSpreadsheet()
    sheet = table.Table(name=word("sheet"))
    for _ in range(2):
        row = table.TableRow()
        cell = table.TableCell(valuetype="string")
        cell.addElement(odf_text.P(text=word("cell")))
        row.addElement(cell)
        sheet.addElement(row)
    document.spreadsheet.addElement(sheet)
    document.save(str(path))


def odp(path: Path, word: Words) -> None:
    from odf import draw, opendocument, style
    from odf import text as odf_text

    document = opendocument.OpenDocumentPresentation()
    layout = style.PageLayout(name="L")
    document.automaticstyles.addElement(layout)
    master = style.MasterPage(name="M", pagelayoutname=layout)
    document.masterstyles.addElement(master)
    for _ in range(2):
        page = draw.Page(masterpagename=master)
        frame = draw.Frame(width="10cm", height="2cm")
        box = draw.TextBox()
        box.addElement(odf_text.P(text=word("text")))
        frame.addElement(box)
        page.addElement(frame)
        document.presentation.addElement(page)
    document.save(str(path))


def epub(path: Path, word: Words) -> None:
    from ebooklib import epub as library

    book = library.EpubBook()
    book.set_identifier("b1")
    book.set_title(word("title"))
    book.set_language("en")
    chapters = []
    for number in range(2):
        chapter = library.EpubHtml(title=f"Part {number}", file_name=f"c{number}.xhtml", lang="en")
        chapter.content = f"<html><body><h1>{word('heading')}</h1><p>{word('text')}</p></body></html>"
        book.add_item(chapter)
        chapters.append(chapter)
    book.toc = tuple(chapters)
    book.add_item(library.EpubNcx())
    book.add_item(library.EpubNav())
    book.spine = ["nav", *chapters]
    library.write_epub(str(path), book)


def pdf(path: Path, word: Words) -> None:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path))
    canvas.setTitle(word("title"))
    for _ in range(2):
        heading = word("heading")
        canvas.bookmarkPage(heading)
        canvas.addOutlineEntry(heading, heading)
        canvas.drawString(50, 700, heading)
        canvas.drawString(50, 650, f"A line with {word('text')} in it.")
        canvas.showPage()
    canvas.save()


def office(kind: str, source: str, maker: Maker) -> Maker:
    """What LibreOffice makes of a new document; nothing where it is not installed."""

    def make(path: Path, word: Words) -> None:
        new = path.with_suffix(f".{source}")
        maker(new, word)
        command = ["soffice", "--headless", "--convert-to", kind, "--outdir", str(path.parent), str(new)]
        subprocess.run(command, check=True, capture_output=True)
        new.unlink()

    return make


def mail(word: Words) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = f"{word('sender')}@example.org", "bob@example.org"
    message["Subject"] = word("subject")
    message.set_content(f"Dear Bob, {word('text')}.")
    message.add_alternative(f"<p>Dear Bob, <b>{word('html')}</b>.</p>", subtype="html")
    message.add_attachment(word("attachment").encode(), maintype="text", subtype="plain", filename="a.txt")
    return message


def mbox(path: Path, word: Words) -> None:
    box = mailbox.mbox(path)
    for _ in range(2):
        box.add(mail(word))
    box.close()


def notebook(path: Path, word: Words) -> None:
    import nbformat
    from nbformat import v4

    output = v4.new_output("stream", text=word("output"))
    cells = [
        v4.new_markdown_cell(f"# {word('heading')}\n\n{word('text')}"),
        v4.new_code_cell(f"{word('code')} = 1", outputs=[output]),
    ]
    nbformat.write(v4.new_notebook(cells=cells), str(path))


def rows(word: Words) -> list[dict[str, str]]:
    return [{"name": word("name"), "note": word("note")} for _ in range(3)]


def parquet(path: Path, word: Words) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows(word)), path)


def archive(pack: Callable[[Path, dict[str, bytes]], object]) -> Maker:
    """An archive with three members: Markdown, a Word document and rows."""

    def make(path: Path, word: Words) -> None:
        inner = path.with_suffix(".inner.docx")
        docx(inner, word)
        members = {"docs/a.md": markup(word).encode(), "b.docx": inner.read_bytes()}
        inner.unlink()
        pack(path, {**members, "c.json": json.dumps(rows(word)).encode()})

    return make


def _zip(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(name, data)


def _tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as made:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))


def _seven_zip(path: Path, members: dict[str, bytes]) -> None:
    import py7zr

    with py7zr.SevenZipFile(path, "w") as made:
        for name, data in members.items():
            made.writef(io.BytesIO(data), name)


def flac(path: Path, word: Words) -> None:
    import numpy as np
    import soundfile
    from mutagen.flac import FLAC

    soundfile.write(path, np.zeros(4410), 44100)
    tags = FLAC(path)
    tags["title"], tags["artist"], tags["lyrics"] = word("title"), word("artist"), word("lyrics")
    tags.save()


def jpeg(path: Path, word: Words) -> None:
    from PIL import Image

    image = Image.new("RGB", (8, 8))
    exif = image.getexif()
    exif[0x010E], exif[0x013B] = word("description"), word("artist")
    image.save(path, exif=exif, comment=word("comment"))


def png(path: Path, word: Words) -> None:
    from PIL import Image, PngImagePlugin

    info = PngImagePlugin.PngInfo()
    info.add_text("Title", word("title"))
    info.add_text("Description", word("description"))
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)


def assistant(path: Path, word: Words) -> None:
    def message(role: str, parent: str | None, child: list[str]) -> dict[str, Any]:
        content = {"content_type": "text", "parts": [word(role)]}
        said = {"id": role, "author": {"role": role}, "create_time": 1700000000.5, "content": content}
        return {"id": role, "message": said, "parent": parent, "children": child}

    mapping = {"user": message("user", None, ["assistant"]), "assistant": message("assistant", "user", [])}
    talk = {
        "title": word("title"),
        "create_time": 1700000000.5,
        "update_time": 1700000001.5,
        "mapping": mapping,
    }
    path.write_text(json.dumps([talk | {"current_node": "assistant"}]))


def slack(path: Path, word: Words) -> None:
    said = [
        {"type": "message", "user": "U1", "ts": f"170000000{n}.000100", "text": word("text")}
        for n in range(3)
    ]
    path.write_text(json.dumps(said))


_SUBTITLES = "1\n00:00:01,000 --> 00:00:02,000\n*\n\n2\n00:00:03,000 --> 00:00:04,000\n*\n"
_CHAT = "21/11/2025, 14:05 - Ann: *\n21/11/2025, 14:06 - Bob: *\n21/11/2025, 14:07 - Ann: *\n"
_BOOKMARKS = (
    "<!DOCTYPE NETSCAPE-Bookmark-file-1>\n<TITLE>Bookmarks</TITLE>\n<DL><p>\n<DT><H3>*</H3>\n<DL><p>\n"
    '<DT><A HREF="https://example.org/*">*</A>\n</DL><p>\n</DL><p>\n'
)

MAKERS: dict[str, Maker] = {
    "text.txt": text("A line with * and one with *.\n"),
    "utf16.txt": text("A line with *, in UTF-16: *.\n", "utf-16"),
    "latin1.txt": text("Caf\xe9, na\xefve, *, *.\n", "latin-1"),
    "markdown.md": lambda path, word: path.write_text(markup(word)),
    "page.html": pandoc("html"),
    "restructured.rst": pandoc("rst"),
    "org.org": pandoc("org"),
    "ascii.adoc": pandoc("asciidoc"),
    "latex.tex": pandoc("latex"),
    "manual.man": pandoc("man"),
    "docbook.xml": pandoc("docbook"),
    "word.docx": docx,
    "pandoc.docx": pandoc("docx"),
    "slides.pptx": pptx,
    "pandoc.pptx": pandoc("pptx"),
    "sheet.xlsx": xlsx,
    "pandoc.odt": pandoc("odt"),
    "sheet.ods": ods,
    "slides.odp": odp,
    "pandoc.rtf": pandoc("rtf"),
    "book.epub": epub,
    "pandoc.epub": pandoc("epub"),
    "paper.pdf": pdf,
    "old.doc": office("doc", "docx", docx),
    "old.xls": office("xls", "xlsx", xlsx),
    "old.ppt": office("ppt", "pptx", pptx),
    "office.pdf": office("pdf", "docx", pandoc("docx")),
    "mail.eml": lambda path, word: path.write_bytes(bytes(mail(word))),
    "mails.mbox": mbox,
    "notebook.ipynb": notebook,
    "code.py": text('def *():\n    """*"""\n    return 1  # *\n'),
    "code.js": text("// *\nfunction *() {\n  return '*';\n}\n"),
    "settings.yaml": text("name: *\nnote: *\n"),
    "settings.toml": text('name = "*"\nnote = "*"\n'),
    "rows.csv": text("name,note\n*,*\n*,*\n"),
    "rows.jsonl": lambda path, word: path.write_text("".join(json.dumps(row) + "\n" for row in rows(word))),
    "rows.json": lambda path, word: path.write_text(json.dumps(rows(word))),
    "rows.parquet": parquet,
    "subtitles.srt": text(_SUBTITLES),
    "subtitles.vtt": text("WEBVTT\n\n00:01.000 --> 00:02.000\n*\n\n00:03.000 --> 00:04.000\n*\n"),
    "lyrics.lrc": text("[ti:*]\n[00:01.00]*\n[00:02.00]*\n"),
    "whatsapp.txt": text(_CHAT),
    "slack.json": slack,
    "conversations.json": assistant,
    "bookmarks.html": text(_BOOKMARKS),
    "music.flac": flac,
    "photo.jpg": jpeg,
    "picture.png": png,
    "archive.zip": archive(_zip),
    "archive.tar.gz": archive(_tar),
    "archive.7z": archive(_seven_zip),
    "packed.md.gz": lambda path, word: path.write_bytes(gzip.compress(markup(word).encode())),
}


def make_folder(folder: Path) -> dict[str, list[str]]:
    """Make every file that can be made here; the planted words by name of the file."""
    planted = Planted()
    for name, maker in MAKERS.items():
        if name.startswith(("old.", "office.")) and shutil.which("soffice") is None:
            continue
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        maker(path, planted.of(name))
    return planted.words
