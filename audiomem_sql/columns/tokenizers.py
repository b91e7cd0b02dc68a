"""What ``INDEXED(tokenize='…')`` says: how the texts of a column become words.

The syntax is that of FTS5's option ``tokenize`` (https://sqlite.org/fts5.html, section 4.3): the name of a
tokenizer, and behind it options and their values, or for ``porter`` and ``snowball`` the tokenizer that makes
the words that are stemmed.

    auto [language]
    unicode61 | bigram  [remove_diacritics 0|1|2] [categories '…'] [tokenchars '…'] [separators '…']
    ascii               [tokenchars '…'] [separators '…']
    trigram             [case_sensitive 0|1] [remove_diacritics 0|1]
    porter              [unicode61 … | ascii … | bigram …]
    snowball language   [unicode61 … | bigram …]
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from audiomem_sql.errors import SchemaError, did_you_mean

#: What a column has that says nothing: words by script, stems by script and language.
AUTO = "auto"
#: What columns of files have that do not name their tokenizer: they are older than the choice.
UNSAID = "unicode61"
#: The stemmers of Snowball (https://snowballstem.org) that can be named.
LANGUAGES = (
    *("arabic", "armenian", "basque", "catalan", "czech", "danish", "dutch", "dutch_porter", "english"),
    *("esperanto", "estonian", "finnish", "french", "german", "greek", "hindi", "hungarian", "indonesian"),
    *("irish", "italian", "lithuanian", "nepali", "norwegian", "persian", "polish", "porter", "portuguese"),
    *("romanian", "russian", "serbian", "sesotho", "spanish", "swedish", "tamil", "turkish", "yiddish"),
)
#: The options of the tokenizers that make words of characters, and what each is without.
_OPTIONS: dict[str, dict[str, str]] = {
    "unicode61": {"remove_diacritics": "1", "categories": "L* N* Co", "tokenchars": "", "separators": ""},
    "bigram": {"remove_diacritics": "2", "categories": "L* M* N* Co", "tokenchars": "", "separators": ""},
    "ascii": {"tokenchars": "", "separators": ""},
    "trigram": {"case_sensitive": "0", "remove_diacritics": "0"},
}
_VALUES = {"unicode61": "012", "bigram": "012", "trigram": "01"}
_STEMMED = {"porter": ("unicode61", "ascii", "bigram"), "snowball": ("bigram", "unicode61")}
_NAMES = (AUTO, *_OPTIONS, *_STEMMED)
_CATEGORY = re.compile(r"C[cfnos*]|L[lmotu*]|M[cen*]|N[dlo*]|P[cdefios*]|S[ckmo*]|Z[lps*]")
_WORD = re.compile(r"""\s*(?:'((?:[^']|'')*)'|"((?:[^"]|"")*)"|([^\s'"]+))(?=\s|\Z)""")
_BARE = re.compile(r"[\w*]+", re.ASCII)
#: Most characters of a specification.
MAX_LENGTH = 4096


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """A tokenizer by its parts.

    base: what makes words of characters, a name. stemmer: a language of Snowball; ``fts5 porter`` for
    FTS5's stemmer; ``auto`` for one by script, ``language`` being that of Latin words (None: it is not
    known); None for none. The other fields are options of the base.
    """

    base: str
    stemmer: str | None = None
    language: str | None = None
    remove_diacritics: int = 1
    categories: str = "L* N* Co"
    tokenchars: str = ""
    separators: str = ""
    case_sensitive: bool = False

    def __str__(self) -> str:
        """The specification, always written in the same way."""
        if self.stemmer == AUTO:
            return AUTO if self.language is None else f"{AUTO} {self.language}"
        words = [self.base]
        for option, usual in _OPTIONS[self.base].items():
            value = getattr(self, option)
            text = str(int(value)) if isinstance(value, bool | int) else value
            if text != usual:
                words += [option, _quoted(text)]
        if self.stemmer == FTS5_PORTER:
            return " ".join(["porter", *([] if words == ["unicode61"] else words)])
        if self.stemmer is not None:
            return " ".join(["snowball", self.stemmer, *([] if words == ["bigram"] else words)])
        return " ".join(words)


FTS5_PORTER = "fts5 porter"


@functools.lru_cache(maxsize=256)
def parse_tokenizer(text: str) -> Tokenizer:
    """The tokenizer that ``text`` says.

    Raises SchemaError (without a place) for a tokenizer or option that does not exist, or a value out of
    range.
    """
    words = _words(text)
    if not words:
        raise SchemaError("tokenize names no tokenizer", remedy=f"The tokenizers are {', '.join(_NAMES)}")
    name, *rest = words
    kind = name.lower()
    if kind == AUTO:
        if len(rest) > 1:
            raise SchemaError(f"auto has no option {rest[1]}", remedy="Write auto, or auto german")
        language = _language(rest[0]) if rest else None
        return _base("bigram", [], AUTO, language)
    if kind == "snowball":
        if not rest:
            raise SchemaError(
                "snowball names no language",
                remedy=f"Write snowball english; there are {', '.join(LANGUAGES)}",
            )
        return _stemmed(kind, _language(rest[0]), rest[1:])
    if kind == "porter":
        return _stemmed(kind, FTS5_PORTER, rest)
    return _base(name, rest)


def _stemmed(wrapper: str, stemmer: str, words: list[str]) -> Tokenizer:
    allowed = _STEMMED[wrapper]
    base, *options = words or [allowed[0]]
    if base.lower() in _NAMES and base.lower() not in allowed:
        raise SchemaError(
            f"{wrapper} cannot stem what {base} makes", remedy=f"Behind it comes {', '.join(allowed)}"
        )
    return _base(base, options, stemmer)


def _base(name: str, words: list[str], stemmer: str | None = None, language: str | None = None) -> Tokenizer:
    """The tokenizer ``name`` with options; each is followed by its value."""
    usual = _OPTIONS.get(name.lower())
    if usual is None:
        raise SchemaError(
            f"there is no tokenizer {name}",
            remedy=f"{did_you_mean(name.lower(), _NAMES)}The tokenizers are {', '.join(_NAMES)}",
        )
    base = name.lower()
    values = dict(usual)
    if len(words) % 2:
        raise SchemaError(f"the option {words[-1]} of the tokenizer {base} has no value")
    for option, value in zip(words[::2], words[1::2], strict=True):
        option_name = option.lower()
        if option_name not in usual:
            raise SchemaError(
                f"the tokenizer {base} has no option {option}",
                remedy=f"{did_you_mean(option_name, usual)}Its options are {', '.join(usual)}",
            )
        values[option_name] = _checked(base, option_name, value)
    if base == "trigram" and values["case_sensitive"] == values["remove_diacritics"] == "1":
        raise SchemaError(
            "trigram cannot remove_diacritics while it is case_sensitive", remedy="Leave one of them out"
        )
    return Tokenizer(
        base,
        stemmer,
        language,
        int(values.get("remove_diacritics", 0)),
        values.get("categories", ""),
        values.get("tokenchars", ""),
        values.get("separators", ""),
        values.get("case_sensitive", "1" if base == "ascii" else "0") == "1",
    )


def _checked(base: str, option: str, value: str) -> str:
    """The value of an option, or SchemaError."""
    if option in ("remove_diacritics", "case_sensitive"):
        allowed = "01" if option == "case_sensitive" else _VALUES[base]
        if value not in tuple(allowed):
            raise SchemaError(f"{option} {value} is out of range", remedy=f"It is {', '.join(allowed)}")
    elif option == "categories":
        names = value.split()
        wrong = [name for name in names if not _CATEGORY.fullmatch(name)]
        if wrong or not names:
            raise SchemaError(
                f"categories {value!r} names no category of characters",
                remedy="Write names of Unicode's general categories, such as 'L* N* Co'",
            )
        return " ".join(names)
    elif "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise SchemaError(f"{option} has a character that no text has")
    return value


def _language(name: str) -> str:
    language = name.lower()
    if language not in LANGUAGES:
        raise SchemaError(
            f"there is no stemmer for {name}",
            remedy=f"{did_you_mean(language, LANGUAGES)}There are {', '.join(LANGUAGES)}",
        )
    return language


def _words(text: str) -> list[str]:
    """The words of a specification; a quoted one is a word whatever it has."""
    if len(text) > MAX_LENGTH:
        raise SchemaError(f"a tokenizer is told in at most {MAX_LENGTH} characters")
    words: list[str] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _WORD.match(text, at)
        if match is None:
            raise SchemaError(
                f"tokenize={text!r} cannot be read from character {at + 1} on",
                remedy="Look for a quotation mark that is not closed",
            )
        single, double, bare = match.groups()
        if single is not None:
            words.append(single.replace("''", "'"))
        else:
            words.append(double.replace('""', '"') if double is not None else bare)
        at = match.end()
    return words


def _quoted(text: str) -> str:
    return text if _BARE.fullmatch(text) else "'" + text.replace("'", "''") + "'"
