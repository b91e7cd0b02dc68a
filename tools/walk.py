"""The walks of real actions: which files of the package are entered, in the order of the first entry.

    python -m tools.walk                    the files of each walk
    python -m tools.walk --tree FOLDER      the same in another repository
    python -m tools.walk --base 5fcc71e     the counts beside those of a revision, then the files, as Markdown
    python -m tools.walk --base 5fcc71e --page docs/WALKS.md     in the page: ``make structure``

Each action runs in a process of its own, with the table in Python (AUDIOMEM_EXTENSION=off) and a profiler in
all threads. A file counts when one of its functions is called, unless a module is being imported.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[1]
#: The flag of functions (CO_OPTIMIZED), which bodies of modules and classes do not have.
IS_FUNCTION = 0x01
#: What the comparison stands between in a page.
MARKS = ("<!-- walks -->", "<!-- /walks -->")


class Recorder:
    """Notes the files below ``folder`` whose functions are called while it is entered."""

    def __init__(self, folder: Path) -> None:
        self.prefix = f"{folder}{os.sep}"
        self.files: dict[str, None] = {}
        self._importing = threading.local()

    def __enter__(self) -> Recorder:
        threading.setprofile(self._event)
        sys.setprofile(self._event)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _event(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if code.co_name == "<module>":
            depth = getattr(self._importing, "depth", 0)
            self._importing.depth = depth + (event == "call") - (event == "return")
        elif (
            event == "call"
            and code.co_filename.startswith(self.prefix)
            and code.co_flags & IS_FUNCTION
            and not getattr(self._importing, "depth", 0)
        ):
            self.files.setdefault(code.co_filename.removeprefix(self.prefix))


def _texts(count: int) -> list[dict[str, Any]]:
    """Rows to walk through: long enough that each column has blocks of its own."""
    return [
        {
            "id": row,
            "year": 1900 + row % 125,
            "body": f"Row {row} says {row * 7919 % 10007} and {row * 31 % 997}.",
        }
        for row in range(1, count + 1)
    ]


def _table(**options: Any) -> Any:
    """A connection to a table ``notes`` of 5,000 rows whose file was closed."""
    import audiomem_sql as am

    am.write_flac(_texts(5000), "notes.flac", primary_key="id", **options).close()
    return am.connect("notes.flac")


def select() -> Callable[[], object]:
    """SELECT with a filter, from the statement to the values of the first block."""
    connection = _table()
    query = "SELECT id, body FROM notes WHERE year > 2020 AND body LIKE '%says%'"
    return lambda: connection.execute(query).fetchone()


def insert() -> Callable[[], object]:
    """INSERT and COMMIT, from BEGIN to the flush of the log."""
    connection = _table()

    def act() -> None:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO notes(id, year, body) VALUES (9999, 2026, 'One more.')")
        connection.execute("COMMIT")

    return act


def match() -> Callable[[], object]:
    """MATCH by meaning and words, from the statement to the rows."""
    import apsw

    import audiomem_sql as am

    columns = "id INTEGER PRIMARY KEY, year INTEGER, body TEXT SEMANTIC INDEXED, model=hashing"
    maker = apsw.Connection(":memory:")
    am.register(maker)
    maker.execute(f"CREATE VIRTUAL TABLE notes USING audiomem('notes.flac', {columns})")
    with maker:
        maker.executemany("INSERT INTO notes(id, year, body) VALUES (:id, :year, :body)", _texts(3000))
    maker.close()
    connection = am.connect("notes.flac")
    query = "SELECT id, body FROM notes WHERE notes MATCH 'says 997' AND year > 1950 LIMIT 3"
    return lambda: connection.execute(query).fetchall()


def vacuum() -> Callable[[], object]:
    """A vacuum of a table with a base, a log and a deleted row."""
    connection = _table()
    connection.execute("DELETE FROM notes WHERE id = 7")
    return lambda: connection.execute("INSERT INTO notes(notes) VALUES ('vacuum')")


def ingest() -> Callable[[], object]:
    """``audiomem ingest`` of two documents into a new table."""
    Path("docs").mkdir()
    Path("docs/a.md").write_text("# Sound\n\nA table can be heard.\n")
    Path("docs/b.html").write_text("<title>Pages</title><p>A page has cells.</p>")
    return lambda: _command("ingest", "kb.flac", "docs")


def damaged_read() -> Callable[[], object]:
    """SELECT over damaged cells, which protection brings back."""
    connection = _table(protection="archive")
    with open("notes.flac", "r+b") as file:
        file.seek(os.path.getsize("notes.flac") // 4)
        file.write(bytes(8192))
    return lambda: connection.execute("SELECT count(*) FROM notes WHERE body LIKE '%says%'").fetchall()


def repair() -> Callable[[], object]:
    """``audiomem repair`` of the same damage."""
    damaged_read()
    return lambda: _command("repair", "notes.flac")


def _command(*arguments: str) -> None:
    """A verb of the command ``audiomem``, in this process."""
    from audiomem_sql.cli.main import main

    sys.argv = ["audiomem", *arguments]
    main()


WALKS: dict[str, Callable[[], Callable[[], object]]] = {
    "select": select,
    "insert": insert,
    "match": match,
    "vacuum": vacuum,
    "ingest": ingest,
    "damaged-read": damaged_read,
    "repair": repair,
}


def files_of(name: str, tree: Path = ROOT) -> list[str]:
    """The files of the package in a tree that an action enters, in order: paths below the package."""
    environment = os.environ | {"PYTHONPATH": str(tree), "AUDIOMEM_EXTENSION": "off"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(Path(__file__).resolve()), "--inside", name]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} in {tree}: {done.stderr}")
    files: list[str] = json.loads(done.stdout.splitlines()[-1])
    return files


def _walk_here(name: str) -> list[str]:
    """Act in this process and record."""
    import audiomem_sql

    act = WALKS[name]()
    with Recorder(Path(audiomem_sql.__file__).parent) as recorder:
        try:
            act()
        except SystemExit as end:
            if end.code:
                raise
    return list(recorder.files)


def markdown(before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]) -> str:
    """The counts of two trees as a table, then the files of the second."""
    lines = ["| walk | what | files before | files after | rooms after |", "|---|---|---|---|---|"]
    for name, files in after.items():
        what = (WALKS[name].__doc__ or "").splitlines()[0].rstrip(".").replace("``", "`")
        lines.append(f"| {name} | {what} | {len(before[name])} | {len(files)} | {_rooms(files)} |")
    for name, files in after.items():
        lines += ["", f"**{name}**: " + " → ".join(f"`{file}`" for file in files)]
    return "\n".join(lines)


def _rooms(files: Sequence[str]) -> int:
    return len({file.split("/")[0] for file in files})


def put_into(page: Path, text: str) -> None:
    """Replace what stands between the two marks of a page."""
    before, _, rest = page.read_text().partition(MARKS[0])
    _, mark, after = rest.partition(MARKS[1])
    if not mark:
        raise ValueError(f"{page} has no {MARKS[0]} … {MARKS[1]}")
    page.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}")


def main() -> None:
    """Print the walks, or write them into a page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("walk", nargs="*", help=f"one or several of {', '.join(WALKS)}; without: all")
    parser.add_argument(
        "--tree", type=Path, default=ROOT, help="the repository whose package is walked through"
    )
    parser.add_argument("--base", help="a revision of this repository that the tree is compared with")
    parser.add_argument("--page", type=Path, help="the page that the comparison is written into")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(_walk_here(options.inside)))
        return
    after = {name: files_of(name, options.tree) for name in options.walk or WALKS}
    if options.base is None:
        for name, files in after.items():
            heading = f"{name}: {len(files)} files in {_rooms(files)} rooms"
            print(heading, *(f"  {file}" for file in files), "", sep="\n")
        return
    from tools.imports import unpack_revision

    with tempfile.TemporaryDirectory() as folder:
        unpack_revision(ROOT, options.base, Path(folder))
        before = {name: files_of(name, Path(folder)) for name in after}
    text = markdown(before, after)
    if options.page:
        put_into(options.page, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
