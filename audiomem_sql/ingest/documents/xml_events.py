"""XML as a stream of events, through expat: no tree, no entities, bounded depth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, NamedTuple
from xml.parsers import expat

from audiomem_sql.errors import DamagedFileError, LimitError

#: Elements inside elements; documents have some dozens.
DEPTH_LIMIT = 1000
#: Characters of text in one part.
TEXT_LIMIT = 128 << 20
#: Bytes of one tag with its attributes.
TAG_LIMIT = 4 << 20
_STEP = 1 << 16
_NO_ATTRIBUTES: dict[str, str] = {}


class Start(NamedTuple):
    """An element begins. Names are without their namespace; that of ``r:id`` is ``r:id``."""

    tag: str
    attributes: dict[str, str]


class End(NamedTuple):
    """An element ends."""

    tag: str


class Text(NamedTuple):
    """Characters."""

    text: str


Event = Start | End | Text


class _Collector:
    """The handlers of one parser: they put events in a list."""

    def __init__(self, place: str) -> None:
        self.events: list[Event] = []
        self._place = place
        self._depth = 0
        self._names: dict[str, str] = {}
        self._left = TEXT_LIMIT

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise LimitError(
                f"there are elements inside elements, more than {DEPTH_LIMIT} deep", place=self._place
            )
        named = (
            {self._name(key): value for key, value in attributes.items()} if attributes else _NO_ATTRIBUTES
        )
        self.events.append(Start(tag.rpartition(" ")[2], named))

    def _name(self, key: str) -> str:
        name = self._names.get(key)
        if name is None:
            space, _, name = key.rpartition(" ")
            if space.endswith("/relationships"):
                name = f"r:{name}"
            if len(self._names) < 10_000:
                self._names[key] = name
        return name

    def end(self, tag: str) -> None:
        self._depth -= 1
        self.events.append(End(tag.rpartition(" ")[2]))

    def characters(self, text: str) -> None:
        self._left -= len(text)
        if self._left < 0:
            raise LimitError(
                f"it has more than {TEXT_LIMIT >> 20} million characters of text",
                place=self._place,
                remedy="Split it into smaller ones.",
            )
        self.events.append(Text(text))

    def entity(self, name: str, *rest: Any) -> None:
        raise DamagedFileError(
            f"the XML declares an entity ({name[:40]}), which no document needs", place=self._place
        )


def events(stream: IO[bytes], place: str) -> Iterator[Event]:
    """What the XML in ``stream`` has, in order; ``place`` is for messages.

    DamagedFileError for what is no XML or declares entities, LimitError for one that is nested too deeply.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.buffer_size = _STEP
    collector = _Collector(place)
    parser.StartElementHandler = collector.start
    parser.EndElementHandler = collector.end
    parser.CharacterDataHandler = collector.characters
    parser.EntityDeclHandler = collector.entity
    fed = 0
    while True:
        data = stream.read(_STEP)
        try:
            parser.Parse(data, not data)
        except expat.ExpatError as error:
            raise DamagedFileError(
                f"the XML is broken ({expat.ErrorString(error.code)})",
                place=f"{place}, line {error.lineno}",
                remedy="Open it with the program that made it and save it again, or leave it out.",
            ) from error
        yield from collector.events
        collector.events.clear()
        fed += len(data)
        if not data:
            return
        if fed - parser.CurrentByteIndex > TAG_LIMIT:
            raise LimitError(f"one tag is longer than {TAG_LIMIT >> 20} MiB", place=place)
