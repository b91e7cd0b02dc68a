"""A Slack export to documents: each file of a channel and a day, with the names of ``users.json``."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.conversation import Message, grouped
from audiomem_sql.ingest.documents.document import Document, place_of
from audiomem_sql.ingest.documents.json_items import items_of
from audiomem_sql.ingest.timestamps import parse_time

_USERS = "../users.json"
_MARKED = re.compile(r"<([^<>]*)>")
_MOST_BYTES = 1 << 28


def read(content: Content) -> Iterator[Document]:
    """The documents in one file of a channel: its messages in groups, threads where they were written."""
    names = _names(content.beside(_USERS) or b"")
    channel = PurePosixPath(content.name.replace("\\", "/").rpartition("!")[2]).parent.name
    yield from grouped(_messages(content, names), f"#{channel}" if channel else None)


def _messages(content: Content, names: dict[str, str]) -> Iterator[Message]:
    for item in items_of(content):
        if not isinstance(item, dict) or item.get("type", "message") != "message":
            continue
        stamp = str(item.get("ts") or "")
        user = item.get("user") or item.get("bot_id")
        profile = item.get("user_profile")
        author = names.get(str(user)) or (_name_of(profile) if isinstance(profile, dict) else None)
        author = author or item.get("username") or (str(user) if user else None)
        yield Message(
            str(author) if author else None, _text(item, names), _time(stamp), place_of(message=stamp)
        )


def _text(item: dict[str, Any], names: dict[str, str]) -> str:
    texts = [_plain(str(item.get("text") or ""), names)]
    files, attachments = item.get("files"), item.get("attachments")
    for file in files if isinstance(files, list) else ():
        if isinstance(file, dict) and (file.get("title") or file.get("name")):
            texts.append(f"[{file.get('title') or file.get('name')}]")
    for attached in attachments if isinstance(attachments, list) else ():
        if isinstance(attached, dict):
            texts += [str(attached[key]) for key in ("title", "text") if attached.get(key)]
    return "\n".join(text for text in texts if text.strip())


def _plain(text: str, names: dict[str, str]) -> str:
    """Slack's markup of people, channels and links as they are shown."""

    def shown(found: re.Match[str]) -> str:
        target, _, label = found[1].partition("|")
        if target.startswith("@"):
            return f"@{label or names.get(target[1:], target[1:])}"
        if target.startswith("#"):
            return f"#{label or target[1:]}"
        if target.startswith("!"):
            return f"@{label or target[1:]}"
        target = target.removeprefix("mailto:")
        return f"{label} ({target})" if label and label != target else target

    return html.unescape(_MARKED.sub(shown, text))


def _time(stamp: str) -> datetime | None:
    seconds, _, micros = stamp.partition(".")
    if not (seconds.isdecimal() and len(seconds) < 12 and micros.isdecimal() and len(micros) <= 6):
        return None
    return parse_time(int(seconds) * 10**6 + int(micros.ljust(6, "0")))


@lru_cache(4)
def _names(users: bytes) -> dict[str, str]:
    """The names of people by their ids, of ``users.json``."""
    try:
        known = json.loads(users[:_MOST_BYTES]) if users else []
    except (ValueError, RecursionError):
        return {}
    names: dict[str, str] = {}
    for user in known if isinstance(known, list) else ():
        if isinstance(user, dict) and user.get("id"):
            profile = user.get("profile")
            name = (_name_of(profile) if isinstance(profile, dict) else None) or _name_of(user)
            if name:
                names[str(user["id"])] = name
    return names


def _name_of(profile: dict[str, Any]) -> str | None:
    name = next((profile[k] for k in ("display_name", "real_name", "name") if profile.get(k)), None)
    return str(name) if name else None
