"""wordllama: the vector of a text is the mean of vectors of its tokens, out of a table.

Table and tokenizer are those of the package ``wordllama`` (MIT), which is not imported: numpy is all that
runs. A table of 32,000 rows knows no word order and little of meaning, but embeds thousands of texts a
second, and beside a search by words it is of use.

The tokenizer is SentencePiece's BPE: pairs of neighbours are joined in the order of a list. No token has
letters and other characters in it, or two digits, or a space behind its first character. So a text falls
into units, a run of letters or of others with the spaces before it, which are tokenized alone and
remembered. Unlike wordllama's, this tokenizer takes ``<s>`` in a text for the three characters it is.
"""

from __future__ import annotations

import importlib.util
import json
import math
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

import numpy as np

from audiomem_sql.arrays import F32Array, I64Array
from audiomem_sql.errors import MissingExtraError, UnsupportedError
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.machine.hardware import processors
from audiomem_sql.machine.interrupts import check_interrupt, result_of
from audiomem_sql.machine.progress import Progress
from audiomem_sql.search.models.embedder import normalised
from audiomem_sql.search.models.forked import ForkedLock
from audiomem_sql.storage.segment import WORDLLAMA

WEIGHTS = Path("weights", "l2_supercat_256.safetensors")
TOKENIZER = Path("tokenizers", "l2_supercat_tokenizer_config.json")
_SPACE = "▁"
# The superscript two is a digit for Unicode, and stands in tokens with full stops.
_UNITS = re.compile(r" *(?:[^\W\d_²]+|\d|(?:(?! )[\W_²])+)| +")
#: Units that are remembered, some 30 MB of them.
_REMEMBERED = 1 << 17
#: Characters of a unit that is remembered; a longer one hardly comes again.
_LONGEST = 64
_TEXTS_AT_ONCE = 256
#: Characters that are joined at a time in a unit without end; joining takes the square of this.
_PIECE = 512


class Tokens(dict[str, tuple[int, ...]]):
    """The numbers of the tokens of each unit, made when it is first asked for."""

    def __init__(self, numbers: dict[str, int], merges: Sequence[str]) -> None:
        """numbers: of tokens. merges: two tokens with a space between, those that are joined first first."""
        super().__init__()
        self._numbers = numbers
        self._ranks = {tuple(pair.split(" ")): rank for rank, pair in enumerate(merges)}

    def __missing__(self, unit: str) -> tuple[int, ...]:
        characters = unit.replace(" ", _SPACE)
        pieces = [characters[start : start + _PIECE] for start in range(0, len(characters), _PIECE)]
        numbers = tuple(number for piece in pieces for number in self._joined(list(piece)))
        if len(unit) <= _LONGEST:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[unit] = numbers
        return numbers

    def _joined(self, parts: list[str]) -> list[int]:
        ranks, none = self._ranks, len(self._ranks)
        order = [ranks.get(pair, none) for pair in pairwise(parts)]
        while order and (first := min(order)) != none:
            place = order.index(first)
            parts[place : place + 2] = [parts[place] + parts[place + 1]]
            del order[place]
            for changed in (place - 1, place):
                if 0 <= changed < len(order):
                    order[changed] = ranks.get((parts[changed], parts[changed + 1]), none)
        numbers = []
        for part in parts:
            if part in self._numbers:
                numbers.append(self._numbers[part])
            else:  # a character that is no token is its bytes
                data = part.encode("utf-8", "replace")
                numbers += [self._numbers[f"<0x{byte:02X}>"] for byte in data]
        return numbers

    def of(self, text: str) -> list[int]:
        """The numbers of the tokens of a text."""
        if not text:
            return []
        units = _UNITS.findall(" " + text.replace(_SPACE, " "))
        return list(chain.from_iterable(map(self.__getitem__, units)))


@dataclass(frozen=True)
class Loaded:
    """What the package brings along. table: float32 (tokens, dimensions)."""

    tokens: Tokens
    table: F32Array
    digest: bytes


class StaticEmbedder:
    """wordllama's table and tokenizer, loaded at the first text. MissingExtraError without its package."""

    name = WORDLLAMA

    def __init__(self) -> None:
        self._lock = ForkedLock()
        self._model: Loaded | None = None

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""
        return int(self._loaded().table.shape[1])

    @property
    def digest(self) -> bytes:
        """The digest of table and tokenizer."""
        return self._loaded().digest

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> F32Array:
        """Vectors of length 1, float32 (len(texts), 256); a text without characters is (1, 0, 0, …)."""
        model = self._loaded()
        sums = np.zeros((len(texts), model.table.shape[1]), np.float32)
        threads = ThreadPoolExecutor(processors(), thread_name_prefix="audiomem-static")
        try:
            futures = []
            for start in range(0, len(texts), _TEXTS_AT_ONCE):
                check_interrupt()
                with self._lock:  # tokens are found on this thread, added up on others
                    numbers = [model.tokens.of(text) for text in texts[start : start + _TEXTS_AT_ONCE]]
                futures.append(threads.submit(_add, model.table, numbers, sums[start:]))
            for part, future in enumerate(futures, 1):
                result_of(future)
                if progress is not None:
                    progress(min(part * _TEXTS_AT_ONCE, len(texts)), len(texts))
        finally:
            threads.shutdown(cancel_futures=True)
        return normalised(sums)

    def _loaded(self) -> Loaded:
        with self._lock:
            if self._model is None:
                self._model = load(_folder())
            return self._model


def _add(table: F32Array, numbers: list[list[int]], sums: F32Array) -> None:
    """Add up the rows of each text, a few texts at a time so that they stay in the processor's cache."""
    filled = [row for row, of_text in enumerate(numbers) if of_text]
    for start in range(0, len(filled), 16):
        rows = filled[start : start + 16]
        lengths = [len(numbers[row]) for row in rows]
        in_order = chain.from_iterable(numbers[row] for row in rows)
        flat: I64Array = np.fromiter(in_order, np.int64, sum(lengths))
        begins = np.cumsum([0, *lengths[:-1]])
        sums[rows] = np.add.reduceat(table[flat], begins, axis=0)


def _folder() -> Path:
    spec = importlib.util.find_spec(WORDLLAMA)
    if spec is None or spec.origin is None:
        raise MissingExtraError(
            f"model={WORDLLAMA} needs the package of that name",
            remedy="Install it with: pip install 'audiomem-sql[static]'.",
        )
    return Path(spec.origin).parent


def load(folder: Path) -> Loaded:
    """What the package in ``folder`` brings along. UnsupportedError if it is another than is known."""
    try:
        tokenizer, weights = (folder / TOKENIZER).read_bytes(), (folder / WEIGHTS).read_bytes()
        model = json.loads(tokenizer)["model"]
        size = int.from_bytes(weights[:8], "little")
        (about,) = (
            value for name, value in json.loads(weights[8 : 8 + size]).items() if name != "__metadata__"
        )
        rows, columns = about["shape"]
        if about["dtype"] != "F16" or sorted(model["vocab"].values()) != list(range(rows)):
            raise ValueError("its table has another shape")
        table = np.frombuffer(weights, "<f2", rows * columns, 8 + size + about["data_offsets"][0])
        table = table.reshape(rows, columns).astype(np.float32)
        if not math.isfinite(float(np.abs(table).max())):
            raise ValueError("its table has numbers that are not finite")
        tokens = Tokens(model["vocab"], model["merges"])
        tokens.of(f"a{chr(0x10FFFF)}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UnsupportedError(
            f"the package wordllama that is installed brings no table that is understood ({error!s:.100})",
            file=str(folder),
            remedy="Install version 0.4: pip install 'wordllama>=0.4,<0.5'.",
        ) from None
    digest = blake2b(weights + blake2b(tokenizer).digest(), digest_size=16).digest()
    return Loaded(tokens, table, digest)
