"""Documents that are a zip file of XML parts: Office Open XML, OpenDocument, EPUB."""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Iterator
from typing import IO, NamedTuple, Self
from urllib.parse import unquote

from audiomem_sql.errors import DamagedFileError, DataTypeError, LimitError
from audiomem_sql.ingest.documents.blocks import time_of, title_of
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document
from audiomem_sql.ingest.documents.xml_events import End, Event, Start, Text, events

#: Bytes that one part may expand to.
PART_LIMIT = 256 << 20
#: What is read, by a piece of the type that the package says it is.
_KINDS = {
    "wordprocessingml": "docx",
    "ms-word": "docx",
    "presentationml": "pptx",
    "ms-powerpoint": "pptx",
    "spreadsheetml": "xlsx",
    "ms-excel": "xlsx",
    "opendocument.text": "odt",
    "opendocument.presentation": "odp",
    "opendocument.graphics": "odp",
    "opendocument.spreadsheet": "ods",
    "epub+zip": "epub",
}


def protected(name: str | None = None) -> DataTypeError:
    """The error for a document that a password protects."""
    return DataTypeError(
        "it is protected by a password", file=name, remedy="Save it without the password, or leave it out."
    )


class Relation(NamedTuple):
    """What a part of an Office Open XML package points to; ``kind`` is the last word of its type."""

    kind: str
    target: str


class _Part(io.RawIOBase):
    """The bytes of a part, counted."""

    def __init__(self, raw: IO[bytes], limit: int, place: str) -> None:
        self._raw = raw
        self._left = limit
        self._limit = limit
        self._place = place

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read(self._left + 1 if size < 0 else size)
        self._left -= len(data)
        if self._left < 0:
            raise LimitError(
                f"it expands to more than {self._limit >> 20} MiB",
                place=self._place,
                remedy="Split the document.",
            )
        return data

    def close(self) -> None:
        self._raw.close()
        super().close()


class Package:
    """The parts of a zip file by name. Names are compared without case.

    DataTypeError where a password is needed. Zipfile raises errors of its own, which
    `Reader.documents` takes.
    """

    def __init__(self, content: Content) -> None:
        self._content = content
        stream = content.open()
        if not stream.seekable():
            stream.close()
            stream = io.BytesIO(content.read())
        self._stream = stream
        try:
            self._zip = zipfile.ZipFile(stream)
        except BaseException:
            stream.close()
            raise
        self._infos = {info.filename.replace("\\", "/").lower(): info for info in self._zip.infolist()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()
        self._stream.close()

    def __contains__(self, part: str) -> bool:
        return part.lower() in self._infos

    def names(self) -> list[str]:
        """The parts, in lower case."""
        return list(self._infos)

    def open(self, part: str, limit: int | None = None) -> IO[bytes]:
        """The bytes of ``part``, as a stream. DamagedFileError if there is none, LimitError beyond ``limit``.

        limit: in bytes, `PART_LIMIT` by default.
        """
        limit = PART_LIMIT if limit is None else limit
        info = self._infos.get(part.lower())
        if info is None:
            raise DamagedFileError(
                f"it has no part {part}", remedy="Open it with the program that made it and save it again."
            )
        if info.flag_bits & 1:
            raise protected()
        self._content.budget.spend(min(info.file_size, limit), self._content.name)
        return _Part(self._zip.open(info), limit, part)  # type: ignore[return-value]

    def read(self, part: str, limit: int | None = None) -> bytes:
        """All bytes of ``part``; errors as of `open`."""
        with self.open(part, limit) as stream:
            return stream.read()

    def events(self, part: str, limit: int | None = None) -> Iterator[Event]:
        """The XML in ``part``; errors as of `open` and `xml_events.events`."""
        with self.open(part, limit) as stream:
            yield from events(stream, part)

    def relations(self, part: str) -> dict[str, Relation]:
        """What ``part`` (empty: the package) points to inside the package, by its id."""
        folder, _, name = part.rpartition("/")
        found: dict[str, Relation] = {}
        listed = f"{folder}/_rels/{name}.rels" if folder else f"_rels/{name}.rels"
        for event in self.events(listed) if listed in self else ():
            if isinstance(event, Start) and event.tag == "Relationship":
                said = event.attributes
                if said.get("TargetMode") != "External":
                    target = posixpath.normpath(posixpath.join("/", folder, unquote(said.get("Target", ""))))
                    kind = said.get("Type", "").rpartition("/")[2]
                    found[said.get("Id", "")] = Relation(kind, target.lstrip("/"))
        return found

    def texts(self, part: str) -> dict[str, str]:
        """The elements of ``part`` that hold only characters: their text by tag, the first of each tag."""
        found: dict[str, str] = {}
        text = ""
        for event in self.events(part, 16 << 20) if part in self else ():
            if isinstance(event, Start):
                text = ""
            elif isinstance(event, Text):
                text += event.text
            elif isinstance(event, End):
                if text.strip():
                    found.setdefault(event.tag, text.strip())
                text = ""
        return found

    def kind(self) -> str | None:
        """Which document this is, by what it says of itself (``docx``, ``epub``, …); None if it is none."""
        if "mimetype" in self:
            said = self.read("mimetype", 1 << 10).decode("ascii", "replace")
            return next((kind for piece, kind in _KINDS.items() if piece in said), None)
        if "[content_types].xml" in self:
            for event in self.events("[content_types].xml", 1 << 20):
                said = event.attributes.get("ContentType", "") if isinstance(event, Start) else ""
                if ".main+xml" in said:
                    return next((kind for piece, kind in _KINDS.items() if piece in said), None)
        if "meta-inf/container.xml" in self:
            return "epub"
        if "content.xml" in self and "meta-inf/manifest.xml" in self:
            return "odt"
        return None

    def properties(self) -> Document:
        """Title and time of creation of an Office Open XML package: a document without sections."""
        relations = self.relations("").values()
        core = next((r.target for r in relations if r.kind == "core-properties"), "docProps/core.xml")
        said = self.texts(core)
        when = time_of(said.get("created")) or time_of(said.get("modified"))
        return Document(title_of(said.get("title")), [], created_at=when)

    def main_part(self, default: str) -> str:
        """The part of an Office Open XML package that the document begins with."""
        found = (r.target for r in self.relations("").values() if r.kind == "officeDocument")
        return next((part for part in found if part in self), default)
