"""The benchmark of search quality: how rankings are judged and joined, and what is read from packages."""

from __future__ import annotations

import gzip
import io
import math
import tarfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality import differences_of, table_of
from benchmarks.quality_measures import Scored, best_of, bootstrap, reciprocal_ranks, standardised_sum
from benchmarks.quality_sets import Packages, drawn
from benchmarks.quality_texts import (
    Gloss,
    Section,
    dictionary,
    glosses,
    manual_sections,
    package_files,
    pod_sections,
    rst_sections,
    stanzas,
    tags_of,
)
from benchmarks.retrieval import ndcg

PAGE = r"""
.\" a comment
.TH NICE 2 "2022-10-30"
.de Sp
.if t .sp .5v
..
.SH NAME
nice \- change process \fIpriority\fP
.SH "SYNOPSIS"
.B #include <unistd.h>
.SH DESCRIPTION
.BR nice ()
adds
.I inc
to the value; see \(lqsetpriority\(rq\|.
.TP
.IP \(bu 2
A path is C:\e.
"""
MDOC = """
.Dd $Mdocdate$
.Sh NAME
.Nm scp
.Nd OpenSSH secure file copy
.Sh DESCRIPTION
.Nm
copies files, with
.Fl r
whole folders
.Pq see Xr sftp 1 .
"""
POD = """=encoding utf8

=head1 NAME

perlfaq - questions

=head2 How do I sort a C<< %hash >>?

Use B<sort>, see L<perlfunc/"sort"> and L<the list|perlop>; E<lt> is I<less>.

    sort keys %hash;

=cut

my $code = 1;

=begin html

<b>no text</b>

=end html

=head2 Why?

=over

=item * Because.

=back
"""
RST = """:tocdepth: 2

===
FAQ
===

.. contents::

What is :mod:`~os.path`?
------------------------

A module of the `Index <https://example.org>`_, see :ref:`the list <library-list>`::

   import os

Why?
----

Because of ``this``.

===
END
===

Over.
"""


def a_package(files: dict[str, bytes], member: str = "data.tar.xz", mode: str = "w:xz") -> bytes:
    """A Debian package with ``files``."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:  # type: ignore[call-overload]
        for path, content in files.items():
            information = tarfile.TarInfo(f"./{path}")
            information.size = len(content)
            archive.addfile(information, io.BytesIO(content))
    package = b"!<arch>\n"
    for name, content in (("debian-binary", b"2.0\n"), ("odd", b"one"), (member, data.getvalue())):
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        package += header + content + b"\n" * (len(content) % 2)
    return package


def test_ndcg_of_graded_rows() -> None:
    assert ndcg([7, 1], {7: 1}) == 1
    assert ndcg([1, 7], {7: 1}) == pytest.approx(1 / math.log2(3))
    assert ndcg([2, 1], {1: 2, 2: 1}) == pytest.approx((1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3)))
    assert ndcg([0] * 10 + [7], {7: 1}) == 0
    assert ndcg([], {7: 1}) == 0


def test_the_best_rows() -> None:
    best = best_of(np.array([0.5, 2.0, 0.5, 1.0]), depth=3)
    assert best.rows.tolist() == [1, 3, 0]
    assert best.scores.tolist() == [2.0, 1.0, 0.5]
    assert best.scored_rows == 4


def scored(rows: list[int], scores: list[float], of: int) -> Scored:
    return Scored(np.array(rows, np.int64), np.array(scores, np.float64), of)


def test_reciprocal_ranks() -> None:
    one, other = scored([1, 2, 3], [9, 8, 7], 3), scored([3, 1], [2, 1], 3)
    # 1/61 + 1/62, then 1/63 + 1/61, then 1/62
    assert reciprocal_ranks([one, other]) == [1, 3, 2]
    assert reciprocal_ranks([scored([5, 4], [2, 1], 2), scored([4, 5], [2, 1], 2)]) == [4, 5]


def test_the_standardised_sum() -> None:
    meaning = scored([1, 2, 3], [0.9, 0.5, 0.1], 3)
    words = scored([3], [4.0], 3)  # rows 1 and 2 have none of the words, and count 0
    deviations = np.std([0.9, 0.5, 0.1]), np.std([4.0, 0.0, 0.0])
    sums = {
        1: 0.65 * 0.4 / deviations[0] + 0.35 * (4 - 4 / 3) / deviations[1],
        2: 0.35 * (4 - 4 / 3) / deviations[1],
        3: -0.65 * 0.4 / deviations[0] + 0.35 * (4 - 4 / 3) / deviations[1],
    }
    # a row that words do not hand over has the last score of words, here the only one
    last_is_zero = scored([3, 1, 2], [4.0, 0.0, 0.0], 3)
    assert standardised_sum([meaning, words], [0.65, 0.35]) == sorted(sums, key=lambda row: -sums[row])
    assert standardised_sum([meaning, last_is_zero], [0.3, 0.7]) == [3, 1, 2]
    assert standardised_sum([scored([2, 1], [1, 1], 2)], [1.0]) == [1, 2]


def test_the_bootstrap() -> None:
    same = bootstrap([0.5, 0.25, 1.0], [0.5, 0.25, 1.0])
    assert same == (0, 0, 0)
    better = bootstrap([1.0, 0.5, 0.75, 1.0] * 50, [0.5, 0.5, 0.5, 0.5] * 50)
    assert better.mean == pytest.approx(0.3125)
    assert 0.25 < better.low < better.mean < better.high < 0.375
    assert better == bootstrap([1.0, 0.5, 0.75, 1.0] * 50, [0.5, 0.5, 0.5, 0.5] * 50)


def test_the_tables() -> None:
    systems = ("words: auto", "meaning", "both: auto",
               "reciprocal ranks of words and meaning", "reciprocal ranks of bm25s and meaning")  # fmt: skip
    figures = {
        name: {system: [place / 10, place / 10] for place, system in enumerate(systems)}
        for name in ("answers", "library")
    }
    figures["library"]["meaning"] = [1.0, 0.0]
    lines = table_of(figures, ["answers"]).splitlines()
    assert lines[0] == "| nDCG@10 × 100 | answers | mean | worst | library |"
    assert lines[3] == "| meaning | 10.0 | 10.0 | 10.0 | 50.0 |"
    differences = differences_of(figures).splitlines()
    assert (
        differences[2]
        == "| answers | -10.0 (-10.0 to -10.0) | -20.0 (-20.0 to -20.0) | +10.0 (+10.0 to +10.0) |"
    )
    assert differences[3].endswith("| -30.0 (-80.0 to +20.0) |")


@pytest.mark.parametrize(("member", "mode"), [("data.tar.xz", "w:xz"), ("data.tar.gz", "w:gz")])
def test_a_package_is_read(member: str, mode: str) -> None:
    files = {"usr/share/a": b"one", "usr/share/b": b""}
    assert dict(package_files(a_package(files, member, mode))) == files


def test_what_is_no_package() -> None:
    with pytest.raises(ValueError, match="no Debian package"):
        list(package_files(b"PK\3\4"))
    with pytest.raises(ValueError, match=r"without data\.tar"):
        list(package_files(a_package({}, "control.tar.xz")))


def test_packages_of_a_folder_are_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "words_1%3a2.0-1_all.deb").write_bytes(a_package({"usr/a": b"1"}))
    (tmp_path / "dumpavail.gz").write_bytes(gzip.compress(b"Package: words\n"))
    packages = Packages(tmp_path)
    assert dict(packages.files("words")) == {"usr/a": b"1"}
    assert packages.available() == "Package: words\n"
    assert packages.used["words"][0] == "1:2.0-1"
    assert len(packages.used["words"][1]) == 64
    assert set(packages.used) == {"words", "dumpavail"}


def test_what_is_drawn_depends_on_no_order() -> None:
    items = [str(number) for number in range(100)]
    assert drawn(items, 10, str) == drawn(reversed(items), 10, str)
    assert len(set(drawn(items, 10, str))) == 10
    assert set(drawn([*items, "more"], 10, str)) - {"more"} <= set(drawn(items, 10, str))


def test_pod() -> None:
    assert pod_sections(POD) == [
        Section("NAME", "perlfaq - questions", 1),
        Section(
            "How do I sort a %hash?",
            'Use sort, see perlfunc/"sort" and the list; < is less. sort keys %hash;',
            2,
        ),
        Section("Why?", "* Because.", 2),
    ]


def test_restructured_text() -> None:
    assert rst_sections(RST) == [
        Section("FAQ", "", 1),
        Section("What is os.path?", "A module of the Index, see the list: import os", 2),
        Section("Why?", "Because of this.", 2),
        Section("END", "Over.", 1),
    ]


def test_manual_pages() -> None:
    sections = manual_sections(PAGE)
    assert sections["NAME"] == "nice - change process priority"
    assert sections["DESCRIPTION"] == 'nice() adds inc to the value; see "setpriority". * A path is C:\\.'
    assert set(sections) == {"NAME", "SYNOPSIS", "DESCRIPTION"}
    assert manual_sections(MDOC) == {
        "NAME": "scp - OpenSSH secure file copy",
        "DESCRIPTION": "scp copies files, with -r whole folders see sftp 1 .",
    }


def test_stanzas_and_tags() -> None:
    text = (
        "Package: a\nDescription: one\n two\nTag: use::{editing,viewing}, role::program,\n admin::boot\n\n"
        "# no\n\nPackage: b\n"
    )
    one, other = stanzas(text)
    assert one["Description"] == "one\ntwo"
    assert other == {"Package": "b"}
    assert tags_of(one["Tag"]) == {"use::editing", "use::viewing", "role::program", "admin::boot"}


def test_wordnet() -> None:
    data = (
        "  1 This software and database\n"
        "00002137 03 n 02 abstraction 0 abstract_entity 0 001 @ 00001930 n 0000 | a general concept; formed; "
        '"an example"  \n'
        "00003000 00 s 01 last(p) 0 000 | not to be altered  \n"
    )
    assert list(glosses(data)) == [
        Gloss(("abstraction", "abstract entity"), "a general concept; formed"),
        Gloss(("last",), "not to be altered"),
    ]


def test_a_dictionary() -> None:
    text = "about" + "Chide \\Chide\\, v.\n" + "x" * 70 + "\xe9nd"
    index = "00-database-info\tA\tF\nChide\tF\tS\nEnd\tBd\tE\n"
    # F is 5, S 18; Bd is 64 + 29 = 93, E 4
    archive = gzip.compress(text.encode())
    assert list(dictionary(index, archive)) == [("Chide", "Chide \\Chide\\, v.\n"), ("End", "\xe9nd")]
