"""What needs all-MiniLM-L6-v2 itself, and so the extras ``semantic`` and ``onnx``, half a gigabyte.

``make test-model`` runs it, in CI a job of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from audiomem_sql.errors import StorageError
from audiomem_sql.search.models.embedders import SentenceTransformer
from audiomem_sql.search.models.onnx_graph import GRAPH
from audiomem_sql.search.models.onnx_model import OnnxTransformer
from audiomem_sql.table.table import Table

NAME = "all-MiniLM-L6-v2"
TEXTS = [
    "How do I reset a password?",
    "Click on 'forgot your password' and follow the mail that you get.",
    "The cat sat on the mat.",
    "A kitten was lying on the carpet.",
    "",
    "naïve café 🎼",
    "def main() -> int: return 0 " * 100,
]


@pytest.fixture(scope="module")
def torch_model() -> SentenceTransformer:
    return SentenceTransformer(NAME)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def onnx_model(
    torch_model: SentenceTransformer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> OnnxTransformer:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("AUDIOMEM_VECTOR_CACHE", "off")
    return OnnxTransformer(NAME, torch_model.folder, torch_model.loaded)


def test_meaning(torch_model: SentenceTransformer) -> None:
    vectors = torch_model.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), 384) == (len(TEXTS), torch_model.dimensions)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.5 > 0.2 > vectors[0] @ vectors[3]
    assert vectors[2] @ vectors[3] > 0.5


def test_onnx_is_nearly_the_same(torch_model: SentenceTransformer, onnx_model: OnnxTransformer) -> None:
    vectors = onnx_model.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), onnx_model.dimensions)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = np.sum(vectors * torch_model.embed(TEXTS), axis=1)
    assert cosines.min() > 0.97
    assert cosines.mean() > 0.985
    assert onnx_model.digest != torch_model.digest
    alone = np.stack([onnx_model.embed([text])[0] for text in TEXTS])
    assert np.array_equal(vectors, alone)  # a vector depends on its own text only


def test_it_is_exported_once(
    torch_model: SentenceTransformer, onnx_model: OnnxTransformer, cache: Path
) -> None:
    digest = onnx_model.digest
    (folder,) = (cache / "audiomem-sql" / "onnx").iterdir()

    def never() -> tuple[object, bytes]:
        raise AssertionError("exported again")

    again = OnnxTransformer(NAME, torch_model.folder, never)
    assert again.digest == digest
    graph = folder / GRAPH
    graph.write_bytes(graph.read_bytes()[:-1000])
    mended = OnnxTransformer(NAME, torch_model.folder, torch_model.loaded)
    assert np.array_equal(mended.embed(TEXTS), onnx_model.embed(TEXTS))
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]  # nothing else is left


def test_a_cache_that_cannot_be_written(
    torch_model: SentenceTransformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "audiomem-sql").write_text("a file is in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(StorageError, match="XDG_CACHE_HOME"):
        OnnxTransformer(NAME, torch_model.folder, torch_model.loaded).embed(["a"])


def test_a_search_needs_no_torch(onnx_model: OnnxTransformer, cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with Table.create(path, ["body TEXT SEMANTIC"], {"model_backend": "onnx"}) as table:
        table.append([{"body": text} for text in TEXTS])
    code = (
        "import sys, audiomem_sql as am\n"
        f"with am.open({str(path)!r}) as t: print(t.search('kitten', k=1)['body'].to_pylist()[0])\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    )
    assert done.stdout.splitlines() == [TEXTS[3], "False"]


@pytest.mark.parametrize(
    ("backend", "missing"), [("onnx", "onnxruntime"), ("torch", "sentence_transformers")]
)
def test_either_backend_searches_what_the_other_made(
    onnx_model: OnnxTransformer, cache: Path, tmp_path: Path, backend: str, missing: str
) -> None:
    assert len(onnx_model.digest) == 16  # it is exported
    path = tmp_path / "t.flac"
    with Table.create(path, ["body TEXT SEMANTIC"], {"model_backend": backend}) as table:
        table.append([{"body": text} for text in TEXTS])
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "import audiomem_sql as am\n"
        f"with am.open({str(path)!r}) as t:\n"
        "    print(t.search('kitten', k=1)['body'].to_pylist()[0])\n"
        "    try: t.append([{'body': 'more'}])\n"
        "    except am.AudioMemError as error: print(type(error).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), "AUDIOMEM_VECTOR_CACHE": "off"},
    )
    assert done.stdout.splitlines() == [TEXTS[3], "MissingExtraError"]


def test_what_is_installed_is_the_default(onnx_model: OnnxTransformer, tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", ["body TEXT SEMANTIC"]) as table:
        assert table.options.model_backend == "onnx"


def test_another_backend_after_reembedding(onnx_model: OnnxTransformer, cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with Table.create(path, ["body TEXT SEMANTIC"], {"model_backend": "torch"}) as table:
        table.append([{"body": text} for text in TEXTS])
        first = table.options.model_digest
        table.reembed(model_backend="onnx")
        assert table.options.model_backend == "onnx"
        assert table.options.model_digest == onnx_model.digest.hex() != first
        assert table.search("a kitten", k=1)["body"].to_pylist() == [TEXTS[3]]
    shutil.copy(path, tmp_path / "u.flac")
    with Table(tmp_path / "u.flac") as table:
        assert table.search("forgotten password", k=1)["body"].to_pylist()[0] in TEXTS[:2]


FORKS = """
import os, signal, sys
import audiomem_sql as am
os.chdir(sys.argv[1])
table = am.write_flac([{"id": 1, "body": "hello world"}], "t.flac", primary_key="id", semantic="body")
table.search("known already", k=1)
child = os.fork()
if child == 0:
    signal.alarm(60)  # a child that waits for threads that are not there ends by it
    assert len(table.search("known already", k=1)) == 1
    try:
        table.search("something else", k=1)
    except am.AudioMemError as error:
        os._exit(3 if "forked after a model was loaded" in str(error) else 4)
    os._exit(5)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(table.search("something else", k=1)))
"""


def test_a_forked_child_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKS, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "AUDIOMEM_VECTOR_CACHE": "off"},
    )
    assert done.stdout == "3 1\n", done.stderr
