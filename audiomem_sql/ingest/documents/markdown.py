"""Markdown to sections: markdown-it-py finds the headings, the text stays the source that was written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document, Part, assemble
from audiomem_sql.ingest.documents.lines import Heading, cut
from audiomem_sql.ingest.documents.vault import documents

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_FRONT_MATTER_LINES = 500


def read(content: Content) -> Iterator[Document]:
    """The document in a Markdown file."""
    yield from documents(content, parse_markdown)


def parse_markdown(text: str) -> Document:
    """The document in `text` (CommonMark with tables; lines end in a line feed).

    Top-level headings start sections; those inside quotations and lists do not. A section is the source
    between two headings, without HTML comments. Front matter is left out, except that its ``title`` is the
    title.
    """
    parts, title = markdown_parts(text)
    return assemble(parts, title)


def markdown_parts(text: str) -> tuple[list[Part], str | None]:
    """The headings in `text` with what stands below them, and the title that the front matter gives."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.disable(["inline"])  # the blocks are all that is needed, and ten times faster
    lines = text.split("\n")
    first, title = _front_matter(lines)
    lines = lines[first:]
    links: dict[str, object] = {}
    tokens = parser.parse("\n".join(lines), links)

    headings: list[Heading] = []
    for index, token in enumerate(tokens):
        if token.level or token.map is None:
            continue
        begin, end = token.map
        if token.type == "heading_open":
            words = _plain(parser, tokens[index + 1].content, links)
            headings.append(Heading(int(token.tag[1:]), words, begin, end))
        elif token.type == "html_block" and _is_comment(token.content):
            lines[begin:end] = [""] * (end - begin)
    return cut(lines, headings, before=first), title


def _is_comment(html: str) -> bool:
    stripped = html.strip()
    return stripped.startswith("<!--") and stripped.find("-->") in (-1, len(stripped) - 3)


def _plain(parser: MarkdownIt, heading: str, links: dict[str, object]) -> str:
    """The words of a heading without their markup; `links` are the reference links of the document."""
    tokens: list[Token] = []
    parser.inline.parse(heading, parser, links, tokens)
    breaks = ("softbreak", "hardbreak")
    kept = ("text", "text_special", "code_inline", "image")
    return "".join(" " if t.type in breaks else t.content for t in tokens if t.type in kept + breaks)


def _front_matter(lines: list[str]) -> tuple[int, str | None]:
    """How many lines the YAML block at the top takes, and the title that it gives."""
    if lines[0].rstrip() != "---":
        return 0, None
    title = None
    has_key = False
    for number, line in enumerate(lines[1:_FRONT_MATTER_LINES], 1):
        if line.rstrip() in ("---", "..."):
            return (number + 1, title) if has_key or number == 1 else (0, None)
        key, colon, value = line.partition(":")
        if colon and key and not key[0].isspace() and key[0] not in "#-":
            has_key = True
            if key.strip().lower() == "title":
                title = _scalar(value) or title
    return 0, None


def _scalar(value: str) -> str | None:
    """A YAML scalar on one line; None for a block scalar, which is not worth a YAML parser."""
    value = value.strip()
    quote = value[:1]
    if quote and quote in "\"'":
        closing = value.find(quote, 1)
        return value[1:closing] if closing > 0 else value[1:]
    if quote in ("|", ">", "[", "{", "&", "*"):
        return None
    return value.split(" #", 1)[0].rstrip() or None
