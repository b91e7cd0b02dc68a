"""The queries of test_conformance, asked by the stock sqlite3 shell: the same rows from a native table and from ours.

The tables are made by apsw and found again through their database's schema, as another program finds them.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from model import NO_TIME, Twins

from audiomem_sql.loadable import loadable_path

from .grammar import Query, literal, queries
from .tables import Layout, layouts

#: The shell has one door only; the tables that it reads are the same, whichever made them.
DOORS = ("extension",)
EXAMPLES = 8
QUERIES = 25
COUNTED = {"answers": 0, "errors": 0}
_BINDING = re.compile(r":(p\d+)")


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(layouts(), min_size=1, max_size=2), st.data())
def check(tables: list[Layout], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Twins(folder, database=str(folder / "n.db")) as twins:
            names = [chr(ord("t") + number) for number in range(len(tables))]
            for table, layout in zip(names, tables, strict=True):
                layout.build(twins, table)
                twins.connection.execute("BEGIN")
                layout.leave_pending(twins, table)
                twins.connection.execute("COMMIT")
        pairs = [(table, layout.columns) for table, layout in zip(names, tables, strict=True)]
        asked = [data.draw(queries(pairs)) for _ in range(QUERIES)]
        native, ours = (_answers(folder, twins, asked, prefix) for prefix in "na")
        for query, expected, found in zip(asked, native, ours, strict=True):
            if found == ["no time"]:  # ours refuses to compare a time with what is none
                COUNTED["errors"] += 1
                continue
            if not query.ordered:
                expected, found = sorted(expected), sorted(found)
            assert found == expected, query
            COUNTED["errors" if expected == ["error"] else "answers"] += 1


def _answers(folder: Path, twins: Twins, asked: list[Query], prefix: str) -> list[list[str]]:
    """The lines that the shell prints for each query; an error is one line, without its message."""
    lines = [f".load {loadable_path()}", ".mode quote"]
    for query in asked:
        sql = twins.fill(query.sql, lambda _: prefix)
        sql = _BINDING.sub(lambda match, query=query: " " + literal(query.bindings[match[1]]), sql)  # type: ignore[misc]
        lines += ['.print "\\n---"', sql, ";"]  # two signs in it are a comment
    done = subprocess.run(
        [
            "stdbuf",
            "-oL",  # so that errors come where they belong
            "sqlite3",
            "-batch",
            "-init",
            "/dev/null",
            "n.db",
        ],
        input="\n".join([*lines, ""]).encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        check=False,
    )
    said = done.stdout.decode("utf8", "replace")
    said = re.sub(rf"(?m)^(Runtime|Parse) error .*({NO_TIME.pattern}).*$", "no time", said)
    said = re.sub(r"(?m)^(Runtime|Parse) error .*$", "error", said)
    parts = [part.splitlines() for part in said.split("\n---\n")[1:]]
    failed = ("no time", "error")
    return [next(([each] for each in failed if each in part), part) for part in parts]


def test_every_query_gives_the_rows_of_a_strict_table() -> None:
    COUNTED.update(answers=0, errors=0)
    check()
    assert sum(COUNTED.values()) == EXAMPLES * QUERIES
    # what the shell of this machine is too old for (ORDER BY in an aggregate, 3.44) is an error of both
    assert COUNTED["answers"] > COUNTED["errors"] * 2, COUNTED


STATEMENTS = """
CREATE VIRTUAL TABLE t USING audiomem('t.flac', id INTEGER PRIMARY KEY, n INTEGER DEFAULT 7, m TEXT NOT NULL DEFAULT 'm');
INSERT INTO t(n) VALUES (NULL);
INSERT INTO t(id) VALUES (NULL);
INSERT INTO t(m) VALUES (NULL);
INSERT OR IGNORE INTO t(id, m) VALUES (1, 'x');
SELECT changes(), last_insert_rowid();
INSERT INTO t VALUES (77, 8, 'z');
SELECT changes(), last_insert_rowid();
INSERT INTO t(n) VALUES (9) RETURNING id;
UPDATE OR REPLACE t SET id = 2 WHERE id = 1;
SELECT * FROM t;
"""


def test_the_running_statement_is_seen_through_the_extension(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sqlite3", "-batch", "-init", "/dev/null", ":memory:"],
        input=f".load {loadable_path()}{STATEMENTS}",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.stdout.split() == ["0|2", "1|77", "2||m", "77|8|z"]
    first, second = done.stderr.splitlines()
    assert "NOT NULL constraint failed: t.m" in first
    assert "INSERT … RETURNING cannot be answered for t" in second
