"""HTML to sections, through selectolax: the Lexbor parser follows the HTML Standard on broken markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document, Part, assemble

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_DROPPED_TAGS = (
    "head script style nav noscript button template svg iframe object canvas audio video select datalist"
)
_BLOCK_TAGS = (
    "address article aside blockquote body center dd details dialog div dl dt fieldset figcaption figure "
    "footer form "
    "header hgroup hr html legend main menu ol p pre search section summary table ul caption"
)
_DROPPED = frozenset(_DROPPED_TAGS.split())
_BLOCKS = frozenset(_BLOCK_TAGS.split())
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_LAYOUT = "table, pre, h1, h2, h3, h4, h5, h6"
_SPACE = re.compile(r"[ \t\n\r\f\xa0]+")


def read(content: Content) -> Iterator[Document]:
    """The document in an HTML file."""
    yield parse_html(content.text(declared=True))


def parse_html(text: str) -> Document:
    """The document in `text`: ``<title>`` (or the only h1), and a section for each of h1 to h6.

    Blocks are separated by blank lines, list items are lines that begin with ``-`` or their number, table
    rows are lines with `` | `` between the cells, and ``<pre>`` keeps its white space. Scripts, styles,
    navigation and hidden elements are left out. A table used for layout (it holds headings or tables) is read
    as blocks.
    """
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(text)
    title = tree.css_first("head > title")
    reader = _Reader()
    if tree.root is not None:
        for node, is_start in walk(tree.root):
            reader.start(node) if is_start else reader.end(node.tag or "")
    return assemble(reader.finish(), title.text() if title is not None else None)


def walk(root: LexborNode) -> Iterator[tuple[LexborNode, bool]]:
    """Every node when it starts and, if it is an element that is kept, when it ends.

    Depth costs no recursion.
    """
    waiting = [(root, True)]
    while waiting:
        node, is_start = waiting.pop()
        yield node, is_start
        if not is_start:
            continue
        if node.next is not None and node is not root:
            waiting.append((node.next, True))
        tag = node.tag or ""
        if tag.startswith("-") or tag in _DROPPED or "hidden" in node.attrs:
            continue
        waiting.append((node, False))
        if node.first_child is not None:
            waiting.append((node.first_child, True))


def _is_layout(table: LexborNode) -> bool:
    """Whether the rows of `table` hold what a row of data does not."""
    rows = table.first_child
    while rows is not None:
        if rows.tag in ("tbody", "thead", "tfoot") and rows.css_first(_LAYOUT) is not None:
            return True
        rows = rows.next
    return False


class _Writer:
    """Collects text; remembers how many line breaks are due before the next word."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._due = 0
        self._is_marked = False  # a list marker was written and nothing behind it yet
        self._ends_in_space = True

    def line_break(self, count: int) -> None:
        if not self._is_marked:
            self._due = max(self._due, count)

    def words(self, text: str) -> None:
        """Text in which all white space is the same."""
        text = _SPACE.sub(" ", text)
        if (self._due or self._ends_in_space) and text.startswith(" "):
            text = text[1:]
        if text:
            self.exactly(text)

    def exactly(self, text: str) -> None:
        """Text in which white space counts."""
        if self._due:
            if self._pieces:
                self._pieces[-1] = self._pieces[-1].rstrip()
                self._pieces.append("\n" * self._due)
            self._due = 0
        self._pieces.append(text)
        self._ends_in_space = text[-1].isspace()
        self._is_marked = False

    def marker(self, text: str) -> None:
        self.line_break(1)
        self.exactly(text)
        self._is_marked = True

    def take(self) -> str:
        text = "".join(self._pieces).rstrip()
        self.__init__()  # type: ignore[misc]
        return text


class _Reader:
    """Turns the walk over the tree into parts."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._level = 0
        self._heading: str | None = None
        self._text = _Writer()
        self._title: list[str] | None = None  # the words of the heading being read
        self._title_depth = 0
        self._pre = 0
        self._lists: list[int | None] = []  # the next number, or None for bullets
        self._tables: list[bool] = []  # whether the table is for layout
        self._cells = 0  # how deep in cells of data tables
        self._row_has_cell = False

    def finish(self) -> list[Part]:
        self._close_part()
        return self._parts

    def _close_part(self) -> None:
        text = self._text.take()
        if text.strip() or self._heading:
            self._parts.append(Part(self._level, self._heading, text))

    def _break(self, count: int) -> None:
        if self._title is not None:
            self._title.append(" ")
        elif self._cells:
            self._text.words(" ")
        else:
            self._text.line_break(count)

    def start(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag == "-text":
            self._characters(node.text_content or "")
        elif tag in _HEADINGS:
            if self._title is None and not self._cells:
                self._close_part()
                self._level, self._title = int(tag[1]), []
            self._title_depth += self._title is not None
        elif tag == "br":
            self._characters("\n") if self._pre else self._break(1)
        elif tag == "li":
            self._item()
        elif tag in ("ul", "ol", "menu"):
            self._break(1 if self._lists else 2)
            start = node.attrs.sget("start", "1") if tag == "ol" else ""
            self._lists.append(None if tag != "ol" else int(start) if start.isdecimal() else 1)
        elif tag == "table":
            self._break(2)
            self._tables.append(_is_layout(node))
        elif tag == "tr":
            self._break(1)
            self._row_has_cell = False
        elif tag in ("td", "th"):
            self._cell()
        elif tag in _BLOCKS:
            self._break(1 if tag == "dd" else 2)
            self._pre += tag == "pre"

    def end(self, tag: str) -> None:
        if tag in _HEADINGS:
            if self._title is not None:
                self._title_depth -= 1
                if not self._title_depth:
                    self._heading = "".join(self._title).strip().removesuffix("¶").rstrip() or None
                    self._title = None
        elif tag in ("ul", "ol", "menu"):
            if self._lists:
                self._lists.pop()
            self._break(1 if self._lists else 2)
        elif tag == "table":
            if self._tables:
                self._tables.pop()
            self._break(2)
        elif tag in ("td", "th"):
            if self._is_data():
                self._cells = max(0, self._cells - 1)
            else:
                self._break(2)
        elif tag in ("li", "tr", "dt"):
            self._break(1)
        elif tag in _BLOCKS:
            self._break(2)
            self._pre -= tag == "pre"

    def _characters(self, text: str) -> None:
        if self._title is not None:
            self._title.append(text)
        elif self._pre and not self._cells:
            if text:
                self._text.exactly(text)
        else:
            self._text.words(text)

    def _item(self) -> None:
        if self._title is not None or self._cells:
            self._break(1)
            return
        mark = "-"
        if self._lists and self._lists[-1] is not None:
            mark = f"{self._lists[-1]}."
            self._lists[-1] += 1
        self._text.line_break(1)
        self._text.marker("  " * min(len(self._lists) - 1, 8) + mark + " ")

    def _is_data(self) -> bool:
        return bool(self._tables) and not self._tables[-1]

    def _cell(self) -> None:
        if not self._is_data():
            self._break(2)
            return
        if self._row_has_cell and self._title is None:
            self._text.words(" | ")
        self._row_has_cell = True
        self._cells += 1
