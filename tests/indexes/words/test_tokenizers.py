"""Every tokenizer: those of FTS5 do as FTS5 does, the others find what people look for."""

from __future__ import annotations

import unicodedata

import apsw
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.columns.tokenizers import parse_tokenizer
from audiomem_sql.errors import SchemaError
from audiomem_sql.indexes.words.fts_query import parse_query
from audiomem_sql.indexes.words.languages import stop_words
from audiomem_sql.indexes.words.matching import match
from audiomem_sql.indexes.words.plain_words import MOST_WORDS, plain_query
from audiomem_sql.indexes.words.porter import porter
from audiomem_sql.indexes.words.rows_in_memory import KeywordRows
from audiomem_sql.indexes.words.stems import Stems, stemmer
from audiomem_sql.indexes.words.tokenizer import words_of

#: Specifications, and their words.
OF_FTS5 = {
    "unicode61": ["unicode61"],
    "unicode61 remove_diacritics 0": ["unicode61", "remove_diacritics", "0"],
    "unicode61 remove_diacritics 2": ["unicode61", "remove_diacritics", "2"],
    "unicode61 tokenchars '-_.é' separators x": ["unicode61", "tokenchars", "-_.é", "separators", "x"],
    "unicode61 categories 'L* S* Pd'": ["unicode61", "categories", "L* S* Pd"],
    "ascii": ["ascii"],
    "ascii tokenchars '-@' separators q": ["ascii", "tokenchars", "-@", "separators", "q"],
    "porter": ["porter"],
    "porter ascii": ["porter", "ascii"],
    "trigram": ["trigram"],
    "trigram case_sensitive 1": ["trigram", "case_sensitive", "1"],
    "trigram remove_diacritics 1": ["trigram", "remove_diacritics", "1"],
}
OURS = (
    *("auto", "auto turkish", "bigram", "bigram remove_diacritics 0", "bigram tokenchars '+#'"),
    *("snowball german", "snowball english unicode61", "snowball french unicode61 remove_diacritics 0"),
    "porter bigram",
)
texts = st.lists(
    st.one_of(
        st.characters(exclude_categories=("Cs",)),
        st.sampled_from(
            "aZqx é\u0301\u0300\u0331 ß\n\0-_.@+1İıςΣế漢字かナ\u3099🎉👩\u200d\ufe0fกินשָׁل\u0640\u00ad"
        ),
        st.sampled_from(("ing", "ational", "sses", "eed", "logi", "ies")),
    ),
    max_size=24,
).map("".join)
WORD = st.text("abceilnostuyz", max_size=4)
SUFFIX = st.sampled_from(
    [
        *("", "ing", "ed", "eed", "s", "es", "sses", "ies", "ss", "at", "bl", "iz", "y", "e", "ll", "sion"),
        *(
            "ational",
            "tional",
            "enci",
            "anci",
            "izer",
            "logi",
            "bli",
            "alli",
            "entli",
            "eli",
            "ousli",
            "tion",
        ),
        *("ization", "ation", "ator", "alism", "iveness", "fulness", "ousness", "aliti", "iviti", "biliti"),
        *(
            "ical",
            "ness",
            "icate",
            "iciti",
            "ful",
            "ative",
            "alize",
            "al",
            "ance",
            "ence",
            "er",
            "ic",
            "able",
        ),
        *("ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti", "ous", "ive", "ize"),
    ]
)


@pytest.fixture(scope="module")
def sqlite() -> apsw.Connection:
    return apsw.Connection(":memory:")


@pytest.mark.parametrize("tokenize", OF_FTS5)
def test_tokens_are_those_of_fts5(sqlite: apsw.Connection, tokenize: str) -> None:
    judge = sqlite.fts5_tokenizer(OF_FTS5[tokenize][0], OF_FTS5[tokenize][1:])
    words = words_of(tokenize)

    @settings(max_examples=120, deadline=None)
    @given(texts)
    def check(text: str) -> None:
        octets = text.encode()
        expected = [
            (term.encode(), len(octets[:start].decode()), len(octets[:end].decode()))
            for start, end, term in judge(
                octets, apsw.FTS5_TOKENIZE_DOCUMENT, None, include_offsets=True, include_colocated=False
            )
        ]
        assert [token[:3] for token in words.spans(text)] == expected
        column = words.tokenize(pa.array([text]))
        assert column.terms.take(pa.array(column.codes)).to_pylist() == [term for term, _, _ in expected]

    check()


@settings(max_examples=400, deadline=None)
@given(WORD, SUFFIX, SUFFIX)
def test_porter_is_that_of_fts5(sqlite: apsw.Connection, word: str, suffix: str, second: str) -> None:
    text = f"q{word}{suffix}{second}".encode()
    judge = sqlite.fts5_tokenizer("porter", ["ascii"])
    expected = judge(text, apsw.FTS5_TOKENIZE_DOCUMENT, None, include_offsets=False, include_colocated=False)
    assert [porter(text).decode()] == expected


@pytest.mark.parametrize("tokenize", [*OF_FTS5, *OURS])
def test_a_column_has_the_terms_of_its_texts(tokenize: str) -> None:
    words = words_of(tokenize)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.one_of(texts, st.none()), max_size=5))
    def check(values: list[str | None]) -> None:
        column = words.tokenize(pa.array(values, pa.string()))
        terms = column.terms.to_pylist()
        assert terms == sorted(set(terms))
        assert [
            (terms[code], row, position)
            for code, row, position in zip(
                column.codes.tolist(), column.rows.tolist(), column.positions.tolist(), strict=True
            )
        ] == [
            (token.term, row, position)
            for row, value in enumerate(values)
            for position, token in enumerate(words.spans(value or ""))
        ]

    check()


@pytest.mark.parametrize("tokenize", [*OF_FTS5, *OURS])
def test_a_specification_is_always_written_alike(tokenize: str) -> None:
    parsed = parse_tokenizer(tokenize)
    assert parse_tokenizer(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("tokenize", "fault"),
    [
        ("", "names no tokenizer"),
        ("unicode62", "no tokenizer unicode62.*Did you mean unicode61"),
        ("unicode61 remove_diacritics 3", "remove_diacritics 3 is out of range.*0, 1, 2"),
        ("trigram remove_diacritics 2", "out of range"),
        ("trigram case_sensitive 1 remove_diacritics 1", "cannot remove_diacritics"),
        ("unicode61 tokenchar x", "no option tokenchar.*Did you mean tokenchars"),
        ("unicode61 tokenchars", "has no value"),
        ("unicode61 categories 'L* Q*'", "no category"),
        ("unicode61 categories ''", "no category"),
        ("unicode61 tokenchars 'x", "character 21 on"),
        ("snowball", "names no language"),
        ("snowball klingon", "no stemmer for klingon"),
        ("snowball english trigram", "cannot stem what trigram makes"),
        ("porter snowball english", "cannot stem what snowball makes"),
        ("auto english german", "no option german"),
        ("auto elvish", "no stemmer for elvish"),
        ("ascii " + "x" * 5000, "at most 4096"),
        ("bigram tokenchars '\0'", "no text has"),
    ],
)
def test_what_is_no_tokenizer(tokenize: str, fault: str) -> None:
    with pytest.raises(SchemaError, match=fault):
        parse_tokenizer(tokenize)


def found(tokenize: str, rows: list[str], query: str, *, plain: bool = False) -> list[int]:
    words = words_of(tokenize)
    expression = plain_query(query, {"t": words}) if plain else parse_query(query, ["t"])
    matches = match(expression, {"t": KeywordRows(pa.array(rows), words)})
    return [int(row) for row in matches.score(matches.statistics)[0]]


ROWS = [
    "飞书消息通知",
    "サンドボックス修正テスト",
    "tiếng Việt rất đẹp",
    "Die Häuser der Stadt, die Straßen",
    "İstanbul'da yaşıyorum",
    "مَدْرَسَة الكتاب",
    "שָׁלוֹם עולם",
    "ผมเรียนภาษาไทยครับ",
    "party 🎉👩\u200d👧 time",
    "don't ship BENCH-100821 with C++ on 20.04 to a@b.de",
    "the connections are running",
    "Привет, мир: новые книги",
    "हिन्दी की किताबें",
    "ｆｕｌｌｗｉｄｔｈ　１２３",
    "Ärger im Donau\u00addampfschiff",
]
LOOKED_FOR = {
    "消息": [0],
    "息": [0],
    "息 通": [0],
    "飞书通知": [],
    "修正": [1],
    "ト": [1],
    "正テスト": [1],
    "tieng viet": [2],
    '"tiếng việt"': [2],
    "tie\u0302\u0301ng": [2],
    "dep": [2],
    "strassen": [3],
    "STRASSEN": [3],
    "hauser": [3],
    "straße*": [3],
    "istanbul": [4],
    "ISTANBUL": [4],
    "ıstanbul": [4],
    "İstanbul": [4],
    "yasiyorum": [4],
    "كتاب": [5],
    "مدرسة": [5],
    "שלום": [6],
    "ภาษาไทย": [7],
    "ไทยภาษา": [],
    "🎉": [8],
    "👩": [8],
    "👧": [8],
    "connection": [10],
    "run": [10],
    "running NOT connect": [],
    "NEAR(connect run, 1)": [10],
    "книга": [11],
    "НОВАЯ": [11],
    "किताब": [12],
    "fullwidth": [13],
    "123": [13],
    "arger": [14],
    "donaudampfschiff": [14],
}


@pytest.mark.parametrize("query", LOOKED_FOR)
def test_what_is_found_in_every_script(query: str) -> None:
    assert found("auto", ROWS, query) == LOOKED_FOR[query]


def test_half_width_katakana_are_letters_of_their_own() -> None:
    """As docs/SQL.md says; Unicode's NFKC makes full-width ones of them."""
    half = "\uff76\uff9e\uff72\uff84\uff9e"
    full = unicodedata.normalize("NFKC", half)
    assert full == "ガイド"
    for tokenize in ("auto", "bigram"):
        assert found(tokenize, [half, full], half) == [0]
        assert found(tokenize, [half, full], full) == [1]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        *(
            (text, [9])
            for text in ("don't", "BENCH-100821", "C++", "20.04", "a@b.de", "C++ OR", "(ship", "ship*")
        ),
        *(
            (text, [])
            for text in ("", " ", "*", '"', "AND", "a AND b"[2:5], "^", "NEAR(", "?!", "\0", "\ud800")
        ),
        *(
            (text, [10])
            for text in ("the", "What is it that runs?", "connect, connect!", '"unbalanced running')
        ),
        *((text, [0]) for text in ("消息", "飞书消息通知", "息")),
        ("ภาษาไทย", [7]),
        ("🎉", [8]),
        ("x" * (1 << 20), []),
        ("running " * (1 << 17), [10]),
    ],
)
def test_plain_words_are_never_a_syntax_error(query: str, rows: list[int]) -> None:
    assert found("auto", ROWS, query, plain=True) == rows


@pytest.mark.parametrize(
    ("query", "looked_for"),
    [
        ("How Do I reset THE house", ["reset", "hous"]),
        ("What IS it", ["what", "is", "it"]),  # nothing but stop words
        ("houses House HOUSING", ["hous"]),  # one stem, three times
        ("", []),
    ],
)
def test_what_plain_words_look_for(query: str, looked_for: list[str]) -> None:
    words = words_of("auto english")
    expression = plain_query(query, {"t": words})
    terms = [words.phrase(phrase.strings)[0][0].decode() for phrase, _ in expression.phrases]
    assert terms == looked_for
    assert sum(expression.weights or ()) == (3 if len(looked_for) == 1 else len(looked_for))


def test_stop_words_are_left_out_of_plain_words_only() -> None:
    rows = ["the", "to be or not to be", "a reset of the password"]
    assert found("auto", rows, "the reset", plain=True) == [2]
    assert found("auto", rows, "the OR reset") == [2, 0]
    assert found("auto", rows, '"to be"') == [1]
    assert found("auto", rows, "to be or not to be", plain=True) == [1]
    assert found("unicode61", rows, "the reset", plain=True) == [2, 0]
    assert found("porter", rows, "the resets", plain=True) == [2]
    assert {"how", "do", "i", "what", "don", "t", "don't"} <= stop_words("english")
    assert not {"can", "won", "let", "reset"} & stop_words("english")
    assert len(stop_words("german")) > 200
    assert stop_words("esperanto") == frozenset()


def test_a_word_that_is_repeated_counts_as_often() -> None:
    words = words_of("auto")
    source = {"t": KeywordRows(pa.array(["one", "two", "three"]), words)}
    scores = []
    for text in ("one", "one two one", "Ones, one and two"):
        matches = match(plain_query(text, {"t": words}), source)
        scores.append(dict(zip(*(part.tolist() for part in matches.score(matches.statistics)), strict=True)))
    assert scores[1] == {0: 2 * scores[0][0], 1: scores[0][0]}
    assert scores[2] == scores[1]


def test_a_long_query_has_its_first_words() -> None:
    words = words_of("auto")
    expression = plain_query(" ".join(f"w{number}" for number in range(2000)), {"t": words})
    assert len(expression.phrases) == MOST_WORDS
    assert expression.weights == (1,) * MOST_WORDS


def test_columns_of_different_tokenizers_in_one_query() -> None:
    words = {"a": words_of("auto"), "b": words_of("trigram"), "c": words_of("unicode61 tokenchars '+'")}
    rows = {"a": ["connections", "x"], "b": ["x", "reconnecting"], "c": ["C++", "c"]}
    sources = {name: KeywordRows(pa.array(rows[name]), words[name]) for name in words}

    def rows_of(text: str) -> list[int]:
        return [int(row) for row in match(parse_query(text, list(words)), sources).rows]

    assert rows_of("connect") == [0, 1]
    assert rows_of("connects") == [0]
    assert rows_of('c:"C++"') == [0]
    assert rows_of("b:connect") == [1]
    assert rows_of("{a b}: nn") == []
    plain = match(plain_query("connecting c++", words), sources)
    assert [int(row) for row in plain.score(plain.statistics)[0]] == [0, 1]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("english", "It is not the same as what you have had before, and that is why we are here with this"),
        ("german", "Die Häuser der Stadt sind alt und die Straßen sind breit, aber nicht für alle"),
        ("french", "Les maisons de la ville sont dans une rue qui est à côté de la mer et que nous avons"),
        (
            "spanish",
            "Las casas de la ciudad son muy antiguas y las calles no son para los coches",
        ),
        (
            "portuguese",
            "As casas da cidade são muito antigas e as ruas não são para os carros",
        ),
        (
            "italian",
            "Le case della città sono molto antiche e le strade non sono per le macchine",
        ),
        (
            "dutch",
            "De huizen van de stad zijn oud en de straten zijn breed, maar niet voor wie er is",
        ),
        ("swedish", "Husen i staden är gamla och gatorna är breda, men det är inte för alla som har en bil"),
        ("turkish", "Bu şehir çok eski ve sokaklar da geniş, ama her şey için daha çok zaman var mı"),
        ("finnish", "Se on ollut vanha talo ja se ei ole enää siellä, mutta me olemme tässä kun he ovat"),
        (None, "Paris Berlin Tokyo 1999 AB-12"),
        (None, "飞书消息通知 消息"),
        (None, "the"),
    ],
)
def test_the_language_is_told_by_its_stop_words(language: str | None, text: str) -> None:
    decided = words_of("auto").decided_by(pa.array([text, None]))
    assert decided.tokenizer.language == language
    assert str(decided.tokenizer) == ("auto" if language is None else f"auto {language}")
    assert words_of("auto german").decided_by(pa.array([text])) is words_of("auto german")


def test_turkish_capitals() -> None:
    assert sorted(found("auto turkish", ["KIZLARI", "kız"], "kızlar")) == [0, 1]
    assert words_of("auto turkish").terms("KIZLARI") == words_of("auto turkish").terms("kızları")


def test_stems_are_snowballs() -> None:
    for language, word in (("english", "generously"), ("german", "häuser"), ("french", "continuellement")):
        [term] = words_of(f"snowball {language}").terms(word)
        assert term.decode() == stemmer(language).stemWord(word)


def test_a_word_of_three_characters_is_a_trigram() -> None:
    assert words_of("trigram").plain("ab abc abcd") == ["abc", "abcd"]


def test_a_script_with_a_stemmer_of_its_own_has_it_in_every_language() -> None:
    assert words_of("auto german").terms("книгами Häusern") == ["книг".encode(), b"haus"]
    assert words_of("auto german").stop_words >= stop_words("russian") | stop_words("german")


def test_the_stop_words_of_every_stemmer() -> None:
    """Those of its language; Russian ones beside those of Latin letters, as no text has both."""
    rows = ["и не", "дом и", "the houses", "das Haus", "the flat", "das Dorf"]
    for tokenize in ("auto", "auto english", "snowball english", "snowball porter", "porter"):
        assert found(tokenize, rows, "the house", plain=True) == [2], tokenize
    assert found("auto german", rows, "das haus", plain=True) == [3]
    assert found("auto german", rows, "и дом", plain=True) == [1]
    assert found("snowball dutch_porter", ["de stad", "het huis"], "de huis", plain=True) == [1]


@pytest.mark.parametrize(
    ("others", "hits", "language"),
    [(0, 3, None), (0, 4, "english"), (6, 4, "english"), (46, 4, "english"), (47, 4, None), (46, 3, None)],
)
def test_how_many_stop_words_tell_a_language(others: int, hits: int, language: str | None) -> None:
    """At least four of them, and at least eight of a hundred words."""
    text = " ".join(["through"] * hits + [f"x{number}" for number in range(others)])
    assert words_of("auto").decided_by(pa.array([text])).tokenizer.language == language


def test_all_rows_tell_the_language_together() -> None:
    rows = pa.array(["AB-12", "Die Häuser", "und die Straßen", "nicht für alle", "sind breit"])
    assert words_of("auto").decided_by(rows).tokenizer.language == "german"


def test_composed_and_decomposed_letters_have_one_stem() -> None:
    for tokenize, word in (
        ("auto german", "Häusern"),
        ("auto french", "créées"),
        ("auto spanish", "canción"),
    ):
        written = [unicodedata.normalize(form, word) for form in ("NFC", "NFD")]
        assert len({*words_of(tokenize).terms(written[0]), *words_of(tokenize).terms(written[1])}) == 1
        assert found(tokenize, [written[1]], written[0], plain=True) == [0]


def test_few_stems_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a table with many different words not all stay in memory."""
    monkeypatch.setattr("audiomem_sql.indexes.words.stems._KEPT", 20)
    stems = Stems(parse_tokenizer("snowball english"))
    for start in range(0, 200, 10):
        words = [f"running{number}s".encode() for number in range(start, start + 10)]
        assert stems(words) == [word.removesuffix(b"s") for word in words]
        assert len(stems._kept) <= 30
