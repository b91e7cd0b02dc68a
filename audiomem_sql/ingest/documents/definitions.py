"""Source code to sections: what its functions and classes are is found elsewhere, here it is cut."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from audiomem_sql.ingest.documents.document import Document, Section
from audiomem_sql.ingest.documents.lines import block

_CLOSING = re.compile(r"[\W_]*(?:(?:end|fi|done|esac|endif)\b[\W_]*)?")


class Definition(NamedTuple):
    """A function, a class or the like in lines[start:stop].

    ``name``: qualified. ``parents``: the qualified names of what it is in, outermost first.
    """

    name: str
    start: int
    stop: int
    parents: tuple[str, ...] = ()


def document_of(text: str, definitions: Iterable[Definition]) -> Document:
    """The document in source code: a section for each of its definitions, and for what stands between them.

    Each line belongs to the innermost definition around it; lines that only close something, such as braces,
    stay with those before. The definitions come outer before inner, in the order of the text.
    """
    lines = text.split("\n")
    owners: list[Definition | None] = [None] * len(lines)
    for definition in definitions:
        start = max(0, definition.start)
        stop = min(definition.stop, len(lines))
        owners[start:stop] = [definition] * max(0, stop - start)
    return Document(None, list(_sections(lines, owners)))


def _sections(lines: Sequence[str], owners: Sequence[Definition | None]) -> Iterator[Section]:
    spans: list[tuple[Definition | None, int, int]] = []
    for owner, numbers in groupby(range(len(lines)), owners.__getitem__):
        run = list(numbers)
        start, stop = run[0], run[-1] + 1
        closes = all(_CLOSING.fullmatch(line) for line in lines[start:stop])
        if spans and (closes or spans[-1][0] is owner):
            spans[-1] = (spans[-1][0], spans[-1][1], stop)
        else:
            spans.append((owner, start, stop))
    for owner, start, stop in spans:
        first, text = block(lines, start, stop)
        if text:
            name, parents = (owner.name, owner.parents) if owner else (None, ())
            yield Section(name, text, parents, None, first + 1)
