"""Random queries over random rows find what FTS5 finds, with the same scores."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.columns.tokenizers import UNSAID
from audiomem_sql.errors import UnsupportedError
from audiomem_sql.indexes.words.bm25 import Statistics
from audiomem_sql.indexes.words.encoder import encode_keywords
from audiomem_sql.indexes.words.fts_query import parse_query
from audiomem_sql.indexes.words.index import KeywordIndex
from audiomem_sql.indexes.words.matching import Matches, match
from audiomem_sql.indexes.words.rows_in_memory import KeywordRows
from audiomem_sql.indexes.words.tokenizer import words_of
from indexes.words import queries
from indexes.words.fts5 import Fts5

#: Those that FTS5 has, too.
TOKENIZERS = (
    *("unicode61", "unicode61 remove_diacritics 0", "unicode61 remove_diacritics 2 tokenchars '.-'", "ascii"),
    *("unicode61 separators 'xé'", "porter", "porter ascii", "trigram", "trigram case_sensitive 1"),
)


def index_of(texts: pa.Array, tokenize: str = UNSAID, *, positions: bool = False) -> KeywordIndex:
    encoded = encode_keywords(texts, tokenize, positions=positions)
    return KeywordIndex(
        encoded.header, encoded.pieces.__getitem__, len(texts), lambda rows: texts.take(pa.array(rows))
    )


def assert_same(query: str, matches: Matches, judge: Fts5) -> None:
    expected = judge.ranked(query)
    rows, scores = matches.score(matches.statistics)
    assert matches.rows.tolist() == [row for row, _ in expected]
    if queries.counts_more(query):
        return
    order = np.argsort(rows)
    np.testing.assert_allclose(scores[order], [score for _, score in expected], rtol=1e-9, atol=1e-15)
    assert (np.diff(scores) >= 0).all()
    ties = np.flatnonzero(np.diff(scores) == 0)
    assert (rows[ties] < rows[ties + 1]).all()


@settings(max_examples=120, deadline=None)
@given(queries.rows, queries.queries(), st.booleans(), st.sampled_from(TOKENIZERS))
def test_one_column(rows: list[str | None], query: str, positions: bool, tokenize: str) -> None:
    judge = Fts5([(row,) for row in rows], tokenize=tokenize)
    texts = pa.array(rows, pa.string())
    words = words_of(tokenize)
    expression = parse_query(query, ["body"])
    assert_same(query, match(expression, {"body": index_of(texts, tokenize, positions=positions)}), judge)
    assert_same(query, match(expression, {"body": KeywordRows(texts, words)}), judge)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(queries.texts, queries.texts), min_size=1, max_size=8),
    queries.queries(("title", "body")),
    st.sampled_from(TOKENIZERS),
)
def test_two_columns(rows: list[tuple[str, str]], query: str, tokenize: str) -> None:
    columns = {
        name: KeywordRows(pa.array(texts), words_of(tokenize))
        for name, texts in zip(("title", "body"), zip(*rows, strict=True), strict=True)
    }
    judge = Fts5(rows, ("title", "body"), tokenize)
    assert_same(query, match(parse_query(query, list(columns)), columns), judge)


@settings(max_examples=40, deadline=None)
@given(queries.rows, queries.queries(), st.integers(1, 12), st.integers(0, 5), st.data())
def test_a_snapshot_of_several_parts_scores_as_one(
    rows: list[str | None], query: str, cut: int, k: int, data: st.DataObject
) -> None:
    """Statistics are added up; the filter applies before the best k are chosen."""
    texts = pa.array(rows, pa.string())
    expression = parse_query(query, ["body"])
    whole = match(expression, {"body": index_of(texts)})
    parts = [match(expression, {"body": index_of(texts.slice(0, cut))})]
    if cut < len(rows):
        parts.append(match(expression, {"body": KeywordRows(texts.slice(cut), words_of(UNSAID))}))
    statistics = parts[0].statistics
    for part in parts[1:]:
        statistics += part.statistics
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    expected_rows, expected = whole.score(whole.statistics, k, allowed)
    ranked: list[tuple[float, int]] = []
    for start, part in zip((0, cut), parts, strict=False):
        got, scores = part.score(statistics, k, allowed[start : start + cut] if start == 0 else allowed[cut:])
        ranked += zip(scores.tolist(), (got + start).tolist(), strict=True)
    best = sorted(ranked)[:k]
    assert [row for _, row in best] == expected_rows.tolist()
    assert [score for score, _ in best] == expected.tolist()


def test_many_rows() -> None:
    """Several pieces of postings and blocks of terms, a class of each size."""
    rng = random.Random(1)
    words = [f"{rng.randrange(16**6):x}" for _ in range(6000)]
    rows = [
        " ".join(
            rng.choices(words, k=3)
            + ["the"] * rng.randrange(1, 400)
            + rng.choices(words[:20], k=6)
            + ["rare"] * (i == 77)
        )
        for i in range(1500)
    ]
    judge, texts = Fts5([(row,) for row in rows]), pa.array(rows)
    for positions in (False, True):
        index = index_of(texts, positions=positions)
        for query in (
            "the",
            "rare",
            words[0],
            f'"{words[1]} {words[2]}"',
            "a*",
            f"{words[3]} OR {words[9]}",
            '"the the the"',
            f"NEAR({words[0]} {words[1]} the, 3)",
            "^" + words[4],
            "the AND " + words[5],
            f"the NOT {words[1]}",
            "f0*",
        ):
            assert_same(query, match(parse_query(query, ["body"]), {"body": index}), judge)
        for word in words[:300]:
            expected = judge.rows(f'"{word}"')
            assert index.postings(word.encode())[0].tolist() == expected


def test_an_index_without_positions_and_texts_finds_words_only() -> None:
    encoded = encode_keywords(pa.array(["one two"]))
    index = KeywordIndex(encoded.header, encoded.pieces.__getitem__, 1)
    assert match(parse_query("one AND two", ["body"]), {"body": index}).rows.tolist() == [0]
    with pytest.raises(UnsupportedError):
        match(parse_query('"one two"', ["body"]), {"body": index})


def test_a_query_reads_few_pieces() -> None:
    texts = pa.array([f"w{i} w{i // 2} common" for i in range(20_000)])
    encoded = encode_keywords(texts)
    read: list[int] = []

    def piece(number: int) -> bytes:
        read.append(number)
        return encoded.pieces[number]

    index = KeywordIndex(encoded.header, piece, len(texts))
    assert read == []
    assert index.postings(b"w7")[0].tolist() == [7, 14, 15]
    assert len(read) == 2
    index.postings(b"w7")
    assert len(read) == 2
    assert len(encoded.pieces) == 15
    matches = match(parse_query("w7 common", ["body"]), {"body": index})
    rows, _ = matches.score(matches.statistics, k=2)
    assert rows.tolist() == [7, 14]
    assert len(read) == 5


def test_statistics_that_contradict_each_other_still_rank() -> None:
    """Deleted rows may be counted among the rows that hold a phrase and not among all rows."""
    matches = match(parse_query("one", ["body"]), {"body": index_of(pa.array(["one", "one two"]))})
    statistics = matches.statistics
    statistics = type(statistics)(1, statistics.tokens, statistics.frequencies)
    assert matches.score(statistics)[0].tolist() == [0, 1]


def test_statistics_of_the_rows_that_are_there() -> None:
    """Those of deleted rows do not count: as if the others were alone."""
    texts = ["one two", "one one one three four", "two", "five six seven", ""]
    live = np.array([True, False, True, True, False])
    expression = parse_query("one OR two OR nothing", ["t"])
    words = words_of(UNSAID)
    found = match(expression, {"t": KeywordRows(pa.array(texts), words)}).statistics_of(live)
    kept = [text for text, stays in zip(texts, live, strict=True) if stays]
    alone = match(expression, {"t": KeywordRows(pa.array(kept), words)}).statistics
    assert (found.documents, found.tokens, found.frequencies.tolist()) == (3, 6, [1, 2, 0])
    assert (alone.documents, alone.tokens, alone.frequencies.tolist()) == (3, 6, [1, 2, 0])


def test_weights_of_columns_that_are_not_named() -> None:
    rows = {"a": pa.array(["one", "two", "x"]), "b": pa.array(["two", "one one", "y"])}
    sources = {name: KeywordRows(texts, words_of(UNSAID)) for name, texts in rows.items()}
    expression = replace(parse_query("one", ["a", "b"]), column_weights={"a": 5.0})
    assert match(expression, sources).counts(np.array([0, 1, 2])).tolist() == [[5.0, 2.0, 0.0]]


def test_words_of_one_beginning_are_in_order() -> None:
    """Occurrences of several words that begin alike, in the texts and in an index."""
    texts = pa.array(["tz a ta b tm a", "ta tb tc a", "b a"])
    for source in (KeywordRows(texts, words_of(UNSAID)), index_of(texts), index_of(texts, positions=True)):
        [found] = source.occurrences([source.prefixed(b"t")], np.array([0, 1]))
        assert found.tolist() == [0, 2, 4, *((1 << 32) + place for place in range(3))]
        assert match(parse_query("t* + a", ["t"]), {"t": source}).rows.tolist() == [0, 1]


def test_statistics_are_added_up() -> None:
    one, two = Statistics(3, 10, np.array([1, 2])), Statistics(4, 100, np.array([0, 3]))
    both = one + two
    assert (both.documents, both.tokens, both.frequencies.tolist()) == (7, 110, [1, 5])
