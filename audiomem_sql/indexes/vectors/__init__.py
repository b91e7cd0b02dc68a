"""Vectors of a segment: how they are stored, and an index that finds the nearest.

Other rooms import from here only.

- ``VectorCodec``: vectors as int8 codes. ``encoded_parts`` writes an index of them, as ``IndexParts``.
- ``VectorIndex`` reads and searches it. ``DECODED_LISTS`` is the cache that all indexes of the process share,
  ``KNOWN_INDEXES`` has those that were opened (``OpenedIndex``). ``FarLists`` is for lists that are far away.
  ``lists_of_several`` chooses what a search of several reads, ``lists_chosen`` where other processes have
  some of them (``lists_offered``, ``lists_by_index``).
- ``PassageIndex`` is one with several vectors a row, and ``PassageMap`` says which.
- ``distances_of`` compares vectors that no index holds.

It is useful for vectors of any origin. It knows no texts, models, tables or files: bytes come and go through
callbacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiomem_sql.first_use import at_first_use

if TYPE_CHECKING:
    from audiomem_sql.indexes.vectors.codec import VectorCodec
    from audiomem_sql.indexes.vectors.index import VectorIndex
    from audiomem_sql.indexes.vectors.index_writing import IndexParts, encoded_parts, fitted_codec
    from audiomem_sql.indexes.vectors.metrics import distances_of
    from audiomem_sql.indexes.vectors.opened_index import DECODED_LISTS, KNOWN_INDEXES, OpenedIndex
    from audiomem_sql.indexes.vectors.passage_index import OpenedPassages, PassageIndex, PassageMap
    from audiomem_sql.indexes.vectors.several import (
        ListsOffered,
        lists_by_index,
        lists_chosen,
        lists_of_several,
        lists_offered,
        many_vectors,
    )
    from audiomem_sql.indexes.vectors.visits import FarLists

__all__ = [
    "DECODED_LISTS",
    "KNOWN_INDEXES",
    "FarLists",
    "IndexParts",
    "ListsOffered",
    "OpenedIndex",
    "OpenedPassages",
    "PassageIndex",
    "PassageMap",
    "VectorCodec",
    "VectorIndex",
    "distances_of",
    "encoded_parts",
    "fitted_codec",
    "lists_by_index",
    "lists_chosen",
    "lists_of_several",
    "lists_offered",
    "many_vectors",
]

__getattr__ = at_first_use(
    __name__,
    {
        "codec": ("VectorCodec",),
        "index": ("VectorIndex",),
        "index_writing": ("IndexParts", "encoded_parts", "fitted_codec"),
        "metrics": ("distances_of",),
        "opened_index": ("DECODED_LISTS", "KNOWN_INDEXES", "OpenedIndex"),
        "passage_index": ("OpenedPassages", "PassageIndex", "PassageMap"),
        "several": (
            "ListsOffered",
            "lists_by_index",
            "lists_chosen",
            "lists_of_several",
            "lists_offered",
            "many_vectors",
        ),
        "visits": ("FarLists",),
    },
)
