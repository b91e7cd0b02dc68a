"""The house: what may import what, and that the packages list matches the folders."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import audiomem_sql

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "audiomem_sql"

#: From the ground up. A module may import from its own floor and from those below it, never from one above.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "types", "warning", "digests", "limits", "_version"),
    ("files", "block_cache", "bloom", "sparing", "audio", "protection", "tags", "cover"),
    ("columns", "semantic"),
    (
        "predicates",
        "vectors_in_sql",
        "cell_order",
        "page_headers",
        "page_layout",
        "page_writer",
        "recovery",
        "pages",
    ),
    (
        "batch",
        "catalog",
        "catalog_copies",
        "catalog_packing",
        "vector_extents",
        "keyword_extents",
        "data_spool",
        "importance",
        "labels",
        "label_writer",
        "combined_keys",
        "log",
        "log_content",
        "log_copies",
        "log_record",
        "log_writer",
        "migrations",
        "protected_log",
    ),
    ("segment", "segment_writer", "found_labels", "unlisted_segment", "key_index", "evolved_segment"),
    ("snapshot", "merge"),
    (
        "bands",
        "lost_rows",
        "scan",
        "lookup",
        "found_rows",
        "search",
        "top",
        "planner",
        "where",
        "where_filter",
        "arrow_expression",
        "arrow_filter",
    ),
    (
        "table_options",
        "table_files",
        "writer_lock",
        "writer_turn",
        "sources",
        "commit",
        "unique_keys",
        "transaction",
        "appending",
        "altering",
        "embedding",
        "query",
        "shown",
        "group_commit",
        "damage",
        "salvage",
        "streaming",
    ),
    (
        "arrow_dataset",
        "changes",
        "compaction",
        "description",
        "display",
        "log_faults",
        "pandas_frames",
        "repair",
        "table_reader",
        "table_writer",
        "table",
        "verify",
    ),
    (
        "ingest",
        "ingestion",
        "reading",
        "frames",
        "polars",
        "polars_predicate",
        "scrub",
        "spectrogram",
        "udfs",
        "vtab",
    ),
    ("connections", "loadable"),
    ("dbapi", "pandas", "sqlalchemy"),
    ("cli", "__main__", "__init__"),
)
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
#: Packages that only doors may import.
FOREIGN = {"apsw", "duckdb", "pandas", "polars", "sqlalchemy", "typer", "rich", "selectolax", "markdown_it"}
#: TableReader.to_pandas needs pandas; SQLite itself evaluates DEFAULT and CHECK.
ALLOWED = {
    "pandas_frames": {"pandas"},
    "columns.arrow_input": {"pandas"},
    "columns.checks": {"apsw"},
    "columns.expressions": {"apsw"},
}
DOORS = {
    "__main__",
    "cli",
    "connections",
    "dbapi",
    "frames",
    "ingest",
    "loadable",
    "pandas",
    "polars",
    "polars_predicate",
    "sqlalchemy",
    "udfs",
    "vtab",
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """(dotted name below the package, syntax tree) of every module."""
    for path in _walk(PACKAGE):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield name, ast.parse(path.read_text())


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _walk(path)
        elif path.suffix == ".py":
            yield path


def imports(tree: ast.AST) -> Iterator[str]:
    """Absolute names imported at run time, wherever in the module."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            assert node.module is not None
            if node.module == "audiomem_sql":
                yield from (f"audiomem_sql.{alias.name}" for alias in node.names)
            else:
                yield node.module
        else:
            yield from imports(node)


def test_nothing_points_back() -> None:
    for name, tree in modules():
        own = name.split(".")[0]
        for target in imports(tree):
            if target.startswith("audiomem_sql."):
                other = target.split(".")[1]
                if other.startswith("__"):
                    continue
                assert FLOOR[other] <= FLOOR[own], f"{name} imports {target}, from a floor above"


def test_vtab_and_udfs_do_not_know_each_other() -> None:
    for name, tree in modules():
        if name.split(".")[0] in ("vtab", "udfs"):
            other = "udfs" if name.startswith("vtab") else "vtab"
            assert not [target for target in imports(tree) if target.startswith(f"audiomem_sql.{other}")]


def test_only_doors_import_foreign_packages() -> None:
    for name, tree in modules():
        if name.split(".")[0] not in DOORS:
            used = {target.split(".")[0] for target in imports(tree)} & FOREIGN
            assert used <= ALLOWED.get(name, set()), name


def test_packages_list_matches_the_folders() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    folders = {"audiomem_sql"}
    for path in _walk(PACKAGE):
        if path.name == "__init__.py" and path.parent != PACKAGE:
            folders.add("audiomem_sql." + ".".join(path.parent.relative_to(PACKAGE).parts))
    assert listed == folders


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
