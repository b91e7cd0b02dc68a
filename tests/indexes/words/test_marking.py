"""highlight() and snippet() show what FTS5 shows."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from audiomem_sql.indexes.words.fts_query import parse_query
from audiomem_sql.indexes.words.marking import highlight, snippet
from audiomem_sql.indexes.words.tokenizer import words_of
from indexes.words import queries
from indexes.words.fts5 import Fts5

#: Tokenizers that FTS5 has, too.
OTHERS = (
    "trigram",
    "trigram case_sensitive 1",
    "porter",
    "ascii",
    "porter ascii",
    "unicode61 tokenchars '.-'",
)


@settings(max_examples=120, deadline=None)
@given(queries.texts, queries.queries(), st.integers(1, 8))
@example("one two one. Two three on one", '"two one" + "one"', 2)
@example("one . one one", '"one one one" AND one', 1)
@example("on. one two three one two", "one + two OR three", 3)
def test_one_column(text: str, query: str, size: int) -> None:
    if queries.counts_more(query):
        return
    judge = Fts5([(text,)])
    expression = parse_query(query, ["body"])
    for shown in judge.shown("highlight", query, "<", ">").values():
        assert highlight(text, expression, "<", ">") == shown
    for shown in judge.shown("snippet", query, "<", ">", "…", size).values():
        assert snippet(text, expression, "<", ">", "…", size) == shown


@settings(max_examples=80, deadline=None)
@given(queries.texts, queries.queries(), st.sampled_from(OTHERS), st.integers(1, 8))
@example(". one one", "one", "trigram", 3)  # the full stop is part of the token before the sentence
@example(": one two one", "two OR one", "trigram case_sensitive 1", 4)
@example("x1 on. one two three on one", "two + three", "unicode61 tokenchars '.-'", 3)
@example("x1 on.- one two three on one", "two + three", "unicode61 tokenchars '.-'", 3)
@example("x1 on. - one two three on one", "two + three", "unicode61 tokenchars '.-'", 3)
@example(". \n one two. x1", "one x1", "trigram", 5)
@example("  one two one", "one", "trigram", 3)
def test_other_tokenizers(text: str, query: str, tokenize: str, size: int) -> None:
    if queries.counts_more(query):
        return
    words = {"body": words_of(tokenize)}
    judge = Fts5([(text,)], tokenize=tokenize)
    for shown in judge.shown("highlight", query, "<", ">").values():
        assert highlight(text, parse_query(query, ["body"]), "<", ">", words=words) == shown
    for shown in judge.shown("snippet", query, "<", ">", "…", size).values():
        assert snippet(text, parse_query(query, ["body"]), "<", ">", "…", size, words=words) == shown


def test_characters_in_pairs_are_marked_one_by_one() -> None:
    words = {"body": words_of("bigram")}
    for query, shown in (
        ("修", "サンドボックス[修]正テスト"),
        ("修正", "サンドボックス[修正]テスト"),
        ("ト", "サンドボックス修正テス[ト]"),
        ("修正 OR 正テ", "サンドボックス[修正テ]スト"),
        ("ンド + 修", "サンドボックス修正テスト"),
    ):
        assert (
            highlight("サンドボックス修正テスト", parse_query(query, ["body"]), "[", "]", words=words)
            == shown
        )
    text = "飞书 消息 通知 飞书"
    assert snippet(text, parse_query("通知", ["body"]), "[", "]", "…", 4, words=words) == "…息 [通知] 飞书…"


@settings(max_examples=50, deadline=None)
@given(queries.texts, queries.texts, queries.queries(("title", "body")))
def test_two_columns(title: str, body: str, query: str) -> None:
    if queries.counts_more(query):
        return
    expression = parse_query(query, ["title", "body"])
    for shown in Fts5([(title, body)], ("title", "body")).shown("highlight", query, "<", ">").values():
        assert highlight(title, expression, "<", ">", row={"title": title, "body": body}) == shown


def test_marks_stay_inside() -> None:
    expression = parse_query("ete AND ca", ["body"])
    assert highlight("L'Été, c\u0327a!", expression, "[", "]") == "L'[Été], [c\u0327a]!"


def test_a_text_that_does_not_match() -> None:
    expression = parse_query("four", ["body"])
    assert highlight("one two", expression, "[", "]") == "one two"
    assert snippet("one two. three", expression, "[", "]", "…", 2) == "one two…"
