"""Embedding through onnxruntime, with int8 weights.

This is several times as fast as the default, and its vectors are nearly the same. Each text goes through the
graph alone, on a thread of its own. Nothing is padded, so short texts cost little; and as dynamic
quantisation takes its scale from everything that goes through together, a vector depends on its own text
only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from audiomem_sql.arrays import F32Array
from audiomem_sql.errors import UnsupportedError
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.progress import Progress
from audiomem_sql.search.models.forked import ForkedLock, check_process
from audiomem_sql.search.models.onnx_export import cache_folder, export, fingerprint, read_about
from audiomem_sql.search.models.onnx_graph import OnnxGraph

_TEXTS_AT_ONCE = 256


class OnnxTransformer:
    """A sentence-transformers model through onnxruntime.

    It is exported at the first text that is ever embedded with it. MissingExtraError without the extra
    ``onnx``, and, when it has to be exported, without ``semantic``.
    """

    def __init__(self, name: str, folder: str | None, load: Callable[[], tuple[Any, bytes]]) -> None:
        """Loads nothing yet.

        folder: of the model's files, where they are known. load: gives the model, and the digest of its
        weights.
        """
        self.name = name
        self._folder = folder
        self._load = load
        self._lock = ForkedLock()
        self._graph: OnnxGraph | None = None

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""
        return self._loaded().dimensions

    @property
    def digest(self) -> bytes:
        """The digest of the weights and of how they were quantised: never that of the float32 model."""
        return self._loaded().digest

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> F32Array:
        """Vectors of length 1, float32 (len(texts), dimensions)."""
        graph = self._loaded()
        check_process(self.name)
        vectors = np.empty((len(texts), graph.dimensions), np.float32)
        if len(texts) == 1:
            vectors[0] = graph.vector(texts[0])
            return vectors
        with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
            for start in range(0, len(texts), _TEXTS_AT_ONCE):
                check_interrupt()
                part = texts[start : start + _TEXTS_AT_ONCE]
                for row, vector in enumerate(threads.map(graph.vector, part), start):
                    vectors[row] = vector
                if progress is not None:
                    progress(start + len(part), len(texts))
        return vectors

    @property
    def window(self) -> int:
        """The tokens of a text that the model looks at, without those that it adds itself."""
        return self._loaded().window

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Where each token of a text begins and ends, in characters."""
        return self._loaded().token_spans(text)

    def _loaded(self) -> OnnxGraph:
        with self._lock:
            if self._graph is None:
                check_process(self.name)
                self._graph = self._opened()
            return self._graph

    def _opened(self) -> OnnxGraph:
        file_name = self.name.replace("/", "--").replace("\\", "--").lstrip(".")
        folder = cache_folder() / f"{file_name}-{fingerprint(self.name, self._folder)}"
        about = read_about(folder)
        if about is None:
            model, weights = self._load()
            export(self.name, model, weights, folder)
            about = read_about(folder)
        if about is None:
            raise UnsupportedError(
                f"the ONNX form of the model {self.name} changed while it was read",
                file=str(folder),
                remedy="Try again, or use model_backend=torch.",
            )
        return OnnxGraph(folder, about)
