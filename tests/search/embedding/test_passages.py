"""Long texts: how they are cut, and searches by all their passages beside a model in plain Python."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from samples import verify

from audiomem_sql.columns.text_vectors import MAX_PASSAGES, Passages
from audiomem_sql.errors import DamagedFileError, FormatVersionError, OptionError
from audiomem_sql.indexes.vectors import DECODED_LISTS, PassageIndex, PassageMap
from audiomem_sql.machine.block_cache import SHARED
from audiomem_sql.search.embedding.passages import Known, cut, embedded_texts, token_spans
from audiomem_sql.search.models.embedders import HashingEmbedder, embedder_named
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.compaction import Retention

WINDOW = 24
COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC", "year INTEGER"]
OPTIONS = {"model": "hashing", "passages": WINDOW, "protection": "none"}
WORDS = [f"{a}{b}" for a in ("ka", "lo", "mi", "nu", "pe", "ra") for b in ("dor", "fin", "gal", "hem")]
#: What codes of few bytes may change of a distance.
ROUGH = 0.02
HASHING = HashingEmbedder()


def sentence(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(3, 9))).capitalize() + "."


def text_of(rng: random.Random) -> str | None:
    if rng.random() < 0.1:
        return None
    count = rng.choice([1, 1, 2, 5, 20])
    return "".join(sentence(rng) + rng.choice([" ", " ", "\n\n"]) for _ in range(count))


# -- the model
# ----------------------------------------------------------------------------------------------------------


class Expected(NamedTuple):
    """The distance of a text, that of its best passage, and how many it has."""

    distance: float
    best: float
    passages: int


def expected_of(text: str, query: str) -> Expected:
    spans = [tuple(span) for span in cut(text, WINDOW, HASHING).tolist()]
    vectors = HASHING.embed([text[start:end] for start, end in spans])
    cosines = (vectors @ HASHING.embed([query])[0]).tolist()
    whole = sum(end - start for start, end in spans)
    shares = [max((end - start) / whole, 1 / 12) for start, end in spans]
    likely = sum(share * math.exp(20 * cosine) for share, cosine in zip(shares, cosines, strict=True))
    score = cosines[0] if len(cosines) == 1 else min(max(cosines), math.log(likely) / 20)
    return Expected(1 - score, 1 - max(cosines), len(cosines))


def check(table: TableReader, rows: dict[int, tuple[str | None, int]], query: str, k: int = 5) -> None:
    """What a search gives is, but for rounding, what the model has."""
    for where in (None, "year < 5"):
        expected = {
            key: expected_of(text, query).distance
            for key, (text, year) in rows.items()
            if text is not None and (where is None or year < 5)
        }
        found = table.search(query, k, where)
        keys = found["id"].to_pylist()
        assert len(keys) == len(set(keys)) == min(k, len(expected))
        distances = found["distance"].to_pylist()
        assert distances == sorted(distances)
        assert distances == pytest.approx([expected[key] for key in keys], abs=ROUGH)
        assert distances == pytest.approx(sorted(expected.values())[:k], abs=ROUGH)
        for key, passage in zip(keys, found["passage"].to_pylist(), strict=True):
            check_passage(rows[key][0], passage, query)


def check_passage(text: str | None, passage: str | None, query: str) -> None:
    assert text is not None
    spans = cut(text, WINDOW, HASHING).tolist()
    if len(spans) == 1:
        assert passage is None
        return
    assert passage is not None
    start, end = json.loads(passage)
    assert [start, end] in spans
    own = 1 - float(HASHING.embed([text[start:end]])[0] @ HASHING.embed([query])[0])
    assert own == pytest.approx(expected_of(text, query).best, abs=2 * ROUGH)


@pytest.mark.parametrize("seed", range(4))
def test_searches_over_whatever_happens_to_a_table(tmp_path: Path, seed: int) -> None:
    rng, path = random.Random(seed), tmp_path / "t.flac"
    rows: dict[int, tuple[str | None, int]] = {}
    kept: dict[int, dict[int, tuple[str | None, int]]] = {}
    Table.create(path, COLUMNS, OPTIONS).close()
    for step in range(14):
        with Table(path) as table:
            change(table, rows, rng, step)
            kept[table.version] = dict(rows)
            check(table, rows, sentence(rng))
            version = rng.choice(list(kept))
            if version >= table.versions[0].number:
                check(table.checkout(version), kept[version], sentence(rng))
    verify(path)


def change(table: Table, rows: dict[int, tuple[str | None, int]], rng: random.Random, step: int) -> None:
    """One change of the table, and the same of the model."""
    kind = rng.choice(["append", "insert", "insert", "update", "update", "delete", "checkpoint", "vacuum"])
    if kind in ("append", "insert") or not rows:
        keys = [100 * step + number for number in range(30 if kind == "append" else 4)]
        new = {key: (text_of(rng), rng.randrange(10)) for key in keys}
        rows |= new
        if kind == "append":
            table.append([{"id": key, "body": text, "year": year} for key, (text, year) in new.items()])
            return
    elif kind == "checkpoint":
        table.checkpoint()
        return
    elif kind == "vacuum":
        table.vacuum(retain=Retention.parse(rng.choice(["all", "3"])))
        return
    else:
        new = {}
    changed = rng.sample(sorted(rows), min(4, len(rows))) if kind in ("update", "delete") else []
    transaction = table.begin()
    for key, (text, year) in new.items():
        transaction.insert(key, (key, text, year))
    for key in changed:
        if kind == "delete":
            transaction.delete(key)
            del rows[key]
        else:
            text, year = rows[key]
            rows[key] = (rng.choice([text, text_of(rng), (text or "") + " " + sentence(rng)]), year + 1)
            transaction.update(key, key, (key, *rows[key]))
    if rows:
        table.embed_pending()
        check(table, rows, sentence(rng))
    table.commit()


def test_after_repair(tmp_path: Path) -> None:
    path, rng = tmp_path / "t.flac", random.Random(9)
    rows = {key: (text_of(rng), key % 10) for key in range(60)}
    with Table.create(path, COLUMNS, OPTIONS | {"protection": "archive"}) as table:
        table.append([{"id": key, "body": text, "year": year} for key, (text, year) in rows.items()])
        table.vacuum()
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(byte ^ 0x5A for byte in data[middle : middle + 40])
    path.write_bytes(data)
    SHARED.clear()
    DECODED_LISTS.clear()
    with Table(path) as table:
        table.repair()
        check(table, rows, sentence(rng))
    verify(path)


# -- what is embedded
# ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every text that goes through the model; nothing is remembered from before."""
    texts: list[str] = []
    embed = HashingEmbedder.embed

    def recorded(self: HashingEmbedder, given: Sequence[str], progress: Any = None) -> Any:
        texts.extend(given)
        return embed(self, given, progress)

    monkeypatch.setattr(HashingEmbedder, "embed", recorded)
    embedder_named.cache_clear()
    yield texts
    embedder_named.cache_clear()


def long_text() -> str:
    rng = random.Random(5)
    return " ".join(sentence(rng) for _ in range(40))


@pytest.mark.parametrize("stored", ["log", "segment"])
def test_an_update_embeds_the_passages_that_it_changes(
    tmp_path: Path, embedded: list[str], stored: str
) -> None:
    text, path = long_text(), tmp_path / "t.flac"
    spans = cut(text, WINDOW, HASHING).tolist()
    with Table.create(path, COLUMNS, OPTIONS) as table:
        table.append([{"id": 1, "body": text, "year": 1}])
        if stored == "segment":
            table.vacuum()
    assert len(embedded) == len(spans) > 10

    def change(new: str, year: int = 1) -> list[str]:
        embedder_named.cache_clear()
        embedded.clear()
        with Table(path) as table:
            table.begin().update(1, 1, (1, new, year))
            table.commit()
        return list(embedded)

    assert change(text, 2) == []
    alone = next(place for place in range(len(text)) if sum(a <= place < b for a, b in spans) == 1)
    assert text[alone].isalpha()
    once = text[:alone] + ("b" if text[alone] != "b" else "d") + text[alone + 1 :]
    assert cut(once, WINDOW, HASHING).tolist() == spans
    assert len(change(once)) == 1
    last = once[spans[-1][0] :]
    assert change(once + " Nugal.") == [last + " Nugal."]
    assert len(change("One more word. " + once)) < len(spans) // 2


def test_vacuums_and_merges_embed_nothing(tmp_path: Path, embedded: list[str]) -> None:
    path, text = tmp_path / "t.flac", long_text()
    with Table.create(path, COLUMNS, OPTIONS) as table:
        for key in range(3):
            table.append([{"id": key, "body": f"{key} {text}", "year": key}])
            table.checkpoint()
        embedded.clear()
        table.vacuum()
        first = vectors_of(table)
        table.append([{"id": 9, "body": "short", "year": 9}])
        table.vacuum(level=3)
        assert embedded == ["short"]
        assert (vectors_of(table) == first).all()


def vectors_of(table: Table) -> Any:
    """The vectors of the passages in the one segment of a table, as they are stored."""
    (segment,) = (segment for segment in table.snapshot.segments if segment.rows)
    index = segment.vector_index(4)
    assert isinstance(index, PassageIndex)
    return index.vectors(np.arange(index.rows))


def test_known_passages_keep_their_vectors() -> None:
    text = long_text()
    (first,) = embedded_texts([text], HASHING, WINDOW)
    assert first[1] is not None
    passages = Passages.from_bytes(first[1], HASHING.dimensions)
    other = Passages(passages.spans, -passages.further)  # recognised when they come back
    known = Known(text, first[0], other.to_bytes())
    (again,) = embedded_texts([text + " Nugal."], HASHING, WINDOW, [known])
    assert again[0] == first[0]
    assert again[1] is not None
    found = Passages.from_bytes(again[1], HASHING.dimensions).further
    assert (found[:-1] == other.further[:-1]).all()
    assert (found[-1] != other.further[-1]).any()


# -- cutting
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [8, 24, 254])
@pytest.mark.parametrize(
    "text",
    [
        long_text(),
        "x" * 5000,
        "日本語の文章。" * 300,
        "no end of words " * 400,
        "a\n\n" * 700,
        "👍🏽 " * 600,
        "\t \n" * 900 + "word",
        "Ünï\u0301 " * 500,
    ],
)
def test_passages_cover_a_text_and_fit_the_window(text: str, window: int) -> None:
    spans = cut(text, window, HASHING).tolist()
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    for (start, end), (following, after) in itertools.pairwise(spans):
        assert start < following <= after
        assert end < after
        assert following <= end or (window < 10 and not text[end:following].strip())
    tokens = token_spans(text, HASHING)
    for start, end in spans[:-1]:
        assert len(token_spans(text[start:end], HASHING)) <= window * 9 // 10
    assert (len(spans) == 1) == (len(tokens) <= window)
    assert len(spans) <= 2 + len(tokens) // max(1, window * 9 // 10 * 3 // 4 - window // 10)


def test_equal_beginnings_have_equal_passages() -> None:
    text, longer = long_text(), long_text() + " And more words behind them. " * 9
    spans, others = (cut(each, WINDOW, HASHING).tolist() for each in (text, longer))
    assert others[: len(spans) - 1] == spans[:-1]


def test_passages_end_where_sentences_do() -> None:
    text = "One two three four five six. " * 40
    for start, end in cut(text, WINDOW, HASHING).tolist()[:-1]:
        assert text[start:end].endswith("six.")
    for start, _ in cut(text, WINDOW, HASHING).tolist()[1:]:
        assert text[start : start + 3] in ("One", "fiv", "six", "fou")


def test_a_text_of_too_many_passages_is_told(recwarn: pytest.WarningsRecorder) -> None:
    text = "ab " * (MAX_PASSAGES * 9)
    assert len(cut(text, 8, HASHING)) == MAX_PASSAGES
    assert "is not searched by meaning" in str(recwarn.pop(UserWarning).message)


# -- options, and what is stored
# ----------------------------------------------------------------------------------------------------------


def test_options(tmp_path: Path) -> None:
    for value, stored in (("ON", "on"), (True, "on"), ("off", "off"), (False, "off"), (12, "12")):
        assert TableOptions.parse({"passages": value}).passages == stored
    for value in ("maybe", 7, "65537", "", "-9", "٣٠"):
        with pytest.raises(OptionError, match="passages"):
            TableOptions.parse({"passages": value})
    with pytest.raises(DamagedFileError):
        TableOptions.from_catalog({"passages": "maybe"})
    old = TableOptions.from_catalog({"model": "all-MiniLM-L6-v2"})
    assert old.passages == "auto"
    assert old.changed({"compression_level": 3}).passages == "auto"


@pytest.mark.parametrize(
    ("options", "columns", "passages"),
    [
        ({}, COLUMNS, "on"),
        ({"model": "hashing"}, COLUMNS, "auto"),
        ({"passages": "off"}, COLUMNS, "off"),
        ({}, ["id INTEGER PRIMARY KEY", "body TEXT INDEXED"], "auto"),
    ],
)
def test_new_tables(tmp_path: Path, options: dict[str, Any], columns: list[str], passages: str) -> None:
    with Table.create(tmp_path / "t.flac", columns, options) as table:
        assert table.options.passages == passages
        assert bool(table.snapshot.schema.passages) == (passages == "on")
        assert table.snapshot.segments[0].catalog.options.get("passages", "auto") == passages
        table.alter("add column more TEXT SEMANTIC")
        cut_columns = table.snapshot.schema.passages
        wanted = {("on", False): 2, ("auto", False): 1}.get((passages, "hashing" in options.values()), 0)
        assert len(cut_columns) == wanted
        if options == {"model": "hashing"}:
            assert "passage" not in table.search("x", column="body").column_names


def test_reembed_turns_passages_on_and_off(tmp_path: Path) -> None:
    query = "Tordesillas"
    with Table.create(tmp_path / "t.flac", COLUMNS, {"model": "hashing"}) as table:
        table.append([{"id": 1, "body": long_text() + " Tordesillas.", "year": 1}])
        whole = table.search(query).to_pylist()[0]["distance"]
        table.reembed(passages=str(WINDOW))
        row, (why,) = table.search(query).to_pylist()[0], table.explain(query).to_pylist()
        assert row["distance"] < whole
        assert why["passage_cosine"] > 1 - whole + 0.1
        assert "Tordesillas" in row["body"][slice(*json.loads(row["passage"]))]
        table.vacuum()
        table.reembed(passages="off")
        assert "passage" not in table.search(query).column_names
        assert table.search(query).to_pylist()[0]["distance"] == pytest.approx(whole, abs=ROUGH)
    verify(tmp_path / "t.flac")


def test_a_second_column_and_changes_of_columns(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", [*COLUMNS, "more TEXT SEMANTIC"], OPTIONS) as table:
        table.append([{"id": 1, "body": long_text() + " Left.", "year": 1, "more": long_text() + " Right."}])
        for _ in range(2):
            for column, word in (("body", "Left"), ("more", "Right")):
                row = table.search(word, column=column).to_pylist()[0]
                assert word in row[column][slice(*json.loads(row["passage"]))]
            table.alter("add column note TEXT DEFAULT 'x'")
            table.alter("drop column note")
            table.vacuum()
        table.alter("drop column body")
        row = table.search("Right").to_pylist()[0]
        assert "Right" in row["more"][slice(*json.loads(row["passage"]))]
        table.vacuum(retain=Retention.parse("1"))
    verify(tmp_path / "t.flac")


def passage_map() -> PassageMap:
    spans = np.array([[0, 10], [8, 19], [0, 70_000], [69_000, 70_001], [70_000, 5_000_000]], np.int64)
    return PassageMap(np.array([0, 2, 0, 3]), spans)


def test_the_map_of_an_index() -> None:
    made = passage_map()
    data = made.to_bytes() + b"behind"
    read, end = PassageMap.from_bytes(data, 4)
    assert data[end:] == b"behind"
    assert (read.counts == made.counts).all()
    assert (read.spans == made.spans).all()
    assert read.entries == 3
    assert read.entry_rows.tolist() == [1, 3, 3]
    for wrong in (data[:20], b"AuPX" + data[4:], data[:8] + b"\5" + data[9:], data[:16] + b"\6" + data[17:]):
        with pytest.raises(DamagedFileError):
            PassageMap.from_bytes(wrong, 4)
    with pytest.raises(FormatVersionError, match="version 2"):
        PassageMap.from_bytes(data[:4] + b"\2" + data[5:], 4)


def test_what_a_column_holds() -> None:
    (_, value) = embedded_texts([long_text()], HASHING, WINDOW)[0]
    assert value is not None
    passages = Passages.from_bytes(value, HASHING.dimensions)
    assert passages.to_bytes() == value
    for wrong in (b"", value[:-4], value + b"\0\0\0\0", b"\1" + value[1:]):
        with pytest.raises(DamagedFileError):
            Passages.from_bytes(wrong, HASHING.dimensions)


def test_a_row_of_many_near_passages_is_found_once(tmp_path: Path) -> None:
    near = "Tordesillas divided the world. "
    bodies = {1: near * 200, 2: long_text() + " Divided.", 3: "divided world", 4: long_text()}
    with Table.create(tmp_path / "t.flac", COLUMNS, OPTIONS) as table:
        table.append([{"id": key, "body": body, "year": 1} for key, body in bodies.items()])
        for _ in range(2):
            assert table.search(near, 1)["id"].to_pylist() == [1]
            assert table.search(near, 2, "id > 1")["id"].to_pylist() in ([2, 3], [3, 2])
            assert sorted(table.search(near, 9)["id"].to_pylist()) == [1, 2, 3, 4]
            table.vacuum()


def test_many_passages_have_a_codec_of_their_own(tmp_path: Path) -> None:
    rng = random.Random(1)
    rows = [
        {"id": key, "body": " ".join(sentence(rng) for _ in range(20)), "year": key % 10}
        for key in range(400)
    ]
    with Table.create(tmp_path / "t.flac", COLUMNS, OPTIONS) as table:
        table.append(rows)
        table.vacuum()
        (segment,) = (segment for segment in table.snapshot.segments if segment.rows)
        first, further = segment.vector_index(3), segment.vector_index(4)
        assert first is not None
        assert isinstance(further, PassageIndex)
        assert (first.codec.axes is None, further.codec.axes is None) == (True, False)
        before = vectors_of(table)
        table.vacuum(level=3)
        assert (vectors_of(table) == before).all()
        check(table, {row["id"]: (row["body"], row["year"]) for row in rows}, sentence(rng))
    verify(tmp_path / "t.flac")
