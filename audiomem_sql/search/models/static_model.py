"""wordllama: the vector of a text is the mean of vectors of its tokens, out of a table.

Table and tokenizer are those of the package ``wordllama`` (MIT), which is not imported: numpy runs, and the
library ``tokenizers``. A table of 32,000 rows knows no word order and little of meaning, but embeds ten
thousand texts a second, and beside a search by words it is of use.

The tokenizer is SentencePiece's BPE: pairs of neighbours are joined in the order of a list. No token has
letters and other characters in it, or two digits, or a space behind its first character. So a text falls
into units, a run of letters or of others with the spaces before it, which are tokenized alone and
remembered: a text whose words came before takes a third of the time that the library needs for the whole of
it. Unlike wordllama's, this tokenizer takes ``<s>`` in a text for the three characters it is.
"""

from __future__ import annotations

import importlib.util
import json
import math
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audiomem_sql.arrays import F32Array, I64Array
from audiomem_sql.errors import MissingExtraError, UnsupportedError
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.progress import Progress
from audiomem_sql.search.models.embedder import normalised
from audiomem_sql.search.models.forked import ForkedLock
from audiomem_sql.storage.segment import WORDLLAMA

WEIGHTS = Path("weights", "l2_supercat_256.safetensors")
TOKENIZER = Path("tokenizers", "l2_supercat_tokenizer_config.json")
_SPACE, _UNKNOWN = "▁", "<unk>"
# The superscript two is a digit for Unicode, and stands in tokens with full stops.
_UNITS = re.compile(r" *(?:[^\W\d_²]+|\d|(?:(?! )[\W_²])+)| +")
#: Units that are remembered, some 30 MB of them.
_REMEMBERED = 1 << 17
#: Characters of a unit that is remembered; a longer one hardly comes again.
_LONGEST = 64
_TEXTS_AT_ONCE = 256
#: Characters that are joined at a time in a unit without end; joining takes the square of this.
_PIECE = 512
#: Rows of the table that are added up at a time: half a megabyte, which stays in the processor's cache.
_ROWS_AT_ONCE = 512


class Tokens(dict[str, bytes]):
    """The numbers of the tokens of each unit, as int64, made when it is first asked for."""

    def __init__(self, model: Any) -> None:
        """model: of the library ``tokenizers``; joins the characters of a unit to tokens."""
        super().__init__()
        self._model = model

    def __missing__(self, unit: str) -> bytes:
        characters = unit.replace(" ", _SPACE)
        pieces = [characters[start : start + _PIECE] for start in range(0, len(characters), _PIECE)]
        numbers = array("q", [token.id for piece in pieces for token in self._joined(piece)]).tobytes()
        if len(unit) <= _LONGEST:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[unit] = numbers
        return numbers

    def _joined(self, characters: str) -> Any:
        try:
            return self._model.tokenize(characters)
        except UnicodeEncodeError:  # half a surrogate pair is no character
            return self._model.tokenize(characters.encode("utf-8", "replace").decode())

    def of(self, text: str) -> I64Array:
        """The numbers of the tokens of a text, int64 (n,)."""
        units = _UNITS.findall(" " + text.replace(_SPACE, " ")) if text else []
        return np.frombuffer(b"".join(map(self.__getitem__, units)), np.int64)


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
        # On one thread: most of the time goes into tokens, where Python lets one thread run at a time, and
        # adding up would wait for it at each text.
        room = np.empty((_ROWS_AT_ONCE, model.table.shape[1]), np.float32)
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            check_interrupt()
            part = texts[start : start + _TEXTS_AT_ONCE]
            with self._lock:
                numbers = [model.tokens.of(text) for text in part]
            for of_text, total in zip(numbers, sums[start:], strict=False):
                _add(model.table, of_text, total, room)
            if progress is not None:
                progress(start + len(part), len(texts))
        return normalised(sums)

    def _loaded(self) -> Loaded:
        with self._lock:
            if self._model is None:
                self._model = load(_folder())
            return self._model


def _add(table: F32Array, numbers: I64Array, total: F32Array, room: F32Array) -> None:
    """Add the rows ``numbers`` of ``table`` up to ``total``, float32 (d,). room: for some rows.

    Each text alone: ``add.reduceat`` over several takes five times as long.
    """
    for start in range(0, len(numbers), len(room)):
        part = numbers[start : start + len(room)]
        # "clip" spares a check and a copy of all; the numbers are those of rows, see load()
        total += np.take(table, part, axis=0, out=room[: len(part)], mode="clip").sum(axis=0)


def _folder() -> Path:
    spec = importlib.util.find_spec(WORDLLAMA)
    if spec is None or spec.origin is None:
        raise missing_extra()
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
        tokens = Tokens(_joining(model["vocab"], model["merges"]))
        tokens.of(f"a{chr(0x10FFFF)}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UnsupportedError(
            f"the package wordllama that is installed brings no table that is understood ({error!s:.100})",
            file=str(folder),
            remedy="Install version 0.4: pip install 'wordllama>=0.4,<0.5'.",
        ) from None
    digest = blake2b(weights + blake2b(tokenizer).digest(), digest_size=16).digest()
    return Loaded(tokens, table, digest)


def _joining(numbers: dict[str, int], merges: list[str]) -> Any:
    """What joins characters to tokens. ValueError for tokens that are not understood.

    numbers: of tokens. merges: two tokens with a space between, those that are joined first first.
    """
    try:
        from tokenizers.models import BPE
    except ImportError:
        raise missing_extra() from None
    pairs = []
    for pair in merges:
        left, right = pair.split(" ")
        pairs.append((left, right))
    if any(f"<0x{byte:02X}>" not in numbers for byte in range(256)):
        raise ValueError("its tokens are not all bytes")
    try:
        # What is joined is remembered here already. A character that is no token is its bytes.
        return BPE(numbers, pairs, cache_capacity=0, unk_token=_UNKNOWN, fuse_unk=True, byte_fallback=True)
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(str(error)) from None


def missing_extra() -> MissingExtraError:
    """What is to be installed."""
    return MissingExtraError(
        f"model={WORDLLAMA} needs the package of that name",
        remedy="Install it with: pip install 'audiomem-sql[static]'.",
    )
