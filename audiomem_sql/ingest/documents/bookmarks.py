"""Bookmarks to documents, one each: the HTML that browsers export, and the JSON of Chrome and Firefox."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document, Section, place_of
from audiomem_sql.ingest.documents.json_items import parsed
from audiomem_sql.ingest.timestamps import parse_time

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_CHROME_EPOCH = datetime(1601, 1, 1)
_FOLDERS = 32


def read_html(content: Content) -> Iterator[Document]:
    """The bookmarks in a file ``NETSCAPE-Bookmark-file-1``, with their folders, tags and descriptions."""
    from selectolax.lexbor import LexborHTMLParser

    from audiomem_sql.ingest.documents.html import walk

    tree = LexborHTMLParser(content.text(declared=True))
    folders: list[str] = []  # of each list that is open, "" for one without a name
    heading = ""
    link: tuple[LexborNode, tuple[str, ...]] | None = None
    for node, is_start in walk(tree.root) if tree.root is not None else ():
        if node.tag == "h3" and is_start:
            heading = node.text().strip()
        elif node.tag == "dl":
            if is_start:
                folders.append(heading)
                heading = ""
            elif folders:
                folders.pop()
        elif node.tag in ("a", "dd") and is_start:
            if link is not None:
                yield from _link(*link, node.text(deep=False).strip() if node.tag == "dd" else "")
            link = (node, tuple(name for name in folders[-_FOLDERS:] if name)) if node.tag == "a" else None
    if link is not None:
        yield from _link(*link, "")


def _link(node: LexborNode, folders: tuple[str, ...], description: str) -> Iterator[Document]:
    attributes = node.attributes
    tags = attributes.get("tags") or ""
    name, url = node.text().strip(), attributes.get("href") or ""
    added = attributes.get("add_date") or ""
    texts = [description, f"Tags: {tags}" if tags else ""]
    yield from _bookmark(name, url, folders, texts, parse_time(added))


def read_json(content: Content) -> Iterator[Document]:
    """The bookmarks in Chrome's file ``Bookmarks``, or in a backup that Firefox makes."""
    whole = parsed(content)
    roots = whole.get("roots") if isinstance(whole, dict) else None
    tops = list(roots.values()) if isinstance(roots, dict) else [whole]
    waiting: list[tuple[Any, tuple[str, ...]]] = [(top, ()) for top in reversed(tops)]
    while waiting:
        node, folders = waiting.pop()
        if not isinstance(node, dict):
            continue
        name, url = str(node.get("name") or node.get("title") or ""), node.get("url") or node.get("uri")
        if isinstance(url, str) and not url.startswith("place:"):
            tags = node.get("tags")
            texts = [f"Tags: {tags}" if isinstance(tags, str) and tags else ""]
            yield from _bookmark(name, url, folders, texts, _added(node))
        inner = node.get("children")
        below = (*folders, name)[-_FOLDERS:] if name else folders
        waiting += [(child, below) for child in reversed(inner)] if isinstance(inner, list) else []


def _added(node: dict[str, Any]) -> datetime | None:
    """Microseconds, of Chrome since 1601, of Firefox since 1970."""
    chrome, firefox = str(node.get("date_added") or ""), node.get("dateAdded")
    try:
        if chrome.isdecimal() and len(chrome) < 20:
            return _CHROME_EPOCH + timedelta(microseconds=int(chrome))
        return parse_time(firefox)
    except OverflowError:
        return None


def _bookmark(
    name: str, url: str, folders: tuple[str, ...], texts: list[str], added: datetime | None
) -> Iterator[Document]:
    if url.startswith(("javascript:", "data:")):
        url = url.partition(":")[0] + ":"
    text = "\n".join(text for text in (name, url, *texts) if text)
    if text:
        yield Document(None, [Section(name or None, text, folders)], place_of(url=url), added)
