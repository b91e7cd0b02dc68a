"""Manual pages (man(7) and mdoc(7)) to sections, line by line: requests leave their words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document, assemble
from audiomem_sql.ingest.documents.lines import Heading, cut

_REQUEST = re.compile(r"[.'][ \t]*(\S+)[ \t]*(.*)")
_ARGUMENT = re.compile(r'"((?:[^"]|"")*)"?|(\S+)')
_CHARACTERS = {
    "bu": "•", "em": "—", "en": "–", "hy": "-", "lq": "“", "rq": "”", "oq": "‘", "cq": "’",
    "aq": "'", "dq": '"',
}  # fmt: skip
_ESCAPES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"\\(?:\"|#).*"), ""),  # a comment
    (re.compile(r"\\f(?:\(..|\[[^\]]{0,40}\]|.)"), ""),  # fonts
    (re.compile(r"\\[sS](?:[+-]?\d+|\[[^\]]{0,40}\])"), ""),  # sizes
    (re.compile(r"\\\((?:bu|em|en|hy|lq|rq|oq|cq|aq|dq)"), lambda m: _CHARACTERS[m[0][2:]]),
    (re.compile(r"\\\*?\[[^\]]{0,40}\]|\\\*?\(..|\\\*."), ""),
    (re.compile(r"\\[|^&)%:c]|\\$"), ""),
    (re.compile(r"\\[ ~0]"), " "),
    (re.compile(r"\\e"), "\\\\"),
    (re.compile(r"\\([-'`.\\_/])"), r"\1"),
)
_TEXT = (
    "B I R BR RB BI IB RI IR SM SB IP TP UR MR Nm Nd Fl Ar Op Pa Cm Xr It Sq Dq Ql Em Sy Li Ic Ev Va Dv Aq "
    "Bq Pq Brq Qq D1 Dl Fn Ft Fa In Er An Lk Mt Sx"
)
#: Requests whose arguments are text; those of others are settings.
_TEXT_REQUESTS = frozenset(_TEXT.split())


def read(content: Content) -> Iterator[Document]:
    """The document in the source of a manual page."""
    yield parse_manual_page(content.text())


def parse_manual_page(text: str) -> Document:
    """The document in `text`, whose lines end in a line feed; each piece knows on which line it begins."""
    lines = text.split("\n")
    headings: list[Heading] = []
    title = None
    for at, line in enumerate(lines):
        request = _REQUEST.fullmatch(line)
        if request is None:
            lines[at] = _plain(line)
            continue
        name, words = request[1], _arguments(request[2])
        if name in ("TH", "Dt") and words:
            name = words[0].lower() if words[0].isupper() else words[0]
            title = f"{name}({words[1]})" if len(words) > 1 else name
            lines[at] = ""
        elif name in ("SH", "Sh", "SS", "Ss") and words:
            headings.append(Heading(1 if name in ("SH", "Sh") else 2, " ".join(words), at, at + 1))
        else:
            words = words[:1] if name == "IP" else words  # the second one is an indent
            joint = "" if len(name) == 2 and set(name) <= set("BIR") else " "
            lines[at] = joint.join(words) if name in _TEXT_REQUESTS else ""
    return assemble(cut(lines, headings), title)


def _arguments(text: str) -> list[str]:
    arguments = _ARGUMENT.findall(_ESCAPES[0][0].sub("", text))
    found = (quoted.replace('""', '"') or word for quoted, word in arguments)
    return [plain for plain in map(_plain, found) if plain]


def _plain(text: str) -> str:
    if "\\" in text:
        for pattern, replacement in _ESCAPES:
            text = pattern.sub(replacement, text)
    return text
