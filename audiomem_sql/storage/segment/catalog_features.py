"""Features: what a reader must know to read a segment rightly. A segment names those that it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audiomem_sql.columns.text_vectors import holds_passages
from audiomem_sql.columns.tokenizers import UNSAID
from audiomem_sql.columns.types import FLOAT32, Kind
from audiomem_sql.storage.segment.catalog import NO_HISTORY, Catalog
from audiomem_sql.storage.segment.grouped_directory import GroupedDirectory

#: The feature of segments that hold several commits: every row has the version that made it.
ROW_VERSIONS = "row-versions"
#: The feature of segments in which the columns change from one version to another.
SCHEMA_CHANGES = "schema-changes"
#: The features of tables that have CHECK, and keys of several columns: who writes to them must look at those.
CHECKS = "checks"
COMBINED_KEYS = "combined-keys"
#: The feature of segments that hold columns of vectors as indexes.
VECTORS = "vectors"
#: The feature of segments with INDEXED columns of vectors: who writes them must make such indexes.
VECTOR_INDEXES = "vector-indexes"
#: The feature of segments with vectors whose codes are those of a trellis.
VECTOR_TRELLIS = "vector-trellis"
#: The feature of segments that have keyword indexes: who merges them must make new ones.
KEYWORDS = "keywords"
#: The feature of tables that name how the words of a column are made: who writes to them must make the same.
TOKENIZERS = "tokenizers"
#: The feature of tables whose long texts have several vectors: who writes to them must make the same.
PASSAGES = "passages"
#: The feature of segments with vectors of int8 or of bits.
VECTOR_ELEMENTS = "vector-elements"
#: The feature of segments whose block directories have pages in the data stream.
DIRECTORY_PAGES = "directory-pages"
#: The feature of tables with columns whose values mean more than what they are stored as.
LOGICAL_TYPES = "logical-types"
#: The feature of segments with a block of reals that may hold NaN, by its zone map.
NAN = "nan"
#: The feature of segments of a table in a store: versions and rowids are those that its manifest says.
MANIFEST_NUMBERS = "manifest-numbers"
#: How the options of a catalog say so: name and value.
NUMBERED_BY = ("numbers", "manifest")
#: Features of a segment that a reader must know to read it rightly, in the order in which they are named.
FEATURES: dict[str, Callable[[Catalog], Any]] = {
    ROW_VERSIONS: lambda catalog: catalog.created is not None,
    SCHEMA_CHANGES: lambda catalog: catalog.history != NO_HISTORY,
    CHECKS: lambda catalog: catalog.schema.checks,
    COMBINED_KEYS: lambda catalog: catalog.schema.keys,
    VECTORS: lambda catalog: catalog.vectors,
    KEYWORDS: lambda catalog: catalog.keywords,
    TOKENIZERS: lambda catalog: any(column.tokenize != UNSAID for column in catalog.schema.columns),
    VECTOR_INDEXES: lambda catalog: catalog.schema.vector_indexes,
    PASSAGES: lambda catalog: any(map(holds_passages, catalog.schema.columns)),
    VECTOR_TRELLIS: lambda catalog: any(index.has_trellis for index in catalog.vectors.values()),
    VECTOR_ELEMENTS: lambda catalog: any(column.type.element != FLOAT32 for column in catalog.schema.columns),
    MANIFEST_NUMBERS: lambda catalog: catalog.options.get(NUMBERED_BY[0]) == NUMBERED_BY[1],
    DIRECTORY_PAGES: lambda catalog: any(
        entry is not None and isinstance(entry.blocks, GroupedDirectory) for entry in catalog.entries
    ),
    LOGICAL_TYPES: lambda catalog: any(column.type.logical is not None for column in catalog.schema.columns),
    NAN: lambda catalog: any(
        column.type.kind is Kind.REAL and entry is not None and entry.blocks.may_hold_nan
        for column, entry in zip(catalog.schema.columns, catalog.entries, strict=True)
    ),
}
