"""Messages that Outlook saved (.msg) to documents, through oxmsg."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

from audiomem_sql.errors import DamagedFileError, MissingExtraError
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document, Section, place_of
from audiomem_sql.ingest.documents.html import parse_html
from audiomem_sql.ingest.documents.inside import read_inside, shown_name
from audiomem_sql.ingest.timestamps import parse_time


def read(content: Content) -> Iterator[Document]:
    """The documents in a message: its text with its head, and those of its attachments."""
    try:
        import olefile
        from oxmsg import Message
    except ImportError:
        raise MissingExtraError(
            "messages of Outlook are read by python-oxmsg, which is not installed",
            file=content.name,
            remedy="Run: pip install 'audiomem-sql[mail]'",
        ) from None
    data = content.read()
    with olefile.OleFileIO(data) as ole:
        sizes = sum(entry.size for entry in ole.direntries if entry is not None and entry.entry_type == 2)
    if sizes > len(data):  # streams that share their sectors
        raise DamagedFileError("the message has more in it than it is long", file=content.name)
    message = Message.load(io.BytesIO(data))
    headers = message.message_headers
    people = [(each.name, each.email_address) for each in message.recipients]
    receivers = [name if name == mail else f"{name} <{mail}>" for name, mail in people]
    sent_at = parse_time(message.sent_date)
    head = {
        "From": message.sender,
        "To": ", ".join(receivers),
        "Date": sent_at.isoformat(" ") if sent_at is not None else None,
    }
    lines = "\n".join(f"{name}: {value}" for name, value in head.items() if value)
    message_id = str(headers.get("Message-ID") or "").strip("<> \r\n")
    place = place_of(message=message_id) if message_id else None
    sections = [Section(None, lines)] if lines else []
    if message.body and message.body.strip():
        body = message.body.replace("\r\n", "\n").strip("\n")
        sections = [Section(None, f"{lines}\n\n{body}" if lines else body)]
    elif message.html_body:
        sections += parse_html(message.html_body).sections
    if sections:
        yield Document(message.subject or None, sections, place, sent_at)
    for number, attachment in enumerate(message.attachments, 1):
        name = shown_name(attachment.file_name or f"attachment{number}").replace("/", "_")
        at = place_of(attachment=name)
        attached = attachment.file_bytes
        if attached is not None:
            for document in read_inside(content, name, attached, f"{place}&{at}" if place else at, sent_at):
                yield replace(document, title=document.title or name)
