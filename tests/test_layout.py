"""The house: which room may import which, that no module lands in the hallway, and which names C code uses."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import audiomem_sql

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "audiomem_sql"

#: A module may import from its own room and from rooms that stand before it. A room is a folder, or a module at the top.
ROOMS = (
    "_version",
    "errors",
    "arrays",
    "warn_once",
    "machine",
    "bytes",
    "protection",
    "audio",
    "columns",
    "blocks",
    "predicates",
    "indexes",
    "storage",
    "versions",
    "scan",
    "sound",
    "search",
    "migrations",
    "writing",
    "upkeep",
    "table",
    "udfs",
    "vtab",
    "frames",
    "ingest",
    "loadable",
    "connections",
    "dbapi",
    "pandas",
    "polars",
    "sqlalchemy",
    "cli",
    "__main__",
    "__init__",
)
#: The same inside the rooms that have rooms; "." stands for the modules of the room itself.
INNER = {
    "audio": ("flac", "spectrum", "source", "finding", "__init__"),
    "indexes": ("keys", "vectors", "words", "__init__"),
    "storage": ("pages", "segment", "log", "__init__"),
    "search": ("models", "."),
    "vtab": (".", "apsw", "duckdb", "__init__"),
}
#: Rooms inside a room that do not import each other in either direction.
STRANGERS = (
    ("vtab", "udfs"),
    ("indexes.keys", "indexes.vectors"),
    ("indexes.keys", "indexes.words"),
    ("indexes.vectors", "indexes.words"),
    ("storage.segment", "storage.log"),
)
#: Packages that only doors may import.
FOREIGN = {"apsw", "duckdb", "pandas", "polars", "sqlalchemy", "typer", "rich", "selectolax", "markdown_it"}
#: to_pandas needs pandas; SQLite itself evaluates DEFAULT and CHECK.
ALLOWED = {
    "columns.to_pandas": {"pandas"},
    "table.reader": {"pandas"},
    "columns.arrow_input": {"pandas"},
    "columns.checks": {"apsw"},
    "columns.expressions": {"apsw"},
}
DOORS = ROOMS[ROOMS.index("udfs") :]
#: Every module that C code names in a string, with what it calls there.
NAMED_BY_C = {
    "audiomem_sql.loadable": ("attach", "attach_duckdb"),
    "audiomem_sql.vtab.extension": (),
    "audiomem_sql.vtab.duckdb.extension": ("message",),
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """(dotted name below the package, syntax tree) of every module; a package is named by ``__init__``."""
    for path in _walk(PACKAGE):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield name, ast.parse(path.read_text())


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _walk(path)
        elif path.suffix == ".py":
            yield path


NAMES = {name for name, _ in modules()}


def imports(tree: ast.AST) -> Iterator[str]:
    """Absolute names of what is imported, wherever in the module: under TYPE_CHECKING and in functions, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                known = inner.removeprefix("audiomem_sql.")
                yield inner if known in NAMES or f"{known}.__init__" in NAMES else node.module


def arrows() -> Iterator[tuple[str, str]]:
    """(module, what it imports of the package), both named below the package."""
    for name, tree in modules():
        for target in imports(tree):
            if target.startswith("audiomem_sql."):
                yield name, target.removeprefix("audiomem_sql.")


def room(name: str) -> str:
    return name.split(".")[0]


def inner_room(name: str, rooms: tuple[str, ...]) -> str:
    """The room inside its room that a module stands in."""
    second = name.split(".")[1] if "." in name else "__init__"
    return second if second in rooms else "."


def test_arrows_run_one_way() -> None:
    for module, target in arrows():
        if not room(target).startswith("__"):
            assert ROOMS.index(room(target)) <= ROOMS.index(room(module)), f"{module} imports {target}"


def test_arrows_inside_a_room_run_one_way() -> None:
    for module, target in arrows():
        rooms = INNER.get(room(module))
        if rooms is not None and room(target) == room(module):
            own, other = inner_room(module, rooms), inner_room(target, rooms)
            assert rooms.index(other) <= rooms.index(own), f"{module} imports {target}"


@pytest.mark.parametrize("pair", STRANGERS, ids=" ".join)
def test_strangers_do_not_know_each_other(pair: tuple[str, str]) -> None:
    for one, other in (pair, pair[::-1]):
        for module, target in arrows():
            if f"{module}.".startswith(f"{one}."):
                assert not f"{target}.".startswith(f"{other}."), f"{module} imports {target}"


def test_nothing_new_in_the_hallway() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} <= set(ROOMS)
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} <= set(ROOMS)


def test_every_module_of_a_room_with_rooms_stands_in_one() -> None:
    for name in NAMES:
        rooms = INNER.get(room(name))
        if rooms is not None:
            assert inner_room(name, rooms) in rooms, name


def test_tests_mirror_the_rooms() -> None:
    """A test file stands in a folder named like a room, or at the top if what it tests stands there or is no module."""
    top = {"docs", "examples", "extras", "layout"}
    for path in (ROOT / "tests").glob("test_*.py"):
        name = path.stem.removeprefix("test_")
        assert name in top | {path.stem for path in PACKAGE.glob("*.py")}, path


def test_only_doors_import_foreign_packages() -> None:
    for name, tree in modules():
        if room(name) not in DOORS:
            used = {target.split(".")[0] for target in imports(tree)} & FOREIGN
            assert used <= ALLOWED.get(name, set()), name


def test_every_folder_with_modules_is_a_package() -> None:
    for path in _walk(PACKAGE):
        assert (path.parent / "__init__.py").exists(), path
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert settings == {"find": {"include": ["audiomem_sql*"]}}


def test_the_names_that_c_code_uses() -> None:
    """They stand in one list, runtime.h, and nowhere else in C; each is there in Python."""
    folder = ROOT / "vtab" / "native"
    listed = re.findall(r'#define PYTHON_\w+ "([^"]+)"', (folder / "runtime.h").read_text())
    modules = {name for name in listed if name.startswith("audiomem_sql.")}
    paths = {name for name in listed if "/" in name}
    assert modules == set(NAMED_BY_C)
    assert paths == {"audiomem_sql/loadable.py"}
    assert all((ROOT / path).exists() for path in paths)
    functions = {name for names in NAMED_BY_C.values() for name in names}
    assert set(listed) - modules - paths == functions
    for module, names in NAMED_BY_C.items():
        assert all(hasattr(importlib.import_module(module), name) for name in names)
    for path in sorted(folder.glob("*.[ch]")):
        if path.name != "runtime.h":
            assert not re.findall(r'"audiomem_sql[./][^"]*"', path.read_text()), path


@pytest.mark.parametrize("name", ["vtab", "udfs", "migrations"])
def test_links_are_relative(name: str) -> None:
    link = PACKAGE / name
    assert link.is_symlink()
    assert str(link.readlink()) == f"../{name}"


def test_the_exported_surface() -> None:
    assert audiomem_sql.__all__ == [
        "AudioMemError",
        "DamageWarning",
        "Table",
        "__version__",
        "attach",
        "connect",
        "dataset",
        "install_hook",
        "load",
        "loadable_path",
        "open",
        "read_flac",
        "read_sql",
        "register",
        "register_duckdb",
        "scan_flac",
        "write_flac",
    ]
    assert all(getattr(audiomem_sql, name) is not None for name in audiomem_sql.__all__)


def test_import_is_light() -> None:
    """``import audiomem_sql`` brings in none of the heavy packages; each comes with the first call that needs it."""
    code = "import sys, audiomem_sql; print(sorted({'numpy', 'pyarrow', 'apsw', 'pandas', 'psutil', 'soundfile'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
