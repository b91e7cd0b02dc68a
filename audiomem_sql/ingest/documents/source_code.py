"""Source code to sections, a function or a class each, through tree-sitter and the grammar of its language.

Without the grammar, source code is text that knows its lines.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.definitions import Definition, document_of
from audiomem_sql.ingest.documents.document import Document
from audiomem_sql.ingest.documents.languages import LANGUAGES, Language

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

#: A longer file is read as text. What is made for it takes a grammar time by the square of its length.
CHARACTERS_LIMIT = 256 << 10
#: Seconds of the processor that a parser has for a text; code of that length takes a tenth of one.
_PARSE_SECONDS = 5.0
#: A text of so many characters is parsed in this process; in one step a parser cannot be stopped.
HERE_LIMIT = 16 << 10
#: The same where there can be no other process.
ALONE_LIMIT = 32 << 10
_READ_BYTES = 1 << 16
_DEPTH_LIMIT = 40
_NAME_STEPS = 12
_COMMENTS = ("comment", "attribute", "annotation", "decorator")
_FUNCTION_VALUES = frozenset(
    ("arrow_function", "function_expression", "function", "generator_function", "class")
)
#: Nodes that count only with a function for their value, and as such.
_VALUED = frozenset(("variable_declarator", "field_definition", "public_field_definition"))
#: Nodes that count only with a body: ``struct stat s;`` defines none.
_BODIED = frozenset(
    ("struct_specifier", "union_specifier", "enum_specifier", "class_specifier", "namespace_definition")
)


def read(content: Content) -> Iterator[Document]:
    """The document in a file of source code."""
    text = content.text()
    name = _by_suffix().get(content.suffix) or _of_first_line(text)
    yield parse_code(text, name)


def parse_code(text: str, name: str | None) -> Document:
    """The document in `text`, which is in the language of that name (`LANGUAGES`).

    Its lines end in a line feed. It is cut at functions and classes if the grammar is installed.
    """
    if name is None or len(text) > CHARACTERS_LIMIT:
        return document_of(text, ())
    if _parser(name) is None:
        return document_of(text, ())
    if len(text) <= HERE_LIMIT:
        return document_of(text, definitions_in(text, name, _PARSE_SECONDS))
    from audiomem_sql.ingest.documents import grammar_process

    try:
        found = grammar_process.definitions(text, name, _PARSE_SECONDS)
    except OSError:
        found = definitions_in(text, name, _PARSE_SECONDS) if len(text) <= ALONE_LIMIT else None
    return document_of(text, found or ())


def definitions_in(text: str, name: str, seconds: float) -> list[Definition]:
    """What is defined in `text`, which is in the language of that name; none without its grammar.

    seconds: of the processor that the parser has; none are found in a text that takes it longer.
    """
    parser = _parser(name)
    if parser is None:
        return []
    data = text.encode("utf-8", "replace")
    if data.startswith(b"#!"):  # the program that runs it is no comment on what follows
        end = data.find(b"\n")
        data = b" " * end + data[end:] if end > 0 else b""
    root = _parsed(parser, data, seconds)
    return [] if root is None else list(_definitions(root, LANGUAGES[name], data))


def _parsed(parser: Parser, data: bytes, seconds: float) -> Node | None:
    """The tree of the text; None for one that takes far longer than code does, such as ``a<b,a<b,a<b,…``."""
    end = time.thread_time() + seconds

    def stop(offset: int, has_error: bool) -> bool:
        return time.thread_time() > end

    try:
        return parser.parse(
            lambda offset, point: data[offset : offset + _READ_BYTES], progress_callback=stop
        ).root_node
    except ValueError:  # it was stopped
        parser.reset()
        return None


@cache
def _by_suffix() -> dict[str, str]:
    return {suffix: name for name, language in LANGUAGES.items() for suffix in language.suffixes}


def _of_first_line(text: str) -> str | None:
    """The language of a script by the program that its first line names."""
    line = text[: text.find("\n")][:200] if text.startswith("#!") else ""
    words = [word.rpartition("/")[2] for word in line.split()]
    return next((name for name, language in LANGUAGES.items() if set(words) & set(language.shebangs)), None)


@cache
def _parser(name: str) -> Parser | None:
    """The parser for a language; None where it is not installed."""
    language = LANGUAGES[name]
    try:
        from tree_sitter import Language as Grammar
        from tree_sitter import Parser

        grammar = getattr(import_module(language.module), language.function)
        return Parser(Grammar(grammar()))
    except (ImportError, AttributeError, ValueError):  # the last is a grammar of another tree-sitter
        return None


class _Candidate(NamedTuple):
    """A node that may be a definition, in lines[start:stop]. ``taken``: the line that has a name already."""

    node: Node
    start: int
    stop: int
    parents: tuple[str, ...]
    taken: int


def _definitions(root: Node, language: Language, data: bytes) -> Iterator[Definition]:
    """What is defined, outer before inner, in the order of the text."""
    waiting: list[_Candidate] = []
    waiting.extend(
        _Candidate(node, start, _stop(node), (), -1) for node, start in _with_comments(root.children)
    )
    waiting.reverse()
    while waiting:
        node, start, stop, parents, taken = waiting.pop()
        kind = node.type
        is_container = kind in language.containers
        inner = parents
        row = node.start_point[0]
        if row != taken and (is_container or kind in language.leaves) and (name := _name(node, data)):
            qualified = f"{parents[-1]}{language.separator}{name}" if parents else name
            yield Definition(qualified, start, stop, parents)
            if not is_container or len(parents) >= _DEPTH_LIMIT:
                continue
            inner, taken = (*parents, qualified), row
        elif kind in language.wrappers:
            inside = [child for child in node.named_children if _counts(child, language)]
            if len(inside) == 1:
                waiting.append(_Candidate(inside[0], start, stop, parents, taken))
                continue
        elif not is_container and kind not in language.bodies:
            continue
        children = [
            _Candidate(child, begin, _stop(child), inner, taken)
            for child, begin in _with_comments(node.children)
        ]
        waiting.extend(reversed(children))


def _counts(node: Node, language: Language) -> bool:
    return node.type in language.containers | language.leaves | language.wrappers


def _with_comments(nodes: Sequence[Node]) -> Iterator[tuple[Node, int]]:
    """Each node that is no comment, with the line on which it, or the comment right above it, begins."""
    first, last_comment, last_code = -1, -2, -1
    for node in nodes:
        row = node.start_point[0]
        if any(word in node.type for word in _COMMENTS):
            if row > last_code:
                first = first if row <= last_comment + 1 else row
                last_comment = _stop(node) - 1
            continue
        yield node, first if last_comment >= 0 and row <= last_comment + 1 else row
        last_code = _stop(node) - 1
        first, last_comment = -1, -2


def _stop(node: Node) -> int:
    """The line behind the node."""
    row, column = node.end_point
    return row + 1 if column or row == node.start_point[0] else row


def _name(node: Node, data: bytes) -> str | None:
    """The name that the node defines; None for a node that defines nothing."""
    kind = node.type
    if kind in _VALUED:
        value = node.child_by_field_name("value")
        if value is None or value.type not in _FUNCTION_VALUES:
            return None
    if kind in _BODIED and node.child_by_field_name("body") is None:
        return None
    named = node.child_by_field_name("name") or node.child_by_field_name("property")
    found = named or node.child_by_field_name("declarator") or node.child_by_field_name("type")
    if found is None:
        names = (child for child in node.named_children if child.type in ("object_reference", "identifier"))
        found = next(names, None)
    for _ in range(0 if named else _NAME_STEPS):  # int (*signal(int))(int): down to the name
        if found is None or found.type.endswith(("identifier", "_name", "object_reference")):
            break
        found = found.child_by_field_name("declarator") or next(iter(found.named_children), None)
    if found is None:
        return None
    name = " ".join(_text(found, data).split())
    receiver = node.child_by_field_name("receiver")
    return f"{_receiver(receiver, data)}.{name}" if receiver is not None else name


def _text(node: Node, data: bytes) -> str:
    return data[node.start_byte : node.end_byte].decode("utf-8", "replace")


def _receiver(node: Node, data: bytes) -> str:
    """The type that a method of Go belongs to."""
    words = _text(node, data).strip("()").replace("*", " ").split()
    return words[-1].partition("[")[0] if words else ""
