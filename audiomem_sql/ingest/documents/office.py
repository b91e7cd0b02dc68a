"""Which office document a file is, by its content: its name may lie, as ``.doc`` often does."""

from __future__ import annotations

from collections.abc import Iterator

from audiomem_sql.errors import DamagedFileError, DataTypeError
from audiomem_sql.ingest.contents import HEAD_SIZE, binary_reason
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document
from audiomem_sql.ingest.documents.package import Package
from audiomem_sql.ingest.documents.recognising import is_package

ZIP = b"PK\x03\x04"
RTF = b"{\\rtf"
PDF = b"%PDF-"
#: A compound file, in which Office kept documents until 2007; now those with a password.
COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
#: The header of a PDF file may stand so far behind its beginning.
_PDF_WITHIN = 1024
#: A tag of a page that is called ``.doc`` or ``.xls``, so that Office opens it.
_PAGES = (b"<html", b"<!doctype html", b"<table")


def recognise(name: str, start: bytes) -> bool:
    """Whether a file that begins with ``start`` is one of these documents, whatever its name says."""
    if start.startswith(ZIP):
        return is_package(start)
    return start.startswith((RTF + b"1", PDF))


def read(content: Content) -> Iterator[Document]:
    """The documents in an office document or a PDF file.

    DataTypeError for what is none, or is protected by a password; DamagedFileError for a broken one.
    """
    with content.open() as stream:
        start = stream.read(HEAD_SIZE)
    if start.startswith((ZIP, b"PK\x05\x06")):
        yield from _packed(content)
    elif PDF in start[:_PDF_WITHIN]:
        from audiomem_sql.ingest.documents import pdf

        yield from pdf.read(content)
    elif start.lstrip().startswith(RTF):
        from audiomem_sql.ingest.documents import rtf

        yield from rtf.read(content)
    elif start.startswith(COMPOUND):
        from audiomem_sql.ingest.documents import legacy

        yield from legacy.read(content, _packed)
    elif _is_page(content.suffix, start[:_PDF_WITHIN]):
        from audiomem_sql.ingest.documents import html

        yield from html.read(content)
    elif start.strip() and binary_reason(start, utf8_only=True) is None:
        from audiomem_sql.ingest.documents import plain

        yield from plain.read(content)
    else:
        kind = content.suffix.removeprefix(".").upper() or "document"
        raise DamagedFileError(
            f"this is no {kind} file: it does not begin like one" if start else f"this {kind} file is empty",
            remedy="Open it with the program that made it and save it again, or leave it out.",
        )


def _is_page(suffix: str, start: bytes) -> bool:
    """Whether a file is HTML; in drawings of Graphviz, ``.dot``, tables stand in the text."""
    is_drawing = suffix == ".dot" and not start.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<")
    return not is_drawing and any(tag in start.lower() for tag in _PAGES)


def _packed(content: Content) -> Iterator[Document]:
    """The documents in a zip file: in the one that it is, or in its members where it is an archive."""
    from importlib import import_module

    modules = {
        "docx": "word",
        "pptx": "slides",
        "xlsx": "sheets",
        "odt": "opendocument",
        "odp": "opendocument",
        "ods": "opendocument_sheets",
        "epub": "epub",
    }
    with Package(content) as package:
        kind = package.kind()
        if kind is None and not package.names():
            raise DataTypeError("this is an empty zip file", remedy="Leave it out.")
        if kind == "xlsb":
            raise DataTypeError("this is a binary workbook", remedy="Save it as .xlsx.")
        if kind is not None:
            yield from import_module(f"{__package__}.{modules[kind]}").documents(package)
            return
    from audiomem_sql.ingest.documents import archives

    yield from archives.read_zip(content)
