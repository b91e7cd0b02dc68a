"""Arrow tables as pandas data frames whose columns are what they were when they were written.

A column that was written from a data frame has the dtype that it had there. Any other has numpy's dtype for
its type, but an INTEGER with NULLs is ``Int64`` and a BOOLEAN with NULLs is ``boolean``: numpy's own have no
NULL, and floats in their place would change integers above 2⁵³. Dates and times that pandas cannot hold, such
as those of Python with nanoseconds, make the column one of objects, and are texts in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import types

from audiomem_sql.columns.arrow_types import ArrowArray, ArrowType
from audiomem_sql.columns.exact_python import holds_all, python_values
from audiomem_sql.columns.origins import BACKENDS, OBJECT, parse_origin
from audiomem_sql.columns.pandas_frames import restore
from audiomem_sql.errors import MissingExtraError, OptionError

if TYPE_CHECKING:
    import pandas as pd


def frame_of(
    table: pa.Table,
    origins: Sequence[str | None],
    dtype_backend: str | None = None,
    categories: Sequence[str] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """The rows of ``table`` as a data frame, with the index and the attrs that its metadata tell.

    origins: of each column what it was, see ``columns.origins``, or None. dtype_backend: ``numpy_nullable``
    or ``pyarrow``, as in pandas, for all columns. categories: names of columns that become categories.
    options: for ``pyarrow.Array.to_pandas``.

    Raises MissingExtraError without pandas, OptionError for another ``dtype_backend``.
    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtraError(
            "pandas is not installed", remedy="Run: pip install 'audiomem-sql[pandas]'"
        ) from None
    if dtype_backend is not None and dtype_backend not in BACKENDS:
        raise OptionError(
            f"dtype_backend {dtype_backend!r} does not exist", remedy=f"Use one of: {', '.join(BACKENDS)}."
        )
    series = []
    for name, array, text in zip(table.column_names, table.columns, origins, strict=True):
        origin = parse_origin(text)
        restored = array if origin is None else origin.restored(array)
        restored = array if restored is None else restored
        if name in (categories or ()) and not types.is_dictionary(restored.type):
            restored = restored.dictionary_encode()
        backend = dtype_backend or (origin.backend if origin is not None else None)
        series.append(_series(restored, backend, options))
    frame = pd.DataFrame(dict(enumerate(series)), index=pd.RangeIndex(table.num_rows), copy=False)
    frame.columns = pd.Index(table.column_names, dtype=None if table.column_names else object)
    return restore(frame, table.schema.metadata)


def _series(array: ArrowArray, backend: str | None, options: dict[str, Any]) -> Any:
    import pandas as pd

    if backend == OBJECT:
        return _objects(array)
    if backend == "pyarrow":
        mapper: Any = pd.ArrowDtype
    else:
        mapper = _dtypes(backend, array.null_count > 0).get
    if backend != "pyarrow" and _holds_counts(array):
        return _objects(array)
    conversion = {"types_mapper": mapper} | options
    if types.is_timestamp(array.type) and array.type.tz and backend != "pyarrow":
        # An unknown zone is not worth the table: its times are shown as UTC.
        try:
            return array.to_pandas(**conversion)
        except Exception:
            return array.cast(pa.timestamp(array.type.unit, "UTC")).to_pandas(**conversion)
    try:
        return array.to_pandas(**conversion)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        is_known = not isinstance(error, pa.ArrowNotImplementedError)  # a list of UUIDs is not
        if is_known and holds_all(array):
            raise
        return _objects(array)


def _holds_counts(array: ArrowArray) -> bool:
    """Whether it has dicts or pairs in which pyarrow would put bare counts of nanoseconds or seconds."""
    text = str(array.type)
    if not types.is_nested(array.type) or not ("struct<" in text or "map<" in text):
        return False
    return "[ns" in text or not holds_all(array)


def _objects(array: ArrowArray) -> Any:
    """Python values, and texts of the dates and times that Python cannot hold."""
    import pandas as pd

    unit = getattr(array.type, "unit", None)
    if unit == "ns" and (types.is_timestamp(array.type) or types.is_duration(array.type)):
        return pd.Series(array.to_pylist(), dtype=object)  # pandas' own values hold nanoseconds
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    return pd.Series([value for chunk in chunks for value in python_values(chunk)], dtype=object)


def _dtypes(backend: str | None, nulls: bool) -> dict[ArrowType, Any]:
    """The dtypes that are not the ones pyarrow would choose.

    Those are the dtypes with a NULL of their own, where it is needed or wanted,
    and pandas' own texts, also where all of them are NULL.
    """
    import pandas as pd

    dtypes: dict[ArrowType, Any] = {}
    if backend is not None or nulls:
        dtypes |= {
            pa.int8(): pd.Int8Dtype(),
            pa.int16(): pd.Int16Dtype(),
            pa.int32(): pd.Int32Dtype(),
            pa.int64(): pd.Int64Dtype(),
            pa.uint8(): pd.UInt8Dtype(),
            pa.uint16(): pd.UInt16Dtype(),
            pa.uint32(): pd.UInt32Dtype(),
            pa.uint64(): pd.UInt64Dtype(),
            pa.bool_(): pd.BooleanDtype(),
        }
    if backend is not None:
        dtypes |= {
            pa.float32(): pd.Float32Dtype(),
            pa.float64(): pd.Float64Dtype(),
            pa.string(): pd.StringDtype(),
        }
    elif int(pd.__version__.split(".")[0]) >= 3:
        dtypes[pa.string()] = pd.StringDtype(na_value=float("nan"))
    return dtypes
