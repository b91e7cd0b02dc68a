"""What the styles and lists of a Word document say: which paragraphs are headings, which are items."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from audiomem_sql.ingest.documents.package import Package
from audiomem_sql.ingest.documents.xml_events import End, Start

_HEADING = re.compile(r"heading ([1-9])", re.IGNORECASE)
#: A style that is based on one that is based on one …
_BASES = 20


@dataclass(slots=True)
class Style:
    """One style of paragraphs; what it does not say is what its ``base`` says."""

    name: str = ""
    base: str = ""
    outline: int | None = None
    list_id: str | None = None
    list_level: int | None = None


@dataclass(slots=True)
class Styles:
    """The styles of paragraphs by id, and the default one."""

    by_id: dict[str, Style] = field(default_factory=dict)

    def level(self, style_id: str) -> int | None:
        """Which level of heading a paragraph of that style is, 0 for the title, None for text."""
        for style in self._chain(style_id):
            name = style.name.strip().lower()
            match = _HEADING.fullmatch(name)
            if match:
                return int(match[1])
            if name == "title":
                return 0
            if style.outline is not None:
                return style.outline + 1 if style.outline < 9 else None
        return None

    def list_of(self, style_id: str) -> tuple[str | None, int | None]:
        """The list, and the level in it, of a paragraph of that style."""
        list_id = level = None
        for style in self._chain(style_id):
            list_id = style.list_id if list_id is None else list_id
            level = style.list_level if level is None else level
        return list_id, level

    def _chain(self, style_id: str) -> list[Style]:
        chain: list[Style] = []
        while style_id in self.by_id and len(chain) < _BASES:
            chain.append(self.by_id[style_id])
            style_id = chain[-1].base
        return chain


def number(text: str | None, default: int | None = None) -> int | None:
    """A small number in an attribute, or ``default``."""
    return int(text) if text and text.isdecimal() and len(text) < 10 else default


def read_styles(package: Package, part: str) -> Styles:
    """The styles in ``part``; none if there is no such part."""
    styles = Styles()
    style = Style()
    for event in package.events(part) if part in package else ():
        if not isinstance(event, Start):
            continue
        said = event.attributes
        value = said.get("val", "")
        match event.tag:
            case "style":
                style = Style()
                if said.get("type", "paragraph") == "paragraph":
                    styles.by_id[said.get("styleId", "")] = style
            case "name":
                style.name = value
            case "basedOn":
                style.base = value
            case "outlineLvl":
                style.outline = number(value)
            case "numId":
                style.list_id = value
            case "ilvl":
                style.list_level = number(value)
    return styles


class Lists:
    """Which lists have numbers, and where they are."""

    def __init__(self, formats: dict[tuple[str, int], str]) -> None:
        self._formats = formats
        self._counts: dict[str, list[int]] = {}

    def marker(self, list_id: str, level: int) -> str:
        """What stands before the next item of a list: its number, or ``-``, indented by level."""
        level = min(level, 8)
        counts = self._counts.setdefault(list_id, [0] * 9)
        counts[level] += 1
        counts[level + 1 :] = [0] * (8 - level)
        kind = self._formats.get((list_id, level), "bullet")
        mark = "-" if kind in ("bullet", "none") else f"{_spelled(counts[level], kind)}."
        return "  " * level + mark + " "


def _spelled(count: int, kind: str) -> str:
    if kind in ("lowerLetter", "upperLetter") and count <= 26:
        return chr((96 if kind == "lowerLetter" else 64) + count)
    if kind in ("lowerRoman", "upperRoman") and count < 4000:
        text = ""
        for value, sign in zip(
            (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1),
            ["M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"],
            strict=True,
        ):
            text += sign * (count // value)
            count %= value
        return text.lower() if kind == "lowerRoman" else text
    return str(count)


def read_lists(package: Package, part: str) -> Lists:
    """The lists in ``part``; none if there is no such part."""
    abstract: dict[tuple[str, int], str] = {}
    formats: dict[tuple[str, int], str] = {}
    outer, level, is_abstract = "", 0, True
    for event in package.events(part) if part in package else ():
        if isinstance(event, End) and event.tag == "lvlOverride":
            level = 0
        if not isinstance(event, Start):
            continue
        said = event.attributes
        match event.tag:
            case "abstractNum":
                outer, is_abstract = said.get("abstractNumId", ""), True
            case "num":
                outer, is_abstract = said.get("numId", ""), False
            case "lvl":
                level = number(said.get("ilvl"), 0) or 0
            case "numFmt":
                (abstract if is_abstract else formats).setdefault((outer, level), said.get("val", ""))
            case "abstractNumId":
                base = said.get("val", "")
                for lvl in range(9):
                    if (base, lvl) in abstract:
                        formats[outer, lvl] = abstract[base, lvl]
    return Lists(formats)
