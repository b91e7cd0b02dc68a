"""The option ``replicas``: where else the bytes of a table are."""

from __future__ import annotations

import re
from collections.abc import Sequence

from audiomem_sql.errors import OptionError
from audiomem_sql.machine.file_names import place_of
from audiomem_sql.machine.urls import shown

_NEXT = re.compile(r",\s*")


def parse_replicas(replicas: str | Sequence[str] | None, first: str) -> tuple[str, ...]:
    """Paths and URLs: of a list, or of one text with commas, as SQL has it. None and nothing are none.

    first: the place of the table itself, which must not be among them. A path with a comma can stand in a
    list only. OptionError for what is no such list, and for a place that is there twice.
    """
    if replicas is None:
        return ()
    texts = _NEXT.split(replicas.strip()) if isinstance(replicas, str) else replicas
    if isinstance(texts, (bytes, dict)) or not all(isinstance(text, str) for text in texts):
        raise OptionError(
            f"{replicas!r:.60} is no list of places",
            place="option replicas",
            remedy="Write such as replicas='s3://bucket/kb.flac, /backup/kb.flac'.",
        )
    names = tuple(text for text in texts if text)
    places = [place_of(name) for name in (first, *names)]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise OptionError(
                f"{shown(place)} is named twice", place="option replicas", remedy="Name each place once."
            )
    return names
