"""Jupyter notebooks to sections: Markdown, code and what it printed, a cell each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import HEADING_LIMIT, Document, Section, place_of
from audiomem_sql.ingest.documents.markdown import markdown_parts

#: Characters of what one cell printed that are kept.
OUTPUT_LIMIT = 1000
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def read(content: Content) -> Iterator[Document]:
    """The document in a notebook of format 3 or 4. DamagedFileError for what is none."""
    try:
        notebook = json.loads(content.text())
    except (ValueError, RecursionError) as error:
        raise _damaged(content, f"the notebook is not JSON ({error})") from error
    cells = _cells(notebook)
    if cells is None:
        raise _damaged(content, "there are no cells")
    yield _Reader().document(notebook, cells)


def _damaged(content: Content, fault: str) -> DamagedFileError:
    return DamagedFileError(fault, file=content.name, remedy="Open it in Jupyter and save it again.")


def _cells(notebook: Any) -> list[Any] | None:
    """The cells; those of worksheets in format 3."""
    if not isinstance(notebook, dict):
        return None
    sheets = notebook.get("worksheets")
    if isinstance(sheets, list):
        lists = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)]
        return [cell for cells in lists if isinstance(cells, list) for cell in cells]
    cells = notebook.get("cells")
    return cells if isinstance(cells, list) else None


class _Reader:
    """Puts the cells below the headings that Markdown cells have."""

    def __init__(self) -> None:
        self._sections: list[Section] = []
        self._above: list[tuple[int, str]] = []
        self._tops: list[str] = []

    def document(self, notebook: dict[str, Any], cells: list[Any]) -> Document:
        for number, cell in enumerate(cells, 1):
            if isinstance(cell, dict):
                self._cell(cell, place_of(cell=number))
        metadata = notebook.get("metadata")
        title = metadata.get("title") if isinstance(metadata, dict) else None
        if not isinstance(title, str) or not title.strip():
            title = self._tops[0] if len(self._tops) == 1 else None
        return Document(title[:HEADING_LIMIT] if title else None, self._sections)

    def _cell(self, cell: dict[str, Any], place: str) -> None:
        kind = cell.get("cell_type")
        source = _joined(cell.get("source", cell.get("input")))
        if kind == "heading":
            level = cell.get("level")
            depth = level if isinstance(level, int) and 1 <= level <= 6 else 1
            source, kind = f"{'#' * depth} {source}", "markdown"
        if kind == "markdown":
            for part in markdown_parts(source)[0]:
                if part.heading and len(part.heading) <= HEADING_LIMIT:
                    self._head(part.level, part.heading)
                self._add(part.text or part.heading or "", place)
        elif kind == "code":
            self._add("\n\n".join(filter(None, (source.rstrip(), _printed(cell.get("outputs"))))), place)
        elif kind == "raw":
            self._add(source, place)

    def _head(self, level: int, heading: str) -> None:
        while self._above and self._above[-1][0] >= level:
            self._above.pop()
        self._above.append((level, heading))
        if level == 1:
            self._tops.append(heading)

    def _add(self, text: str, place: str) -> None:
        text = text.rstrip()
        if text.strip():
            names = tuple(name for _, name in self._above)
            self._sections.append(Section(names[-1] if names else None, text, names[:-1], place))


def _joined(value: Any) -> str:
    """Text, which a notebook has as a string or as lines."""
    if isinstance(value, list):
        value = "".join(line for line in value if isinstance(line, str))
    text = value if isinstance(value, str) else ""
    text = text.replace("\r\n", "\n").replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _printed(outputs: Any) -> str:
    """The text among the outputs of a cell; none of what is a picture beside it."""
    texts: list[str] = []
    for output in outputs if isinstance(outputs, list) else ():
        if not isinstance(output, dict):
            continue
        data = output.get("data", output)
        if output.get("output_type") in ("stream", "pyout") or "text" in output:
            texts.append(_joined(output.get("text")))
        elif "evalue" in output:
            words = (_joined(output.get("ename")), _joined(output["evalue"]))
            texts.append(": ".join(filter(None, words)))
        elif isinstance(data, dict) and not any(str(kind).startswith("image/") for kind in data):
            texts.append(_joined(data.get("text/plain")))
    text = "\n".join(filter(None, (_COLOUR.sub("", text).strip("\n") for text in texts)))
    return text if len(text) <= OUTPUT_LIMIT else f"{text[:OUTPUT_LIMIT].rstrip()} …"
