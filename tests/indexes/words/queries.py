"""Random rows and queries of a small vocabulary, for comparison with FTS5."""

from __future__ import annotations

from hypothesis import strategies as st

WORDS = ("one", "two", "three", "on", "tw", "Été", "x1", "thré", "ones", "owned", "Owning")
words = st.sampled_from(WORDS)
texts = st.lists(st.one_of(words, st.sampled_from((".", ",", "\n", "-", ": "))), max_size=14).map(" ".join)
rows = st.lists(st.one_of(texts, st.none()), min_size=1, max_size=12)
_strings = st.one_of(
    words,
    st.lists(words, min_size=1, max_size=3).map(lambda found: '"' + " ".join(found) + '"'),
    st.just('"."'),
)
_stars = st.sampled_from(("", "", "", "*", " *"))


@st.composite
def phrases(draw: st.DrawFn) -> str:
    parts = draw(st.lists(st.tuples(_strings, _stars).map("".join), min_size=1, max_size=2))
    return " + ".join(parts)


@st.composite
def nears(draw: st.DrawFn) -> str:
    inside = " ".join(draw(st.lists(phrases(), min_size=1, max_size=3)))
    distance = draw(st.sampled_from(("", ", 0", ", 1", ",3", ", 99")))
    return f"NEAR({inside}{distance})"


def queries(columns: tuple[str, ...] = ("body",)) -> st.SearchStrategy[str]:
    one = st.one_of(phrases(), phrases(), phrases().map("^ {}".format), nears())
    sets = st.sampled_from(
        [f"{name} : " for name in columns] + [f"- {columns[0]} : ", "{" + " ".join(columns) + "}:"]
    )
    leaf = st.one_of(one, one, st.tuples(sets, one).map("".join))
    leaves = st.lists(leaf, min_size=1, max_size=2).map(" ".join)

    def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        joined = st.tuples(inner, st.sampled_from((" AND ", " OR ", " NOT ")), inner).map("".join)
        return st.one_of(
            joined, joined.map("({})".format), st.tuples(sets, joined.map("({})".format)).map("".join)
        )

    return st.recursive(leaves, grow, max_leaves=5)


def counts_more(query: str) -> bool:
    """Whether FTS5 may count phrases that take no part in the match: docs/KEYWORDS.md says which."""
    return ("OR" in query and ("NOT" in query or "NEAR" in query)) or query.count("NOT") > 1


#: Text that is mostly no query.
broken = st.text(st.sampled_from('ab "()*+,:^-{}NOTAR@.é'), max_size=12) | st.lists(
    st.sampled_from(
        ("one", "AND", "OR", "NOT", "NEAR", "(", ")", '"', "+", "*", "^", ":", "{", "}", ",", "3", "body")
    ),
    max_size=7,
).map(" ".join)
