"""E-mail to documents: one for a message, and those of its attachments. RFC 5322, MIME, and mboxrd."""

from __future__ import annotations

import email
import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from email.policy import EmailPolicy, Policy
from typing import IO, Any

from audiomem_sql.errors import LimitError
from audiomem_sql.ingest.documents.content import INNER_LIMIT, Content
from audiomem_sql.ingest.documents.document import Document, Section, place_of
from audiomem_sql.ingest.documents.inside import read_inside, shown_name
from audiomem_sql.ingest.documents.recognising import is_separator
from audiomem_sql.ingest.timestamps import parse_time

#: Characters of one header that are looked at: the parser of addresses takes long for more.
HEADER_LIMIT = 8192
#: Parts of one message.
PARTS_LIMIT = 10_000
#: Bytes of one message of a mailbox.
MESSAGE_LIMIT = 256 << 20
_LINE = 1 << 20
_FRAME = re.compile(rb"(\d{1,10})[ \t]*\r?\n")
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
_SHOWN = ("From", "To", "Cc", "Date")


class _Policy(EmailPolicy):
    """The default policy for headers as they come: bounded, and with bytes that are in no encoded word."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, _decoded(value.encode("utf-8", "surrogateescape"), None)[:HEADER_LIMIT]


class _Parts:
    """Makes the parts of one message; LimitError for too many of them."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, policy: Policy[Any] | None = None) -> EmailMessage:
        self._count += 1
        if self._count > PARTS_LIMIT:
            raise LimitError(f"the message has more than {PARTS_LIMIT:,} parts; only its head is read")
        return EmailMessage(policy)


def _parsed(data: bytes) -> EmailMessage:
    made: Any = _Policy(message_factory=_Parts())
    message: EmailMessage = email.message_from_bytes(data, policy=made)
    return message


def read(content: Content) -> Iterator[Document]:
    """The documents in a file of one message, ``.eml``; and ``.emlx`` of Apple Mail, which has a frame."""
    data = content.read()
    frame = _FRAME.match(data) if content.suffix == ".emlx" else None
    if frame is not None:
        data = data[frame.end() : frame.end() + int(frame[1])]
    yield from documents_of(content, data, None)


def read_mailbox(content: Content) -> Iterator[Document]:
    """The documents in an mbox file, message by message: only one of them is in memory."""
    number = 0
    with content.open() as stream:
        for data in _messages(stream):
            number += 1
            if data is None:
                content.report(
                    LimitError(
                        f"the message has more than {MESSAGE_LIMIT >> 20} MiB",
                        file=content.name,
                        place=f"message {number}",
                    )
                )
                continue
            # What messages hold is in the file: it only counts where it expands.
            content.budget.left_bytes += len(data)
            content.budget.left_inner = INNER_LIMIT
            yield from documents_of(content, data, number)


def _messages(stream: IO[bytes]) -> Iterator[bytes | None]:
    """The bytes of each message; None for one that is too large."""
    lines: list[bytes] = []
    size, is_after_blank, is_whole_line, has_begun = 0, True, True, False
    while line := stream.readline(_LINE):
        if is_after_blank and is_whole_line and is_separator(line):
            if has_begun:
                yield None if size > MESSAGE_LIMIT else _QUOTED.sub(rb"\1", b"".join(lines))
            lines, size, has_begun = [], 0, True
        else:
            has_begun = has_begun or bool(line.strip())
            size += len(line)
            if size <= MESSAGE_LIMIT:
                lines.append(line)
            else:
                lines.clear()
        is_after_blank = is_whole_line and not line.strip(b"\r\n")
        is_whole_line = line.endswith(b"\n")
    if has_begun:
        yield None if size > MESSAGE_LIMIT else _QUOTED.sub(rb"\1", b"".join(lines))


@dataclass(slots=True)
class _Found:
    """What a message holds.

    ``texts``: in their order, with whether they are HTML. ``attached``: name, and bytes or a message.
    """

    texts: list[tuple[str, bool]] = field(default_factory=list)
    attached: list[tuple[str, bytes | EmailMessage]] = field(default_factory=list)


def documents_of(content: Content, data: bytes, number: int | None) -> Iterator[Document]:
    """The documents of one message; ``number``: which one of a mailbox it is, for one that has no id."""
    try:
        message = _parsed(data)
    except (RecursionError, LimitError) as error:
        head = re.split(rb"\r?\n\r?\n", data, maxsplit=1)[0]
        message = _parsed(head)
        for name in ("Content-Type", "Content-Transfer-Encoding"):
            del message[name]
        if isinstance(error, RecursionError):
            error = LimitError("the message is nested too deeply; only its head is read")
        content.report(error)
    yield from _documents(content, message, number)


def _documents(content: Content, message: EmailMessage, number: int | None) -> Iterator[Document]:
    found = _parts_of(message)
    headers = {name: value for name in _SHOWN if (value := _header(message, name))}
    message_id = _header(message, "Message-ID").strip("<> ") or number
    place = place_of(message=message_id) if message_id is not None else None
    created_at = parse_time(_header(message, "Date"))
    sections = _sections("\n".join(f"{name}: {value}" for name, value in headers.items()), found)
    if sections:
        yield Document(_header(message, "Subject") or None, sections, place, created_at)
    for name, attached in found.attached:
        at = place_of(attachment=name)
        at = f"{place}&{at}" if place else at
        if isinstance(attached, EmailMessage):
            yield from _forwarded(content, name, attached, at)
            continue
        for document in read_inside(content, name, attached, at, created_at):
            yield replace(document, title=document.title or name)


def _forwarded(content: Content, name: str, message: EmailMessage, place: str) -> Iterator[Document]:
    """The documents of a message that is attached to another."""
    try:
        inner = content.inside(name, b"")
    except LimitError as error:
        content.report(error)
        return
    for document in _documents(inner, message, None):
        yield document.inside(place)


def _header(message: EmailMessage, name: str) -> str:
    """The first header of that name as one line; nothing if there is none."""
    try:
        value = message.get(name)
    except Exception:  # the standard library's parser raises IndexError and others on malformed headers
        value = next((raw for key, raw in message.raw_items() if key.lower() == name.lower()), "")
    return " ".join(str(value or "").split())


def _sections(head: str, found: _Found) -> list[Section]:
    """The head and the texts; a text without a heading goes on in the section before it."""
    from audiomem_sql.ingest.documents.html import parse_html

    sections = [Section(None, head)] if head else []
    for text, is_html in found.texts:
        for section in parse_html(text).sections if is_html else [Section(None, text.strip("\n"))]:
            if not section.text.strip():
                continue
            if sections and section.heading is None and sections[-1].heading is None:
                sections[-1] = Section(None, f"{sections[-1].text}\n\n{section.text}")
            else:
                sections.append(section)
    return sections


def _parts_of(message: EmailMessage) -> _Found:
    """The texts of a message, of alternatives the plainest, and what is attached to it."""
    found = _Found()
    waiting = [(message, True)]
    while waiting:
        part, with_text = waiting.pop()
        kind = _type_of(part)
        parts: Any = part.get_payload()
        if kind == "message/rfc822" and isinstance(parts, list) and parts:
            found.attached.append((_attachment_name(part, found, ".eml"), parts[0]))
        elif isinstance(parts, list):
            chosen = _chosen(parts) if kind == "multipart/alternative" else None
            waiting += [(p, with_text and chosen in (None, p)) for p in reversed(parts)]
        else:
            _take(part, kind, found, with_text)
    return found


def _chosen(parts: list[EmailMessage]) -> EmailMessage | None:
    """Which of several versions of a text is read."""
    plain = [part for part in parts if _type_of(part) == "text/plain" and not _is_blank(part)]
    rich = [part for part in parts if _type_of(part) == "text/html" or part.is_multipart()]
    return next(iter(plain or rich), None)


def _take(part: EmailMessage, kind: str, found: _Found, with_text: bool) -> None:
    """Add a part that has no parts."""
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return
    name = _filename(part)
    if name or not kind.startswith("text/") or part.get_content_disposition() == "attachment":
        suffix = mimetypes.guess_extension(kind) or ""
        found.attached.append((name or _attachment_name(part, found, suffix), data))
    elif with_text:
        text = _decoded(data, part.get_content_charset()).replace("\r\n", "\n")
        is_flowed = kind == "text/plain" and part.get_param("format") == "flowed"
        found.texts.append((_unflowed(text, part) if is_flowed else text, kind == "text/html"))


def _is_blank(part: EmailMessage) -> bool:
    data = part.get_payload(decode=True)
    return not isinstance(data, bytes) or not data.strip()


def _type_of(part: EmailMessage) -> str:
    return part.get_content_type()


def _filename(part: EmailMessage) -> str | None:
    try:
        name = part.get_filename()
    except Exception:  # as in `_header`
        return None
    return shown_name(str(name)).replace("/", "_").strip() if name else None


def _attachment_name(part: EmailMessage, found: _Found, suffix: str) -> str:
    return _filename(part) or f"attachment{len(found.attached) + 1}{suffix}"


def _decoded(data: bytes, charset: str | None) -> str:
    """Bytes as text: as the message says, or else UTF-8 or Windows-1252, whatever becomes of it."""
    if charset and charset.lower() not in ("us-ascii", "ascii", "unknown-8bit"):
        try:
            return data.decode(charset, "replace")
        except (LookupError, ValueError):
            pass
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _unflowed(text: str, part: EmailMessage) -> str:
    """A text of ``format=flowed`` with its paragraphs joined (RFC 3676)."""
    keeps_space = str(part.get_param("delsp", "no")).lower() != "yes"
    paragraphs: list[list[str]] = []
    is_open = False
    for line in text.split("\n"):
        line = line[1:] if line.startswith(" ") else line
        if is_open and not line.startswith(">"):
            if not keeps_space:
                paragraphs[-1][-1] = paragraphs[-1][-1][:-1]
            paragraphs[-1].append(line)
        else:
            paragraphs.append([line])
        is_open = line.endswith(" ") and line != "-- "
    return "\n".join("".join(pieces).rstrip() for pieces in paragraphs)
