"""Messages of a chat to documents: those that follow each other soon are one text with one time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from audiomem_sql.ingest.documents.document import Document, Section

#: A silence this long begins another group.
SILENCE = timedelta(hours=1)
#: Characters after which a message begins another group.
GROUP_SIZE = 1500


@dataclass(frozen=True, slots=True)
class Message:
    """One message: who wrote it, None for what the program says; when, UTC without a zone; and its place."""

    author: str | None
    text: str
    created_at: datetime | None
    place: str

    @property
    def line(self) -> str:
        """The message as it is shown."""
        return f"{self.author}: {self.text}" if self.author else self.text


def grouped(messages: Iterable[Message], title: str | None) -> Iterator[Document]:
    """A document for each group of messages, dated and placed by the first one."""
    group: list[Message] = []
    size = 0
    for message in messages:
        if not message.text.strip():
            continue
        if group and (size >= GROUP_SIZE or _is_later(group[-1], message)):
            yield _document(group, title)
            group, size = [], 0
        group.append(message)
        size += len(message.text)
    if group:
        yield _document(group, title)


def _is_later(before: Message, message: Message) -> bool:
    if before.created_at is None or message.created_at is None:
        return False
    return message.created_at - before.created_at > SILENCE


def _document(group: list[Message], title: str | None) -> Document:
    text = "\n".join(message.line for message in group)
    return Document(title, [Section(None, text)], group[0].place, group[0].created_at)
