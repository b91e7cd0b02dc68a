"""What the text of a statement tells: the table that it inserts into."""

from __future__ import annotations

from audiomem_sql.columns.lexemes import Token, lexemes
from audiomem_sql.errors import SchemaError

_NAMES = (Token.WORD, Token.QUOTED, Token.STRING)


def insert_target(sql: str) -> str | None:
    """The name behind INTO of an INSERT or REPLACE, without its schema; None of any other statement."""
    try:
        words = lexemes(sql)
    except SchemaError:
        return None
    into = next((place for place, word in enumerate(words) if word.is_word("INTO")), len(words))
    names = words[into + 1 : into + 4]
    if len(names) == 3 and names[1].text == ".":
        names = names[2:]
    return names[0].value if names and names[0].token in _NAMES else None
