"""What imports what in a tree of the package, read from the syntax: no module is run.

An import under TYPE_CHECKING or in the body of a function is an import like any other.
"""

from __future__ import annotations

import ast
import io
import subprocess
import tarfile
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tools.rooms import room

PACKAGE = "audiomem_sql"
#: The folders that hold modules of the package: three of its rooms stand at the top of the repository.
FOLDERS = (PACKAGE, "vtab", "udfs", "migrations")

Node = TypeVar("Node", bound=Hashable)


@dataclass(frozen=True)
class Module:
    """A module by its name below the package, such as ``scan.plan``; a package is named by ``__init__``."""

    name: str
    path: Path
    lines: int
    tree: ast.Module


@dataclass(frozen=True)
class Function:
    """A function or method, the module that it stands in, and its length in lines."""

    module: str
    name: str
    lines: int


def read_modules(root: Path) -> dict[str, Module]:
    """All modules of the package below the repository ``root``, by name."""
    modules = {}
    for path in python_files(root / PACKAGE):
        name = ".".join(path.relative_to(root / PACKAGE).with_suffix("").parts)
        text = path.read_text()
        modules[name] = Module(name, path, len(text.splitlines()), ast.parse(text))
    return modules


def python_files(folder: Path) -> Iterator[Path]:
    """Every Python file below ``folder``; links to folders are followed."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from python_files(path)
        elif path.suffix == ".py":
            yield path


def imported_names(tree: ast.AST, modules: Iterable[str]) -> Iterator[str]:
    """Absolute names of what a module imports; of ``from package import module`` the module's."""
    known = set(modules)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                raise ValueError(f"line {node.lineno}: a relative import")
            for alias in node.names:
                full_name = f"{node.module}.{alias.name}"
                below = full_name.removeprefix(f"{PACKAGE}.")
                yield full_name if below in known or f"{below}.__init__" in known else node.module


def arrows(modules: Mapping[str, Module]) -> set[tuple[str, str]]:
    """(module, module that it imports), both named below the package."""
    pairs = set()
    for name, module in modules.items():
        for target in imported_names(module.tree, modules):
            if target.startswith(f"{PACKAGE}."):
                below = target.removeprefix(f"{PACKAGE}.")
                pairs.add((name, below if below in modules else f"{below}.__init__"))
    return {(name, target) for name, target in pairs if target in modules and target != name}


def room_arrows(pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """(room, room that it imports from) of different rooms."""
    return {(room(name), room(target)) for name, target in pairs if room(name) != room(target)}


def circles(pairs: Iterable[tuple[Node, Node]]) -> list[list[Node]]:
    """Groups of nodes that can all be reached from each other, the largest first (Tarjan 1972)."""
    targets: dict[Node, list[Node]] = {}
    for source, target in sorted(pairs, key=repr):
        targets.setdefault(source, []).append(target)
        targets.setdefault(target, [])
    number: dict[Node, int] = {}
    lowest: dict[Node, int] = {}
    path: list[Node] = []
    groups: list[list[Node]] = []

    def visit(node: Node) -> None:
        number[node] = lowest[node] = len(number)
        path.append(node)
        for target in targets[node]:
            if target not in number:
                visit(target)
                lowest[node] = min(lowest[node], lowest[target])
            elif target in path:
                lowest[node] = min(lowest[node], number[target])
        if lowest[node] == number[node]:
            start = path.index(node)
            if len(path) - start > 1:
                groups.append(sorted(path[start:], key=repr))
            del path[start:]

    for node in targets:
        if node not in number:
            visit(node)
    return sorted(groups, key=lambda group: (-len(group), repr(group)))


def functions(module: str, tree: ast.AST) -> Iterator[Function]:
    """Every function of a module, with its docstring and without its decorators."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield Function(module, node.name, node.end_lineno - node.lineno + 1)


def unpack_revision(root: Path, revision: str, folder: Path) -> None:
    """Put the modules of the package as they were at ``revision`` below ``folder``."""
    command = ["git", "-C", str(root), "archive", revision, *FOLDERS]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
