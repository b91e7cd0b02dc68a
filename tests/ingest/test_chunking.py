"""The chunker's laws, and the boundaries it prefers."""

from __future__ import annotations

import argparse
import decimal
import inspect
import itertools
import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiomem_sql.errors import OptionError
from audiomem_sql.ingest.chunking import Chunk, check_sizes, chunk, spans
from audiomem_sql.ingest.documents.document import Document, Section

WORDS = st.one_of(
    st.text(string.ascii_letters, min_size=1, max_size=12),
    st.sampled_from(
        ["e.g.", "Dr.", "3.14", "No.", "x" * 200, "漢字。かな。", "é", "👩‍👩‍👧", "1.", "- a", "“Q.”"]
    ),
)
GAPS = st.sampled_from(
    [" ", " ", " ", ". ", "! ", "\n", "\n\n", "\n\n    ", "  ", "\r\n\r\n", "。", " " * 70]
)
PROSE = st.lists(st.tuples(WORDS, GAPS), max_size=150).map(lambda pairs: "".join(w + g for w, g in pairs))
TEXTS = st.one_of(PROSE, st.text(max_size=600), st.text(" \n.aA\u0301\u200d", max_size=600))
SIZES = st.integers(50, 200)


def squeezed(text: str) -> str:
    return "".join(text.split())


def pieces(text: str, **options: int) -> list[str]:
    return [piece.text for piece in chunk(Document(None, [Section(None, text)]), **options)]


@given(TEXTS, SIZES)
def test_without_overlap_chunks_join_to_the_text(text: str, size: int) -> None:
    assert squeezed("".join(pieces(text, size=size))) == squeezed(text)


@given(TEXTS, SIZES, st.data())
def test_every_chunk_is_a_slice_that_fits_and_says_something(
    text: str, size: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, size - 1))
    min_size = data.draw(st.integers(0, size // 2))
    result = pieces(text, size=size, overlap=overlap, min_size=min_size)
    assert all(piece.strip() and len(piece) <= size and piece in text for piece in result)
    assert result == pieces(text, size=size, overlap=overlap, min_size=min_size)


@given(TEXTS, SIZES, st.data())
def test_overlap_repeats_the_end_of_the_chunk_before(text: str, size: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, size - 1))
    before = None
    fresh_text = ""
    for start, fresh, stop in spans(text, size, overlap, size // 4):
        assert start <= fresh < stop
        fresh_text += text[fresh:stop]
        if before is not None:
            assert before[0] < start
            assert before[1] <= fresh
            assert start == fresh or before[1] - start <= overlap
        before = start, stop
    assert squeezed(fresh_text) == squeezed(text)


@given(TEXTS, SIZES)
def test_ascii_words_that_fit_stay_whole(text: str, size: int) -> None:
    text = text.encode("ascii", "ignore").decode()
    if all(len(word) <= size for word in text.split()):
        assert " ".join(pieces(text, size=size)).split() == text.split()


@pytest.mark.parametrize("module", [argparse, decimal, inspect])
def test_real_docstrings(module: object) -> None:
    parts = [inspect.getdoc(member) or "" for _, member in inspect.getmembers(module)]
    text = "\n\n".join(part for part in parts if part)
    assert len(text) > 5000
    result = pieces(text, size=400)
    assert squeezed("".join(result)) == squeezed(text)
    assert all(len(piece) <= 400 for piece in result)
    assert sum(map(len, result)) / len(result) > 200


def test_paragraph_is_preferred_to_a_later_sentence() -> None:
    text = "One is here. " * 4 + "\n\n" + "Two is there. " * 5
    assert pieces(text, size=90) == [("One is here. " * 4).strip(), ("Two is there. " * 5).strip()]


def test_sentence_is_preferred_to_a_later_word() -> None:
    result = pieces(
        "A first sentence stands here for you. A second one follows and goes on a while.", size=60
    )
    assert result == ["A first sentence stands here for you.", "A second one follows and goes on a while."]


def test_line_is_preferred_to_a_later_word() -> None:
    text = "alpha beta gamma\nalpha beta gamma\nalpha beta gamma delta epsilon\nalpha"
    assert pieces(text, size=50) == [
        "alpha beta gamma\nalpha beta gamma",
        "alpha beta gamma delta epsilon\nalpha",
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "We met Dr. Who and Mrs. Brown near St. James at No. 7 of that long road",
        "Some birds, e.g. Robins, i.e. Redbreasts, and others vs. Crows in Fig. 3 and pp. 12",
        "The value is 3.14 or 2.71 at https://example.org/a.b.c/D.html?x=1.2 and version 1.2.3",
        "It was J. R. R. Tolkien who came to the U.S. Capitol on Jan. 3 with his books",
        "She said … well… and then she left... but not before the clock struck twelve",
        "macro { ... } and { ... } and { ... } and { ... } and { ... } and { ... } end",
    ],
)
def test_what_looks_like_the_end_of_a_sentence_and_is_not(sentence: str) -> None:
    text = f"{sentence}. Next one is this."
    assert pieces(text, size=len(sentence) + 10, min_size=5)[0] == f"{sentence}."


@pytest.mark.parametrize(
    "end", ["It ends.", "Does it?", "Yes!", "He said “no.”", "(It ends.)", "So it was…", "In 2020."]
)
def test_what_ends_a_sentence(end: str) -> None:
    first = f"This is the beginning of a long text. {end}"
    assert (
        pieces(f"{first} “Quoted words come after it, and more”", size=len(first) + 8, min_size=20)[0]
        == first
    )


def test_list_numbers_are_not_sentences() -> None:
    text = "Steps to follow here in order now:\n1. Open the door\n2. Close the door"
    assert pieces(text, size=55, min_size=10) == [
        "Steps to follow here in order now:\n1. Open the door",
        "2. Close the door",
    ]


def test_scripts_without_spaces_are_cut_after_their_full_stop() -> None:
    assert pieces("これは長い文章です。" * 10, size=55) == ["これは長い文章です。" * 5] * 2


def test_overlap_is_whole_sentences() -> None:
    text = "".join(f"Sentence number {n} is here. " for n in range(10, 30))
    result = pieces(text, size=100, overlap=40)
    for before, after in itertools.pairwise(result):
        repeated = before.rpartition(". ")[2]
        assert after.startswith(repeated + " ")


def test_a_megabyte_of_one_word() -> None:
    result = pieces("x" * 1_000_000, size=800, overlap=100)
    assert "".join(result) == "x" * 1_000_000
    assert len(result) == 1250


@pytest.mark.parametrize("unit", ["e\u0301", "👩‍👩‍👧", "👍🏽", "🇨🇭", "क्षि"])
def test_hard_cuts_fall_between_characters(unit: str) -> None:
    result = pieces(unit * 300, size=101)
    assert len(result) > 2
    assert all(piece.startswith(unit[0]) and not unicodedata.combining(piece[0]) for piece in result)
    assert all(len(piece) % len(unit) == 0 for piece in result)


def test_nothing_but_accents_is_cut_all_the_same() -> None:
    assert "".join(pieces("\u0301" * 1000, size=50)) == "\u0301" * 1000


def test_a_very_long_gap_belongs_to_no_chunk() -> None:
    assert pieces("before" + " " * 100_000 + "after\n" * 2, size=50) == ["before", "after\nafter"]


def test_indented_lines_keep_their_indent() -> None:
    code = "    def f():\n        return 1"
    assert pieces(f"{code}\n\n{code}\n\n{code}", size=50, min_size=0) == [code] * 3


def test_a_word_that_fits_alone_is_not_cut() -> None:
    assert pieces(f"a\n    {'x' * 60}\n\nb", size=60) == ["a", "x" * 60, "b"]
    assert pieces(f"  {'x' * 60} b", size=60) == ["x" * 60, "b"]


def test_a_small_rest_is_balanced() -> None:
    text = " ".join("word" for _ in range(22))
    assert [len(piece) for piece in pieces(text, size=100)] == [84, 24]


def test_headings_are_never_crossed_and_name_the_chunks() -> None:
    document = Document(
        "Guide — The Site",
        [
            Section(None, "intro"),
            Section("Guide", "top"),
            Section("Linux", "use apt", ("Guide", "Install")),
            Section("Linux", "again", ("Linux",)),
        ],
    )
    assert list(chunk(document)) == [
        Chunk("Guide — The Site", "intro"),
        Chunk("Guide — The Site", "top"),
        Chunk("Guide — The Site: Install: Linux", "use apt"),
        Chunk("Guide — The Site: Linux", "again"),
    ]


def test_without_titles_there_is_none() -> None:
    assert list(chunk(Document(None, [Section(None, " \n"), Section(None, "a")]))) == [Chunk(None, "a")]


@pytest.mark.parametrize(
    ("size", "overlap", "min_size"),
    [
        (49, 0, None),
        (0, 0, None),
        (-1, 0, None),
        (100, 100, None),
        (100, -1, None),
        (100, 0, 51),
        (100, 0, -1),
    ],
)
def test_sizes_that_cannot_work_are_refused_at_once(size: int, overlap: int, min_size: int | None) -> None:
    with pytest.raises(OptionError):
        chunk(Document(None, []), size=size, overlap=overlap, min_size=min_size)


def test_the_smallest_size_defaults_to_a_quarter() -> None:
    assert check_sizes(800, 0) == 200
