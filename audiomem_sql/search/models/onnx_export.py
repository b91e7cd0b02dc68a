"""A sentence-transformers model as an ONNX graph with int8 weights.

It is made once on the user's machine and kept in the cache. The whole model is exported, from token ids to
the vector of length 1, so that nothing of its pooling is written twice. Its matrices become int8 with a scale
for each column; what they are multiplied with is quantised as it comes (dynamic quantisation, onnxruntime's
``quantize_dynamic``). The folder of a model is made under another name and renamed, and says what its files
hash to: one that is partial or was changed is made again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from audiomem_sql.errors import StorageError, UnsupportedError
from audiomem_sql.machine.cache_folder import cache_folder
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.machine.durable import flush
from audiomem_sql.search.models.onnx_graph import ABOUT, GRAPH, TOKENIZER, OnnxGraph, missing_extra

#: Raised when the same weights are exported in another way.
EXPORT_VERSION = 2
#: Raised when that makes other vectors, which is what tables are told. Graphs of versions 1 and 2 make the
#: same up to rounding: the cosine of the two vectors of a text is 0.9994 in the mean, and at least 0.996.
VECTORS_VERSION = 1
#: The least cosine between what the graph makes of a text and what the model itself makes; below it the
#: export is refused.
LEAST_COSINE = 0.95
_OPSET = 17
_PROBES = (
    "How do I reset a password?",
    "A cell is about a kibibyte, with a checksum of its own.",
    "def main(arguments: list[str]) -> int: return 0",
    "Short.",
    "The quick brown fox jumps over the lazy dog, again and again, until somebody writes down what it did. "
    * 6,
)


def export_folder() -> Path:
    """Where exported models are kept."""
    return cache_folder() / "onnx"


def fingerprint(name: str, folder: str | None, version: int = EXPORT_VERSION) -> str:
    """32 hex digits of where a model comes from.

    Hashed are its name, and names, sizes and times of its files where they are known. version: of the export.
    """
    hashed = blake2b(f"{version}\0{name}\0".encode(), digest_size=16)
    paths = [] if folder is None else [(path, path.relative_to(folder)) for path in Path(folder).rglob("*")]
    for path, relative in sorted(paths):
        if path.is_file() and path.suffix in (".json", ".safetensors", ".bin", ".txt"):
            status = path.stat()
            hashed.update(f"{relative}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return hashed.hexdigest()


def read_about(folder: Path) -> dict[str, Any] | None:
    """What the folder of an exported model says of itself.

    None unless its files are those that were written.
    """
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_text())
        for name in (GRAPH, TOKENIZER):
            if about["files"][name] != _hash_of(folder / name):
                return None
        if min(int(about["dimensions"]), int(about["tokens"])) < 1 or len(about["digest"]) != 32:
            return None
        bytes.fromhex(about["digest"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return about


def digest_of(weights: bytes) -> bytes:
    """The digest of vectors that the int8 form of a model makes. weights: the model's own digest."""
    return blake2b(weights + b"onnx int8 %d" % VECTORS_VERSION, digest_size=16).digest()


def export(name: str, model: Any, weights: bytes, target: Path) -> None:
    """Write ``model``, a loaded SentenceTransformer, to the folder ``target``, which may be there, broken.

    weights: its digest, 16 bytes. MissingExtraError without the extra ``onnx``, UnsupportedError for a model
    that cannot be exported, or whose graph makes other vectors; StorageError where the cache cannot be
    written.
    """
    _check_extra(name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".making-", dir=target.parent))
    except OSError as error:
        raise _not_writable(target, error) from error
    try:
        _write(name, model, weights, temporary)
        with contextlib.suppress(FileNotFoundError):
            os.rename(target, temporary / "old")  # partial, or of another writer who was as quick
        try:
            os.rename(temporary / "new", target)
        except OSError:
            if read_about(target) is None:  # nobody else made it meanwhile
                raise
    except OSError as error:
        raise _not_writable(target, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(name: str, model: Any, weights: bytes, temporary: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    new, plain = temporary / "new", temporary / "plain.onnx"
    new.mkdir()
    tokenizer = getattr(model.tokenizer, "backend_tokenizer", None)
    if tokenizer is None or getattr(model, "default_prompt_name", None):
        raise _not_exported(name, "its tokenizer is written in Python, or it puts a prompt before texts")
    tokenizer.save(str(new / TOKENIZER))
    try:
        _trace(model, plain)
        with warnings.catch_warnings(), _quiet_log():
            warnings.simplefilter("ignore")
            quantize_dynamic(plain, new / GRAPH, weight_type=QuantType.QInt8, per_channel=True)
    except OSError:
        raise
    except Exception as error:  # torch and onnx raise whatever they like
        raise _not_exported(name, f"{type(error).__name__}: {str(error).strip()[:200]}") from error
    measure = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
    about = {
        "model": name,
        "version": EXPORT_VERSION,
        "dimensions": int(measure()),
        "tokens": int(model.max_seq_length or 512),
        "digest": digest_of(weights).hex(),
        "weights": weights.hex(),
        "files": {file: _hash_of(new / file) for file in (GRAPH, TOKENIZER)},
    }
    (new / ABOUT).write_text(json.dumps(about, indent=1))
    _compare(name, model, new, about)
    for path in new.iterdir():
        with path.open("rb") as file:
            flush(file.fileno())


@contextlib.contextmanager
def _quiet_log() -> Iterator[None]:
    """onnxruntime advises on the root logger to optimise the graph first, which makes it no faster here."""
    root, advice = logging.getLogger(), logging.Filter("onnxruntime.quantization")
    root.addFilter(advice)
    try:
        yield
    finally:
        root.removeFilter(advice)


def _trace(model: Any, path: Path) -> None:
    """The float32 graph, from the token ids of a text to a vector of length 1."""
    import torch

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: Any) -> Any:
            # Texts go through one by one, so nothing is padded, and every token counts.
            features = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            embedding = self.model(features)["sentence_embedding"]
            return torch.nn.functional.normalize(embedding, dim=1)

    tokens = model.tokenizer(["one text", "and another one"], padding=True, return_tensors="pt")
    with warnings.catch_warnings(), torch.no_grad(), _without_mask(model):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Whole().eval(),
            (tokens["input_ids"],),
            str(path),
            input_names=["input_ids"],
            output_names=["vector"],
            dynamic_axes={"input_ids": {0: "texts", 1: "tokens"}, "vector": {0: "texts"}},
            opset_version=_OPSET,
            dynamo=False,  # the other exporter needs onnxscript
        )


@contextlib.contextmanager
def _without_mask(model: Any) -> Iterator[None]:
    """The transformer in ``model`` hears of no mask, so the graph has no steps that apply one: an eighth."""
    transformer = getattr(model[0], "auto_model", None)
    if transformer is None:
        yield
        return
    forward = transformer.forward

    def without(*inputs: Any, attention_mask: Any = None, **others: Any) -> Any:
        return forward(*inputs, **others)

    transformer.forward = without
    try:
        yield
    finally:
        del transformer.forward  # the method of its class is there again


def _compare(name: str, model: Any, folder: Path, about: dict[str, Any]) -> None:
    expected = model.encode(list(_PROBES), normalize_embeddings=True, show_progress_bar=False)
    graph = OnnxGraph(folder, about)
    vectors = np.stack([graph.vector(text) for text in _PROBES])
    least = float(np.min(np.sum(np.asarray(expected, np.float32) * vectors, axis=1)))
    if not least >= LEAST_COSINE:
        raise _not_exported(name, f"its graph makes other vectors, cosine {least:.3f}")


def _check_extra(name: str) -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime.quantization  # noqa: F401
    except ImportError:
        raise missing_extra(name) from None


def _not_exported(name: str, why: str) -> UnsupportedError:
    return UnsupportedError(
        f"the model {name} cannot be made an ONNX graph ({why})", remedy="Use model_backend=torch."
    )


def _not_writable(target: Path, error: OSError) -> StorageError:
    return StorageError(
        f"the ONNX form of the model cannot be kept ({error.strerror or error})",
        file=str(target),
        remedy="Set XDG_CACHE_HOME to a folder that can be written and has 120 MB to spare, "
        "or use model_backend=torch.",
    )


def _hash_of(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: blake2b(digest_size=16)).hexdigest()
