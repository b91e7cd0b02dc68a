"""Rows that every machine has: the docstrings of Python's standard library."""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa


def _docs() -> Iterator[tuple[str, str, str]]:
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        name = str(path.relative_to(root))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                text = ast.get_docstring(node)
                if text and text.isprintable() | ("\n" in text):
                    yield name, getattr(node, "name", name), text


def docstrings() -> pa.Table:
    """A table with the columns id, source, title, created_at, body."""
    sources, titles, bodies = zip(*_docs(), strict=True)
    count = len(bodies)
    times = [f"2024-01-{1 + i * 27 // count:02d} {i % 24:02d}:{i % 60:02d}:00" for i in range(count)]
    return pa.table(
        {
            "id": pa.array(range(1, count + 1), pa.int64()),
            "source": pa.array(sources, pa.string()),
            "title": pa.array(titles, pa.string()),
            "created_at": pa.array(times, pa.string()),
            "body": pa.array([body.encode("utf-8", "replace").decode() for body in bodies], pa.string()),
        }
    )
