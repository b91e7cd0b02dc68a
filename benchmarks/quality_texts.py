"""What Debian packages hold that judged collections of texts are made of, read without installing them.

A ``.deb`` is an ``ar`` archive (deb(5)); its files are in ``data.tar``. The readers of its formats take what
the collections of ``benchmarks.quality_sets`` need and no more: POD (perlpod), reStructuredText headings,
manual pages in man(7) and mdoc(7), stanzas (deb822) of packages and of the debtags vocabulary, WordNet's data
files (wndb(5)) and dictionaries of dictd (an index of offsets in base 64, texts in gzip).
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from collections.abc import Iterator
from typing import NamedTuple

import zstandard

_BASE64 = {
    letter: number
    for number, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}
_POD_CODE = re.compile(r"[A-Z]<<+ (.*?) >>+|([A-Z])<([^<>]*)>", re.DOTALL)
_POD_ESCAPES = {"lt": "<", "gt": ">", "sol": "/", "verbar": "|"}
_ROLE = re.compile(r":[\w:+.-]+:`([^`]*)`")
_TARGET = re.compile(r"\s*<[^<>]*>$")
_REFERENCE = re.compile(r"`([^`<]*?)\s*(?:<[^`>]*>)?`__?")
_UNDERLINE = re.compile(r"([=\-~^\"'*+#.])\1{2,}\s*$")
_ROFF_FONT = re.compile(
    r"\\f(?:\[[^\]]*\]|\(..|.)|\\[mM](?:\[[^\]]*\]|\(..|.)|\\s[-+]?\d|\\[&|^/,:%)zc]|\\d|\\u"
)
_ROFF_NAMED = re.compile(r"\\(?:\((..)|\[([^\]]*)\]|\*(?:\((..)|\[([^\]]*)\]|(.)))")
_ROFF_LETTERS = {
    "aq": "'", "dq": '"', "lq": '"', "rq": '"', "oq": "'", "cq": "'", "co": "©", "em": "-", "en": "-",
    "hy": "-", "mi": "-", "bu": "*", "ti": "~", "ha": "^", "ga": "`", "rs": "\\", "R": "®", "Tm": "™",
}  # fmt: skip
_ROFF_FONTS = {"B", "I", "R", "BR", "RB", "BI", "IB", "RI", "IR", "SM", "SB"}
_MDOC_MARKS = {"Fl": "-"}
_MDOC_WORD = re.compile(r"^[A-Z][a-z]$|^Nm$|^Ns$")


class Section(NamedTuple):
    """A heading, the text under it up to the next heading, and how deep it is, 1 the outermost."""

    title: str
    text: str
    level: int


class Gloss(NamedTuple):
    """A set of synonyms and what they mean, without the examples."""

    words: tuple[str, ...]
    gloss: str


def package_files(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """The plain files of a ``.deb``: their path without ``./``, and what they hold.

    ValueError for what is none.
    """
    if not archive.startswith(b"!<arch>\n"):
        raise ValueError("no Debian package: it does not begin with !<arch>")
    at = 8
    while at + 60 <= len(archive):
        name, size = archive[at : at + 16].decode().strip().rstrip("/"), int(archive[at + 48 : at + 58])
        at += 60
        if name.startswith("data.tar"):
            content = archive[at : at + size]
            if name.endswith(".zst"):
                content = zstandard.ZstdDecompressor().stream_reader(content).read()
            with tarfile.open(fileobj=io.BytesIO(content)) as files:
                for member in files:
                    if member.isfile() and (opened := files.extractfile(member)) is not None:
                        yield member.name.removeprefix("./"), opened.read()
            return
        at += size + size % 2
    raise ValueError("a Debian package without data.tar")


def one_line(text: str) -> str:
    """``text`` with every run of white space as one blank."""
    return " ".join(text.split())


def pod_sections(text: str) -> list[Section]:
    """The sections of a POD document, formatting codes resolved; commands that hold no text are left out."""
    sections: list[Section] = []
    title, level, lines, in_pod = "", 0, list[str](), True
    for paragraph in re.split(r"\n\s*\n", text):
        command = re.match(r"=(\w+)\s*(.*)", paragraph, re.DOTALL)
        if command is None:
            if in_pod:
                lines.append(paragraph if paragraph[:1].isspace() else _pod_plain(paragraph))
            continue
        in_pod = command[1] not in ("begin", "for", "cut")
        if command[1].startswith("head"):
            sections.append(Section(title, one_line(" ".join(lines)), level))
            title, level, lines = one_line(_pod_plain(command[2])), int(command[1][4:]), []
        elif command[1] == "item":
            lines.append(_pod_plain(command[2]))
    sections.append(Section(title, one_line(" ".join(lines)), level))
    return sections[1:]


def _pod_plain(text: str) -> str:
    """Text without formatting codes, inner ones first; a link is its text, or what it leads to."""

    def resolved(code: re.Match[str]) -> str:
        if code[2] is None:
            return code[1]
        if code[2] == "E":
            return _POD_ESCAPES.get(code[3], " ")
        return "" if code[2] in "XZ" else code[3].split("|")[0] if code[2] == "L" else code[3]

    before = None
    while before != text:
        before, text = text, _POD_CODE.sub(resolved, text)
    return text


def rst_sections(text: str) -> list[Section]:
    """The sections of a reStructuredText document; roles are their words, directives and targets are gone."""
    lines = text.split("\n")
    depths: dict[str, int] = {}
    sections: list[Section] = []
    title, level, body, row = "", 0, list[str](), 0
    while row < len(lines):
        mark = _heading_mark(lines[row : row + 3])
        if not mark:
            body.append(lines[row])
            row += 1
            continue
        sections.append(Section(title, one_line(_rst_plain(body)), level))
        is_over = len(mark) > 1
        title = one_line(_rst_plain([lines[row + is_over]]))
        level = depths.setdefault(mark, len(depths) + 1)
        body = []
        row += 2 + is_over
    sections.append(Section(title, one_line(_rst_plain(body)), level))
    return sections[1:]


def _heading_mark(lines: list[str]) -> str:
    """The character under the heading that ``lines`` begin with, twice if it is over it, too; or nothing."""
    if len(lines) > 2 and _UNDERLINE.match(lines[0]) and lines[2].rstrip() == lines[0].rstrip():
        return lines[0][0] * 2
    if len(lines) < 2 or not lines[0].strip() or lines[0][0].isspace() or not _UNDERLINE.match(lines[1]):
        return ""
    return lines[1][0] if len(lines[1].rstrip()) >= len(lines[0].rstrip()) else ""


def _rst_plain(lines: list[str]) -> str:
    kept = [line for line in lines if not re.match(r"\s*(\.\. |:\w+:\s)", line)]
    text = _ROLE.sub(lambda role: _TARGET.sub("", role[1]).lstrip("~!"), "\n".join(kept))
    return _REFERENCE.sub(r"\1", text).replace("``", "").replace("::\n", ":\n")


def manual_sections(page: str) -> dict[str, str]:
    """The sections of a manual page by name, as plain text on one line."""
    sections: dict[str, list[str]] = {}
    name, program, skipped = "", "", False
    for line in page.split("\n"):
        if skipped or line.startswith((".ig", ".de", ".am")):
            skipped = not line.startswith("..")
            continue
        macro = re.match(r"[.']\s*([A-Za-z]*)\s*(.*)", line)
        if macro is None:
            sections.setdefault(name, []).append(line)
        elif macro[1] in ("SH", "Sh"):
            name = _roff_plain(macro[2]).strip().strip('"').upper()
        elif macro[1] == "Nm":
            program = program or macro[2].split(" ")[0]
            sections.setdefault(name, []).append(macro[2] or program)
        elif macro[1] == "Nd":
            sections.setdefault(name, []).append("- " + macro[2])
        elif macro[1] in _ROFF_FONTS:
            joined = "" if len(macro[1]) == 2 and macro[1] != "SM" else " "
            sections.setdefault(name, []).append(joined.join(_arguments(macro[2])))
        elif macro[1] in ("SS", "Ss", "IP"):
            sections.setdefault(name, []).append(" ".join(_arguments(macro[2])[:1]))
        elif re.fullmatch(r"[A-Z][a-z]", macro[1]) and macro[1] not in ("Bl", "El", "Bd", "Ed", "Dd", "Dt"):
            sections.setdefault(name, []).append(_mdoc_plain(macro[1] + " " + macro[2]))
    return {name: one_line(_roff_plain("\n".join(lines))) for name, lines in sections.items() if name}


def _arguments(text: str) -> list[str]:
    """The arguments of a macro; quotation marks hold one together."""
    found = re.findall(r'"((?:[^"]|"")*)"?|(\S+)', re.sub(r'(?:^|\s)\\".*', "", text))
    return [quoted.replace('""', '"') or plain for quoted, plain in found]


def _mdoc_plain(text: str) -> str:
    """The words of a line of mdoc; callable macros in it are gone, an option has its hyphen."""
    words, mark = list[str](), ""
    for word in _arguments(text):
        if _MDOC_WORD.match(word):
            mark = _MDOC_MARKS.get(word, "")
        else:
            words.append(mark + word)
            mark = ""
    return " ".join(words)


def _roff_plain(text: str) -> str:
    """Text without the escapes of roff."""
    text = re.sub(r'\\".*', "", text)
    text = text.replace("\\\n", "").replace("\\-", "-").replace("\\e", "\0").replace("\\\\", "\0")

    def letter(named: re.Match[str]) -> str:
        name = next(group for group in named.groups() if group is not None)
        return _ROFF_LETTERS.get(name, "")

    text = _ROFF_NAMED.sub(letter, _ROFF_FONT.sub("", text))
    return re.sub(r"\\(.)", r"\1", text.replace("\\ ", " ").replace("\\~", " ").replace("\\0", " ")).replace(
        "\0", "\\"
    )


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """The stanzas of a deb822 file: fields by name, lines that go on joined with line feeds."""
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.split("\n"):
            if line[:1].isspace() and name:
                fields[name] += "\n" + line.strip()
            elif ":" in line and not line.startswith("#"):
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        if fields:
            yield fields


def tags_of(field: str) -> set[str]:
    """The debtags of a package; ``a::{b,c}`` stands for ``a::b`` and ``a::c``."""
    tags: set[str] = set()
    for part in re.findall(r"[^\s,{}]+(?:\{[^}]*\})?", field):
        head, brace, several = part.partition("{")
        tags |= {head + each.strip() for each in several.rstrip("}").split(",")} if brace else {part}
    return tags


def glosses(text: str) -> Iterator[Gloss]:
    """The sets of synonyms of a data file of WordNet, in its order."""
    for line in text.split("\n"):
        if not line or line.startswith("  "):
            continue
        data, _, gloss = line.partition(" | ")
        fields = data.split(" ")
        words = [re.sub(r"\(\w+\)$", "", word) for word in fields[4 : 4 + 2 * int(fields[3], 16) : 2]]
        meaning = re.split(r';\s*"', gloss.strip())[0]
        yield Gloss(tuple(word.replace("_", " ") for word in words), meaning.strip().strip(";"))


def dictionary(index: str, archive: bytes) -> Iterator[tuple[str, str]]:
    """The entries of a dictd dictionary: headword and text, in the order of the index."""
    text = gzip.decompress(archive)
    for line in index.split("\n"):
        headword, _, place = line.partition("\t")
        start, _, length = place.partition("\t")
        if place and not headword.startswith("00-"):
            begin = _number(start)
            yield headword, text[begin : begin + _number(length)].decode("utf-8", "replace")


def _number(digits: str) -> int:
    number = 0
    for digit in digits.strip():
        number = number << 6 | _BASE64[digit]
    return number
