"""Kinds of documents that their first bytes tell, where the name says less or something else."""

from __future__ import annotations

import re

_HEADER = re.compile(rb"[A-Za-z][A-Za-z0-9-]*:[ \t]?[^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*")
_MAIL_HEADERS = frozenset(
    b"from to date subject message-id received return-path delivered-to mime-version".split()
)
_CLOCK = re.compile(rb"\d\d:\d\d")
_YEAR = re.compile(rb"\d{4}")
#: Characters of a line that may separate messages that are looked at.
_SEPARATOR_LIMIT = 1000
_OBJECTS = re.compile(r"\[\s*\{")
_STAMP = re.compile(r'"ts"\s*:\s*"\d{9,11}\.\d{6}"')
_ASSISTANT = re.compile(
    r'"mapping"\s*:\s*\{|"chat_messages"\s*:\s*\[|"create_time"\s*:\s*\d+\.\d+,\s*"update_time"'
)
_PACKAGES = (
    *(b"[Content_Types].xml", b"_rels/", b"docProps/", b"word/", b"xl/", b"ppt/"),
    *(b"mimetype", b"META-INF/"),
)


def is_message(name: str, start: bytes) -> bool:
    """Whether a file is an e-mail, such as those of a Maildir: it begins with headers of mail."""
    at, seen = 0, set[bytes]()
    while found := _HEADER.match(start, at):
        seen.add(start[at : start.index(b":", at)].lower())
        at = found.end()
    return bool(seen & {b"from", b"return-path", b"received"}) and len(seen & _MAIL_HEADERS) >= 3


def is_mailbox(name: str, start: bytes) -> bool:
    """Whether a file is an mbox: a separator, and a message behind it."""
    end = start.find(b"\n") + 1
    return end > 0 and is_separator(start[:end]) and _HEADER.match(start, end) is not None


def is_separator(line: bytes) -> bool:
    """Whether a line separates the messages of an mbox: ``From``, a sender, and a date."""
    line = line[:_SEPARATOR_LIMIT]
    clock = _CLOCK.search(line, 5) if line.startswith(b"From ") else None
    return clock is not None and _YEAR.search(line, clock.end()) is not None


def is_whatsapp(name: str, start: bytes) -> bool:
    """Whether a text is an exported chat of WhatsApp."""
    from audiomem_sql.ingest.documents.whatsapp import is_chat

    return is_chat(start.decode("utf-8", "replace"))


def is_slack(name: str, start: bytes) -> bool:
    """Whether JSON is a file of a channel of a Slack export: an array of objects with time stamps."""
    text = start.decode("utf-8", "replace").lstrip()
    return _OBJECTS.match(text) is not None and _STAMP.search(text) is not None


def is_assistant(name: str, start: bytes) -> bool:
    """Whether JSON is an export of conversations of ChatGPT or Claude."""
    text = start.decode("utf-8", "replace").lstrip()
    return _OBJECTS.match(text) is not None and _ASSISTANT.search(text[:4096]) is not None


def is_bookmarks(name: str, start: bytes) -> bool:
    """Whether HTML is a list of bookmarks as browsers export it."""
    return (
        start[:512]
        .lstrip(b"\xef\xbb\xbf \r\n\t")[:64]
        .upper()
        .startswith(b"<!DOCTYPE NETSCAPE-BOOKMARK-FILE")
    )


def is_browser_json(name: str, start: bytes) -> bool:
    """Whether JSON is Chrome's file of bookmarks, or Firefox's backup of them."""
    text = start[:4096]
    chrome = b'"roots"' in text and b'"bookmark_bar"' in text
    return text.lstrip()[:1] == b"{" and (chrome or b'"root________"' in text)


def is_zip(name: str, start: bytes) -> bool:
    """Whether a file is a zip archive, and no document that is one inside."""
    return start.startswith(b"PK\x03\x04") and not is_package(start)


def is_package(start: bytes) -> bool:
    """Whether a zip file may be a document: its first member is called as that of a document is."""
    length = int.from_bytes(start[26:28], "little")
    return start[30 : 30 + length].startswith(_PACKAGES)


def is_tar(name: str, start: bytes) -> bool:
    """Whether a file is a tar archive that is not compressed."""
    return start[257:262] == b"ustar"
