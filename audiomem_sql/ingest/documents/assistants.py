"""Exported conversations with assistants to documents: ``conversations.json`` of ChatGPT and of Claude."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.conversation import Message, grouped
from audiomem_sql.ingest.documents.document import Document, place_of
from audiomem_sql.ingest.documents.inside import rows_in
from audiomem_sql.ingest.documents.json_items import items_of
from audiomem_sql.ingest.timestamps import parse_time

_SHOWN = {"user": "User", "human": "User", "assistant": "Assistant"}


def read(content: Content) -> Iterator[Document]:
    """The documents in an export: of each conversation, what was asked and answered, in groups.

    Objects of which none is a conversation are rows.
    """
    is_export = False
    for conversation in items_of(content):
        if not isinstance(conversation, dict):
            continue
        is_export = is_export or _is_conversation(conversation)
        title = conversation.get("title") or conversation.get("name")
        yield from _by_question(_messages(conversation), str(title) if title else None)
    if not is_export:
        yield from rows_in(replace(content, data=content.read()), "json")


def _is_conversation(item: dict[str, Any]) -> bool:
    """Whether an object has messages as one of the two programs writes them."""
    said, nodes = item.get("chat_messages"), item.get("mapping")
    if isinstance(said, list):
        return all(isinstance(message, dict) for message in said)
    return isinstance(nodes, dict) and any(
        isinstance(node, dict) and ("message" in node or "children" in node) for node in nodes.values()
    )


def _by_question(messages: Iterator[Message], title: str | None) -> Iterator[Document]:
    """A group begins with a question."""
    group: list[Message] = []
    for message in messages:
        if message.author == "User" and group:
            yield from grouped(group, title)
            group = []
        group.append(message)
    yield from grouped(group, title)


def _messages(conversation: dict[str, Any]) -> Iterator[Message]:
    """The messages of the branch that is shown, in their order."""
    said = conversation.get("chat_messages")
    if isinstance(said, list):
        for message in said:
            if isinstance(message, dict):
                author = _SHOWN.get(str(message.get("sender")))
                place = place_of(message=message.get("uuid"))
                text = str(message.get("text") or "")
                yield Message(author, text, parse_time(message.get("created_at")), place)
        return
    for node_id, message in _branch(conversation):
        author = message.get("author")
        role = _SHOWN.get(str(author.get("role"))) if isinstance(author, dict) else None
        if role is not None:
            place = place_of(message=message.get("id") or node_id)
            yield Message(role, _text(message.get("content")), parse_time(message.get("create_time")), place)


def _branch(conversation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The messages from the root to the last one that is shown; all if the export does not say which."""
    nodes = conversation.get("mapping")
    if not isinstance(nodes, dict):
        return []
    at = conversation.get("current_node")
    branch: list[tuple[str, dict[str, Any]]] = []
    seen: set[str] = set()
    while isinstance(at, str) and isinstance(nodes.get(at), dict) and at not in seen:
        seen.add(at)
        if isinstance(nodes[at].get("message"), dict):
            branch.append((at, nodes[at]["message"]))
        at = nodes[at].get("parent")
    if branch:
        return branch[::-1]
    messages = [(key, node.get("message")) for key, node in nodes.items() if isinstance(node, dict)]
    return [(key, message) for key, message in messages if isinstance(message, dict)]


def _text(content: object) -> str:
    if not isinstance(content, dict):
        return ""
    parts = content.get("parts")
    texts = [part for part in parts if isinstance(part, str)] if isinstance(parts, list) else []
    if isinstance(parts, list):
        texts += [str(p["text"]) for p in parts if isinstance(p, dict) and p.get("text")]
    if isinstance(content.get("text"), str):
        texts.append(content["text"])
    return "\n\n".join(text for text in texts if text.strip())
