"""Markups that are kept line by line: their headings, their words, and on which lines these are."""

from __future__ import annotations

import re
from pathlib import Path

import pypandoc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audiomem_sql.ingest.documents.asciidoc import parse_asciidoc
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document
from audiomem_sql.ingest.documents.latex import parse_latex
from audiomem_sql.ingest.documents.manual_page import parse_manual_page
from audiomem_sql.ingest.documents.org import parse_org
from audiomem_sql.ingest.documents.registry import readers
from audiomem_sql.ingest.documents.restructuredtext import parse_restructuredtext
from audiomem_sql.ingest.rows import rows_of
from audiomem_sql.ingest.sources import find_sources

GUIDE = """\
% The Guide

# Install

Run the *program* w1 as `root`, w2 "quoted" and 100% sure.

## Linux & Mac

Use apt w3 — see [the manual](https://example.org/manual).

- one w4
- two w5

```sh
make install w6 # not a heading
```

## Windows

Setup w7.

# Use

Last words w8.
"""
OUTLINE = [
    (("Install",), {"w1", "w2"}),
    (("Install", "Linux & Mac"), {"w3", "w4", "w5", "w6"}),
    (("Install", "Windows"), {"w7"}),
    (("Use",), {"w8"}),
]


def outline(document: Document) -> list[tuple[tuple[str, ...], str]]:
    """Headings, the outermost first and without the title, and the text below them."""
    headings = [(*section.parents, section.heading or "") for section in document.sections]
    without_title = [names[1:] if names[0] == document.title else names for names in headings]
    return list(zip(without_title, (section.text for section in document.sections), strict=True))


def check_lines(text: str, document: Document) -> None:
    """Every word ``w7`` stands on the line of the file on which its section says it does."""
    lines = text.split("\n")
    seen = 0
    for section in document.sections:
        assert section.line is not None
        for number, line in enumerate(section.text.split("\n"), section.line):
            for word in re.findall(r"\bw\d+\b", line):
                assert word in lines[number - 1], (word, number, section)
                seen += 1
    assert seen


@pytest.mark.parametrize(
    ("markup", "kind", "suffix"),
    [
        ("markdown", "markdown", ".md"),
        ("rst", "restructuredtext", ".rst"),
        ("org", "org", ".org"),
        ("asciidoc", "asciidoc", ".adoc"),
        ("latex", "latex", ".tex"),
        ("man", "manual page", ".1"),
        ("html", "html", ".html"),
        ("ipynb", "notebook", ".ipynb"),
    ],
)
def test_one_document_in_every_markup(markup: str, kind: str, suffix: str) -> None:
    text = pypandoc.convert_text(GUIDE, markup, format="markdown", extra_args=["--standalone"])
    (document,) = readers()[kind].documents(Content(f"guide{suffix}", data=text.encode()))
    assert document.title == ("The Guide" if markup != "ipynb" else None)
    found = [(names, set(re.findall(r"w\d", words))) for names, words in outline(document) if any(names)]
    assert found == OUTLINE
    words = " ".join(" ".join(section.text for section in document.sections).split())
    for phrase in ("the manual", "100% sure", "make install w6 # not a heading", "Use apt w3"):
        assert phrase in words
    if kind not in ("html", "notebook"):
        check_lines(text, document)


RST = """\
.. _top:

=====
Guide
=====

:author: w0
.. a comment
   over two lines hidden

Words w1 of :class:`~package.Table` and :ref:`w2 <there>`.

.. note:: Mind w3.

.. figure:: picture.png
   :alt: a cat w4
   :width: 3

   The caption w5.

.. toctree::
   :maxdepth: 2

   hidden

.. |name| replace:: w6

.. code-block:: python
   :linenos:

   # Not a heading w7
   # ================
   .. not a comment w8

Example::

   .. not a comment w9

.. [1] A footnote w10.
.. _link: https://example.org/hidden

Below
=====

w11
"""


def test_restructuredtext() -> None:
    document = parse_restructuredtext(RST)
    assert document.title == "Guide"
    assert [(s.parents, s.heading) for s in document.sections] == [((), "Guide"), (("Guide",), "Below")]
    check_lines(RST, document)
    text = document.sections[0].text
    assert re.findall(r"w\d+", text) == [f"w{number}" for number in range(11)]
    assert "Words w1 of package.Table and w2." in text
    assert "hidden" not in text
    assert "   # Not a heading w7\n   # ================\n   .. not a comment w8" in text


ORG = """\
#+TITLE: My [[https://example.org][notes]]
#+OPTIONS: toc:nil
# hidden
w1
* TODO [#A] Buy *milk* w2 :shop:home:
SCHEDULED: <2026-11-29 Sun>
:PROPERTIES:
:ID: hidden
:END:
See [[file:a.org::*B][w3]] and [[w4]].
:not: a drawer w5
#+CAPTION: A table w6
| a | b |
#+begin_comment
hidden
#+end_comment
#+BEGIN_SRC python
# a comment w7
,* not a heading w8
#+END_SRC
*** Deep
*bold* w9
* COMMENT Last
"""


def test_org() -> None:
    document = parse_org(ORG)
    assert document.title == "My notes"
    assert [(s.parents, s.heading) for s in document.sections] == [
        ((), None),
        ((), "Buy *milk* w2"),
        (("Buy *milk* w2",), "Deep"),
        ((), "Last"),
    ]
    check_lines(ORG, document)
    text = document.sections[1].text
    assert re.findall(r"w\d+", text) == ["w3", "w4", "w5", "w6", "w7", "w8"]
    assert "See w3 and w4." in text
    assert "\n# a comment w7\n* not a heading w8" in text
    assert not any("hidden" in section.text for section in document.sections)


def test_a_block_of_org_that_is_not_closed_ends_with_the_next_heading() -> None:
    document = parse_org("* A\n#+begin_comment\nhidden\n* B\n# hidden\ntext\n:LOGBOOK:\nhidden\n:END:")
    assert [(section.heading, section.text) for section in document.sections][-1] == ("B", "text")


def test_drawers_of_org() -> None:
    """A drawer that no line ends is text; what is behind one that is ended is, too."""
    lines = ["* A", ":PROPERTIES:", ":ID: 1", ":END:", "behind", "* B", ":LOGBOOK:", "open", "#", "end"]
    document = parse_org("\n".join(lines))
    assert [section.text.split() for section in document.sections] == [
        ["behind"],
        [":LOGBOOK:", "open", "end"],
    ]


ASCIIDOC = """\
= Guide
:toc:
:attribute: hidden

w0

// hidden
[[anchor]]
== Install it ==

.A listing w1
[source,sh]
----
== not a heading w2
// no comment w3
----

////
== hidden
////

See <<anchor,w4>>, link:a.html[w5], https://example.org[w6] and <<w7>>.

ifdef::hidden[]

Old style
---------
endif::[]

w8

====
An example w9
====
"""


def test_asciidoc() -> None:
    document = parse_asciidoc(ASCIIDOC)
    assert document.title == "Guide"
    assert [(s.parents, s.heading) for s in document.sections] == [
        ((), "Guide"),
        (("Guide",), "Install it"),
        (("Guide",), "Old style"),
    ]
    check_lines(ASCIIDOC, document)
    text = document.sections[1].text
    assert re.findall(r"w\d+", text) == [f"w{number}" for number in range(1, 8)]
    assert "== not a heading w2\n// no comment w3" in text
    assert "See w4, w5, w6 and w7." in text
    assert not any("hidden" in section.text for section in document.sections)


LATEX = r"""
\documentclass{article} % hidden
\title{On \emph{Things}}
\newcommand{\hidden}{hidden}
\begin{document}
\maketitle
w0 caf\'e na\"{\i}ve \ss{} 50\% of \$3~million % hidden
\section[hidden]{First \textbf{part}}\label{hidden}
w1 \cite[p.~3]{hidden} $a_{1}+\frac{1}{2}$ \footnote{a note w2} -- ``w3''.
\begin{itemize}
  \item one w4
  \item[two] w5
\end{itemize}
\begin{verbatim}
 x_y \z{w6} % kept
\section{no}
\end{verbatim}
\begin{equation} x \end{equation}
\begin{align*}
 \sum_{i} w7 % hidden
\end{align*}
\begin{comment}
\section{hidden}
\end{comment}
\paragraph{Para.} w8
\subsection{Long
title} w9
\section{Unclosed
\end{document}
hidden
"""


def test_latex() -> None:
    document = parse_latex(LATEX)
    assert document.title == "On Things"
    assert [(s.parents, s.heading) for s in document.sections] == [
        ((), None),
        ((), "First part"),
        (("First part",), "Para."),
        (("First part",), "Long title"),
        ((), "Unclosed"),
    ]
    check_lines(LATEX, document)
    assert document.sections[0].text == "w0 café naïve ß 50% of $3 million"
    text = document.sections[1].text
    assert re.findall(r"w\d+", text) == [f"w{number}" for number in range(1, 8)]
    assert r"$a_{1}+\frac{1}{2}$ a note w2 – “w3”." in text
    assert " x_y \\z{w6} % kept\n\\section{no}" in text
    assert not any("hidden" in section.text for section in document.sections)


MANUAL = r"""
.\" hidden
.TH GIT\-ADD 1 2026 hidden
.SH NAME
git\-add \- adds \fBw1\fR
.SH "SEE ALSO"
.BR git (1),
.I w2
.\" hidden
.IP \(bu 2
w3 \[u2014] a \\ b\e
.SS Less
.nf
w4
"""


def test_manual_page() -> None:
    document = parse_manual_page(MANUAL)
    assert document.title == "git-add(1)"
    assert [(s.parents, s.heading) for s in document.sections] == [
        ((), "NAME"),
        ((), "SEE ALSO"),
        (("SEE ALSO",), "Less"),
    ]
    check_lines(MANUAL, document)
    assert document.sections[0].text == "git-add - adds w1"
    assert document.sections[1].text.startswith("git(1),\nw2\n\n•\nw3 ")


# --- lines of rows


LINES = ["# h\n", "w\n", "\n", "```\n", "- x. Y. Z.\n", "===\n", "---\n", "<!-- c -->\n", "> q\n", "-\n"]
LONG = "Sentences of some length. " * 8


@given(
    st.lists(st.sampled_from([*LINES, f"{LONG}\n", "x" * 130 + "\n", "\r\n", "  indented\n"])), st.booleans()
)
@example([f"{LONG}\n", f"{LONG}\n", "-\n", "w\n"], False)
@example(["w\n", f"# {LONG * 2}\n", "w\n", "# h\n"], True)
@settings(max_examples=40)
@pytest.mark.parametrize("suffix", [".md", ".txt", ".log"])
def test_a_row_begins_on_the_line_that_its_place_names(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, lines: list[str], has_title: bool
) -> None:
    text = ("---\ntitle: t\n---\n" if has_title else "") + "".join(lines)
    path = tmp_path_factory.getbasetemp() / f"lines{suffix}"
    path.write_bytes(text.encode())
    (source,) = find_sources([path])
    in_file = text.replace("\r\n", "\n").split("\n")
    last = 0
    for row in rows_of(source, size=60, overlap=20):
        name, _, number = row["place"].partition("=")
        assert name == "line"
        line = int(number)
        first, *rest = row["body"].split("\n")
        assert line >= last
        if first not in in_file[line - 1]:  # a heading that is its own text, and was written on several lines
            assert suffix == ".md"
            assert first in " ".join(" ".join(in_file[line - 1 :]).split())
        for offset, other in enumerate(rest, 1):
            assert other in in_file[line - 1 + offset] or not other
        last = line


def test_a_file_of_markup_has_its_lines_in_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.rst"
    path.write_text(RST)
    rows = [row for source in find_sources([path]) for row in rows_of(source)]
    assert [(row["title"], row["place"]) for row in rows] == [
        ("Guide", "line=7"),
        ("Guide: Below", "line=45"),
    ]
