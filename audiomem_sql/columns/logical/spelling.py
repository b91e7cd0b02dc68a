"""Reading the SQL names of logical types, as SQLite, DuckDB and PostgreSQL have them."""

from __future__ import annotations

import re

from audiomem_sql.columns.logical.node import (
    BLOBS,
    DECIMAL_DEFAULT,
    INTEGERS,
    ITEMS,
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_PRECISION,
    ZONED,
    Node,
)
from audiomem_sql.errors import SchemaError

_PLAIN = {name: Node(name) for name in INTEGERS | BLOBS | ITEMS}
_SYNONYMS = {
    "INT128": "HUGEINT",
    "UINT128": "UHUGEINT",
    "VARINT": "BIGNUM",
    "UINT64": "UBIGINT",
    "TIME WITH TIME ZONE": "TIMETZ",
    "TIME WITHOUT TIME ZONE": "TIME",
    "TIMESTAMP WITHOUT TIME ZONE": "TIMESTAMP",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMP_US": "TIMESTAMP",
    "DURATION": "DURATION_US",
    "GUID": "UUID",
    "UNIQUEIDENTIFIER": "UUID",
    "BITSTRING": "BIT",
    "VARBIT": "BIT",
    "BIT VARYING": "BIT",
    "UNSIGNED BIG INT": "UBIGINT",
    "INT UNSIGNED": "UINTEGER",
    "BIGINT UNSIGNED": "UBIGINT",
    # inside of others
    "BOOL": "BOOLEAN",
    "LOGICAL": "BOOLEAN",
    "INT1": "TINYINT",
    "INT8": "TINYINT",
    "INT16": "SMALLINT",
    "SHORT": "SMALLINT",
    "INT2": "SMALLINT",
    "INT": "BIGINT",
    "INTEGER": "BIGINT",
    "INT4": "INT32",
    "INT64": "BIGINT",
    "LONG": "BIGINT",
    "UINT8": "UTINYINT",
    "UINT16": "USMALLINT",
    "UINT32": "UINTEGER",
    "FLOAT16": "HALF",
    "FLOAT4": "FLOAT",
    "FLOAT32": "FLOAT",
    "REAL": "DOUBLE",
    "FLOAT8": "DOUBLE",
    "FLOAT64": "DOUBLE",
    "DOUBLE PRECISION": "DOUBLE",
    "TEXT": "VARCHAR",
    "STRING": "VARCHAR",
    "CHAR": "VARCHAR",
    "BPCHAR": "VARCHAR",
    "CHARACTER VARYING": "VARCHAR",
    "BYTEA": "BLOB",
    "BINARY": "BLOB",
    "VARBINARY": "BLOB",
}
_ZONED = {
    "TIMESTAMPTZ": "TIMESTAMPTZ",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ",
    "TIMESTAMPTZ_US": "TIMESTAMPTZ",
    **{name: name for name in ZONED},
}
_TOKEN = re.compile(
    r"""\s*(?:(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>[0-9]{1,9})|(?P<text>'(?:[^']|'')*')|"""
    r"""(?P<name>"(?:[^"]|"")*")|(?P<mark>[()\[\],]))"""
)
_WORDS_OF_TYPES = frozenset(
    ("WITH", "WITHOUT", "TIME", "ZONE", "PRECISION", "VARYING", "BIG", "INT", "UNSIGNED")
)
_OFFSET = re.compile(r"[+-][0-9]{2}:[0-9]{2}")


def parse_node(text: str) -> Node | None:
    """The logical type that ``text`` spells; None if it is none, nor begins like one.

    Alone, the names that are kinds of the engine, such as BIGINT, are none. SchemaError for what begins like
    a logical type and is none.
    """
    if len(text) > MAX_CHARACTERS:
        raise SchemaError("the type is too long", remedy=f"It has at most {MAX_CHARACTERS:,} characters")
    tokens = _tokens(text)
    if tokens is None:
        return None
    reader = _Reader(tokens, text)
    node = reader.type(0)
    if node is None or (node.name in ITEMS and reader.at == len(tokens)):
        return None
    if reader.at < len(tokens):
        return None
    return node


def check_zone(zone: str) -> str:
    """The zone, if it is one. SchemaError for a name that nobody knows."""
    if _OFFSET.fullmatch(zone):
        hours, minutes = int(zone[1:3]), int(zone[4:])
        if hours < 24 and minutes < 60:
            return zone
    else:
        from zoneinfo import ZoneInfo  # few types have a zone

        try:
            ZoneInfo(zone)
            return zone
        except (ValueError, OSError, KeyError):  # not found; no such file; names that are paths
            pass
    raise SchemaError(f"{zone!r} is no time zone", remedy="Write a name such as 'Europe/Berlin', or '+05:30'")


def _tokens(text: str) -> list[tuple[str, str]] | None:
    found: list[tuple[str, str]] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        token = _TOKEN.match(text, at)
        if token is None or token.lastgroup is None:
            return None
        found.append((token.lastgroup, token[token.lastgroup]))
        at = token.end()
    return found


class _Reader:
    """Reads types from tokens."""

    def __init__(self, tokens: list[tuple[str, str]], text: str) -> None:
        self.tokens = tokens
        self.at = 0
        self._text = text

    def type(self, depth: int) -> Node | None:
        if depth > MAX_DEPTH:
            raise SchemaError("the type is nested too deeply", remedy=f"It has at most {MAX_DEPTH} levels")
        node = self._base(depth)
        if node is not None and self._is_word("ARRAY"):
            self.at += 1
            node = Node("LIST", children=(node,))
        while node is not None and self._take("["):
            if self._take("]"):
                node = Node("LIST", children=(node,))
                continue
            kind, value = self._next()
            if kind != "number" or not self._take("]"):
                return None
            node = Node("ARRAY", (int(value),), children=(node,))
        return node

    def _base(self, depth: int) -> Node | None:
        kind, word = self._next()
        if kind != "word":
            return None
        words = [word.upper()]
        while self.at < len(self.tokens) and self.tokens[self.at][1].upper() in _WORDS_OF_TYPES:
            words.append(self._next()[1].upper())
        name = " ".join(words)
        if name in ("DECIMAL", "NUMERIC", "DEC"):
            return self._decimal()
        if name in _ZONED:
            return self._zoned(_ZONED[name])
        if name in ("TIME", "TIMESTAMP"):
            return self._precise(name)
        if name in ("VARCHAR", "CHAR", "BPCHAR", "CHARACTER VARYING") and self._take("("):
            return Node("VARCHAR") if self._numbers() is not None else None
        if name in ("BIT", "VARBIT", "BIT VARYING") and self._take("("):
            return Node("BIT") if self._numbers() is not None else None
        if name == "ENUM" and self._take("("):
            return self._enum()
        if name in ("STRUCT", "ROW") and self._take("("):
            return self._struct(depth)
        if name == "MAP" and self._take("("):
            return self._map(depth)
        return _PLAIN.get(_SYNONYMS.get(name, name))

    def _decimal(self) -> Node | None:
        if not self._take("("):
            return Node("DECIMAL", DECIMAL_DEFAULT)
        numbers = self._numbers()
        if numbers is None or len(numbers) > 2:
            raise SchemaError(
                f"{self._text.strip()} is not a type", remedy=f"Write DECIMAL(p, s), p up to {MAX_PRECISION}"
            )
        return Node("DECIMAL", (numbers[0], numbers[1] if len(numbers) == 2 else 0))

    def _zoned(self, name: str) -> Node | None:
        if not self._take("("):
            return Node(name, words=("UTC",))
        kind, value = self._next()
        if kind == "number" and self._take(")"):
            return Node(_of_digits("TIMESTAMPTZ", int(value)), words=("UTC",))
        if kind != "text" or not self._take(")"):
            return None
        return Node(name, words=(check_zone(_inside(value)),))

    def _precise(self, name: str) -> Node | None:
        """TIME and TIMESTAMP, with digits behind the second as in PostgreSQL."""
        if not self._take("("):
            return Node(name)
        numbers = self._numbers()
        if numbers is None or len(numbers) != 1:
            return None
        made = _of_digits(name, numbers[0])
        rest = " ".join(value.upper() for _, value in self.tokens[self.at : self.at + 3])
        if rest == "WITHOUT TIME ZONE":
            self.at += 3
        elif rest == "WITH TIME ZONE":
            self.at += 3
            return (
                Node(made.replace("TIMESTAMP", "TIMESTAMPTZ"), words=("UTC",))
                if name == "TIMESTAMP"
                else Node("TIMETZ")
            )
        return Node(made)

    def _enum(self) -> Node | None:
        words: list[str] = []
        while True:
            kind, value = self._next()
            if kind != "text":
                return None
            words.append(_inside(value))
            if self._take(")"):
                return Node("ENUM", words=tuple(words))
            if not self._take(","):
                return None

    def _struct(self, depth: int) -> Node | None:
        names: list[str] = []
        children: list[Node] = []
        while not self._take(")"):
            if names and not self._take(","):
                return None
            kind, value = self._next()
            if kind not in ("word", "name"):
                return None
            child = self.type(depth + 1)
            if child is None:
                return None
            names.append(_inside(value) if kind == "name" else value)
            children.append(child)
        return Node("STRUCT", words=tuple(names), children=tuple(children))

    def _map(self, depth: int) -> Node | None:
        key = self.type(depth + 1)
        if key is None or not self._take(","):
            return None
        value = self.type(depth + 1)
        if value is None or not self._take(")"):
            return None
        return Node("MAP", children=(key, value))

    def _numbers(self) -> list[int] | None:
        """Numbers up to the closing parenthesis."""
        numbers: list[int] = []
        while True:
            kind, value = self._next()
            if kind != "number":
                return None
            numbers.append(int(value))
            if self._take(")"):
                return numbers
            if not self._take(","):
                return None

    def _next(self) -> tuple[str, str]:
        if self.at == len(self.tokens):
            return "", ""
        self.at += 1
        return self.tokens[self.at - 1]

    def _is_word(self, word: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at][1].upper() == word

    def _take(self, mark: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at] == ("mark", mark):
            self.at += 1
            return True
        return False


def _of_digits(name: str, digits: int) -> str:
    """The type that holds so many digits behind the second."""
    if digits == 0:
        return f"{name}_S"
    return f"{name}_MS" if digits <= 3 else name if digits <= 6 else f"{name}_NS"


def _inside(quoted: str) -> str:
    mark = quoted[0]
    return quoted[1:-1].replace(mark * 2, mark)
