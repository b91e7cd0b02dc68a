"""Models that a server runs: those with OpenAI's interface (``openai:NAME``), and Ollama's (``ollama:NAME``).

A file holds the name of its model and the number of its dimensions, and nothing else: where the server is,
and the key, are the user's. They come from ``allow_model(name, url=, key=)``, or from ``OPENAI_BASE_URL``,
``OPENAI_API_KEY`` and ``OLLAMA_HOST``. A server does not tell which weights it has, so vectors of one name
are taken for those of one model; it is for the user to know. ``openai:NAME?dimensions=256`` asks for vectors
of so many numbers, which models can make that are trained for it.

Formats: OpenAI's ``POST /embeddings`` and Ollama's ``POST /api/embed``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from audiomem_sql.arrays import F32Array
from audiomem_sql.errors import OptionError
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.progress import Progress
from audiomem_sql.search.models.addresses import checked_key, checked_url
from audiomem_sql.search.models.allowed import check_allowed, place_of
from audiomem_sql.search.models.forked import ForkedLock
from audiomem_sql.search.models.http_json import post, refused
from audiomem_sql.storage.segment import OLLAMA, OPENAI

OPENAI_URL = "https://api.openai.com/v1"
OLLAMA_URL = "http://127.0.0.1:11434"
#: Texts, and characters, of a request.
TEXTS_AT_ONCE = 64
CHARACTERS_AT_ONCE = 100_000
#: Characters of a text that are sent; models have windows, and servers refuse what is longer.
LONGEST_TEXT = 6000
#: Behind the name of a model that is asked for vectors of another length than its usual one.
_DIMENSIONS, _NUMBER, _MOST_DIMENSIONS = "?dimensions=", re.compile("[1-9][0-9]{0,4}"), 65_535
_PROBE = "How many numbers has a vector?"


class EndpointEmbedder:
    """A model that a server runs. Nothing is sent before the first text, nor for a text without words."""

    def __init__(self, name: str) -> None:
        """name: with its prefix. OptionError if nothing stands behind that."""
        self.name = name
        self._is_ollama = name.startswith(OLLAMA)
        prefix = OLLAMA if self._is_ollama else OPENAI
        self._model, asked, number = name.removeprefix(prefix).partition(_DIMENSIONS)
        if not self._model.strip():
            raise OptionError(f"{name} names no model", remedy=f"Use {prefix}NAME.")
        if asked and not (_NUMBER.fullmatch(number) and int(number) <= _MOST_DIMENSIONS):
            raise OptionError(
                f"{name:.100} asks for no number of dimensions",
                remedy=f"Use {prefix}NAME{_DIMENSIONS}N, with N from 1 to {_MOST_DIMENSIONS}.",
            )
        self._lock = ForkedLock()
        self._asked = self._dimensions = int(number or 0)

    @property
    def dimensions(self) -> int:
        """Numbers of a vector; the server is asked for one to know it."""
        if not self._dimensions:
            self._request([_PROBE])
        return self._dimensions

    @property
    def digest(self) -> bytes:
        """A digest of the name, as a server tells nothing else."""
        return blake2b(f"endpoint 1\0{self.name}".encode(), digest_size=16).digest()

    def settings(self) -> bytes:
        """What vectors depend on beside name and text: where the server is."""
        return self._place()[0].encode()

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> F32Array:
        """Vectors of length 1, float32 (len(texts), dimensions); a text of white space is (1, 0, 0, …).

        UnsupportedError if the server gives none, or others than expected.
        """
        rows = [row for row, text in enumerate(texts) if text.strip()]
        parts = [
            (part, self._request([texts[row][:LONGEST_TEXT] for row in part]))
            for part in _parts(texts, rows, progress)
        ]
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        vectors[:, :1] = 1
        for part, made in parts:
            vectors[part] = made
        if progress is not None:
            progress(len(texts), len(texts))
        return vectors

    def _place(self) -> tuple[str, str]:
        """The address of the server, and the key for it."""
        url, key = place_of(self.name)
        if self._is_ollama:
            host = url or os.environ.get("OLLAMA_HOST") or OLLAMA_URL
            if "://" not in host:
                port = "" if host.rpartition(":")[2].isdigit() else ":11434"
                host = f"http://{host}{port}"
            return checked_url(host).replace("//0.0.0.0", "//127.0.0.1"), checked_key(key or "")
        url = url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
        return checked_url(url), checked_key(key or os.environ.get("OPENAI_API_KEY", ""))

    def _request(self, texts: list[str]) -> F32Array:
        """Vectors of a few texts, of length 1, float32 (len(texts), dimensions)."""
        check_allowed(self.name)
        base, key = self._place()
        # What UTF-8 cannot hold is no text to a server.
        sent = [text.encode("utf-8", "replace").decode() for text in texts]
        content: dict[str, Any] = {"model": self._model, "input": sent}
        if self._asked:
            content["dimensions"] = self._asked
        if self._is_ollama:
            url = f"{base}/api/embed"
            answer = post(url, key, content | {"truncate": True}, self.name)
        else:
            url = f"{base}/embeddings"
            answer = post(url, key, content | {"encoding_format": "float"}, self.name)
        try:
            listed = answer["embeddings"] if self._is_ollama else _in_order(answer["data"])
            return self._checked(listed, len(texts))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = str(error) if type(error) is ValueError else "its answer has another form"
            raise refused(
                self.name, url, f"{reason:.200}", "Check that the model makes embeddings, and is the table's."
            ) from None

    def _checked(self, listed: Any, count: int) -> F32Array:
        """The vectors of an answer, of length 1. ValueError for what cannot be ones."""
        if not isinstance(listed, list) or len(listed) != count:
            raise ValueError(f"{count} texts were sent, and not as many vectors came")
        if len({len(numbers) for numbers in listed}) != 1:
            raise ValueError("its vectors have different lengths")
        values = np.array(listed)
        if values.ndim != 2 or values.shape[1] == 0 or values.dtype.kind not in "fiu":
            raise ValueError("its vectors are no lists of numbers")
        lengths = np.linalg.norm(values.astype(np.float64), axis=1, keepdims=True)
        if not np.isfinite(lengths).all():
            raise ValueError("its vectors have numbers that are not finite")
        if not lengths.all():
            raise ValueError("it made a vector of zeros")
        with self._lock:
            self._dimensions = self._dimensions or values.shape[1]
            if self._asked not in (0, values.shape[1]):
                raise ValueError(
                    f"{self._asked} dimensions were asked for, its vectors have {values.shape[1]}"
                )
            if values.shape[1] != self._dimensions:
                raise ValueError(f"its vectors had {self._dimensions} numbers, and now {values.shape[1]}")
        vectors: F32Array = (values / lengths).astype(np.float32)
        return vectors


def _in_order(data: Any) -> list[Any]:
    """The vectors of OpenAI's answer in the order of the texts. ValueError if they are not numbered so."""
    by_number = {entry["index"]: entry["embedding"] for entry in data}
    if sorted(by_number) != list(range(len(data))):
        raise ValueError("its vectors are not numbered as the texts")
    return [by_number[number] for number in range(len(data))]


def _parts(texts: Sequence[str], rows: list[int], progress: Progress | None) -> Iterator[list[int]]:
    """``rows`` in parts for one request each; says before each what was done."""
    start = 0
    while start < len(rows):
        check_interrupt()
        if progress is not None and start:
            progress(start, len(texts))
        end, characters = start, 0
        while end < len(rows) and end - start < TEXTS_AT_ONCE:
            characters += min(len(texts[rows[end]]), LONGEST_TEXT)
            if characters > CHARACTERS_AT_ONCE:
                break
            end += 1
        yield rows[start:end]
        start = end
