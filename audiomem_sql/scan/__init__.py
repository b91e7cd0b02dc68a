"""What to read and how.

A door states what a query asks (:func:`choose` gives a :class:`Plan`), or a condition (:func:`filters_of`,
:func:`filters_of_text`). :func:`scan` reads all rows that pass :class:`Filter` and :data:`RowFilter`, and
:func:`count_rows` counts them; :func:`find_rows` finds few rows by a key; :func:`fetch_rows` gives rows by
rowid; :func:`first_rows` gives the first in an order that :func:`parse_order` reads. All of them read a
:class:`Readable`, which :func:`narrowed` makes less of where a table has many files.

Filters of pyarrow are in :mod:`audiomem_sql.scan.arrow_filter`, which loads Arrow's kernels.
"""

from __future__ import annotations

from audiomem_sql.scan.fetch import fetch_rows
from audiomem_sql.scan.filters import Filter, RowFilter, filters_of, filters_of_text
from audiomem_sql.scan.lookup import ManyRows, find_rows
from audiomem_sql.scan.plan import Plan
from audiomem_sql.scan.planner import choose
from audiomem_sql.scan.readable import Readable, narrowed
from audiomem_sql.scan.rowid_order import in_rowid_order
from audiomem_sql.scan.scanner import count_rows, scan
from audiomem_sql.scan.top_rows import first_rows, parse_order

__all__ = [
    "Filter",
    "ManyRows",
    "Plan",
    "Readable",
    "RowFilter",
    "choose",
    "count_rows",
    "fetch_rows",
    "filters_of",
    "filters_of_text",
    "find_rows",
    "first_rows",
    "in_rowid_order",
    "narrowed",
    "parse_order",
    "scan",
]
