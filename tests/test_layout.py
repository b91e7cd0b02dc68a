"""The house: which room may import which, that the hallway stays empty, and which names C code uses."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import audiomem_sql
from tools.imports import arrows, circles, imported_names, python_files, read_modules
from tools.rooms import INNER, ONLY_FOR, ROOMS, STRANGERS, inner_room, room

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "audiomem_sql"

#: Packages that only doors may import.
FOREIGN = {
    "alembic",
    "apsw",
    "django",
    "duckdb",
    "pandas",
    "polars",
    "sqlalchemy",
    "typer",
    "rich",
    "selectolax",
    "markdown_it",
}
#: to_pandas needs pandas; SQLite itself evaluates DEFAULT and CHECK.
ALLOWED = {
    "columns.to_pandas": {"pandas"},
    "columns.pandas_frames": {"pandas"},
    "table.reader": {"pandas"},
    "table.rows": {"pandas"},
    "columns.arrow_input": {"pandas"},
    "columns.polars_series": {"polars"},
    "columns.checks": {"apsw"},
    "columns.expressions": {"apsw"},
    "scan.sql_rows": {"apsw"},
}
#: Rooms with modules that import each other, some under TYPE_CHECKING or in functions. The list may only
#: become shorter.
CIRCULAR: set[str] = set()
#: Rooms that others import by their ``__init__`` only, which lists what it gives.
FACES = (
    "audio",
    "indexes.vectors",
    "indexes.words",
    "search",
    "storage.log",
    "storage.pages",
    "storage.segment",
    "versions",
)
#: What is imported at the first use of it.
RARELY = (
    "audiomem_sql.audio.mp4",
    "audiomem_sql.audio.spectrum.s",
    "audiomem_sql.indexes.vectors.",
    "audiomem_sql.indexes.words.",
    "audiomem_sql.search.analyses",
    "audiomem_sql.search.embedding",
    "audiomem_sql.search.models",
    "audiomem_sql.search.request",
    "lzma",
    "numpy.ma.",
    "shutil",
    "tempfile",
)
DOORS = ROOMS[ROOMS.index("udfs") :]
#: Every module that C code names in a string, with what it calls there.
NAMED_BY_C = {
    "audiomem_sql.loadable": ("attach", "attach_duckdb"),
    "audiomem_sql.vtab.extension": (),
    "audiomem_sql.vtab.duckdb.extension": ("message", "scan_function", "attach_pragma"),
    "audiomem_sql.vtab.duckdb.settings": ("use_cache",),
    "audiomem_sql.vtab.duckdb.write_function": ("discard", "WRITING_MACRO"),
}


MODULES = read_modules(ROOT)
ARROWS = sorted(arrows(MODULES))


def test_arrows_run_one_way() -> None:
    for module, target in ARROWS:
        if not room(target).startswith("__"):
            assert ROOMS.index(room(target)) <= ROOMS.index(room(module)), f"{module} imports {target}"


def test_arrows_inside_a_room_run_one_way() -> None:
    for module, target in ARROWS:
        rooms = INNER.get(room(module))
        if rooms is not None and room(target) == room(module):
            own, other = inner_room(module, rooms), inner_room(target, rooms)
            assert rooms.index(other) <= rooms.index(own), f"{module} imports {target}"


@pytest.mark.parametrize("name", sorted({room(name) for name in MODULES} - CIRCULAR))
def test_no_circle_of_modules_in_a_room(name: str) -> None:
    assert circles((one, other) for one, other in ARROWS if room(one) == room(other) == name) == []


def test_a_room_for_some_rooms_is_imported_by_no_other() -> None:
    for module, target in ARROWS:
        allowed = (room(target), *ONLY_FOR.get(room(target), (room(module),)))
        assert room(module) in allowed, f"{module} imports {target}"


@pytest.mark.parametrize("pair", STRANGERS, ids=" ".join)
def test_strangers_do_not_know_each_other(pair: tuple[str, str]) -> None:
    for one, other in (pair, pair[::-1]):
        for module, target in ARROWS:
            if f"{module}.".startswith(f"{one}."):
                assert not f"{target}.".startswith(f"{other}."), f"{module} imports {target}"


@pytest.mark.parametrize("face", FACES)
def test_a_room_with_a_face_is_entered_by_it(face: str) -> None:
    for module, target in ARROWS:
        if target.startswith(f"{face}.") and target != f"{face}.__init__":
            assert f"{module}.".startswith(f"{face}."), f"{module} imports {target}"
    given = importlib.import_module(f"audiomem_sql.{face}")
    assert given.__all__
    for name in given.__all__:
        assert getattr(given, name, given) is not given, f"{face} has no {name}"
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        given.nothing_of_this_name  # noqa: B018


def test_array_types_are_defined_once() -> None:
    """A name for a numpy array of some type stands in arrays.py, and nowhere else."""
    alias = re.compile(r"^\w+(: TypeAlias)? = (np\.ndarray\[.*dtype|npt\.NDArray)", re.MULTILINE)
    for path in python_files(PACKAGE):
        assert path == PACKAGE / "arrays.py" or not alias.search(path.read_text()), path


def test_nothing_new_in_the_hallway() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} <= set(ROOMS)
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} <= set(ROOMS)


def test_every_module_of_a_room_with_rooms_stands_in_one() -> None:
    for name in MODULES:
        rooms = INNER.get(room(name))
        if rooms is not None:
            assert inner_room(name, rooms) in rooms, name


def test_tests_mirror_the_rooms() -> None:
    """A test file stands in a folder named like a room, or at the top if what it tests is in no room."""
    top = {"django", "doc_names", "docs", "examples", "extras", "layout", "structure"}
    for path in (ROOT / "tests").glob("test_*.py"):
        name = path.stem.removeprefix("test_")
        assert name in top | {path.stem for path in PACKAGE.glob("*.py")}, path


def test_only_doors_import_foreign_packages() -> None:
    for name, module in MODULES.items():
        if room(name) not in DOORS:
            used = {target.split(".")[0] for target in imported_names(module.tree, MODULES)} & FOREIGN
            assert used <= ALLOWED.get(name, set()), name


def test_every_folder_with_modules_is_a_package() -> None:
    for path in python_files(PACKAGE):
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
        "ChangedRows",
        "DamageWarning",
        "Table",
        "UpkeepWarning",
        "__version__",
        "allow_model",
        "attach",
        "connect",
        "create",
        "dataset",
        "drop",
        "install_hook",
        "load",
        "loadable_path",
        "open",
        "read_flac",
        "read_sql",
        "register",
        "register_duckdb",
        "scan_flac",
        "use_device",
        "write_flac",
    ]
    assert all(getattr(audiomem_sql, name) is not None for name in audiomem_sql.__all__)


def test_a_table_needs_few_rooms() -> None:
    """A connection that knows the module has not imported what tables without indexes and sound need not."""
    code = (
        "import sys, apsw, audiomem_sql; audiomem_sql.register(apsw.Connection(':memory:'))\n"
        f"print(*(name for name in sys.modules if name.startswith({RARELY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not done.stdout.split()


def test_import_is_light() -> None:
    """``import audiomem_sql`` brings in no heavy package; each comes with the first call that needs it."""
    heavy = {"numpy", "pyarrow", "apsw", "pandas", "psutil", "soundfile"}
    code = f"import sys, audiomem_sql; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
