"""HTML becomes sections: headings, lists, tables, and no word is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiomem_sql.ingest.documents.html import parse_html

from .test_readers import outline


def test_html_sections() -> None:
    page = """<!doctype html><html><head><title>Guide &mdash; Site</title><style>p{}</style></head>
<body><nav>menu</nav><script>var x = "<h1>no</h1>";</script><noscript>on</noscript><p hidden>hidden
<div>intro <b>bold</b>&amp;&nbsp;more&hellip;<!-- comment --><div>next</div></div>
<h1>Guide<a class="headerlink">¶</a></h1>
<p>one <i>unclosed<p>two</b> words<br>line
<ul><li>first<li>second<ul><li>deep</ul><li><p>third</p></ul>
<ol start=3><li>three<li>four</ol>
<table><tr><th>a<th>b<tr><td><p>1</p><p>x</p></td><td>2<ul><li>y</ul></td></table>
<pre>def f():
    return  1
</pre>
<h2>Empty</h2><h2>A <code>b</code>
c</h2><dl><dt>term<dd>meaning</dl>end
</body>"""
    document = parse_html(page)
    assert document.title == "Guide — Site"
    assert outline(document) == [
        ((), None, "intro bold& more…\n\nnext"),
        (
            (),
            "Guide",
            "one unclosed\n\ntwo words\nline\n\n- first\n- second\n  - deep\n- third\n\n3. three\n4. four\n\n"
            "a | b\n1 x | 2 y\n\ndef f():\n    return  1",
        ),
        (("Guide",), "Empty", "Empty"),
        (("Guide",), "A b c", "term\nmeaning\n\nend"),
    ]


def test_a_table_for_layout_is_read_as_blocks() -> None:
    inner = "<table><tr><td>1<td>2</table>"
    page = f"<table><tr><td><h1>Top</h1><p>left</p><p>more</p></td><td>{inner}</td></tr></table>"
    assert outline(parse_html(page)) == [((), "Top", "left\n\nmore\n\n1 | 2")]


def test_without_a_title_the_only_h1_is_one() -> None:
    assert parse_html("<h1>A</h1>x<h2>B</h2>y").title == "A"
    assert parse_html("<h1>A</h1>x<h1>B</h1>y").title is None


def test_an_unclosed_heading_is_text() -> None:
    document = parse_html("<h1>" + "word " * 1000)
    assert document.title is None
    assert outline(document) == [((), None, ("word " * 1000).strip())]


def test_line_breaks_and_markup_inside_pre() -> None:
    assert outline(parse_html("<p>a<pre>\n  b<br>  <b>c</b>\n\n\n  d</pre>e")) == [
        ((), None, "a\n\n  b\n  c\n\n\n  d\n\ne")
    ]


@pytest.mark.parametrize("tag", ["div", "ul><li", "b", "table><tr><td", "h1", "pre", "blockquote"])
def test_very_deep_html(tag: str) -> None:
    document = parse_html(f"<{tag}>" * 3000 + "deep")
    assert "deep" in "".join(s.text for s in document.sections)


PIECES = st.sampled_from(
    [
        "<p>",
        "</p>",
        "<div>",
        "</div>",
        "<h1>",
        "</h1>",
        "<h2>",
        "</h2>",
        "<table>",
        "<tr>",
        "<td>",
        "</td>",
        "</table>",
        "<ul>",
        "<li>",
        "</ul>",
        "<ol>",
        "<pre>",
        "</pre>",
        "<br>",
        "<b>",
        "</b>",
        "<dl>",
        "<dd>",
        "<caption>",
        "word",
        "&amp;",
        "\n",
    ]
)


@given(st.lists(PIECES, max_size=40))
def test_any_nesting_keeps_its_words(parts: list[str]) -> None:
    page = " ".join(parts)
    document = parse_html(page)
    kept = " ".join(f"{s.heading or ''} {s.text} {' '.join(s.parents)}" for s in document.sections)
    assert kept.count("word") >= page.count("word")
    assert all(s.text.strip() for s in document.sections)
