"""Notes of Obsidian and Logseq: what their Markdown has beside CommonMark.

Front matter, in whatever Markdown, is the text of a first section, so that it is searched; its date is that
of the document. In a folder that is a vault (it has `.obsidian`, or `logseq` with a configuration), links and
embeds become their words, block ids and comments are left out, and outlines of Logseq become paragraphs.
A line stays a line, so places are those of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document, Section, place_of
from audiomem_sql.ingest.timestamps import parse_time

OBSIDIAN, LOGSEQ = "obsidian", "logseq"
FRONT_MATTER_LINES = 500
#: Keys of front matter that say when a note was written, the best first.
_DATES = ("date", "created", "created_at", "date created")
#: Names of files of daily notes: of Obsidian, and of Logseq.
_DAILY = re.compile(r"(\d{4})[-_](\d{2})[-_](\d{2})")
_FENCE = re.compile(r"\s*(?:[-*+]\s+)*(`{3,}|~{3,})\s*(\S*)")
_CODE = re.compile(r"(`+[^`]+`+)")
_LINK = re.compile(r"!?\[\[([^\[\]|\n]+)(?:\|([^\[\]\n]*))?\]\]")
_BLOCK_ID = re.compile(r"(?:^|\s+)\^[A-Za-z0-9-]{1,64}\s*$")
_COMMENT = re.compile(r"%%.*?(?:%%|$)")
_HIGHLIGHT = re.compile(r"==(\S(?:[^=\n]*\S)?)==")
_LABELLED_BLOCK = re.compile(r"\[([^\]\n]*)\]\(\(\([0-9a-f-]{36}\)\)\)")
_BLOCK = re.compile(r"\(\([0-9a-f-]{36}\)\)|\{\{[^{}\n]*\}\}")
_PROPERTY = re.compile(r"\s*(?:-\s+)?([A-Za-z][\w./-]*)::(?:\s+(.*)|\s*)$")
_BULLET = re.compile(r"-(?:\s+|$)")
_ORG_BLOCK = re.compile(r"\s*#\+(?:BEGIN|END)_\w+\s*$", re.IGNORECASE)
#: Properties of Logseq that say how a block looks, or what it is called inside.
_INTERNAL = frozenset(
    ("id", "collapsed", "background-color", "logseq.order-list-type", "heading", "template")
)


@dataclass(frozen=True, slots=True)
class _Note:
    """The text of a note as CommonMark, and its properties. ``raw``: front matter that is no YAML."""

    text: str
    properties: Mapping[str, Any]
    raw: str | None = None


def documents(content: Content, parse: Callable[[str], Document]) -> Iterator[Document]:
    """The note in a Markdown file, whose CommonMark ``parse`` reads; none for a backup of Logseq."""
    if not is_backup(content.path):
        note = note_of(content)
        yield as_document(parse(note.text), note, content)


def kind_of_vault(path: Path | None) -> str | None:
    """Whose vault a file is in: obsidian, logseq, or None."""
    return None if path is None else _kind_of_folder(path.absolute().parent)


@lru_cache(maxsize=4096)
def _kind_of_folder(folder: Path) -> str | None:
    for each in (folder, *folder.parents):
        if (each / "logseq" / "config.edn").is_file():
            return LOGSEQ
        if (each / ".obsidian").is_dir():
            return OBSIDIAN
    return None


def is_backup(path: Path | None) -> bool:
    """Whether a file is one of the old versions that Logseq keeps below ``logseq/bak``."""
    return path is not None and "logseq/bak/" in path.absolute().as_posix()


def note_of(content: Content) -> _Note:
    """The note in a Markdown file."""
    text = content.text()
    vault = kind_of_vault(content.path)
    lines = text.split("\n")
    body, properties, raw = _front_matter(lines)
    if vault is None:
        return _Note(text, properties, raw)
    front, rest = lines[:body], lines[body:]
    if vault == LOGSEQ:
        taken, found = _page_properties(rest)
        properties = {**properties, **found}
        rest[:taken] = [""] * taken
    return _Note("\n".join([*front, *_plain_lines(rest, vault)]), properties, raw)


def _front_matter(lines: list[str]) -> tuple[int, dict[str, Any], str | None]:
    """How many lines the YAML at the top takes, what it says, and the lines themselves if it is none."""
    if lines[0].rstrip() != "---":
        return 0, {}, None
    for number, line in enumerate(lines[1:FRONT_MATTER_LINES], 1):
        if line.rstrip() in ("---", "..."):
            inside = "\n".join(lines[1:number])
            properties = _yaml(inside)
            if properties is None:
                has_key = any(":" in each for each in lines[1:number])
                return (number + 1, {}, inside) if has_key else (0, {}, None)
            return number + 1, properties, None
    return 0, {}, None


def _yaml(text: str) -> dict[str, Any] | None:
    """A mapping of YAML; None for anything else. Aliases, which can grow without end, are refused."""
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("an alias")
            return super().compose_node(parent, index)

    try:
        found = yaml.load(text, Loader)  # a SafeLoader
    except Exception:  # PyYAML raises errors of any kind for values that their tags do not fit
        return None
    if found is None:
        return {}
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else None


def _page_properties(lines: list[str]) -> tuple[int, dict[str, Any]]:
    """How many lines at the top are properties of the page, and what they say."""
    found: dict[str, Any] = {}
    for number, line in enumerate(lines):
        match = _PROPERTY.match(line)
        if match is None:
            return (number, found) if found else (0, {})
        if match[1].lower() not in _INTERNAL:
            found[match[1]] = _LINK.sub(_words_of_link, match[2] or "")
    return len(lines), found


def _plain_lines(lines: list[str], vault: str) -> list[str]:
    """The lines with words in place of what only the program understands, code as it is."""
    plain: list[str] = []
    fence = ""
    drawing = comment = False
    for line in lines:
        match = _FENCE.match(line)
        if fence:
            plain.append("" if drawing else _outdented(line, vault))
            if match and match[1].startswith(fence) and not match[2]:
                fence, drawing = "", False
        elif match and not comment:
            fence, drawing = match[1], match[2] == "compressed-json"
            plain.append("" if drawing else _outdented(line, vault))
        else:
            text, comment = _without_comments(line, comment) if vault == OBSIDIAN else (line, False)
            plain.append(_plain_line(text, vault))
    return plain


def _without_comments(line: str, inside: bool) -> tuple[str, bool]:
    """The line without what stands between two ``%%``, and whether a comment goes on behind it."""
    if inside:
        _, mark, line = line.partition("%%")
        if not mark:
            return "", True
    opens = line.count("%%") % 2 == 1
    return _COMMENT.sub("", line), opens


def _outdented(line: str, vault: str) -> str:
    """A line of an outline of Logseq one level further out: its top level are paragraphs."""
    if vault != LOGSEQ:
        return line
    bullet = _BULLET.match(line)
    if bullet:
        return line[bullet.end() :]
    return line[1:] if line.startswith("\t") else line.removeprefix("  ")


def _plain_line(line: str, vault: str) -> str:
    if vault == LOGSEQ:
        match = _PROPERTY.match(line)
        if match:
            known = match[1].lower() in _INTERNAL
            line = "" if known else line.replace("::", ":", 1)
        line = _outdented("" if _ORG_BLOCK.match(line) else line, vault)
    else:
        line = _BLOCK_ID.sub("", line)
    if "[" not in line and "(" not in line and "{" not in line and "==" not in line:
        return line
    parts = _CODE.split(line)  # code stands at odd places
    parts[::2] = [_plain_words(part, vault) for part in parts[::2]]
    return "".join(parts)


def _plain_words(text: str, vault: str) -> str:
    text = _LINK.sub(_words_of_link, text)
    if vault == LOGSEQ:
        return _BLOCK.sub("", _LABELLED_BLOCK.sub(r"\1", text))
    return _HIGHLIGHT.sub(r"\1", text)


def _words_of_link(match: re.Match[str]) -> str:
    """What a link shows: its alias, or the page and the heading. The alias of an image is a size."""
    target, alias = match[1].strip(), (match[2] or "").strip()
    if alias and not re.fullmatch(r"\d+(?:x\d+)?", alias):
        return alias
    parts = [part.strip() for part in target.split("#") if part.strip() and not part.startswith("^")]
    return " > ".join(parts)


def as_document(document: Document, note: _Note, content: Content) -> Document:
    """The document of the CommonMark, with the properties of the note, and dated and called by it."""
    sections = list(document.sections)
    title = document.title
    given = next((note.properties[key] for key in note.properties if key.lower() == "title"), None)
    if isinstance(given, str) and given.strip():
        title = given.strip()
    text = note.raw or _text_of(note.properties)
    if text:
        sections.insert(0, Section(None, text, place=place_of(line=1)))
    if kind_of_vault(content.path) is not None and title is None and content.path is not None:
        title = _title_of_file(content.path)
    return replace(document, title=title, sections=sections, created_at=_date_of(note, content))


def _title_of_file(path: Path) -> str:
    """The name of a page: Logseq writes ``___`` or ``%2F`` for the slashes in it."""
    return unquote(path.stem.replace("___", "/"))


def _text_of(properties: Mapping[str, Any]) -> str:
    """The properties but for the title, a line each."""
    lines = [f"{key}: {_words(value)}" for key, value in properties.items() if key.lower() != "title"]
    return "\n".join(line for line in lines if not line.endswith(": "))


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(each)}" for key, each in value.items())
    if isinstance(value, list | tuple | set):
        return ", ".join(_words(each) for each in value)
    return "" if value is None else _LINK.sub(_words_of_link, str(value).strip())


def _date_of(note: _Note, content: Content) -> datetime | None:
    """When a note was written: its front matter says, or its name, if it is a daily note."""
    by_name = {key.lower(): value for key, value in note.properties.items()}
    for key in _DATES:
        when = parse_time(by_name.get(key))
        if when is not None:
            return when
    match = _DAILY.fullmatch(content.path.stem) if content.path is not None else None
    return parse_time("-".join(match.groups())) if match else None
