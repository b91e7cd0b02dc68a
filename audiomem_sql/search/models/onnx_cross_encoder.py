"""Cross-encoders that a folder has as an ONNX graph: ``onnx:FOLDER``. Neither torch nor a hub is needed.

The folder is what hubs have of such a model: ``tokenizer.json``, and ``model.onnx`` there or in ``onnx/``.
Each pair of query and text goes through the graph alone, on a thread of its own, as in ``onnx_model.py``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audiomem_sql.arrays import F64Array
from audiomem_sql.errors import MissingExtraError, QueryError
from audiomem_sql.machine.hardware import processors
from audiomem_sql.machine.interrupts import check_interrupt, result_of
from audiomem_sql.machine.thread_pool import ThreadPool
from audiomem_sql.search.models.allowed import ONNX
from audiomem_sql.search.models.forked import ForkedLock, check_process
from audiomem_sql.search.models.onnx_graph import GRAPH, TOKENIZER

#: Tokens of a query and a text together, where the tokenizer does not tell.
_TOKENS = 512
_TEXTS_AT_ONCE = 4


class OnnxCrossEncoder:
    """A cross-encoder in a folder, loaded at the first text. Safe to use from several threads."""

    def __init__(self, name: str) -> None:
        """Loads nothing yet. name: with ``onnx:`` in front of the folder."""
        self.name = name
        self._lock = ForkedLock()
        self._model: _Model | None = None

    def __call__(self, query: str, texts: Sequence[str]) -> F64Array:
        """How well each text answers the query, float64 (n,); higher is better.

        MissingExtraError without onnxruntime and tokenizers, and for a folder that has no such model.
        """
        model = self._loaded()
        check_process(self.name)
        scores = np.empty(len(texts))
        # the longest first, so that no thread is left alone with one at the end
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]), reverse=True)

        def work(rows: list[int]) -> None:
            for row in rows:
                scores[row] = model.score(query, texts[row])

        threads = ThreadPool(max(1, min(processors(), len(texts))), thread_name_prefix="audiomem-onnx")
        try:
            parts = [order[start : start + _TEXTS_AT_ONCE] for start in range(0, len(order), _TEXTS_AT_ONCE)]
            for future in [threads.submit(work, rows) for rows in parts]:
                check_interrupt()
                result_of(future)
        finally:
            threads.shutdown(cancel_futures=True)
        return scores

    def _loaded(self) -> _Model:
        with self._lock:
            if self._model is None:
                check_process(self.name)
                self._model = _Model(self.name)
            return self._model


class _Model:
    """Graph and tokenizer of a folder."""

    def __init__(self, name: str) -> None:
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError:
            raise MissingExtraError(
                f"the cross-encoder {name} needs onnxruntime and tokenizers",
                remedy="Install them with: pip install onnxruntime tokenizers. "
                "Or pass a callable (query, texts) -> scores in Python.",
            ) from None
        self._name = name
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # texts are divided among threads, not matrices
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            graph, tokenizer = _files(Path(os.path.expanduser(name.removeprefix(ONNX))))
            self._tokenizer = Tokenizer.from_file(str(tokenizer))
            limits = self._tokenizer.truncation or {}
            self._tokenizer.enable_truncation(int(limits.get("max_length", _TOKENS)))
            self._tokenizer.no_padding()
            self._session = onnxruntime.InferenceSession(
                str(graph), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # both libraries raise whatever they like
            raise MissingExtraError(
                f"the cross-encoder {name} cannot be loaded ({(str(error).splitlines() or [''])[0]:.200})",
                remedy=f"Name a folder with {TOKENIZER}, and {GRAPH} there or in onnx/.",
            ) from None
        self._inputs = {node.name for node in self._session.get_inputs()}

    def score(self, query: str, text: str) -> float:
        """What the graph says of a query and a text. QueryError unless it is one number."""
        encoded = self._tokenizer.encode(query, text)
        known = {
            "input_ids": encoded.ids,
            "attention_mask": encoded.attention_mask,
            "token_type_ids": encoded.type_ids,
        }
        if not self._inputs <= known.keys():
            raise self._none(f"takes {', '.join(sorted(self._inputs - known.keys()))}")
        numbers: Any = self._session.run(
            None, {name: np.array([known[name]], np.int64) for name in self._inputs}
        )[0]
        if np.size(numbers) != 1:
            raise self._none(f"gives {np.size(numbers)} numbers for a text")
        return float(np.reshape(numbers, ()))

    def _none(self, why: str) -> QueryError:
        return QueryError(
            f"the model {self._name} {why}", remedy="Name the folder of a cross-encoder with one label."
        )


def _files(folder: Path) -> tuple[Path, Path]:
    """Graph and tokenizer of a folder; FileNotFoundError without them."""
    for graph in (folder / GRAPH, folder / "onnx" / GRAPH):
        if graph.is_file():
            break
    else:
        raise FileNotFoundError(f"there is no {GRAPH}")
    if not (folder / TOKENIZER).is_file():
        raise FileNotFoundError(f"there is no {TOKENIZER}")
    return graph, folder / TOKENIZER
