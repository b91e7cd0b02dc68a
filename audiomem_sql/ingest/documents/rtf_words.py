"""The words of RTF: groups without text, words that are characters, and the scripts of bytes."""

from __future__ import annotations

import codecs

#: Groups without text of the document.
DROPPED = frozenset(
    [
        "colortbl",
        "pict",
        "objdata",
        "fldinst",
        "datastore",
        "themedata",
        "colorschememapping",
        "latentstyles",
        "header",
        "headerl",
        "headerr",
        "headerf",
        "footer",
        "footerl",
        "footerr",
        "footerf",
        "generator",
        "xmlnstbl",
        "listtable",
        "listoverridetable",
        "rsidtbl",
        "mmathPr",
        "bkmkstart",
        "bkmkend",
        "tc",
        "xe",
        "filetbl",
        "revtbl",
        "sp",
        "nonesttables",
        "userprops",
        "xmlopen",
        "xmlclose",
        "atnid",
        "atndate",
        "atnref",
        "author",
        "operator",
        "manager",
        "company",
        "category",
        "keywords",
        "comment",
        "doccomm",
        "subject",
        "revtim",
        "printim",
        "buptim",
        "passwordhash",
        "pgptbl",
        "fontemb",
        "falt",
        "panose",
        "nonshppict",
        "ftnsep",
        "ftnsepc",
        "ftncn",
        "aftnsep",
        "aftnsepc",
        "aftncn",
    ]
)
#: Groups that programs may pass over, and that have text.
KEPT = frozenset(
    [
        "shpinst",
        "shptxt",
        "annotation",
        "atnauthor",
        "footnote",
        "listtext",
        "pntext",
        "shppict",
        "background",
    ]
)
CHARACTERS = {
    "tab": "\t", "line": "\n", "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“",
    "rdblquote": "”", "bullet": "•", "emspace": " ", "enspace": " ", "qmspace": " ", "zwj": "\u200d",
    "zwnj": "\u200c",
}  # fmt: skip
SYMBOLS = {b"~": "\xa0", b"_": "\u2011", b"\\": "\\", b"{": "{", b"}": "}", b"\t": "\t"}
CHARSETS = {
    77: 10000, 128: 932, 129: 949, 130: 1361, 134: 936, 136: 950, 161: 1253, 162: 1254, 163: 1258, 177: 1255,
    178: 1256, 186: 1257, 204: 1251, 222: 874, 238: 1250, 254: 437, 0: 1252,
}  # fmt: skip


def codec(page: int) -> str:
    """The Python codec of a code page of Windows; that of western Europe for one that is not known."""
    name = {10000: "mac_roman", 65001: "utf-8"}.get(page, f"cp{page}")
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "cp1252"
