"""Bytes of keyword indexes: golden ones, the round trip, and hostile ones."""

from __future__ import annotations

import hashlib
import random
import tracemalloc
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.columns.tokenizers import UNSAID
from audiomem_sql.errors import DamagedFileError, FormatVersionError
from audiomem_sql.indexes.words.bit_packing import buckets_of, low_bits, pack, unpack, values_of
from audiomem_sql.indexes.words.directory import HEADER
from audiomem_sql.indexes.words.encoder import EncodedKeywords, encode_keywords
from audiomem_sql.indexes.words.fts_query import parse_query
from audiomem_sql.indexes.words.index import KeywordIndex
from audiomem_sql.indexes.words.matching import ROW_SHIFT, match
from audiomem_sql.indexes.words.rows_in_memory import KeywordRows
from audiomem_sql.indexes.words.tokenizer import words_of

GOLDEN = pa.array(["The flac file holds a table.", None, "Tables in a FLAC file; the file plays!", "", "Été"])
GOLDEN_HEADER = (
    "414d4b570101010205000000000000000f000000000000000a000000000000000200000028000000"
    "28b52ffd2028e500008202060cd017c6000090521f93b29ba4d75d5f00271f372f3f170100"
)
GOLDEN_PIECES = [
    "28b52ffd20052900000600080001",
    "011300130013001f00000028b52ffd200a5100000000000100000000050128b52ffd200a5100000103040305020505010228b52ffd200a5100000201020201010101010228b52ffd201ff900006165746566696c656c6163686f6c6473696e706c6179737461626c65736865",
    "0200000006000000000000000f00000028b52ffd2006310000aa00555500551d",
    "0100000008000000000000001100000028b52ffd2008410000008000810080008000",
    "060000000f00000028b52ffd200631000000020103020080",
    "090000001200000028b52ffd20094900000201010201010200021d08",
]


def sample(rows: int = 300) -> pa.Array:
    rng = random.Random(5)
    words = [f"{rng.randrange(16**4):x}" for _ in range(3000)]
    return pa.array([" ".join(rng.choices(words, k=10) + ["the"] * rng.randrange(300)) for _ in range(rows)])


def opened(encoded: EncodedKeywords, rows: int) -> KeywordIndex:
    return KeywordIndex(encoded.header, encoded.pieces.__getitem__, rows)


@settings(deadline=None)
@given(st.lists(st.integers(0, (1 << 31) - 1), max_size=200))
def test_packed_numbers(numbers: list[int]) -> None:
    values = np.array(numbers, np.int64)
    buckets = buckets_of(values)
    ends = np.cumsum(buckets, dtype=np.int64)
    data = pack(low_bits(values, buckets), buckets)
    assert len(data) == -(-int(buckets.sum()) // 8)
    assert values_of(buckets, unpack(data, ends - buckets, buckets)).tolist() == numbers


@pytest.mark.parametrize("positions", [False, True])
def test_every_term_comes_back(positions: bool) -> None:
    texts = sample()
    index, plain = (
        opened(encode_keywords(texts, positions=positions), len(texts)),
        KeywordRows(texts, words_of(UNSAID)),
    )
    assert index.lengths.tolist() == plain.lengths.tolist()
    every = np.arange(len(texts))
    terms = plain.prefixed(b"")
    assert index.prefixed(b"") == terms
    assert index.prefixed(b"the") == [b"the"]
    for term in terms:
        for ours, theirs in zip(index.postings(term), plain.postings(term), strict=True):
            assert ours.tolist() == theirs.tolist()
        if positions:
            assert (
                index.occurrences([[term]], every)[0].tolist()
                == plain.occurrences([[term]], every)[0].tolist()
            )


def test_bytes_are_always_the_same() -> None:
    """zstd writes frames as small as these alike in all its versions so far."""
    encoded = encode_keywords(GOLDEN, positions=True)
    again = encode_keywords(GOLDEN, positions=True)
    assert (encoded.header, encoded.pieces) == (again.header, again.pieces)
    assert encoded.header.hex() == GOLDEN_HEADER
    assert [piece.hex() for piece in encoded.pieces] == GOLDEN_PIECES


def test_golden_bytes_are_read() -> None:
    header = bytes.fromhex(GOLDEN_HEADER)
    index = KeywordIndex(header, [bytes.fromhex(piece) for piece in GOLDEN_PIECES].__getitem__, 5)
    assert index.lengths.tolist() == [6, 0, 8, 0, 1]
    assert index.prefixed(b"") == [
        b"a",
        b"ete",
        b"file",
        b"flac",
        b"holds",
        b"in",
        b"plays",
        b"table",
        b"tables",
        b"the",
    ]
    rows, counts = index.postings(b"file")
    assert (rows.tolist(), counts.tolist()) == ([0, 2], [1, 2])
    occurrences = index.occurrences([[b"file"]], np.array([2]))[0]
    assert occurrences.tolist() == [2 << ROW_SHIFT | 4, 2 << ROW_SHIFT | 6]


def test_an_index_of_nothing() -> None:
    for texts in (pa.array([], pa.string()), pa.array([None, "…"])):
        index = opened(encode_keywords(texts), len(texts))
        assert index.postings(b"one")[0].tolist() == []
        matches = match(parse_query("one OR two*", ["body"]), {"body": index})
        assert matches.score(matches.statistics)[0].tolist() == []


def everything(index: KeywordIndex) -> None:
    """Reads all that there is."""
    assert len(index.lengths) == index.row_count
    every = np.arange(index.row_count)
    for term in index.prefixed(b""):
        rows, counts = index.postings(term)
        assert len(rows) == len(counts)
        assert rows.min() >= 0
        assert rows.max() < index.row_count
        assert (np.diff(rows) > 0).all()
        assert counts.min() > 0
        if index.directory.has_positions:
            index.occurrences([[term]], every)


@pytest.mark.parametrize("positions", [False, True])
def test_changed_bytes_are_refused_or_mean_something(positions: bool) -> None:
    """Checksums keep such bytes away.

    What comes through all the same raises our error or decodes within bounds.
    """
    texts = sample(12)
    encoded = encode_keywords(texts, positions=positions)
    rng = random.Random(3)
    refused = 0
    for _ in range(300):
        parts = [bytearray(encoded.header), *map(bytearray, encoded.pieces)]
        part = parts[rng.choice([0, *range(len(parts))])]
        change = rng.randrange(3)
        if change == 0:
            part[rng.randrange(len(part))] ^= 1 << rng.randrange(8)
        elif change == 1:
            part[rng.randrange(len(part))] = rng.choice((0, 255))
        else:
            del part[rng.randrange(len(part)) :]
        header, pieces = bytes(parts[0]), [bytes(piece) for piece in parts[1:]]
        try:
            everything(KeywordIndex(header, pieces.__getitem__, len(texts)))
        except (DamagedFileError, FormatVersionError):
            refused += 1
    assert refused > 100


def _with(header: bytes, offset: int, value: bytes) -> bytes:
    return header[:offset] + value + header[offset + len(value) :]


@pytest.mark.parametrize(
    "change",
    [
        lambda header: b"",
        lambda header: b"AMKX" + header[4:],
        lambda header: header[: HEADER.size],
        lambda header: _with(header, 6, b"\3"),
        lambda header: _with(header, 7, b"\xff"),
        lambda header: _with(header, 8, b"\6"),
        lambda header: _with(header, 24, b"\xff" * 7),
        lambda header: _with(header, 32, b"\xff" * 4),
        lambda header: _with(header, 36, b"\xff" * 4),
    ],
)
def test_hostile_headers(change: Callable[[bytes], bytes]) -> None:
    encoded = encode_keywords(GOLDEN)
    tracemalloc.start()
    with pytest.raises(DamagedFileError):
        KeywordIndex(change(encoded.header), encoded.pieces.__getitem__, len(GOLDEN))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_newer_version_is_named() -> None:
    encoded = encode_keywords(GOLDEN)
    with pytest.raises(FormatVersionError, match="version 9"):
        KeywordIndex(_with(encoded.header, 4, b"\x09"), encoded.pieces.__getitem__, len(GOLDEN))


def test_a_segment_with_other_rows() -> None:
    with pytest.raises(DamagedFileError, match="contradicts its segment"):
        opened(encode_keywords(GOLDEN), 6)


def test_the_digest_of_a_larger_index() -> None:
    encoded = encode_keywords(sample(), positions=True)
    first = hashlib.sha256(encoded.header + b"".join(encoded.pieces)).digest()
    encoded = encode_keywords(pa.chunked_array([sample().slice(0, 7), sample().slice(7)]), positions=True)
    assert hashlib.sha256(encoded.header + b"".join(encoded.pieces)).digest() == first


def test_few_pieces_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiomem_sql.indexes.words.index.KEPT_PIECES", 1)
    texts = sample(40)
    index, memory = opened(encode_keywords(texts), len(texts)), KeywordRows(texts, words_of(UNSAID))
    for term in memory.prefixed(b"")[::9]:
        assert [part.tolist() for part in index.postings(term)] == [
            part.tolist() for part in memory.postings(term)
        ]
        assert len(index._kept) == 1


def test_phrases_in_the_texts_of_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read a few at a time, and none is left out between."""
    monkeypatch.setattr("audiomem_sql.indexes.words.index.TEXTS_AT_ONCE", 4)
    texts = pa.array([("one two" if n % 3 else "two one two three") + f" {n}" for n in range(23)])
    encoded = encode_keywords(texts)
    index = KeywordIndex(
        encoded.header, encoded.pieces.__getitem__, len(texts), lambda rows: texts.take(pa.array(rows))
    )
    memory = KeywordRows(texts, words_of(UNSAID))
    for query, wanted in (('"one two"', 23), ("two + th*", 8), ("^one", 15)):
        expression = parse_query(query, ["t"])
        rows = match(expression, {"t": index}).rows.tolist()
        assert len(rows) == wanted
        assert rows == match(expression, {"t": memory}).rows.tolist()


def test_the_first_texts_decide_the_language(monkeypatch: pytest.MonkeyPatch) -> None:
    """If they do not tell it, those behind them do not either: words of one index are made alike."""
    monkeypatch.setattr("audiomem_sql.indexes.words.batches._BATCH_BYTES", 200)
    dull = [f"AB-{number} Häusern" for number in range(40)]
    german = ["Die Häuser der Stadt sind alt und die Straßen sind nicht breit"] * 20
    index = opened(encode_keywords(pa.array(dull + german), "auto"), 60)
    assert str(index.words.tokenizer) == "auto"
    assert index.postings(index.words.terms("Häusern")[0])[0].tolist() == list(range(40))
    index = opened(encode_keywords(pa.array(german + dull), "auto"), 60)
    assert str(index.words.tokenizer) == "auto german"
    assert index.postings(index.words.terms("Häusern")[0])[0].tolist() == list(range(60))


def test_stemmers_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    stemmed, plain = (opened(encode_keywords(GOLDEN, words), 5) for words in ("auto", "unicode61"))
    assert not stemmed.is_outdated
    monkeypatch.setattr("audiomem_sql.indexes.words.index.stemmer_version", lambda: "99.0")
    assert stemmed.is_outdated
    assert not plain.is_outdated
