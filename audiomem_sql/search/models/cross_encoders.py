"""Cross-encoders by name: models that score a query and a text together.

sentence-transformers loads them; ``onnx:FOLDER`` is one that onnxruntime runs (``onnx_cross_encoder.py``).
Which may be loaded is the rule for embedders, see ``allowed.py``; none is built in.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from audiomem_sql.arrays import F64Array
from audiomem_sql.errors import MissingExtraError, QueryError
from audiomem_sql.machine.device import CPU, place_of_models, working
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.search.models.allowed import BUILT_IN, ONNX, check_allowed
from audiomem_sql.search.models.forked import ForkedLock, check_process
from audiomem_sql.search.models.progress_bars import no_bar

if TYPE_CHECKING:
    from audiomem_sql.search.models.onnx_cross_encoder import OnnxCrossEncoder

#: A name that messages give.
EXAMPLE = "cross-encoder/ms-marco-MiniLM-L6-v2"
_TEXTS_AT_ONCE = 32


def cross_encoder(name: str) -> CrossEncoder | OnnxCrossEncoder:
    """The cross-encoder of this name. UnsupportedError for one that is not allowed, see ``allow_model``."""
    if name in BUILT_IN:
        raise QueryError(
            f"the model {name} makes vectors, and is no cross-encoder",
            remedy=f"Name one, such as {EXAMPLE}.",
        )
    check_allowed(name)
    return _kept(name)


class CrossEncoder:
    """A model of sentence-transformers, loaded at the first text. Safe to use from several threads."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = ForkedLock()
        self._model: Any = None
        #: Where the model is, as torch names it.
        self._place = CPU

    def __call__(self, query: str, texts: Sequence[str]) -> F64Array:
        """How well each text answers the query, float64 (n,); higher is better.

        MissingExtraError without the extra ``semantic``.
        """
        model = self._loaded()
        check_process(self.name)
        scores = np.empty(len(texts))
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            check_interrupt()
            part = texts[start : start + _TEXTS_AT_ONCE]
            with self._lock, working():
                values = model.predict(
                    [(query, text) for text in part], batch_size=_TEXTS_AT_ONCE, show_progress_bar=False
                )
            numbers = np.asarray(values, np.float64)
            if numbers.size != len(part):
                raise QueryError(
                    f"the model {self.name} gives {numbers.size // len(part)} numbers for a text",
                    remedy=f"Name a cross-encoder with one label, such as {EXAMPLE}.",
                )
            scores[start : start + len(part)] = numbers.reshape(-1)
        return scores

    def _loaded(self) -> Any:
        with self._lock:
            if self._model is None or self._place != place_of_models():
                check_process(self.name)
                self._place = place_of_models()
                self._model = _load(self.name, self._place)
            return self._model


@cache
def _kept(name: str) -> CrossEncoder | OnnxCrossEncoder:
    if not name.startswith(ONNX):
        return CrossEncoder(name)
    from audiomem_sql.search.models.onnx_cross_encoder import OnnxCrossEncoder

    return OnnxCrossEncoder(name)


def _load(name: str, device: str) -> Any:
    check_allowed(name)
    try:
        from sentence_transformers import CrossEncoder as Model
    except ImportError:
        raise MissingExtraError(
            f"the cross-encoder {name} needs sentence-transformers",
            remedy="Install it with: pip install 'audiomem-sql[semantic]'. "
            "Or pass a callable (query, texts) -> scores in Python.",
        ) from None
    place = os.path.abspath(name) if os.path.isdir(name) else name
    try:
        with no_bar():
            return Model(place, device=device, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise MissingExtraError(
            f"the cross-encoder {name} cannot be loaded ({str(error).splitlines()[0]:.200})",
            remedy="Check its name, and that it is in the cache of models or can be fetched.",
        ) from None
