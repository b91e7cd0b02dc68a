"""wordllama: its table and tokenizer, without its code."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

import audiomem_sql
from audiomem_sql.errors import MissingExtraError, OptionError, UnsupportedError
from audiomem_sql.search.models import static_model
from audiomem_sql.search.models.embedders import embedder_named
from audiomem_sql.search.models.static_model import TOKENIZER, WEIGHTS, StaticEmbedder, load
from audiomem_sql.table.table import Table

TEXTS = [
    "How do I reset a password?",
    "Click on 'forgot your password' and follow the mail that you get.",
    "The cat sat on the mat.",
    "A kitten was lying on the carpet.",
    "",
    "naïve café 🎼",
    "def main() -> int:\n    return x[0]  # 3.14²,\n" * 60,  # more tokens than are added up at a time
]
ALPHABET = "ab Zé  _²³½Ⅷ\n\t\r'’.,()[]{}<>0123456789١٢漢字かな한글🎼e\u0301\u200d▁\u3000\xa0שלوไ"


@pytest.fixture(scope="module")
def folder() -> Path:
    return static_model._folder()


@pytest.fixture(scope="module")
def model() -> StaticEmbedder:
    return StaticEmbedder()


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / TOKENIZER))


def test_the_tokens_are_those_of_the_package(folder: Path, theirs: Tokenizer) -> None:
    tokens = load(folder).tokens
    rng = random.Random(7)
    texts = ["".join(rng.choices(ALPHABET, k=rng.randrange(1, 60))) for _ in range(2000)]
    words = [token.replace("▁", " ") for token in theirs.get_vocab() if "<" not in token]
    texts += ["".join(rng.choices(words, k=rng.randrange(1, 12))) for _ in range(2000)]
    texts += [*TEXTS, Path(__file__).read_text(), "x" * 500, "   ", "\n"]
    for text in texts:
        if "<s>" not in text:
            assert tokens.of(text).tolist() == theirs.encode(text, add_special_tokens=False).ids, text
    assert tokens.of("<s>").tolist() != theirs.encode("<s>", add_special_tokens=False).ids
    assert tokens.of("a\ud800b").tolist() == tokens.of("a?b").tolist()  # half a surrogate pair
    assert tokens.of("漢" * 3000).tolist() == [*tokens.of("漢" * 1000)[:1], *tokens.of("漢" * 3000)[1:]]


def test_a_vector_is_the_mean_of_its_tokens(folder: Path, model: StaticEmbedder, theirs: Tokenizer) -> None:
    raw = (folder / WEIGHTS).read_bytes()
    table = np.frombuffer(raw[-32000 * 256 * 2 :], "<f2").reshape(32000, 256).astype(np.float32)
    vectors = model.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), model.dimensions)
    assert vectors.dtype == np.float32
    for text, vector in zip(TEXTS, vectors, strict=True):
        mean = table[theirs.encode(text, add_special_tokens=False).ids].sum(axis=0)
        expected = mean / np.linalg.norm(mean) if text else np.eye(1, 256)[0]
        assert np.allclose(vector, expected, atol=1e-6)
    assert vectors[0] @ vectors[1] > 0.4 > vectors[0] @ vectors[3]
    assert model.embed([]).shape == (0, 256)


def test_a_vector_depends_on_its_text_alone(model: StaticEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{text} {number}" for number in range(150) for text in TEXTS]
    seen: list[tuple[int, int]] = []
    vectors = model.embed(texts, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(texts), len(texts))
    assert len(seen) == 5
    for row in (0, 6, 300, 1000, 1049):
        assert np.array_equal(model.embed([texts[row]])[0], vectors[row])
    monkeypatch.setattr(static_model, "_REMEMBERED", 10)  # what is remembered is forgotten
    assert np.array_equal(StaticEmbedder().embed(texts), vectors)


def test_what_is_remembered_has_a_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_model, "_REMEMBERED", 50)
    tokens = load(folder).tokens
    for number in range(500):
        tokens.of(f"word{chr(0x4E00 + number)} {'y' * 100}")
        assert len(tokens) <= 50
    assert all(len(unit) <= 64 for unit in tokens)


def test_a_table_has_it(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with Table.create(path, ["body TEXT SEMANTIC INDEXED"], {"model": "wordllama"}) as table:
        table.append([{"body": text} for text in TEXTS])
        assert table.options.model_backend == "torch"  # as files have it that say nothing
        assert table.search("semantic: a kitten on a carpet", k=1)["body"].to_pylist() == [TEXTS[3]]
    sql = audiomem_sql.connect(path)  # the file names it, and no permission is needed
    query = "SELECT body FROM t WHERE body MATCH 'semantic: click on the mail you get' LIMIT 1"
    assert sql.execute(query).fetchone() == (TEXTS[1],)
    embedded = sql.execute("SELECT embed('a text', 'wordllama')").fetchone()[0]
    assert embedded == embedder_named("wordllama").embed(["a text"])[0].tobytes()
    sql.close()
    with Table(path) as table, pytest.raises(OptionError, match="has no model_backend"):
        table.reembed("wordllama", model_backend="onnx")


def test_another_model_after_reembedding(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with Table.create(path, ["body TEXT SEMANTIC"], {"model": "hashing"}) as table:
        table.append([{"body": text} for text in TEXTS])
        table.reembed("wordllama")
        assert table.options.model_digest == StaticEmbedder().digest.hex()
        assert table.search("a kitten on a carpet", k=1)["body"].to_pylist() == [TEXTS[3]]


@pytest.mark.parametrize("missing", ["wordllama", "tokenizers.models"])
def test_without_the_package(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=r"audiomem-sql\[static\]"):
        StaticEmbedder().embed(["a"])


def test_another_package_of_that_name(tmp_path: Path, folder: Path) -> None:
    vocabulary = {"<unk>": 0, "a": 1} | {f"<0x{byte:02X}>": byte + 2 for byte in range(256)}

    def package(tokenizer: object, dtype: str = "F16", rows: int = 258, value: float = 1) -> Path:
        about = json.dumps({"e": {"dtype": dtype, "shape": [rows, 2], "data_offsets": [0, 0]}}).encode()
        table = np.full((258, 2), value, "<f2").tobytes()
        weights = len(about).to_bytes(8, "little") + about + table
        for file, content in ((TOKENIZER, json.dumps(tokenizer).encode()), (WEIGHTS, weights)):
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).write_bytes(content)
        return tmp_path

    good = {"model": {"vocab": vocabulary, "merges": []}}
    assert load(package(good)).table.shape == (258, 2)
    bad: list[tuple[object, dict[str, object]]] = [
        ({}, {}),
        ([], {}),
        ({"model": {"vocab": {}, "merges": []}}, {}),
        ({"model": {"vocab": {**vocabulary, "b": 9}, "merges": []}}, {}),
        ({"model": {"vocab": {"a": 0}, "merges": []}}, {"rows": 1}),
        ({"model": {"vocab": vocabulary, "merges": ["a b"]}}, {}),
        ({"model": {"vocab": vocabulary, "merges": ["a"]}}, {}),
        ({"model": {"vocab": vocabulary, "merges": [["a", "a"]]}}, {}),
        (good, {"dtype": "F32"}),
        (good, {"rows": 259}),
        (good, {"value": float("nan")}),
        (good, {"value": np.inf}),
    ]
    for tokenizer, changes in bad:
        with pytest.raises(UnsupportedError, match="wordllama that is installed"):
            load(package(tokenizer, **changes))  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="wordllama that is installed"):
        load(tmp_path / "nothing")


PROGRAM = """
import os, signal, threading
from audiomem_sql.search.models.static_model import StaticEmbedder
model = StaticEmbedder()
before = model.embed(["a text"] * 300)
other = threading.Thread(target=lambda: [model.embed(["a b c"] * 300) for _ in range(10)])
other.start()
child = os.fork()
if child == 0:
    signal.alarm(60)  # one that waits for threads that are not there ends by it
    os._exit(0 if (model.embed(["a text"] * 300) == before).all() else 3)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
other.join()
raise SystemExit(status)
"""


def test_a_forked_child_embeds() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM], check=False)
    assert done.returncode == 0
