"""FTS5's query syntax (https://sqlite.org/fts5.html, section 3): text to an expression.

    expr   := expr "OR" expr | expr "AND" expr | expr "NOT" expr
            | "(" expr ")" | colset ":" "(" expr ")" | near+
    near   := [colset ":"] ( ["^"] phrase | "NEAR" "(" phrase+ ["," number] ")" )
    phrase := string ["*"] ("+" string ["*"])*
    colset := ["-"] ( name | "{" name+ "}" )

NOT binds tighter than AND, and AND tighter than OR; all of them group to the left. Phrases one behind the
other are an AND that binds tightest of all. A string is a bareword or stands in double quotes; the
tokenizer of each column makes words of it, and several words are a phrase.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, NoReturn, TypeAlias

from audiomem_sql.errors import QueryError

NEAR_DISTANCE = 10
#: A greater distance is this one, as in FTS5.
MAX_DISTANCE = 214748363
#: Parentheses inside parentheses, and NOT behind NOT.
MAX_DEPTH = 100
#: Characters of a query: some 20,000 words, which take seconds where each is sought in a large table.
MAX_CHARACTERS = 1 << 17


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that stand one behind the other.

    ``strings``: as they are written, and whether a ``*`` stands behind each: the tokenizer of a column
    makes words of them. ``first``: the phrase must begin its column.
    """

    strings: tuple[tuple[str, bool], ...]
    first: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """A phrase, or several near each other, in one of ``columns``.

    ``phrase_numbers`` are theirs in :attr:`Expression.phrases`.
    """

    phrases: tuple[Phrase, ...]
    columns: frozenset[str]
    distance: int = NEAR_DISTANCE
    phrase_numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class And:
    """All of ``children``.

    ``is_implicit``: they stand one behind the other, and one without a word says nothing.
    """

    children: tuple[Node, ...]
    is_implicit: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Or:
    """One of ``children`` at least."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Not:
    """``left`` without what ``right`` has."""

    left: Node
    right: Node


@dataclass(frozen=True, slots=True, eq=False)
class Nothing:
    """A string without a word: no row has it."""


Node: TypeAlias = Near | And | Or | Not | Nothing


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """A query: its tree, and its phrases in the order of the text, each with the columns it is sought in.

    ``weights``: how often each phrase counts; None: once. ``column_weights``: how much a phrase counts in
    each column, by name; 1 in those that are not named.
    """

    root: Node
    phrases: tuple[tuple[Phrase, frozenset[str]], ...]
    weights: tuple[int, ...] | None = None
    column_weights: Mapping[str, float] = field(default_factory=dict)


def parse_query(text: str, columns: Sequence[str]) -> Expression:
    """The expression that ``text`` says, over ``columns``.

    Raises QueryError with FTS5's words, the place (``character 7``) and what to do, for what is no query and
    for a column that is not there. Also for a text of more than MAX_CHARACTERS, before it is looked at.
    """
    if len(text) > MAX_CHARACTERS:
        raise QueryError(
            f"a query of {len(text):,} characters is over the limit of {MAX_CHARACTERS:,}",
            remedy="Search for fewer words, or for the first ones of a text by words: and not keyword:.",
        )
    parser = _Parser(text, columns)
    root = parser.expression(0)
    if parser.next.kind != "end":
        parser.refuse(parser.next)
    return numbered(root)


def numbered(root: Node, weights: tuple[int, ...] | None = None) -> Expression:
    """The expression with this tree, whose phrases have no numbers yet."""
    phrases: list[tuple[Phrase, frozenset[str]]] = []
    return Expression(_numbered(root, phrases), tuple(phrases), weights)


def _numbered(node: Node, phrases: list[tuple[Phrase, frozenset[str]]]) -> Node:
    if isinstance(node, Near):
        first = len(phrases)
        phrases.extend((phrase, node.columns) for phrase in node.phrases)
        return replace(node, phrase_numbers=tuple(range(first, len(phrases))))
    if isinstance(node, Not):
        left_node = _numbered(node.left, phrases)
        return Not(left_node, _numbered(node.right, phrases))
    if isinstance(node, Nothing):
        return node
    return replace(node, children=tuple(_numbered(child, phrases) for child in node.children))


def spoken(node: Node, has_terms: Callable[[Phrase], bool]) -> Node:
    """``node`` without the phrases that have no word.

    One says nothing beside others and behind them, and finds nothing alone.
    """
    if isinstance(node, Near):
        kept = [at for at, phrase in enumerate(node.phrases) if has_terms(phrase)]
        if len(kept) == len(node.phrases):
            return node
        phrases = tuple(node.phrases[at] for at in kept)
        numbers = tuple(node.phrase_numbers[at] for at in kept)
        return replace(node, phrases=phrases, phrase_numbers=numbers) if kept else Nothing()
    if isinstance(node, Not):
        return Not(spoken(node.left, has_terms), spoken(node.right, has_terms))
    if isinstance(node, Nothing):
        return node
    children = [spoken(child, has_terms) for child in node.children]
    if isinstance(node, And) and node.is_implicit:
        said = [child for child in children if not isinstance(child, Nothing)] or children[:1]
        return said[0] if len(said) == 1 else And(tuple(said))
    return replace(node, children=tuple(children))


def _restricted(node: Node, columns: frozenset[str]) -> Node:
    """``node`` with its phrases looked for in ``columns`` only."""
    if isinstance(node, Near):
        return replace(node, columns=node.columns & columns)
    if isinstance(node, Not):
        return Not(_restricted(node.left, columns), _restricted(node.right, columns))
    if isinstance(node, Nothing):
        return node
    return replace(node, children=tuple(_restricted(child, columns) for child in node.children))


class _Lexeme(NamedTuple):
    kind: str  # "string", "end", "unterminated", "unknown", OR, AND, NOT, or the character itself
    text: str  # as written
    position: int


class _Parser:
    def __init__(self, text: str, columns: Sequence[str]) -> None:
        self._text = text.partition("\0")[0]
        self._all = frozenset(columns)
        self._columns = {column.lower(): column for column in columns}
        self._lexemes = list(self._read())
        self._at = 0

    @property
    def next(self) -> _Lexeme:
        return self._lexemes[self._at]

    def _read(self) -> Iterator[_Lexeme]:
        text, at = self._text, 0
        while at < len(text):
            start, character = at, text[at]
            at += 1
            if character in " \t\n\r":
                continue
            if character in "(){}:,+*-^":
                yield _Lexeme(character, character, start)
            elif character == '"':
                while True:
                    end = text.find('"', at)
                    if end < 0:
                        yield _Lexeme("unterminated", text[start:], start)
                        return
                    at = end + 1
                    if text[at : at + 1] != '"':
                        break
                    at += 1
                yield _Lexeme("string", text[start:at], start)
            elif _is_bare(character):
                while at < len(text) and _is_bare(text[at]):
                    at += 1
                word = text[start:at]
                yield _Lexeme(word if word in ("AND", "OR", "NOT") else "string", word, start)
            else:
                yield _Lexeme("unknown", character, start)
        yield _Lexeme("end", "", len(text))

    def refuse(self, lexeme: _Lexeme) -> NoReturn:
        """Raise the error for a lexeme that may not stand where it stands."""
        if lexeme.kind == "unterminated":
            self._fail("unterminated string", lexeme.position, "Close the double quote.")
        self._fail(
            f'fts5: syntax error near "{lexeme.text}"',
            lexeme.position,
            "Put text that is no query into double quotes.",
        )

    def _fail(self, fault: str, character: int, remedy: str) -> NoReturn:
        raise QueryError(fault, place=f"character {character + 1} of the query", remedy=remedy)

    def _take(self, kind: str) -> _Lexeme:
        lexeme = self.next
        if lexeme.kind != kind:
            self.refuse(lexeme)
        self._at += 1
        return lexeme

    def _skip(self, kind: str) -> bool:
        is_next = self.next.kind == kind
        self._at += is_next
        return is_next

    def _deeper(self, depth: int) -> int:
        if depth >= MAX_DEPTH:
            self._fail(
                f"fts5 expression tree is too large (maximum depth {MAX_DEPTH})",
                self.next.position,
                "Use fewer parentheses.",
            )
        return depth + 1

    def expression(self, depth: int) -> Node:
        children = [self._conjunction(depth)]
        while self._skip("OR"):
            children.append(self._conjunction(depth))
        return children[0] if len(children) == 1 else Or(tuple(children))

    def _conjunction(self, depth: int) -> Node:
        children = [self._exclusion(depth)]
        while self._skip("AND"):
            children.append(self._exclusion(depth))
        return children[0] if len(children) == 1 else And(tuple(children))

    def _exclusion(self, depth: int) -> Node:
        node = self._primary(depth)
        chain = depth
        while self._skip("NOT"):
            chain = self._deeper(chain)
            node = Not(node, self._primary(chain))
        return node

    def _primary(self, depth: int) -> Node:
        if self._skip("("):
            inner = self.expression(self._deeper(depth))
            self._take(")")
            return inner
        nodes: list[Node] = []
        while not nodes or self.next.kind in ("string", "^", "-", "{"):
            columns = self._column_set()
            if columns is not None and not nodes and self._skip("("):
                inner = self.expression(self._deeper(depth))
                self._take(")")
                return _restricted(inner, columns)
            nodes.append(self._near(self._all if columns is None else columns))
        return nodes[0] if len(nodes) == 1 else And(tuple(nodes), is_implicit=True)

    def _column_set(self) -> frozenset[str] | None:
        """The columns that stand before a colon, if any do."""
        follows = self._lexemes[self._at + 1].kind if self.next.kind == "string" else ""
        if self.next.kind not in ("-", "{") and follows != ":":
            return None
        without = self._skip("-")
        named: set[str] = set()
        if self._skip("{"):
            while not named or self.next.kind == "string":
                named.add(self._column(self._take("string")))
            self._take("}")
        else:
            named.add(self._column(self._take("string")))
        self._take(":")
        return self._all - named if without else frozenset(named)

    def _column(self, lexeme: _Lexeme) -> str:
        if self.next.kind in ("unknown", "unterminated"):
            self.refuse(self.next)
        name = _unquoted(lexeme.text)
        column = self._columns.get(name.lower())
        if column is None:
            self._fail(
                f"no such column: {name}",
                lexeme.position,
                f"The columns are {', '.join(sorted(self._all))}. "
                "Put text that is no query into double quotes.",
            )
        return column

    def _near(self, columns: frozenset[str]) -> Node:
        if self._skip("^"):
            return Near((replace(self._phrase(), first=True),), columns)
        if self.next.kind == "string" and self._lexemes[self._at + 1].kind == "(":
            name = self._take("string")
            self._take("(")
            phrases = [self._phrase()]
            while self.next.kind not in (",", ")"):
                phrases.append(self._phrase())
            distance = self._take("string") if self._skip(",") else None
            self._take(")")
            if name.text != "NEAR":
                self.refuse(name)
            reach = NEAR_DISTANCE if distance is None else self._distance(distance)
            return Near(tuple(phrases), columns, reach)
        return Near((self._phrase(),), columns)

    def _distance(self, lexeme: _Lexeme) -> int:
        if not (lexeme.text.isascii() and lexeme.text.isdigit()):
            self._fail(f'expected integer, got "{lexeme.text}"', lexeme.position, "Write NEAR(a b, 5).")
        return min(int(lexeme.text[:10]) if len(lexeme.text) < 11 else MAX_DISTANCE, MAX_DISTANCE)

    def _phrase(self) -> Phrase:
        strings: list[tuple[str, bool]] = []
        while True:
            text = _unquoted(self._take("string").text)
            strings.append((text, self._skip("*")))
            if not self._skip("+"):
                return Phrase(tuple(strings))


def _is_bare(character: str) -> bool:
    return character > "\x7f" or character.isalnum() or character in "_\x1a"


def _unquoted(text: str) -> str:
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
