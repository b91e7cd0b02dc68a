"""Texts that have no headings: settings, markup of other languages, whatever is read line by line."""

from __future__ import annotations

from collections.abc import Iterator

from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document
from audiomem_sql.ingest.documents.text import parse_text

_SUFFIXES = (
    ".yaml .yml .toml .ini .cfg .conf .properties .env .json5 .jsonc .xml .xsl .xsd .css .scss .less "
    ".kt .kts .swift .scala .lua .pl .pm .r .jl .hs .ml .ex .exs .erl .clj .lisp .el .vim .ps1 .bat "
    ".cmd .awk .m .mm .f .f90 .for .pas .asm .s .v .vhd .tf .proto .graphql .gradle .groovy .dart "
    ".zig .nim .cmake .mk .diff .patch .bib"
)
#: Files with one of these suffixes are text without headings, though lines of punctuation stand in them.
PLAIN_SUFFIXES = tuple(_SUFFIXES.split())
_NAMES = "makefile gnumakefile dockerfile containerfile jenkinsfile vagrantfile cmakelists.txt"
PLAIN_NAMES = tuple(_NAMES.split())


def read(content: Content) -> Iterator[Document]:
    """The document in the file, which has one section, and no title."""
    yield parse_text(content.text(), headings=False)
