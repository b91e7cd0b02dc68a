"""Embedding through onnxruntime, with int8 weights.

This is several times as fast as torch, and its vectors are nearly the same: the cosine of the two vectors of
a text is 0.994 in the mean. Each text goes through the graph alone, on a thread of its own. Nothing is
padded; and as dynamic quantisation takes its scale from everything that goes through together, a vector
depends on its own text only, to the last bit. Batches of texts of one length were tried: they gain 10 % at
60 tokens, lose as much at 250, and a vector in a batch has a cosine of 0.986 to 0.994 with its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audiomem_sql.arrays import F32Array
from audiomem_sql.errors import MissingExtraError, UnsupportedError
from audiomem_sql.machine.hardware import processors
from audiomem_sql.machine.interrupts import check_interrupt, result_of
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.thread_pool import ThreadPool
from audiomem_sql.search.models.forked import ForkedLock, check_process
from audiomem_sql.search.models.onnx_export import (
    EXPORT_VERSION,
    export,
    export_folder,
    fingerprint,
    read_about,
)
from audiomem_sql.search.models.onnx_graph import OnnxGraph

#: Texts that a thread takes at a time; short ones last half a millisecond.
_TEXTS_AT_ONCE = 8


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
        self._exported: tuple[Path, dict[str, Any]] | None = None
        self._graph: OnnxGraph | None = None

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""
        return int(self._about()["dimensions"])

    @property
    def digest(self) -> bytes:
        """The digest of the weights and of how they were quantised: never that of the float32 model."""
        return bytes.fromhex(self._about()["digest"])

    @property
    def weights(self) -> bytes:
        """The digest of the float32 model; empty where the export does not tell."""
        return bytes.fromhex(self._about().get("weights", ""))

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> F32Array:
        """Vectors of length 1, float32 (len(texts), dimensions)."""
        graph = self._loaded()
        check_process(self.name)
        vectors = np.empty((len(texts), graph.dimensions), np.float32)
        if len(texts) == 1:
            vectors[0] = graph.vector(texts[0])
            return vectors
        # The longest first, so that no thread is left alone with one at the end.
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]), reverse=True)

        def work(rows: list[int]) -> int:
            for row in rows:
                vectors[row] = graph.vector(texts[row])
            return len(rows)

        done = 0
        threads = ThreadPool(max(1, min(processors(), len(texts))), thread_name_prefix="audiomem-onnx")
        try:
            parts = [order[start : start + _TEXTS_AT_ONCE] for start in range(0, len(order), _TEXTS_AT_ONCE)]
            for future in [threads.submit(work, rows) for rows in parts]:
                check_interrupt()
                done += result_of(future)
                if progress is not None:
                    progress(done, len(texts))
        finally:
            threads.shutdown(cancel_futures=True)
        return vectors

    @property
    def window(self) -> int:
        """The tokens of a text that the model looks at, without those that it adds itself."""
        return self._loaded().window

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Where each token of a text begins and ends, in characters."""
        return self._loaded().token_spans(text)

    def _about(self) -> dict[str, Any]:
        with self._lock:
            return self._found()[1]

    def _loaded(self) -> OnnxGraph:
        with self._lock:
            if self._graph is None:
                check_process(self.name)
                self._graph = OnnxGraph(*self._found())
            return self._graph

    def _found(self) -> tuple[Path, dict[str, Any]]:
        """The folder of the exported model, and what it says of itself."""
        if self._exported is None:
            self._exported = self._opened()
        return self._exported

    def _opened(self) -> tuple[Path, dict[str, Any]]:
        folder = self._folder_of(EXPORT_VERSION)
        about = read_about(folder)
        if about is None:
            check_process(self.name)
            try:
                model, weights = self._load()
                export(self.name, model, weights, folder)
            except MissingExtraError:
                older = self._folder_of(EXPORT_VERSION - 1)
                if (about := read_about(older)) is None:
                    raise
                return older, about
            about = read_about(folder)
        if about is None:
            raise UnsupportedError(
                f"the ONNX form of the model {self.name} changed while it was read",
                file=str(folder),
                remedy="Try again, or use model_backend=torch.",
            )
        return folder, about

    def _folder_of(self, version: int) -> Path:
        """Where the export of this version is kept, or would be."""
        file_name = self.name.replace("/", "--").replace("\\", "--").lstrip(".")
        return export_folder() / f"{file_name}-{fingerprint(self.name, self._folder, version)}"
