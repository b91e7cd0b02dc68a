"""The docstrings of Python's standard library and of the installed packages, as a table in a FLAC file.

    python examples/demo.py [FOLDER]

Collects them from the source files (nothing is imported), writes them to FOLDER/pydocs.flac and, to compare, to a plain
SQLite database; runs three queries; checks the file; and says how long it plays.
"""

from __future__ import annotations

import ast
import gzip
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apsw
import apsw.ext
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table as Grid
from rich.text import Text

import audiomem_sql as am
from audiomem_sql.table import Table
from audiomem_sql.verify import problems

COLUMNS = (
    "id INTEGER PRIMARY KEY",
    "package TEXT",
    "module TEXT",
    "name TEXT",
    "kind TEXT",
    "signature TEXT",
    "line INTEGER",
    "doc TEXT",
)
NAMES = [column.split()[0] for column in COLUMNS]

QUERIES = (
    (
        "Which packages explain themselves most?",
        "SELECT package, count(*) AS docstrings, sum(length(doc)) AS characters\n"
        "  FROM pydocs GROUP BY package ORDER BY characters DESC LIMIT 8",
    ),
    (
        "Who promises to be thread-safe?",
        "SELECT module, name, kind, line\n"
        "  FROM pydocs WHERE doc LIKE '%thread-safe%' OR doc LIKE '%thread safe%'\n"
        " ORDER BY length(doc), id LIMIT 6",
    ),
    (
        "A join with an ordinary table: the longest docstring on each topic",
        "SELECT topic, found, module, name, characters FROM (\n"
        "  SELECT topic, module, name, length(doc) AS characters,\n"
        "         count(*) OVER (PARTITION BY topic) AS found,\n"
        "         row_number() OVER (PARTITION BY topic\n"
        "                            ORDER BY length(doc) DESC, id) AS place\n"
        "    FROM topics JOIN pydocs ON instr(doc, word))\n"
        " WHERE place = 1 ORDER BY found DESC",
    ),
)
TOPICS = (
    ("files", "filename"),
    ("network", "socket"),
    ("text", "Unicode"),
    ("time", "timezone"),
    ("tables", "DataFrame"),
)


def source_files() -> list[tuple[str, Path]]:
    """(package, file) of every module of the standard library and of the installed packages, tests left out."""
    paths = sysconfig.get_paths()
    library, installed = Path(paths["stdlib"]), Path(paths["purelib"])
    found: list[tuple[str, Path]] = []
    for root, names in ((library, sys.stdlib_module_names), (installed, None)):
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).parts
            package = parts[0].removesuffix(".py")
            tests = any(part in ("test", "tests", "idlelib", "site-packages") for part in parts)
            if not tests and (names is None or package in names):
                found.append((package, path))
    return found


def docstrings(package: str, path: Path) -> Iterator[dict[str, Any]]:
    """The rows of one file; none if Python cannot read it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError, RecursionError):
        return
    parts = path.with_suffix("").parts
    module = ".".join(parts[len(parts) - parts[::-1].index(package) - 1 :]).removesuffix(".__init__")
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    while waiting:
        node, name = waiting.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            doc = ast.get_docstring(node)
            if doc:
                takes = (
                    f"({ast.unparse(node.args)})"
                    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                    else None
                )
                yield {
                    "package": package,
                    "module": module,
                    "name": name or module,
                    "kind": "function" if takes else type(node).__name__.removesuffix("Def").lower(),
                    "signature": takes,
                    "line": getattr(node, "lineno", 1),
                    "doc": doc.encode("utf-8", "replace").decode("utf-8"),
                }
            inner = [child for child in ast.iter_child_nodes(node) if hasattr(child, "name")]
            waiting += [
                (child, f"{name}.{child.name}" if name else str(child.name)) for child in reversed(inner)
            ]


def collect(files: Iterable[tuple[str, Path]], console: Console) -> list[dict[str, Any]]:
    """All rows, numbered."""
    rows: list[dict[str, Any]] = []
    for package, path in track(
        list(files), "reading", console=console, transient=True, disable=not console.is_terminal
    ):
        rows += docstrings(package, path)
    for number, row in enumerate(rows, 1):
        row["id"] = number
    return rows


def write_sqlite(rows: list[dict[str, Any]], path: Path) -> None:
    """The same rows as a table of a SQLite database."""
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE pydocs({', '.join(COLUMNS)})")
    with connection:
        values = ([row[name] for name in NAMES] for row in rows)
        connection.executemany(f"INSERT INTO pydocs VALUES ({', '.join('?' * len(NAMES))})", values)
    connection.execute("VACUUM")
    connection.close()


def show(console: Console, names: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """A table, its numbers to the right."""
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False)
    listed = [list(row) for row in rows]
    for place, name in enumerate(names):
        number = bool(listed) and isinstance(listed[0][place], int | float)
        grid.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in listed:
        grid.add_row(*(Text(f"{value:,}" if isinstance(value, int) else str(value)) for value in row))
    console.print(grid)
    console.print()


def main(
    folder: Path, files: Iterable[tuple[str, Path]] | None = None, console: Console | None = None
) -> int:
    """The demonstration; 0 if the file is sound. ``files``: (package, file) to read, by default everything there is."""
    console = console or Console(highlight=False)
    folder.mkdir(parents=True, exist_ok=True)
    flac, plain = folder / "pydocs.flac", folder / "pydocs.sqlite"
    for old in (flac, plain):
        old.unlink(missing_ok=True)
    shutil.rmtree(f"{flac}.d", ignore_errors=True)

    console.rule("1  Collect", align="left")
    started = time.perf_counter()
    rows = collect(source_files() if files is None else files, console)
    console.print(f"{len(rows):,} docstrings in {time.perf_counter() - started:.1f} s\n")

    console.rule("2  Write", align="left")
    started = time.perf_counter()
    with Table.create(flac, COLUMNS) as table:
        table.append(rows, message="docstrings of this machine")
    took = time.perf_counter() - started
    started = time.perf_counter()
    write_sqlite(rows, plain)
    sizes = {
        f"{flac.name}, the FLAC file": (flac.stat().st_size, took),
        f"{plain.name}, the same rows": (plain.stat().st_size, time.perf_counter() - started),
    }
    started = time.perf_counter()
    packed = len(gzip.compress(plain.read_bytes(), 9))
    sizes["… after gzip -9, no longer a table"] = (packed, time.perf_counter() - started)
    flac_size = flac.stat().st_size
    lines = (
        (name, size, f"{size / flac_size:.2f} ×", f"{took:.1f} s") for name, (size, took) in sizes.items()
    )
    show(console, ["", "bytes", "size", "time"], lines)

    console.rule("3  Ask", align="left")
    connection = am.connect(flac)
    connection.execute("CREATE TABLE topics(topic TEXT, word TEXT)")
    connection.executemany("INSERT INTO topics VALUES (?, ?)", TOPICS)
    for title, query in QUERIES:
        console.print(Text(title, style="bold"))
        console.print(Text(query, style="cyan"), soft_wrap=True)
        started = time.perf_counter()
        cursor = connection.execute(query)
        answer = cursor.fetchall()
        took = time.perf_counter() - started
        names = [name for name, _ in apsw.ext.query_info(connection, query).description]
        show(console, names, answer)
        console.print(Text(f"{len(answer)} rows in {took:.2f} s\n", style="dim"))
    connection.close()

    console.rule("4  Check", align="left")
    with am.open(flac) as table:
        found = [str(problem) for problem in problems(table)]
        sound = table.options.audio_profile
        length = (
            sum(segment.file.page_count for segment in table.snapshot.segments)
            * sound.block_size
            / sound.sample_rate
        )
    console.print(Text("\n".join(found) or "every checksum matches", style="red" if found else "green"))
    shape = f"{sound.sample_rate / 1000:g} kHz, {sound.bits_per_sample} bit, {sound.channels} channels"
    console.print(f"{flac} plays for {length:.1f} s ({shape}).", soft_wrap=True)
    console.print("It sounds like noise: turn the volume down.")
    tool = shutil.which("flac")
    if tool is None:
        console.print("`flac` is not installed, so nobody else has checked the sound here")
        return int(bool(found))
    judged = subprocess.run(
        [tool, "--test", "--silent", str(flac)], capture_output=True, text=True, check=False
    )
    console.print("`flac --test` says: " + ("ok" if judged.returncode == 0 else judged.stderr.strip()))
    return int(bool(found) or judged.returncode != 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo")))
