"""A model as an ONNX graph in a folder, opened by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from audiomem_sql.arrays import F32Array
from audiomem_sql.errors import MissingExtraError

#: The files in the folder of a model.
GRAPH, TOKENIZER, ABOUT = "model.onnx", "tokenizer.json", "about.json"

#: onnxruntime's kernel for what this joins takes ten times as long as those for its parts: a seventh of all.
_SLOWER = ["SkipLayerNormFusion"]


class OnnxGraph:
    """One exported model, loaded. Safe to use from several threads."""

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError:
            raise missing_extra(str(about["model"])) from None
        self.dimensions = int(about["dimensions"])
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._whole = Tokenizer.from_str(self._tokenizer.to_str())
        self._tokenizer.enable_truncation(int(about["tokens"]))
        self.window = int(about["tokens"]) - int(self._tokenizer.num_special_tokens_to_add(is_pair=False))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # texts are divided among threads, not matrices
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(folder / GRAPH), options, providers=["CPUExecutionProvider"], disabled_optimizers=_SLOWER
        )
        self._inputs = {node.name for node in self._session.get_inputs()}

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Where each token of a text begins and ends, in characters, beyond the window, too."""
        spans: list[tuple[int, int]] = self._whole.encode(text, add_special_tokens=False).offsets
        return spans

    def vector(self, text: str) -> F32Array:
        """float32 (dimensions,), of length 1."""
        encoded = self._tokenizer.encode(text)
        inputs = {
            "input_ids": encoded.ids,
            "attention_mask": encoded.attention_mask,
            "token_type_ids": encoded.type_ids,
        }
        arrays = {name: np.array([inputs[name]], np.int64) for name in self._inputs}
        vector: F32Array = self._session.run(None, arrays)[0][0]
        return vector


def missing_extra(name: str) -> MissingExtraError:
    """What is to be installed."""
    return MissingExtraError(
        f"the model {name} with model_backend=onnx needs onnx and onnxruntime",
        remedy="Install them with: pip install 'audiomem-sql[onnx]'. Or use model_backend=torch.",
    )
