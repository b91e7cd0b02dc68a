"""Queries are refused when FTS5 refuses them, and with its words."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings

from audiomem_sql.errors import QueryError
from audiomem_sql.indexes.words.fts_query import MAX_CHARACTERS, MAX_DEPTH, And, Near, parse_query
from indexes.words import queries
from indexes.words.fts5 import Fts5


def error_of(query: str) -> str | None:
    try:
        parse_query(query, ["body"])
    except QueryError as error:
        return error.what
    return None


@settings(max_examples=400, deadline=None)
@given(queries.broken)
@example("one (two)")
@example("NEAR(one two,x)")
@example('one "two')
@example("z : one")
@example("x-y")
@example("one AND NOT two")
@example("(one two) three")
@example("{body,body}:one")
@example("-:one")
@example(":@")
@example('-""@')
@example("")
def test_errors_are_those_of_fts5(query: str) -> None:
    if query.strip(" ").startswith("*"):
        return  # commands of FTS5 itself
    assert error_of(query) == Fts5([("one",)]).error(query)


def test_the_message_names_the_place_and_the_remedy() -> None:
    with pytest.raises(QueryError) as caught:
        parse_query("reset a pass.word", ["body"])
    assert str(caught.value) == (
        'character 13 of the query: fts5: syntax error near ".". '
        "Put text that is no query into double quotes."
    )
    with pytest.raises(QueryError, match=r"no such column: z.*The columns are body, title"):
        parse_query("z:one", ["body", "title"])


def test_columns_by_any_case_and_in_quotes() -> None:
    root = parse_query('"Body":one BODY:two', ["body", "title"]).root
    assert isinstance(root, And)
    assert [child.columns for child in root.children if isinstance(child, Near)] == [frozenset({"body"})] * 2


@pytest.mark.parametrize("query", ["(" * 5000, "(" * 5000 + "a" + ")" * 5000, "a" + " NOT a" * 5000])
def test_depth_is_bounded(query: str) -> None:
    with pytest.raises(QueryError, match=f"maximum depth {MAX_DEPTH}"):
        parse_query(query, ["body"])


def test_length_is_bounded() -> None:
    """Whatever it says: the text is not looked at."""
    for query in ("word " * 26_214 + "w", '"' + "w" * MAX_CHARACTERS, "(" * 2 * MAX_CHARACTERS):
        with pytest.raises(QueryError, match=r"over the limit of 131,072\. Search for fewer words"):
            parse_query(query + "w" * max(0, MAX_CHARACTERS + 1 - len(query)), ["body"])
    assert len(parse_query("w" * MAX_CHARACTERS, ["body"]).phrases) == 1


def test_a_query_may_be_long() -> None:
    assert len(parse_query(" OR ".join(["a b"] * 5000), ["body"]).phrases) == 10_000
