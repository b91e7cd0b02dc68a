"""Every reader of text, on inputs that are damaged: sections, or an error of ours."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Iterator

import pytest

from audiomem_sql.errors import AudioMemError
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.kinds import OURS
from audiomem_sql.ingest.documents.languages import LANGUAGES
from audiomem_sql.ingest.documents.reader import function_of
from audiomem_sql.ingest.documents.registry import readers
from ingest.documents.test_markup import ASCIIDOC, LATEX, MANUAL, ORG, RST
from ingest.documents.test_source_code import SAMPLES

NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["# A\n", "words"]},
        {"cell_type": "code", "source": "1", "outputs": [{"output_type": "stream", "text": ["x"]}]},
    ]
}
SEEDS = {
    "text": "Title\n=====\n\nWords.\n\nMore\n----\nwords\n",
    "markdown": "---\ntitle: T\n---\n# A\n\n<!-- x -->\n\n| a |\n|---|\n\nB\n---\n```\nx\n```\n",
    "html": "<title>T</title><h1>A</h1><p>words<table><tr><td>x</table>",
    "restructuredtext": RST,
    "org": ORG,
    "asciidoc": ASCIIDOC,
    "latex": LATEX,
    "manual page": MANUAL,
    "notebook": json.dumps(NOTEBOOK),
    "plain": "a: 1\nb:\n  - c\n",
    **{language: text for language, (text, _) in SAMPLES.items()},
}
#: What opens something, many times over, in all markups.
DEEP = (
    "(",
    "[",
    "{",
    "<<",
    "[[",
    "\\begin{a}",
    "\\section{",
    "`:a:",
    ":a:`",
    ".. a::\n ",
    "* ",
    "<div>",
    "\\(",
    "\\[",
    "link:",
)


def damaged(data: bytes) -> Iterator[bytes]:
    chance = random.Random(len(data))
    for _ in range(12):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 8)):
            changed[chance.randrange(len(changed))] = chance.choice(
                (chance.randrange(256), 10, 32, 92, 123, 58)
            )
        yield bytes(changed)
        yield data[: chance.randrange(len(data))]
        start = chance.randrange(len(data))
        yield data[start:] + data[:start]


def read(kind: str, data: bytes) -> None:
    reader = readers()[kind]
    suffix = reader.suffixes[0]
    try:
        # not through the frame, which makes an error of ours of any other
        for document in function_of(reader.read)(Content(f"a{suffix}", data=data)):
            for section in document.sections:
                assert section.text.strip()
                assert "\0" not in section.text
                assert section.line is None or 1 <= section.line <= data.count(b"\n") + data.count(b"\r") + 1
                section.text.encode()
    except AudioMemError:
        pass


@pytest.mark.parametrize("kind", SEEDS)
def test_damaged_text(kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for data in damaged(SEEDS[kind].encode()):
            read(kind, data)


@pytest.mark.parametrize("kind", [kind for kind in SEEDS if kind not in LANGUAGES])
def test_what_is_opened_without_end(kind: str) -> None:
    for mark in DEEP:
        read(kind, mark.encode() * 1500)


def test_all_kinds_of_text_are_damaged() -> None:
    ours = {reader.kind for reader in OURS if reader.is_text}
    assert set(SEEDS) <= ours
