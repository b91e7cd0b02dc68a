"""Files of prose to documents."""

from __future__ import annotations

from collections.abc import Iterator

from audiomem_sql.errors import OptionError
from audiomem_sql.ingest.contents import read_text
from audiomem_sql.ingest.documents import Document, Section
from audiomem_sql.ingest.html import parse_html
from audiomem_sql.ingest.markdown import parse_markdown
from audiomem_sql.ingest.sources import RECORD_KINDS, Source, suffix_of
from audiomem_sql.ingest.text import parse_text

__all__ = ["Document", "Section", "read_documents"]


def read_documents(source: Source) -> Iterator[Document]:
    """The documents in a text, Markdown or HTML file: one, or none if the file is blank.

    Raises `DataTypeError` for what is not text (with the byte that says so), `LimitError` beyond 1 GiB,
    `DamagedFileError` for broken gzip data and `StorageError` for a file that cannot be read.
    """
    if source.kind in RECORD_KINDS:
        raise OptionError(
            f"{source.kind} holds rows, not prose", file=source.name, remedy="Use read_records."
        )
    text = read_text(source.path, source.name, declared=source.kind == "html")
    if source.kind == "markdown":
        document = parse_markdown(text)
    elif source.kind == "html":
        document = parse_html(text)
    else:
        document = parse_text(text, headings=suffix_of(source.path) != ".log")
    if document.sections:
        yield document
