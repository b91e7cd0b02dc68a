"""Whoever catches everything, Ctrl-C included, raises it again."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EVERYTHING = {"BaseException", "KeyboardInterrupt", "SystemExit", "GeneratorExit"}
#: Where it ends, by file and function: Ctrl-C in the command, and at its prompt.
ELSEWHERE = {
    ("audiomem_sql/cli/ingest_run.py", "once"),  # what was read before Ctrl-C is told; the exit code says it
    ("audiomem_sql/cli/ingest_run.py", "watched"),
    ("audiomem_sql/cli/main.py", "run"),
    ("audiomem_sql/cli/shell.py", "shell"),
    ("vtab/duckdb/writing.py", "_run"),  # the error of a thread, which the caller's next call raises
}


def catches_everything(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    return any(isinstance(node, ast.Name) and node.id in EVERYTHING for node in ast.walk(handler.type))


def always_raises(body: list[ast.stmt]) -> bool:
    """Whether no way leads out of the statements but an error."""
    last = body[-1]
    if isinstance(last, ast.Raise):
        return not any(
            isinstance(node, ast.Return | ast.Continue | ast.Break) for each in body for node in walk(each)
        )
    if isinstance(last, ast.If):
        return bool(last.orelse) and always_raises(last.body) and always_raises(last.orelse)
    return isinstance(last, ast.With) and always_raises(last.body)


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below, but for those of functions that are defined there."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.Lambda | ast.AsyncFunctionDef):
            yield from walk(child)


def swallowed(source: str) -> Iterator[tuple[str, int]]:
    """(function, line) of each clause that catches everything and does not raise."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    for function in functions:
        for node in walk(function) if function.body else ():
            if (
                isinstance(node, ast.ExceptHandler)
                and catches_everything(node)
                and not always_raises(node.body)
            ):
                yield function.name, node.lineno


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("raise", False),
        ("close()\n  raise", False),
        ("raise Other() from error", False),
        ("pass", True),
        ("return 1", True),
        ("if a:\n   raise\n  else:\n   raise b", False),
        ("if a:\n   raise", True),
        ("if a:\n   return\n  raise", True),
        ("with a:\n   raise", False),
        ("close()", True),
    ],
)
def test_what_is_found(body: str, found: bool) -> None:
    for kind in (" BaseException as error", " (OSError, BaseException)", ""):
        source = f"def f():\n try:\n  g()\n except{kind}:\n  {body}\n"
        assert [name for name, _ in swallowed(source)] == ["f"] * found
    assert not list(swallowed(f"def f():\n try:\n  g()\n except OSError:\n  {body}\n"))


def test_everything_is_raised_again() -> None:
    found = set()
    for folder in ("audiomem_sql", "udfs", "vtab", "migrations"):
        for path in (ROOT / folder).rglob("*.py"):
            name = str(path.relative_to(ROOT))
            if path.is_symlink() or any(parent.is_symlink() for parent in path.parents):
                continue
            found |= {(name, function) for function, _ in swallowed(path.read_text())}
    assert found == ELSEWHERE, "raise it again, or say here where it goes"
