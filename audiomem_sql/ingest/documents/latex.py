"""LaTeX to sections, line by line: commands leave their words, formulas and listings stay as they are.

Its own few rules instead of a converter: pylatexenc and pandoc drop the lines, and references become words
that nobody wrote.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document, assemble
from audiomem_sql.ingest.documents.lines import Heading, cut

_LEVELS = {
    "part": 1,
    "chapter": 2,
    "section": 3,
    "subsection": 4,
    "subsubsection": 5,
    "paragraph": 6,
    "subparagraph": 7,
}
_HEADING = re.compile(rf"\\({'|'.join(_LEVELS)})\*?\s*(?:\[[^\]]*\]\s*)?\{{")
_TITLE = re.compile(r"\\title\s*(?:\[[^\]]*\]\s*)?\{")
_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%.*")
_ENVIRONMENT = re.compile(r"\s*\\(begin|end)\s*\{([\w*]+)\}(.*)")
_VERBATIM = frozenset(("verbatim", "verbatim*", "Verbatim", "lstlisting", "minted", "alltt"))
_FORMULAS = (
    "equation",
    "align",
    "alignat",
    "gather",
    "multline",
    "eqnarray",
    "flalign",
    "displaymath",
    "math",
)
_FORMULA = frozenset(name + star for name in _FORMULAS for star in ("", "*"))
_AS_IT_IS = _VERBATIM | _FORMULA | {"comment"}
_MATH = re.compile(r"(\$\$?[^$\n]{1,500}\$\$?|\\\(.{0,500}?\\\)|\\\[.{0,500}?\\\])")
_HEADING_LINES = 5

_DROPPED = (
    r"label|[A-Za-z]*cite[A-Za-z]*\*?|(?:page|eq|auto|name|c|C|v)?ref\*?|includegraphics\*?|[vh]space\*?|bibliography"
    r"|bibliographystyle|index|glossary|usepackage|documentclass|input|include|pagestyle|thispagestyle|setcounter"
    r"|addtocounter|setlength|hypersetup|graphicspath|color|nocite|vskip|hskip"
)
_ACCENTS = {
    "'": "\u0301", "`": "\u0300", "^": "\u0302", '"': "\u0308", "~": "\u0303", "=": "\u0304", ".": "\u0307",
    "c": "\u0327", "v": "\u030c", "u": "\u0306", "H": "\u030b", "k": "\u0328", "r": "\u030a", "d": "\u0323",
}  # fmt: skip
_LETTERS = {
    "ss": "ß", "o": "ø", "O": "Ø", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "aa": "å", "AA": "Å", "l": "ł",
    "L": "Ł", "i": "ı", "j": "ȷ", "ldots": "…", "dots": "…", "LaTeX": "LaTeX", "TeX": "TeX", "S": "§",
    "P": "¶", "copyright": "©", "pounds": "£", "textbackslash": "\\", "textasciitilde": "~", "quad": " ",
    "qquad": " ", "par": "", "euro": "€", "textendash": "–", "textemdash": "—",
}  # fmt: skip
#: Each pattern with what takes its place, in this order.
_RULES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(rf"\\(?:{_DROPPED})\s*(?:\[[^\]\n]{{0,300}}\]\s*)*(?:\{{[^{{}}\n]{{0,500}}\}})+"), ""),
    (re.compile(r"\\(?:begin|end)\s*\{[\w*]+\}(?:\[[^\]\n]{0,300}\])?(?:\{[^{}\n]{0,500}\})*"), ""),
    (re.compile(r"\\item\s*(?:\[([^\]\n]{0,300})\])?\s*"), lambda m: f"- {m[1]} " if m[1] else "- "),
    (re.compile(r"\\href\s*\{[^{}\n]{0,500}\}"), ""),
    (re.compile(r"\\\\(?:\[[^\]\n]{0,300}\]|\*)?"), ""),
    (re.compile(r"\\(['`^\"~=.])\s*(?:\{\\?([A-Za-z])\s*\}|\\?([A-Za-z]))"), lambda m: _accented(m)),
    (re.compile(r"\\([cvuHkrd])(?:\s*\{\\?([A-Za-z])\}|\s+([A-Za-z])\b)"), lambda m: _accented(m)),
    (re.compile(r"\\([A-Za-z]+)(?:\s*\{\}|\s+(?=[^\s\d])|(?![A-Za-z]))"), lambda m: _letter(m)),
    (re.compile(r"\\[A-Za-z@]+\*?(?:\[[^\]\n]{0,300}\])?"), ""),
    (re.compile(r"\\([%&#_$ ])"), r"\1"),
    (re.compile(r"\\[,;:!/-]"), ""),
    (re.compile(r"(?<!\\)[{}]"), ""),
    (re.compile(r"\\([{}])"), r"\1"),
    (re.compile(r"~"), " "),
    (re.compile(r"---"), "—"),
    (re.compile(r"(?<!-)--(?!-)"), "–"),
    (re.compile(r"``"), "“"),
    (re.compile(r"''"), "”"),
)


def read(content: Content) -> Iterator[Document]:
    """The document in a LaTeX file."""
    yield parse_latex(content.text())


def parse_latex(text: str) -> Document:
    r"""The document in `text`, whose lines end in a line feed; each piece knows the line on which it begins.

    ``\title`` is the title. What stands before ``\begin{document}`` and behind ``\end{document}`` is left
    out, and so are comments, labels, citations and settings.
    """
    lines = text.split("\n")
    title = _body_only(lines)
    headings: list[Heading] = []
    around = ""  # the environment whose lines are not looked into
    for at, line in enumerate(lines):
        edge = _ENVIRONMENT.fullmatch(line)
        if around:
            if edge is not None and edge[1] == "end" and edge[2] == around:
                lines[at], around = _plain(edge[3]), ""
            elif around == "comment":
                lines[at] = ""
            elif around not in _VERBATIM:
                lines[at] = _COMMENT.sub(r"\1", line)
            continue
        if edge is not None and edge[1] == "begin" and edge[2] in _AS_IT_IS:
            if f"\\end{{{edge[2]}}}" not in edge[3]:
                around = edge[2]
                lines[at] = ""
            continue
        lines[at] = _COMMENT.sub(r"\1", line)
        heading = _heading_at(lines, at)
        if heading is not None:
            headings.append(heading)
        lines[at] = _plain(lines[at])
    return assemble(cut(lines, headings), title)


def _body_only(lines: list[str]) -> str | None:
    """Take out what stands around the document; its title."""
    begin = next((at for at, line in enumerate(lines) if line.lstrip().startswith("\\begin{document}")), -1)
    end = next(
        (at for at, line in enumerate(lines) if line.lstrip().startswith("\\end{document}")), len(lines)
    )
    title = None
    for at, line in enumerate(lines):
        match = _TITLE.search(_COMMENT.sub(r"\1", line))
        if match is not None:
            title = _plain(_argument(lines, at, match.end())) or None
            break
    lines[: begin + 1] = [""] * (begin + 1)
    lines[end:] = [""] * (len(lines) - end)
    return title


def _heading_at(lines: list[str], at: int) -> Heading | None:
    """The heading that line `at` has; it is taken out of the line, whose rest is the text below it."""
    match = _HEADING.search(lines[at])
    if match is None:
        return None
    before = lines[at][: match.start()]
    words = _argument(lines, at, match.end())
    lines[at] = before.strip() + lines[at].lstrip()
    return Heading(_LEVELS[match[1]], _plain(words).strip(), at, at)


def _argument(lines: list[str], at: int, start: int) -> str:
    """What stands in the braces that were opened before character `start` of line `at`.

    It is taken out of the lines, with what stands before it on the line.
    """
    depth = 1
    words: list[str] = []
    for number in range(at, min(at + _HEADING_LINES, len(lines))):
        line = lines[number]
        for place in range(start, len(line)):
            if line[place - 1 : place] != "\\":
                depth += (line[place] == "{") - (line[place] == "}")
            if not depth:
                words.append(line[start:place])
                for cleared in range(at, number):
                    lines[cleared] = ""
                lines[number] = line[place + 1 :]
                return " ".join(words)
        words.append(line[start:])
        start = 0
    unclosed = lines[at].partition("{")[2]
    lines[at] = ""
    return unclosed


def _plain(line: str) -> str:
    """A line without commands; formulas stay."""
    if not any(mark in line for mark in "\\{}~-`'"):
        return line
    pieces = _MATH.split(line)
    for index in range(0, len(pieces), 2):
        piece = pieces[index]
        for pattern, replacement in _RULES:
            piece = pattern.sub(replacement, piece)
        pieces[index] = piece
    return "".join(pieces)


def _accented(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFC", (match[2] or match[3]) + _ACCENTS[match[1]])


def _letter(match: re.Match[str]) -> str:
    """A letter or sign that has a command for its name; other commands stay for the next rule."""
    return _LETTERS.get(match[1], match[0])
