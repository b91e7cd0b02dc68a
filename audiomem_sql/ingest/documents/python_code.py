"""Python to sections, a function or a class each, through its own parser."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence

from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.definitions import Definition, document_of
from audiomem_sql.ingest.documents.document import Document

#: A longer file was written by a program, and is read as text.
CHARACTERS_LIMIT = 4 << 20


def read(content: Content) -> Iterator[Document]:
    """The document in a file of Python; by tree-sitter, where it is another Python than the one that runs."""
    from audiomem_sql.ingest.documents import source_code

    text = content.text()
    if len(text) > CHARACTERS_LIMIT:
        yield document_of(text, ())
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        yield source_code.parse_code(text, "python")
    else:
        yield document_of(text, _definitions(tree, text.split("\n")))


_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _definitions(tree: ast.Module, lines: Sequence[str]) -> Iterator[Definition]:
    """Functions and classes, those within classes and in branches of ``if`` and ``try`` as well."""
    waiting: list[tuple[ast.stmt, tuple[str, ...]]] = [(node, ()) for node in reversed(tree.body)]
    while waiting:
        node, parents = waiting.pop()
        inner = parents
        if isinstance(node, _Function | ast.ClassDef):
            name = f"{parents[-1]}.{node.name}" if parents else node.name
            yield Definition(name, _start(node, lines), node.end_lineno or node.lineno, parents)
            if not isinstance(node, ast.ClassDef):
                continue
            inner = (*parents, name)
        waiting.extend((child, inner) for child in reversed(_children(node)))


def _children(node: ast.stmt) -> list[ast.stmt]:
    if not isinstance(node, ast.ClassDef | ast.If | ast.Try | ast.With):
        return []
    children: list[ast.stmt] = list(node.body)
    if isinstance(node, ast.If | ast.Try):
        for handler in node.handlers if isinstance(node, ast.Try) else ():
            children += handler.body
        children += node.orelse
    if isinstance(node, ast.Try):
        children += node.finalbody
    return children


def _start(node: _Function | ast.ClassDef, lines: Sequence[str]) -> int:
    """The line of the first decorator, or of the comment above it."""
    start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
    while start > 0 and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return start
