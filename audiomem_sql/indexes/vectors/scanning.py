"""The greatest inner products of queries with int8 codes: by FAISS, or by numpy where there are few.

FAISS reads the codes as they are, one byte a coordinate, with the query in float32. It is imported with the
first index that is large enough, because that takes a fifth of a second.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any, Protocol

import numpy as np

from audiomem_sql.arrays import BoolArray, F32Array, I8Array, I64Array
from audiomem_sql.errors import MissingExtraError

#: Up to here numpy takes about a millisecond, and FAISS need not be imported.
FEW_VECTORS = 4096
_CHUNK = 4096
_FEW_QUERIES = 4


class Scanner(Protocol):
    """The codes of one list, ready to be searched."""

    def codes(self, positions: I64Array) -> I8Array:
        """int8 (p, d), the codes at int64 (p,) places in the list."""

    def greatest(self, queries: F32Array, k: int, allowed: BoolArray | None) -> tuple[F32Array, I64Array]:
        """The ``k`` greatest products of float32 (m, d) with the codes of the vectors that bool (n,) allows.

        Products float32 (m, k), falling, and places in the list int64 (m, k), -1 where there are fewer.
        """


def scanner(codes: I8Array, *, few: bool) -> Scanner:
    """A scanner of int8 (n, d).

    Raises MissingExtraError if they are not ``few`` and FAISS is not installed.
    """
    return NumpyScanner(codes) if few else FaissScanner(codes, faiss())


@cache
def faiss() -> Any:
    """The module. Raises MissingExtraError without it."""
    try:
        with warnings.catch_warnings():
            # Its SWIG wrappers warn on newer Pythons of what concerns nobody here.
            warnings.simplefilter("ignore")
            import faiss
    except ImportError:
        raise MissingExtraError(
            "searching an index of this many vectors needs FAISS",
            remedy="Run `pip install 'audiomem-sql[semantic]'`.",
        ) from None
    return faiss


def products_of(queries: F32Array, vectors: F32Array) -> F32Array:
    """The inner products of float32 (m, d) with float32 (n, d): float32 (m, n).

    Few queries without BLAS, which wakes a thread for every core: on a busy machine waiting for them takes
    ten times as long as the sums.
    """
    if len(queries) > _FEW_QUERIES:
        return queries @ vectors.T
    products: F32Array = np.einsum("qd,nd->qn", queries, vectors)
    return products


def cosine_distances(vectors: F32Array, query: F32Array) -> F32Array:
    """Of float32 (n, d) from a query of length 1, float32 (d,): float32 (n,).

    2 where a vector has no length.
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    cosines = np.divide(
        products_of(query[np.newaxis], vectors)[0],
        lengths,
        out=np.full(len(vectors), -1, np.float32),
        where=lengths > 0,
    )
    distances: F32Array = np.maximum(1 - cosines, 0).astype(np.float32)
    return distances


@cache
def has_faiss() -> bool:
    """Whether FAISS is installed. It is imported then."""
    try:
        faiss()
    except MissingExtraError:
        return False
    return True


class NumpyScanner:
    """A Scanner that converts the codes to float32 by pieces, and multiplies."""

    def __init__(self, codes: I8Array) -> None:
        self._codes = codes

    def codes(self, positions: I64Array) -> I8Array:
        """int8 (p, d), the codes at int64 (p,) places in the list."""
        return self._codes[positions]

    def greatest(self, queries: F32Array, k: int, allowed: BoolArray | None) -> tuple[F32Array, I64Array]:
        """The ``k`` greatest products of each query, as :meth:`Scanner.greatest`."""
        positions = np.arange(len(self._codes)) if allowed is None else np.flatnonzero(allowed)
        products = np.empty((len(queries), len(positions)), np.float32)
        for start in range(0, len(positions), _CHUNK):
            part = positions[start : start + _CHUNK]
            codes = self._codes[start : start + _CHUNK] if allowed is None else self._codes[part]
            products[:, start : start + _CHUNK] = products_of(queries, codes.astype(np.float32))
        count = min(k, len(positions))
        chosen = (
            np.argpartition(-products, count - 1, axis=1)[:, :count] if 0 < count < len(positions) else None
        )
        if chosen is None:
            chosen = np.broadcast_to(np.arange(count), (len(queries), count))
        values = np.take_along_axis(products, chosen, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        out_values = np.full((len(queries), k), -np.inf, np.float32)
        out_places = np.full((len(queries), k), -1, np.int64)
        out_values[:, :count] = np.take_along_axis(values, order, axis=1)
        out_places[:, :count] = positions[np.take_along_axis(chosen, order, axis=1)]
        return out_values, out_places


class FaissScanner:
    """A Scanner by FAISS: IndexScalarQuantizer with one byte a coordinate, code + 128, decoded as the code.

    Not QT_8bit_direct_signed, which since version 1.15 rounds the query to integers.
    """

    def __init__(self, codes: I8Array, module: Any) -> None:
        count, dimensions = codes.shape
        self._faiss = module
        kind = module.ScalarQuantizer.QT_8bit_uniform
        index = module.IndexScalarQuantizer(dimensions, kind, module.METRIC_INNER_PRODUCT)
        # A code c decodes to least + range * (c + 0.5) / 255.
        module.copy_array_to_vector(np.array([-128.5, 255.0], np.float32), index.sq.trained)
        index.is_trained = True
        index.codes.resize(codes.size)
        self._bytes = module.rev_swig_ptr(index.codes.data(), codes.size).reshape(count, dimensions)
        np.bitwise_xor(codes.view(np.uint8), np.uint8(128), out=self._bytes)
        index.ntotal = count
        self._index = index

    def codes(self, positions: I64Array) -> I8Array:
        """int8 (p, d), the codes at int64 (p,) places in the list."""
        codes: I8Array = np.bitwise_xor(self._bytes[positions], np.uint8(128)).view(np.int8)
        return codes

    def greatest(self, queries: F32Array, k: int, allowed: BoolArray | None) -> tuple[F32Array, I64Array]:
        """The ``k`` greatest products of each query, as :meth:`Scanner.greatest`."""
        module = self._faiss
        parameters = None
        if allowed is not None:
            bits = np.packbits(allowed, bitorder="little")
            selector = module.IDSelectorBitmap(bits)
            parameters = module.SearchParameters(sel=selector)
        products, positions = self._index.search(np.ascontiguousarray(queries), k, params=parameters)
        return products, positions


class OneThread:
    """Searches of one list take microseconds.

    Waking OpenMP's threads for each takes milliseconds on a busy machine.

    The number is the calling thread's own (OpenMP's nthreads-var), so nothing else that uses FAISS is slowed
    down.
    """

    def __init__(self, module: Any | None) -> None:
        self._module = module
        self._before = 0

    def __enter__(self) -> None:
        if self._module is not None:
            self._before = self._module.omp_get_max_threads()
            self._module.omp_set_num_threads(1)

    def __exit__(self, *error: object) -> None:
        if self._module is not None:
            self._module.omp_set_num_threads(self._before)
