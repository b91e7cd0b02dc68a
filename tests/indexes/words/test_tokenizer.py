"""The tokenizer is FTS5's: character by character, and on whole texts."""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.columns.tokenizers import UNSAID
from audiomem_sql.indexes.words.tokenizer import MAX_TERM_BYTES, words_of
from audiomem_sql.indexes.words.unicode61 import folding_table
from indexes.words.fts5 import Fts5

CHARACTERS = [chr(code) for code in range(1, sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
texts = st.text(
    st.one_of(st.characters(exclude_categories=("Cs",)), st.sampled_from("aZ é.É\u0301\u0300 ß\n\0"))
)

unicode61 = words_of(UNSAID)
spans, terms, tokenize = unicode61.spans, unicode61.terms, unicode61.tokenize


def ours(values: list[str | None]) -> list[tuple[bytes, int, int]]:
    tokens = tokenize(pa.array(values, pa.string()))
    names = tokens.terms.to_pylist()
    assert names == sorted(set(names))
    return [
        (names[code], int(row), int(position))
        for code, row, position in zip(tokens.codes, tokens.rows, tokens.positions, strict=True)
    ]


def test_every_character_is_what_it_is_to_fts5() -> None:
    """Each between two letters, in texts of 4,096: SQLite takes a few seconds for all 1.1 million."""
    values = [
        " ".join(f"q{character}z" for character in CHARACTERS[start : start + 4096])
        for start in range(0, len(CHARACTERS), 4096)
    ]
    assert sorted(ours(values)) == sorted(Fts5([(value,) for value in values]).instances())


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(texts, st.none()), max_size=8))
def test_texts_have_the_terms_that_fts5_gives_them(values: list[str | None]) -> None:
    words = ours(values)
    assert sorted(words) == sorted(Fts5([(value,) for value in values]).instances())
    assert [term for term, _, _ in words] == [term for value in values for term in terms(value or "")]


@given(texts)
def test_spans_are_where_the_words_stand(text: str) -> None:
    tokens = spans(text)
    assert [token.term for token in tokens] == terms(text)
    for token in tokens:
        assert terms(text[token.start : token.end]) == [token.term]
    assert all(a.end < b.start for a, b in pairwise(tokens))


def test_what_a_column_may_be() -> None:
    assert ours([]) == []
    assert ours([None, ""]) == []
    column = pa.chunked_array([["one two"], [], ["two"]], pa.large_string())
    assert tokenize(column).lengths.tolist() == [2, 1]
    assert tokenize(pa.array(["x", "one two", "y"]).slice(1, 1)).terms.to_pylist() == [b"one", b"two"]


def test_texts_larger_than_a_stretch() -> None:
    values = ["one " * 700_000, "two", "Été " * 500_000, None, "three"]
    tokens = tokenize(pa.array(values))
    assert tokens.lengths.tolist() == [700_000, 1, 500_000, 0, 1]
    assert tokens.terms.to_pylist() == [b"ete", b"one", b"three", b"two"]


@pytest.mark.parametrize("letter", ["a", "ж"])
def test_long_words_are_cut_where_fts5_cuts_them(letter: str) -> None:
    text = letter * 40_000 + " b"
    assert sorted(ours([text])) == sorted(Fts5([(text,)]).instances())
    assert len(terms(text)[0]) == MAX_TERM_BYTES


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        folding_table()[65] = np.uint32(0)
