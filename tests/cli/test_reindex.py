"""reindex: words and meaning for rows that are there, as versions; and what ingest makes by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import audiomem_sql as am
from audiomem_sql.cli import new_table
from audiomem_sql.errors import AudioMemError, OptionError, SchemaError
from audiomem_sql.migrations import IndexColumn, migrate
from audiomem_sql.table.table import Table

from .conftest import Command, fails

TEXTS = ["disks are full", "cats sleep all day", "the full moon rises", None, "a disk spins"]


@pytest.fixture
def plain(tmp_path: Path, audiomem: Command) -> str:
    """A table that is searched by nothing, with rows in a segment and in the log."""
    with Table.create("t.flac", ["id INTEGER PRIMARY KEY", "body TEXT", "title TEXT", "n INT"]) as table:
        table.append([{"body": text, "title": f"title {n}", "n": n} for n, text in enumerate(TEXTS[:3])])
        table.checkpoint()
        table.append([{"body": text, "title": f"title {n}", "n": n} for n, text in enumerate(TEXTS[3:], 3)])
    return "t.flac"


def found(path: str, query: str, **options: object) -> list[int]:
    """The ids that a search finds, ascending."""
    with am.open(path, version=options.pop("version", None)) as table:  # type: ignore[arg-type]
        return sorted(table.search(query, 10, **options)["id"].to_pylist())  # type: ignore[arg-type]


def test_words_come_later(plain: str, audiomem: Command) -> None:
    with pytest.raises(AudioMemError):
        found(plain, "keyword: full")
    done = audiomem("reindex", plain, "--add", "words", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == {
        "file": plain,
        "version": 5,
        "rows": 5,
        "words": ["body", "title"],
        "meaning": [],
    }
    assert found(plain, "keyword: full") == [1, 3]
    assert found(plain, "keyword: disk") == [1, 5]  # its words are stems
    with am.open(plain) as table:
        assert table.schema["body"].sql() == "body TEXT INDEXED"
        segment = table.snapshot.segments[-1]
        assert segment.keyword_index(table.schema.index("body")) is not None
        assert [step.text for step in table.migrations] == [
            "index column \"body\" (tokenize='auto')",
            "index column \"title\" (tokenize='auto')",
        ]
        assert len(table.checkout(version=3).schema.indexed_columns) == 0
    assert json.loads(audiomem("reindex", plain, "--add", "words", "--json").out)["version"] == 5


def test_words_before_a_vacuum_and_other_words(plain: str, audiomem: Command) -> None:
    with am.open(plain) as table:
        table.alter("index column body")
    assert found(plain, "keyword: full") == [1, 3]  # read from the texts
    assert audiomem("reindex", plain, "--add", "words", "--column", "body", "--tokenize", "trigram").code == 0
    assert found(plain, 'keyword: "ull"') == [1, 3]
    with am.open(plain) as table:
        table.alter("index column body (tokenize='unicode61')")
    assert found(plain, 'keyword: "ull"') == []  # the trigrams of the file are of no use any more
    assert found(plain, "keyword: disk") == [5]
    dropped = audiomem("reindex", plain, "--drop", "words")
    assert dropped.out == "t.flac: 5 rows, version 7; words: none; meaning: none\n"
    with pytest.raises(AudioMemError):
        found(plain, "keyword: full")
    with am.open(plain) as table:
        table.vacuum()
        assert not table.snapshot.segments[-1].catalog.keywords


def test_meaning_comes_later(plain: str, audiomem: Command) -> None:
    done = audiomem("reindex", plain, "--add", "semantic", "--column", "body", "--model", "hashing")
    assert done.code == 0, done.err
    assert done.out == "t.flac: 5 rows, version 5; words: none; meaning: body\n"
    assert found(plain, "semantic: disks are full", where="n < 9")[:1] == [1]
    with am.open(plain) as table:
        assert table.search("disks are full", 1)["distance"][0].as_py() == pytest.approx(0, abs=1e-3)
        assert table.options.model == "hashing"
        assert table.options.model_digest
    # nothing is missing: nothing is written, though one text is NULL
    assert audiomem("reindex", plain, "--add", "semantic", "--column", "body").out.split(";")[0][-1] == "5"
    # a second column keeps the vectors of the first
    with am.open(plain) as table:
        before = table.snapshot.schema.vectors[table.schema.index("body")]
        kept = table.snapshot.schema.columns[before].id
    assert audiomem("reindex", plain, "--add", "semantic", "--column", "title").code == 0
    with am.open(plain) as table:
        after = table.snapshot.schema.vectors[table.schema.index("body")]
        assert table.snapshot.schema.columns[after].id == kept
        assert table.search("title 3", 1, column="title")["id"].to_pylist() == [4]
        assert table.search("disks are full", 1, column="body")["id"].to_pylist() == [1]
    assert audiomem("reindex", plain, "--drop", "semantic", "--column", "title").code == 0
    with am.open(plain) as table:
        assert [column.name for column in table.schema.columns if column.semantic] == ["body"]
        number = table.version
        table.vacuum()
    with am.open(plain, version=number - 1) as old:  # which was searched by titles
        assert old.search("title 3", 1, column="title")["id"].to_pylist() == [4]
    with am.open(plain) as table:
        assert table.search("disks are full", 1)["id"].to_pylist() == [1]


def test_it_goes_on_where_it_stopped(plain: str, monkeypatch: pytest.MonkeyPatch, audiomem: Command) -> None:
    from audiomem_sql.table import schema_changes

    monkeypatch.setattr(schema_changes, "_LEAST_ROWS", 1)
    monkeypatch.setattr(schema_changes, "_REEMBEDDED", 1)
    steps: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        steps.append((done, total))
        if len(steps) == 2:
            raise KeyboardInterrupt

    with am.open(plain) as table:
        with pytest.raises(KeyboardInterrupt):
            table.reindex(add="semantic", columns="body", model="hashing", progress=stop)
        assert steps == [(1, 4), (2, 4)]
        stopped = table.version
    del steps[1:]
    with monkeypatch.context() as patched:
        patched.setattr("audiomem_sql.cli.progress.Bar.to", lambda bar, done, total: stop(done, total))
        again = audiomem("reindex", plain, "--add", "semantic", "--column", "body")
    assert again.code == 130
    assert f"audiomem: version {stopped + 1} of t.flac has what was done" in again.err
    assert steps[-1] == (1, 2)
    assert audiomem("reindex", plain, "--add", "semantic", "--column", "body").code == 0
    assert len(found(plain, "semantic: disks")) == 4


def test_finer_vectors_later(plain: str, audiomem: Command) -> None:
    with am.open(plain) as table:
        table.reindex(add="semantic", columns="body", model="hashing")
        assert table.options.vector_codes == "compact"
    assert audiomem("reembed", plain, "--vector-codes", "fine").code == 0
    with am.open(plain) as table:
        assert table.options.vector_codes == "fine"
        assert table.search("disks are full", 1)["distance"][0].as_py() == pytest.approx(0, abs=1e-3)
    assert "Use one of: compact, fine" in audiomem("reembed", plain, "--vector-codes", "fin").err


def test_in_sql(plain: str) -> None:
    connection = am.connect(plain)

    def command(name: str, argument: str | None = None) -> None:
        connection.execute("INSERT INTO t(t, rank) VALUES (?, ?)", (name, argument))

    command("index column", "body (tokenize='trigram')")
    assert connection.execute("SELECT id FROM t WHERE t MATCH 'keyword: \"ull\"' ORDER BY id").fetchall() == [
        (1,),
        (3,),
    ]
    command("alter column", "body set semantic")
    command("reembed", "hashing")
    best = "SELECT id FROM t WHERE t MATCH 'semantic: disks are full' ORDER BY distance LIMIT 1"
    assert connection.execute(best).get == 1
    command("alter column", "body drop semantic")
    with pytest.raises(OptionError, match="cannot be undone"), connection:
        command("alter column", "body set semantic")
    with pytest.raises(Exception, match="you did not allow it"):
        command("reembed", "someone/else")
    connection.close()


def test_shards(tmp_path: Path, audiomem: Command) -> None:
    columns = ["code TEXT PRIMARY KEY", "body TEXT"]
    with Table.create("s.shards", columns, {"shards": "2"}) as table:
        table.append([{"code": str(n), "body": text} for n, text in enumerate(TEXTS)])
        table.reindex(add="words")
        assert sorted(table.search("keyword: full", 9)["code"].to_pylist()) == ["0", "2"]
        table.reindex(add="semantic", columns="body", model="hashing")
        assert table.search("disks are full", 1)["code"].to_pylist() == ["0"]
        table.reindex(drop="semantic")
        assert not table.schema.semantic_columns


def test_a_step_of_a_migration(plain: str) -> None:
    steps = ["index column body", "alter column title set semantic"]
    with am.open(plain) as table:
        assert migrate(table, steps) == 2
        assert migrate(table, steps) == 0
        assert migrate(table, [IndexColumn("body", "tokenize='auto'"), *steps[1:]]) == 0
        with pytest.raises(SchemaError, match="step 1 of the table was"):
            migrate(table, ["index column title", *steps[1:]])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--add", "word"], "Did you mean words?"),
        (["--add", "words", "--drop", "semantic"], "add and drop are two calls"),
        (["--add", "words", "--column", "n"], "column n is INTEGER, and only TEXT"),
        (["--add", "words", "--model", "hashing"], "model is of a search by meaning"),
        (["--add", "semantic", "--tokenize", "trigram"], "tokenize is how words are made"),
        (["--drop", "words"], "words: no column has it"),
    ],
)
def test_refusals(plain: str, audiomem: Command, arguments: list[str], words: str) -> None:
    before = Path(plain).read_bytes()
    fails(audiomem("reindex", plain, *arguments), 2, words)
    assert Path(plain).read_bytes() == before


def test_several_columns_and_no_body(audiomem: Command) -> None:
    with Table.create("u.flac", ["a TEXT", "b TEXT"]) as table:
        table.append([{"a": "x", "b": "y"}])
    fails(
        audiomem("reindex", "u.flac", "--add", "semantic", "--model", "hashing"), 2, "Say which", "'a', 'b'"
    )


# -- what ingest makes -------------------------------------------------------------------------------------


@pytest.fixture
def note(tmp_path: Path) -> str:
    (tmp_path / "a.md").write_text("# Sound\n\nA table can be heard.\n")
    return "a.md"


def test_without_a_model(note: str, audiomem: Command) -> None:
    shown = audiomem("ingest", "kb.flac", note)
    assert shown.out.splitlines()[-1] == (
        "search: by words; by meaning, too: audiomem reindex kb.flac --add semantic"
    )
    assert shown.err == ""
    assert "search:" not in audiomem("ingest", "kb.flac", note).out  # it is not new any more
    neither = audiomem("ingest", "n.flac", note, "--no-words")
    assert "search: not yet; by words or both: audiomem reindex n.flac --add words and" in neither.out
    fails(audiomem("ingest", "m.flac", note, "--meaning"), 2, "no model is installed", "--model")
    assert not Path("m.flac").exists()


def test_with_a_model(note: str, audiomem: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_table, "installed_model", lambda: "hashing")
    shown = audiomem("ingest", "kb.flac", note)
    assert "search: by words and meaning (hashing)" in shown.out.splitlines()
    assert "--no-meaning leaves it out" in shown.err
    facts = json.loads(audiomem("ingest", "kb.flac", note, "--json").out)
    assert facts["searched_by"] == {"words": ["title", "body"], "meaning": ["body"]}
    without = audiomem("ingest", "w.flac", note, "--no-meaning")
    assert "search: by words; by meaning" in without.out
    fails(audiomem("ingest", "w.flac", note, "--meaning"), 2, "Leave --meaning out", "reindex")
    fails(audiomem("ingest", "x.flac", note, "--no-meaning", "--model", "hashing"), 2, "contradict")


def test_the_environment_names_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_table.importlib.util, "find_spec", lambda name: object())
    monkeypatch.delenv(new_table.ENVIRONMENT, raising=False)
    assert new_table.installed_model() == "all-MiniLM-L6-v2"
    monkeypatch.setenv(new_table.ENVIRONMENT, "off")
    assert new_table.installed_model() is None
    monkeypatch.setenv(new_table.ENVIRONMENT, "wordllama")
    assert new_table.installed_model() == "wordllama"
    monkeypatch.delenv(new_table.ENVIRONMENT)
    monkeypatch.setattr(new_table.importlib.util, "find_spec", lambda name: None)
    assert new_table.installed_model() is None


def test_a_model_that_is_missing_changes_nothing(plain: str, audiomem: Command) -> None:
    before = Path(plain).read_bytes()
    with am.open(plain) as table, pytest.raises(AudioMemError, match="nothing-there"):
        table.reindex(add="semantic", columns="body", model="ollama:nothing-there")
    assert Path(plain).read_bytes() == before
