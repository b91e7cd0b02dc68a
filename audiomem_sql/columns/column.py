"""One column: its name, type and constraints, in SQL and in the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from audiomem_sql.columns.lexemes import bare, quote, text_literal
from audiomem_sql.columns.own_metadata import given_back
from audiomem_sql.columns.syntax import DEFAULT_REMEDY, is_default
from audiomem_sql.columns.tokenizers import AUTO, UNSAID, parse_tokenizer
from audiomem_sql.columns.types import (
    BIT,
    STORED_MARK,
    TIME_COLLATION,
    ColumnType,
    Kind,
    collation_of,
    shown_declaration,
    words_of,
)
from audiomem_sql.columns.vector_index import VectorIndexOptions
from audiomem_sql.errors import SchemaError

__all__ = [
    "FLAGS",
    "TEXTS",
    "Column",
    "check",
    "check_key_type",
    "fold",
    "quote",
    "refusal",
]

#: The names of the rowid, unless a column has them.
ROWID_NAMES = ("rowid", "oid", "_rowid_")
_COLLATIONS = ("BINARY", "NOCASE", "RTRIM")
_ASCII_CAPITALS = {capital: capital + 32 for capital in range(ord("A"), ord("Z") + 1)}
MAX_COLUMN_ID = (1 << 31) - 1
FLAGS = ("not_null", "unique", "primary_key", "semantic", "indexed", "no_alias", "autoincrement")
#: What a column has as text, in the catalog and in the metadata of Arrow, and what it is without.
TEXTS: dict[str, str | None] = {
    "collation": "BINARY",
    "default": None,
    "null_conflict": "ABORT",
    "key_conflict": "ABORT",
    "tokenize": UNSAID,
    "vector_index": None,
}
#: What ON CONFLICT may say behind a constraint.
CONFLICT_CLAUSES = ("ABORT", "IGNORE", "REPLACE")
CONFLICT_REMEDY = (
    "Behind ON CONFLICT comes ABORT, IGNORE or REPLACE; FAIL and ROLLBACK are decided by SQLite, which looks "
    "at the statement only: write INSERT OR FAIL, or INSERT OR ROLLBACK"
)
_ROWID_TYPE = ColumnType(Kind.INTEGER)
#: Types that take COLLATE. It compares texts only: of a number that which CAST makes of it.
_COLLATED = (Kind.TEXT, Kind.INTEGER, Kind.REAL, Kind.BLOB, Kind.BOOLEAN)

#: The key in the catalog for what a column was in a data frame; readers that do not know it pass over it.
ORIGIN = "x_origin"
#: The same for the words with which its user wrote its type.
TYPE_WORDS = "x_type_words"
#: The same for the metadata that the field had in Arrow.
METADATA = "x_metadata"


def fold(name: str) -> str:
    """A name as SQLite compares it: ASCII letters without case, all others as they are."""
    return name.translate(_ASCII_CAPITALS)


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    PRIMARY KEY on any type but INTEGER makes it ``unique`` and ``not_null``, as in STRICT tables.
    ``no_alias``: so does this one, as it was declared INT, or INTEGER PRIMARY KEY DESC.

    ``autoincrement``: the rowids that are given rise for ever. ``null_conflict``, ``key_conflict``: what ON
    CONFLICT says behind NOT NULL, and behind PRIMARY KEY or UNIQUE.

    ``id`` tells it from every other column that the table ever had, whatever it is called; -1: it has not got
    one yet. ``default`` is the SQL behind DEFAULT as it was written, with its parentheses; see ``defaults``
    for its value. ``type_words`` is the type as the user wrote it, such as VARCHAR(20); None: by its name.
    ``vector_index``: what INDEXED says of a column of vectors, as ``VectorIndexOptions`` writes it; of any
    other column ``indexed`` says that it is. ``origin`` says what it was in the data frame that it came from,
    see ``origins``, and ``metadata`` what was written beside it there, see ``own_metadata``; they are no part
    of the definition. ``tokenize`` says how the words of a column are made that is ``indexed``, see
    ``tokenizers``.
    """

    name: str
    type: ColumnType
    not_null: bool = False
    unique: bool = False
    primary_key: bool = False
    collation: str = "BINARY"
    semantic: bool = False
    default: str | None = None
    id: int = field(default=-1, compare=False)
    vector_of: int = -1
    indexed: bool = False
    origin: str | None = field(default=None, compare=False)
    type_words: str | None = field(default=None, compare=False)
    no_alias: bool = False
    autoincrement: bool = False
    null_conflict: str = "ABORT"
    key_conflict: str = "ABORT"
    tokenize: str = AUTO
    vector_index: str | None = None
    metadata: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.indexed and self.type.kind is Kind.FLOAT:
            if self.tokenize not in (AUTO, UNSAID):
                raise refusal(self.name, f"{self.type} has no words", "tokenize belongs to TEXT columns")
            object.__setattr__(self, "indexed", False)
            object.__setattr__(self, "vector_index", self.vector_index or str(VectorIndexOptions()))
        if not (self.primary_key and self.type == _ROWID_TYPE):
            object.__setattr__(self, "no_alias", False)
        if not self.is_rowid:
            object.__setattr__(self, "autoincrement", False)
        if self.primary_key and not self.is_rowid:
            object.__setattr__(self, "unique", True)
            object.__setattr__(self, "not_null", True)
        if not self.not_null or self.is_rowid:
            object.__setattr__(self, "null_conflict", "ABORT")
        if not (self.primary_key or self.unique):
            object.__setattr__(self, "key_conflict", "ABORT")
        if not self.indexed:
            object.__setattr__(self, "tokenize", UNSAID)
        elif self.tokenize not in (AUTO, UNSAID):
            try:
                object.__setattr__(self, "tokenize", str(parse_tokenizer(self.tokenize)))
            except SchemaError as error:
                raise error.at(place=f"column {self.name}") from None

    @property
    def is_hidden(self) -> bool:
        """Whether no user sees it: it holds the vectors of the column with the id ``vector_of``."""
        return self.vector_of >= 0

    @property
    def is_rowid(self) -> bool:
        """Whether this is INTEGER PRIMARY KEY, another name of the rowid."""
        return self.primary_key and self.type == _ROWID_TYPE and not self.no_alias

    @property
    def needs_direction(self) -> bool:
        """Whether its vectors are compared by their directions, which a vector of zeros does not have."""
        return self.vector_index is not None and self.vector_index.startswith("metric=cosine")

    @property
    def sql_type(self) -> str:
        """The type as its user wrote it, or else by its name."""
        words = None if self.is_rowid else self.type_words
        return words or ("INT" if self.no_alias else str(self.type))

    def sql(self) -> str:
        """The definition as a user would write it."""
        parts = [bare(self.name), self.sql_type]
        implied = self.primary_key and not self.is_rowid
        on_key = clause(self.key_conflict)
        if self.primary_key:
            parts.append(f"PRIMARY KEY{on_key}{' AUTOINCREMENT' if self.autoincrement else ''}")
        if self.not_null and (not implied or self.null_conflict != "ABORT"):
            parts.append(f"NOT NULL{clause(self.null_conflict)}")
        if self.unique and not implied:
            parts.append("UNIQUE" if self.primary_key else f"UNIQUE{on_key}")
        if self.default is not None:
            parts.append(f"DEFAULT {self.default}")
        if self.collation != "BINARY":
            parts.append(f"COLLATE {self.collation}")
        if self.semantic:
            parts.append("SEMANTIC")
        if self.indexed:
            told = "" if self.tokenize == AUTO else f"(tokenize={text_literal(self.tokenize)})"
            parts.append(f"INDEXED{told}")
        if self.vector_index is not None:
            parts.append(f"INDEXED({self.vector_index})")
        return " ".join(parts)

    def declaration(self) -> str:
        """The definition for ``sqlite3_declare_vtab``.

        Only the rowid is declared PRIMARY KEY. For any other key SQLite would make an index without pages,
        and ``PRAGMA integrity_check`` would report "invalid page number". DEFAULT is left out, as SQLite does
        not apply it.
        """
        parts = [quote(self.name), shown_declaration(self.type, self.type_words)]
        if self.is_rowid:
            parts[1:] = [str(self.type), "PRIMARY KEY"]
        elif self.not_null:
            parts.append("NOT NULL")
        if self.unique and not self.is_rowid:
            parts.append("UNIQUE")
        return " ".join(parts) + self.compared()

    def compared(self) -> str:
        """The COLLATE clause for SQLite: a TIMESTAMP is compared as a time, whatever the table says.

        SQLite's own tables forget that of the rowid, and a UNION takes the collation of its first column.
        """
        if self.is_rowid:
            return ""
        if self.type.kind is Kind.TIMESTAMP:
            return f" COLLATE {TIME_COLLATION}"
        if self.type.logical is not None:
            name = collation_of(self.type.logical)
            return "" if name == "BINARY" else f" COLLATE {name}"
        return "" if self.collation == "BINARY" else f" COLLATE {self.collation}"

    def arrow_metadata(self) -> dict[bytes, bytes]:
        """The metadata of its field in Arrow: the definition, and what users wrote there."""
        told = {b"audiomem:type": str(self.type).encode()}
        told |= {f"audiomem:{flag}".encode(): b"1" for flag in FLAGS if getattr(self, flag)}
        told |= {} if self.type.logical is None else STORED_MARK
        for key, absent in TEXTS.items():
            if (text := getattr(self, key)) != absent:
                told[f"audiomem:{key}".encode()] = text.encode()
        return given_back(self.metadata) | told

    def to_catalog(self) -> dict[str, Any]:
        """A plain dict; what has its default is left out."""
        packed: dict[str, Any] = {"name": self.name, "type": str(self.type)}
        packed |= {flag: True for flag in FLAGS if getattr(self, flag)}
        if self.is_hidden:
            packed["vector_of"] = self.vector_of
        packed |= {key: text for key, absent in TEXTS.items() if (text := getattr(self, key)) != absent}
        if self.origin is not None:
            packed[ORIGIN] = self.origin
        if self.type_words is not None:
            packed[TYPE_WORDS] = self.type_words
        if self.metadata is not None:
            packed[METADATA] = self.metadata
        return packed

    @classmethod
    def from_catalog(cls, packed: object) -> Column:
        """The column that ``to_catalog`` packed.

        Raises SchemaError; keys that begin with ``x_`` are ignored.
        """
        if not isinstance(packed, Mapping):
            raise SchemaError("a column of the catalog is not a map")
        name, type_name = packed.get("name"), packed.get("type")
        if not isinstance(name, str) or not isinstance(type_name, str):
            raise SchemaError("a column of the catalog has no name or no type")
        settings: dict[str, Any] = {"tokenize": UNSAID}
        if isinstance(packed.get(ORIGIN), str):
            settings["origin"] = packed[ORIGIN]
        if isinstance(packed.get(METADATA), str):
            settings["metadata"] = packed[METADATA]
        for key, value in packed.items():
            if key in ("name", "type") or (isinstance(key, str) and key.startswith("x_")):
                continue
            if (
                (key in FLAGS and isinstance(value, bool))
                or (key in TEXTS and isinstance(value, str))
                or (key in ("id", "vector_of") and type(value) is int and 0 <= value <= MAX_COLUMN_ID)
            ):
                settings[key] = value
            else:
                raise refusal(
                    name,
                    f"{key}={value!r} means nothing here",
                    "The file may need a newer version of this package",
                )
        column_type = ColumnType.parse(type_name, name)
        if isinstance(words := packed.get(TYPE_WORDS), str):
            settings["type_words"] = words_of(words, column_type)
        return cls(name, column_type, **settings)


def clause(conflict: str) -> str:
    """ON CONFLICT as it stands behind a constraint, with a space before it; nothing for ABORT."""
    return "" if conflict == "ABORT" else f" ON CONFLICT {conflict}"


def refusal(column: str, what: str, remedy: str | None = None) -> SchemaError:
    """The error for ``column``."""
    return SchemaError(what, place=f"column {column}", remedy=remedy)


def check(column: Column) -> None:
    """Raise SchemaError where SQL would refuse the column."""
    name, kind = column.name, column.type.kind
    if not name:
        raise SchemaError("a column has an empty name")
    if "\0" in name:
        raise refusal(ascii(name), "a name cannot contain the character NUL")
    if not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name):
        raise refusal(ascii(name), "the name is not valid Unicode")
    if column.collation not in _COLLATIONS:
        raise refusal(
            name, f"there is no collation {column.collation}", f"The collations are {', '.join(_COLLATIONS)}"
        )
    is_plain = column.type.logical is None
    if column.collation != "BINARY" and (kind not in _COLLATED or not is_plain):
        raise refusal(name, f"{column.type} has no collation", "COLLATE belongs to TEXT columns")
    if not {column.null_conflict, column.key_conflict} <= {*CONFLICT_CLAUSES}:
        raise refusal(name, "its ON CONFLICT clause is none", CONFLICT_REMEDY)
    if column.default is not None and not is_default(column.default):
        raise refusal(name, f"DEFAULT {column.default:.80} cannot be understood", DEFAULT_REMEDY)
    if column.semantic and (kind is not Kind.TEXT or not is_plain):
        raise refusal(name, f"{column.type} cannot be SEMANTIC", "Only TEXT is searched by meaning")
    if column.indexed and (kind is not Kind.TEXT or not is_plain):
        raise refusal(
            name,
            f"{column.type} cannot be INDEXED",
            "Only TEXT is searched by its words, and FLOAT[n] by its neighbours",
        )
    if column.vector_index is not None:
        _check_vector_index(column, column.vector_index)
    if column.unique or column.primary_key:
        check_key_type(column)


def _check_vector_index(column: Column, text: str) -> None:
    if column.type.kind is not Kind.FLOAT or column.is_hidden:
        raise refusal(
            column.name,
            f"{column.type} has no index of vectors",
            "INDEXED(metric=…) belongs to FLOAT[n] and INT8[n]",
        )
    if column.type.element == BIT:
        raise refusal(
            column.name, f"{column.type} cannot be INDEXED", "Bits are compared all, which takes microseconds"
        )
    try:
        VectorIndexOptions.parse(text).check(column.type.width)
    except SchemaError as error:
        raise refusal(column.name, error.what, error.remedy) from None


def check_key_type(column: Column) -> None:
    """Raise SchemaError if no key can hold the column."""
    is_nested = column.type.logical is not None and column.type.logical.is_nested
    if column.type.kind in (Kind.FLOAT, Kind.JSON) or is_nested:
        raise refusal(
            column.name, f"{column.type} cannot be a key", "Choose another column for UNIQUE or PRIMARY KEY"
        )
