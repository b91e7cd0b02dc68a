"""Files of prose to documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from audiomem_sql.errors import OptionError
from audiomem_sql.ingest.documents.content import Budget, Content, Problems
from audiomem_sql.ingest.documents.document import Document, Section
from audiomem_sql.ingest.documents.registry import readers
from audiomem_sql.ingest.sources import RECORD_KINDS, Source, modified

__all__ = ["Document", "Section", "read_documents"]

_NOT_STORED = re.compile("[\0\ud800-\udfff]")


def read_documents(source: Source, problems: Problems | None = None) -> Iterator[Document]:
    """The documents in a file that is no file of rows: none if it is blank.

    What cannot be read inside it, while its rest can, is added to ``problems``.

    Raises `DataTypeError` for what is not text (with the byte that says so), `LimitError` beyond 1 GiB,
    `DamagedFileError` for broken data, `StorageError` for a file that cannot be read, and `MissingExtraError`
    where a package that reads it is not installed.
    """
    if source.kind in RECORD_KINDS:
        raise OptionError(
            f"{source.kind} holds rows, not prose", file=source.label, remedy="Use read_records."
        )
    content = Content(
        source.label,
        source.path,
        modified=modified(source),
        budget=Budget.of_file(source.size),
        problems=problems or Problems(),
    )
    for document in readers()[source.kind].documents(content):
        if document.sections:
            yield _storable(document)


def _storable(document: Document) -> Document:
    """The document without NULs, and with U+FFFD for what is no character."""
    texts = [document.title or "", *(text for s in document.sections for text in (s.heading or "", s.text))]
    if not any(_NOT_STORED.search(text) for text in texts):
        return document
    sections = [
        replace(
            section,
            heading=section.heading and _cleaned(section.heading),
            text=_cleaned(section.text),
            parents=tuple(map(_cleaned, section.parents)),
        )
        for section in document.sections
    ]
    kept = [section for section in sections if section.text.strip()]
    return replace(document, title=document.title and _cleaned(document.title), sections=kept)


def _cleaned(text: str) -> str:
    return _NOT_STORED.sub(lambda found: "\ufffd" if found[0] != "\0" else "", text)
